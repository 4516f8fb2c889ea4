"""Epochs: at no time do two primaries acknowledge writes.

A write acked in epoch n that was invoked after the first ack of a later epoch shows two: its
server took it as primary while another already was. A write in flight over the change proves nothing,
since it may have taken effect before. Postgres: epochs are timelines, whole numbers that grow with
each promotion (manual, 25.3.6 Timelines).
"""

from __future__ import annotations

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table

from .columns import NEVER, Integers, among, codes, integers
from .finding import ENOUGH, Context, Finding, State

NAME = "epochs"
# A cas is left out: one whose expectation did not hold is ok too, and wrote nothing.
_WRITES = ("write", "add", "incr")


def check(history: Table, context: Context) -> Finding:  # every checker takes both
    """Look for writes acked in an epoch after a later one had begun to ack.

    Figures: acked (writes with an epoch), without_epoch (acked writes left out, since who took them is
    not known), epochs in order, changes (failovers that acked writes show), overlapping (writes),
    overlap_seconds from the first ack of a later epoch to the last ack that overlaps it.

    Raises ValueError on an epoch that is not a whole number. Unknown with fewer than ENOUGH acked
    writes that have an epoch, unless one overlaps.
    """
    acked = among(history, "op", _WRITES) & among(history, "outcome", ["ok"])
    epoch, known = _epochs(history)
    rows = acked & known
    figures = _figures(
        epoch[rows], integers(history, "invoke_ns", 0)[rows], integers(history, "return_ns", NEVER)[rows]
    )
    figures = {"acked": int(rows.sum()), "without_epoch": int((acked & ~known).sum()), **figures}
    return Finding(NAME, *_judge(figures), figures)


def _epochs(history: Table) -> tuple[Integers, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Each row's epoch as a number (0 where there is none), and where there is one."""
    indices, words = codes(history, "epoch")
    numbers = [_timeline(word) for word in words]
    return np.array([*numbers, 0], dtype=np.int64)[indices], indices >= 0


def _timeline(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"The epoch '{word}' is no timeline. Mend: record the timeline as a whole number.") from None


def _figures(epoch: Integers, invoke_ns: Integers, return_ns: Integers) -> dict[str, Json]:
    epochs, which = np.unique(epoch, return_inverse=True)
    first_ack = np.full(len(epochs) + 1, NEVER, dtype=np.int64)
    np.minimum.at(first_ack, which, return_ns)
    # For each epoch the first ack of any later one: a running minimum from the end.
    first_later_ack = np.minimum.accumulate(first_ack[::-1])[::-1][1:]
    begun = first_later_ack[which]
    overlapping = invoke_ns > begun
    overlap_ns = int((return_ns - begun)[overlapping].max()) if overlapping.any() else 0
    return {
        "epochs": epochs.tolist(),
        "changes": max(0, len(epochs) - 1),
        "overlapping": int(overlapping.sum()),
        "overlap_seconds": overlap_ns / 1e9,
    }


def _judge(figures: dict[str, Json]) -> tuple[State, str]:
    acked, overlapping = figures["acked"], figures["overlapping"]
    if overlapping:
        return State.VIOLATED, f"Two primaries: {overlapping} writes were acked in an epoch that was already over."
    if not isinstance(acked, int) or acked < ENOUGH:
        return State.UNKNOWN, f"Only {acked} acked writes say their epoch; {ENOUGH} are needed."
    return State.HOLDS, f"No write of {acked} was acked in an epoch that was already over."
