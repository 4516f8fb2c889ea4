"""Errors of a recorder: operations out of order, or two operations at a time in one session.

Checkers of sessions rest on the second (Terry et al., "Session guarantees for weakly consistent replicated data", 1994:
a session is a sequence), and row numbers in messages on the first: they are those of the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import compute as pc  # type: ignore[import-untyped]  # pyarrow has no stubs

from .history import Table, validate

_Integers = NDArray[np.integer[Any]]
_NEVER = int(np.iinfo(np.int64).min)  # a null return: it conflicts with nothing that follows


def validate_stored(table: Table) -> Table:
    """Validate a history as it is in a file, like history.validate, but without sorting it.

    Raises ValueError with the row (from 1), the reason and the hint: for all that validate refuses, for no operations
    at all, rows that are not sorted by invoke_ns, a read whose result is in another column than value, a session with
    two operations at a time.
    """
    history = validate(table)
    if not table.num_rows:
        raise ValueError("The history has no operations. Hint: record some, one row each.")
    refuse_unsorted(table)
    refuse_observed(history)
    refuse_overlaps(history)
    return history


def refuse_unsorted(table: Table) -> None:
    """Raise ValueError if an operation was invoked before that of the row above; the table is as it was recorded."""
    invoke = table.column("invoke_ns").to_numpy()
    back = np.flatnonzero(invoke[1:] < invoke[:-1])
    if len(back):
        row = int(back[0]) + 1
        raise ValueError(
            f"Row {row + 1}: invoke_ns {invoke[row]} is before that of the row above, {invoke[row - 1]}."
            " Hint: sort the history by invoke_ns."
        )


def refuse_observed(history: Table) -> None:
    """Raise ValueError if a read of a validated history has its result in observed, where it would be ignored."""
    observed, value = history.column("observed"), history.column("value")
    if observed.null_count == history.num_rows:
        return
    other = pc.not_equal(observed, value).fill_null(True)
    misplaced = pc.and_(pc.and_(pc.equal(history.column("op"), "read"), pc.is_valid(observed)), other)
    rows = np.flatnonzero(np.asarray(misplaced, dtype=np.bool_))
    if len(rows):
        raise ValueError(f"Row {rows[0] + 1}: a read has its result in observed. Hint: write it in value.")


def refuse_overlaps(history: Table) -> None:
    """Raise ValueError if a session of a validated history invoked an operation before its last one had returned.

    A session is a (vantage, session). An operation that never returned (return_ns null) does not conflict with what
    follows; scans and overloads, which belong to no session, are left out.
    """
    rows = np.flatnonzero(_in_sessions(history))
    numbers = _session_numbers(history, rows)
    invoke = np.asarray(history.column("invoke_ns"))[rows]
    returned = np.asarray(history.column("return_ns").fill_null(_NEVER))[rows]
    order = np.argsort(numbers, kind="stable")
    early = _early(numbers[order], invoke[order], returned[order])
    if len(early):
        # Of the operations at one moment, one that took no time may come first in any file order.
        order = np.lexsort((returned, invoke, numbers))
        early = _early(numbers[order], invoke[order], returned[order])
    if len(early):
        _refuse(history, int(rows[order[early[0]]]), int(rows[order[early[0] + 1]]))


def _session_numbers(history: Table, rows: _Integers) -> _Integers:
    """Return a number for each (vantage, session)."""
    vantage = np.asarray(history.column("vantage").combine_chunks().indices)[rows].astype(np.int64)
    session = np.asarray(history.column("session"))[rows].astype(np.int64)
    first, last = (int(session.min()), int(session.max())) if len(rows) else (0, 0)
    numbers = vantage * (last - first + 1) + session - first
    # Sixteen bits are sorted by counting, much faster for many operations of few sessions.
    return numbers.astype(np.uint16) if numbers.max(initial=0) < 1 << 16 else numbers


def _in_sessions(history: Table) -> NDArray[np.bool_]:
    scan = pc.equal(history.column("op"), "scan")
    overload = pc.equal(history.column("error"), "overload").fill_null(False)
    return ~np.asarray(pc.or_(scan, overload), dtype=np.bool_)


def _early(numbers: _Integers, invoke: _Integers, returned: _Integers) -> _Integers:
    """Return the places of operations whose session invoked its next one before they returned."""
    return np.flatnonzero((numbers[1:] == numbers[:-1]) & (returned[:-1] > invoke[1:]))


def _refuse(history: Table, first: int, second: int) -> None:
    def cell(name: str, row: int) -> object:
        return history.column(name)[row].as_py()

    earlier, other = sorted((first, second))
    raise ValueError(
        f"Rows {earlier + 1} and {other + 1}: session {cell('session', first)} of vantage '{cell('vantage', first)}'"
        f" has two operations at a time (one returned at {cell('return_ns', first)}, the other was invoked at"
        f" {cell('invoke_ns', second)}). Hint: give every concurrent client a session of its own."
    )
