"""Final scans: the rows of a history that show the final content of the database."""

from __future__ import annotations

import numpy as np

from caplab.model.history import Table
from caplab.model.runs import FinalScan

from ..nouns import counted
from .columns import Mask, among, codes, integers


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
