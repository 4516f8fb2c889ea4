"""Witnesses of durability: some elements for each kind of anomaly, with the add and the final scan's rows."""

from __future__ import annotations

import numpy as np

from caplab.check.columns import Integers, Mask
from caplab.check.finding import Context
from caplab.check.witness import MAX_WITNESSES, shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table

from .adds import Adds, Scan, between
from .standalone_scans import Judged

_Proof = tuple[str, list[int]]  # a sentence, and the rows that show it beside the final scan


def witnesses(
    history: Table, context: Context, adds: Adds, lost: Mask, unexpected: Integers, duplicated: Integers, scan: Scan
) -> list[Json]:
    """Show at most MAX_WITNESSES witnesses in all, some for every kind of anomaly that occurs."""
    kinds = (_lost(adds, lost), _unexpected(adds, unexpected, scan), _duplicated(adds, duplicated, scan))
    shown = shares([len(proofs) for proofs in kinds])
    chosen = [proof for proofs, count in zip(kinds, shown, strict=True) for proof in proofs[:count]]
    return [witness(history, what, rows, context) for what, rows in chosen]


def witnesses_of_own(history: Table, context: Context, adds: Adds, lost: Mask, judged: Judged) -> list[Json]:
    """Show the same of a history that stands alone, where any scan is proof."""
    kinds = (
        _lost(adds, lost),
        [_unexpected_row(history, adds, row) for row in judged.unexpected[:MAX_WITNESSES].tolist()],
        [_duplicated_rows(history, adds, rows) for rows in judged.duplicated[:MAX_WITNESSES]],
    )
    shown = shares([len(proofs) for proofs in kinds])
    chosen = [proof for proofs, count in zip(kinds, shown, strict=True) for proof in proofs[:count]]
    return [witness(history, what, rows, context) for what, rows in chosen]


def _unexpected_row(history: Table, adds: Adds, row: int) -> _Proof:
    value, add = _scanned(history, adds, row)
    why = "whose add surely failed" if add else "which was never added"
    return f"A scan has {value}, {why}.", [*add, row]


def _duplicated_rows(history: Table, adds: Adds, rows: tuple[int, int]) -> _Proof:
    value, add = _scanned(history, adds, rows[0])
    return f"A scan has {value} more than once.", [*add, *rows]


def _scanned(history: Table, adds: Adds, row: int) -> tuple[str, list[int]]:
    """Return the name of a row's element, and the rows of its add."""
    value, key = (history.column(name)[row].as_py() for name in ("value", "key"))
    mine = adds.value == value
    if len(adds.sets) > 1:
        mine &= adds.set == adds.sets.index(key or "")
    return _element(adds, value, key or ""), adds.row[mine].tolist()


def _element(adds: Adds, value: int, name: str) -> str:
    """Name an element, with its set where there are several."""
    return f"the value {value} of set '{name}'" if len(adds.sets) > 1 else f"the value {value}"


def _lost(adds: Adds, lost: Mask) -> list[_Proof]:
    """Show the lost adds that were invoked first."""
    places = np.flatnonzero(lost)
    first = places[np.argsort(adds.row[places])][:MAX_WITNESSES].tolist()
    return [
        (f"T{name[1:]} was acked, and the final scan does not have it.", [int(adds.row[place])])
        for place in first
        for name in [_element(adds, int(adds.value[place]), adds.sets[adds.set[place]])]
    ]


def _unexpected(adds: Adds, unexpected: Integers, scan: Scan) -> list[_Proof]:
    """Show unexpected elements, each with the add that surely failed, if there is one."""
    proofs = []
    for value in unexpected[:MAX_WITNESSES].tolist():
        add = _add(adds, value)
        why = "whose add surely failed" if add else "which was never added"
        proofs.append((f"The final scan has the value {value}, {why}.", [*add, *scan.copies(value)[:1]]))
    return proofs


def _duplicated(adds: Adds, duplicated: Integers, scan: Scan) -> list[_Proof]:
    """Show duplicated elements, each with its add, and two of the scan's rows that hold it."""
    proofs = []
    for value in duplicated[:MAX_WITNESSES].tolist():
        copies = scan.copies(value)
        what = f"The final scan has the value {value} {len(copies):,} times."
        proofs.append((what, [*_add(adds, value), *copies[:2]]))
    return proofs


def _add(adds: Adds, value: int) -> list[int]:
    """Return the row of a value's add, if there is one."""
    return between(adds.value, adds.row, value)
