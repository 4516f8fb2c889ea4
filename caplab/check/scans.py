"""Scans in a history: which rows are of one scan, of sets or of queues, and which show the final content."""

from __future__ import annotations

import numpy as np

from caplab.model.history import Table
from caplab.model.runs import FinalScan

from ..nouns import counted
from .columns import Integers, Mask, among, codes, integers
from .lines import by_line, dense


def scan_numbers(history: Table, row: Integers, *of: Integers) -> tuple[Integers, Integers]:
    """Return the number of each row's scan, and the place among these rows of each scan's first.

    A scan is what one session asked one server at one moment. of: what else tells scans apart, as codes of each row
    (from -1), such as its key. The rows are by invocation, and so are the numbers.
    """
    who = np.zeros(len(row), dtype=np.int64)
    session, invoke_ns = integers(history, "session", 0)[row], integers(history, "invoke_ns", 0)[row]
    least = int(session.min(initial=0))
    for column in (codes(history, "vantage")[0][row], codes(history, "server")[0][row], *of):
        code = column + 1
        who = dense(who * (int(code.max(initial=0)) + 1) + code)[0]
    who = dense(who * (int(session.max(initial=0)) - least + 1) + session - least)[0]
    order = by_line(who)  # and in each by invocation, as the rows are
    begins = np.ones(len(row), dtype=np.bool_)
    begins[1:] = (who[order[1:]] != who[order[:-1]]) | (invoke_ns[order[1:]] != invoke_ns[order[:-1]])
    first = order[begins]
    by_place = np.argsort(first, kind="stable")
    rank = np.empty(len(first), dtype=np.int64)
    rank[by_place] = np.arange(len(first))
    number = np.empty(len(row), dtype=np.int64)
    number[order] = rank[np.cumsum(begins) - 1] if len(row) else rank
    return number, first[by_place]


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
