"""Epochs: at no time do two primaries acknowledge writes.

A write acked in epoch n that was invoked after the first ack of a later epoch shows two: its
server took it as primary while another already was. A write in flight over the change proves nothing,
since it may have taken effect before.

Postgres: epochs are timelines, whole numbers that grow with each promotion (manual, 25.3.6 Timelines). Redis: they
are replication ids, made at random by each promotion and each start of a primary (INFO, master_replid), so that only
the order of their first acks says which is later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table

from .columns import NEVER, Integers, among, codes, integers
from .finding import ENOUGH, Context, Finding, State

NAME = "epochs"
# A cas is left out: one whose expectation did not hold is ok too, and wrote nothing.
_WRITES = ("write", "add", "incr")
# As short as an int64: a replication id has 40 digits, and might by chance have no letter among them.
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


def check(history: Table, context: Context) -> Finding:
    """Look for writes acked in an epoch after a later one had begun to ack.

    Figures: acked (writes with an epoch), without_epoch (acked writes left out, since who took them is
    not known), epochs in order, changes (failovers that acked writes show), overlapping (writes),
    overlap_seconds from the first ack of a later epoch to the last ack that overlaps it.

    Whole numbers are in their own order, names in that of their first acks. Raises ValueError where there are
    both. Unknown with fewer than ENOUGH acked writes that have an epoch, unless one overlaps; and where the engine has
    no primary.
    """
    if not context.has_primary:
        return Finding(NAME, State.UNKNOWN, "There is no primary here, and so there are no epochs.")
    acked = among(history, "op", _WRITES) & among(history, "outcome", ["ok"])
    which, words = codes(history, "epoch")
    rows = acked & (which >= 0)
    figures = _figures(
        which[rows], words, integers(history, "invoke_ns", 0)[rows], integers(history, "return_ns", NEVER)[rows]
    )
    figures = {"acked": int(rows.sum()), "without_epoch": int((acked & ~rows).sum()), **figures}
    return Finding(NAME, *_judge(figures), figures)


def _figures(which: Integers, words: Sequence[str], invoke_ns: Integers, return_ns: Integers) -> dict[str, Json]:
    """Of writes by the place of their epoch in words."""
    first_ack = np.full(len(words), NEVER, dtype=np.int64)
    np.minimum.at(first_ack, which, return_ns)
    order = _order(words, first_ack)
    place = np.zeros(len(words), dtype=np.int64)
    place[order] = np.arange(len(order))
    # For each epoch the first ack of any later one: a running minimum from the end.
    first_later_ack = np.minimum.accumulate(np.append(first_ack[order], NEVER)[::-1])[::-1][1:]
    begun = first_later_ack[place[which]]
    overlapping = invoke_ns > begun
    overlap_ns = int((return_ns - begun)[overlapping].max()) if overlapping.any() else 0
    return {
        "epochs": [int(words[one]) if _NUMBER.fullmatch(words[one]) else words[one] for one in order],
        "changes": max(0, len(order) - 1),
        "overlapping": int(overlapping.sum()),
        "overlap_seconds": overlap_ns / 1e9,
    }


def _order(words: Sequence[str], first_ack: Integers) -> list[int]:
    """The places of the epochs that acked, earliest first."""
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    names = [word for word in words if not _NUMBER.fullmatch(word)]
    if numbers and names:
        raise ValueError(
            f"Epochs are whole numbers and names at once ('{numbers[0]}', '{names[0]}')."
            " Mend: record those of one cluster, in one form."
        )
    acked = np.flatnonzero(first_ack != NEVER).tolist()
    if numbers:
        return sorted(acked, key=lambda one: int(words[one]))
    return sorted(acked, key=lambda one: (int(first_ack[one]), words[one]))


def _judge(figures: dict[str, Json]) -> tuple[State, str]:
    acked, overlapping = figures["acked"], figures["overlapping"]
    if overlapping:
        return State.VIOLATED, f"Two primaries: {overlapping} writes were acked in an epoch that was already over."
    if not isinstance(acked, int) or acked < ENOUGH:
        return State.UNKNOWN, f"Only {acked} acked writes say their epoch; {ENOUGH} are needed."
    return State.HOLDS, f"No write of {acked} was acked in an epoch that was already over."
