"""Final scans: the rows of a history that show the final content of the database."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.history import Table
from caplab.model.runs import FinalScan

from .columns import NEVER, Integers, Mask, among, codes, integers, present
from .nouns import counted


@dataclass(frozen=True, slots=True)
class KeyedScan:
    """The final scan of registers or counters: its rows in the history, and when it was invoked.

    A key without a row was not there. begin_ns is NEVER where the scan found nothing and left no row: it came last.
    """

    rows: Integers
    begin_ns: int


def final_scan_rows(
    history: Table, server: str | None = None, of: Mask | None = None, begun_ns: int | None = None
) -> Mask:
    """Return the rows of the last successful scan: of one member if named, and among `of` if given.

    begun_ns: return the scan that began then.
    """
    rows = among(history, "op", ["scan"]) & among(history, "outcome", ["ok"])
    if server is not None:
        rows &= among(history, "server", [server])
    if begun_ns is not None:
        rows &= integers(history, "invoke_ns", 0) == begun_ns
    if of is not None:
        rows &= of
    if rows.any():
        invoke_ns = integers(history, "invoke_ns", 0)
        rows &= invoke_ns == invoke_ns[rows].max()
    return rows


def of_sets(history: Table) -> Mask:
    """Return the rows of set keys (those that adds go to), mostly none; other rows are of registers and counters."""
    key = codes(history, "key")[0]
    adds = among(history, "op", ["add"])
    return np.isin(key, np.append(np.unique(key[adds]), -1)) & ~of_queues(history)


def of_queues(history: Table) -> Mask:
    """Return the rows of queues: keys that something is enqueued to or dequeued from, and nothing is added to."""
    key = codes(history, "key")[0]
    queue, adds = (among(history, "op", ops) for ops in (["enqueue", "dequeue"], ["add"]))
    if not queue.any():
        return queue
    return np.isin(key, np.setdiff1d(key[queue], key[adds]))


def keyed_scan(history: Table, final: FinalScan | None, of: Mask, workload: str) -> KeyedScan | str:
    """Return the last scan that shows any of the wanted keys (a mask of rows), or why there is none to judge by.

    A run may scan its sets, registers and counters: a set's scan shows no registers. The scan of a workload
    (REGISTER_SCAN, COUNTER_SCAN) has a record beside the final scan's. If it has none, and nothing is added to sets,
    the record of the final scan is that of these keys, and an empty scan covers all of them. Without a record it is the
    last one in the history.
    """
    record = final.keyed.get(workload) if final else None
    final = record or final
    if final is not None and (problem := unusable(final)):
        return problem
    server = final.server if final else None
    has_value = present(history, "value")
    if record is None and not among(history, "op", ["add"]).any():
        record = final
        of = of | ~(has_value | present(history, "key"))
    rows = np.flatnonzero(final_scan_rows(history, server, of, record.invoke_ns if record else None))
    if not len(rows):
        nothing_found = record is not None and record.elements == 0
        return KeyedScan(rows, NEVER) if nothing_found else "There is no final scan of keys."
    begin_ns = int(integers(history, "invoke_ns", 0)[rows[0]])
    elements = int((final_scan_rows(history, server, begun_ns=begin_ns) & has_value).sum())
    if record is not None and (problem := incomplete(record, elements)):
        return problem
    return KeyedScan(rows, begin_ns)


def unusable(final: FinalScan) -> str:
    """Return why a final scan cannot be used to judge, or ''."""
    if not final.converged:
        return f"The members had not converged before the final scan: {final.problem or 'no reason given'}."
    if final.elements is None:
        return f"The final scan failed: {final.problem or 'no reason given'}."
    return ""


def incomplete(final: FinalScan, elements: int) -> str:
    """Return why a history with so many elements of a final scan does not hold exactly all of it, or ''."""
    if final.elements == elements:
        return ""
    return f"The final scan returned {counted(final.elements, 'element')}, but the history holds {elements} of them."
