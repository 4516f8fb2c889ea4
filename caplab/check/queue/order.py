"""Elements that were overtaken, and dequeues that found nothing while the queue surely held an element.

These are two of the four patterns that a queue of distinct elements avoids (Henzinger, Sezgin & Vafeiadis, "Aspect-
oriented linearizability proofs", CONCUR 2013). They need elements that were enqueued and dequeued once at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask
from caplab.check.lines import line_order, packed

from .operations import Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """The elements whose order can be judged: enqueued once, dequeued at most once.

    enqueue and leave are rows. leave_ns: when what took or showed the element was invoked; NEVER: nothing did. left: it
    was dequeued.
    """

    key: Integers
    producer: Integers
    acked: Mask
    enqueue: Integers
    enqueue_ns: Integers
    enqueued_ns: Integers
    leave: Integers
    leave_ns: Integers
    left_ns: Integers
    left: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """Places in Stays of elements that left late, and for each one that was enqueued after it and dequeued before."""

    late: Integers
    other: Integers
    by_producer: int  # of these, how many were enqueued by the same session as one that overtook them


def staying(operations: Operations, enqueues: Integers) -> Integers:
    """Return those of these enqueues whose element nothing can have taken: their queue has no takers."""
    key = operations.key[operations.enqueues.element[enqueues]]
    takers = np.concatenate((operations.takers.key, operations.scans.key[operations.scans.info]))
    return enqueues[~np.isin(key, takers)]


def stays_of(operations: Operations, unaccounted: Integers) -> Stays:
    """Return the stays of elements that are known to have left, or to be still there, as the unaccounted are."""
    many = operations.elements
    enqueue, dequeue, show = (np.full(many, -1, dtype=np.int64) for _ in range(3))
    enqueues, dequeues, shown = operations.enqueues, operations.dequeues, operations.shown
    enqueue[enqueues.element] = np.arange(len(enqueues.row))
    dequeue[dequeues.element] = np.arange(len(dequeues.row))
    scan = operations.shown_in
    usable = np.flatnonzero(operations.scans.ok[scan] & operations.scans.trusted[scan])
    show[shown.element[usable]] = usable  # the last one stays
    once = (operations.per_element(enqueues) == 1) & (operations.per_element(dequeues) <= 1)
    there = (dequeue >= 0) | (show >= 0)
    there[enqueues.element[unaccounted]] = True
    element = np.flatnonzero(once & there)
    left = dequeue[element] >= 0
    came, went, seen = enqueue[element], dequeue[element], show[element]
    return Stays(
        key=operations.key[element],
        producer=enqueues.producer[came],
        acked=enqueues.ok[came],
        enqueue=enqueues.row[came],
        enqueue_ns=enqueues.invoke_ns[came],
        enqueued_ns=enqueues.return_ns[came],
        leave=_taken(dequeues.row, went, _taken(shown.row, seen, np.full(len(element), -1))),
        leave_ns=_taken(dequeues.invoke_ns, went, _taken(shown.invoke_ns, seen, np.full(len(element), NEVER))),
        left_ns=_taken(dequeues.return_ns, went, _taken(shown.return_ns, seen, np.full(len(element), NEVER))),
        left=left,
    )


def _taken(values: Integers, place: Integers, others: Integers) -> Integers:
    """Return the values at these places; where the place is -1 the others."""
    chosen = others.copy()
    chosen[place >= 0] = values[place[place >= 0]]
    return chosen


def overtaken(stays: Stays) -> Overtaken:
    """Find acked elements that left after one had been dequeued whose enqueue began when theirs had returned.

    For one producer its own order of operations counts, for all of them real time.
    """
    late, ahead = np.flatnonzero(stays.acked), np.flatnonzero(stays.left)
    whole = higher_before(
        (stays.key[ahead], -stays.enqueue_ns[ahead], -stays.left_ns[ahead]),
        (stays.key[late], -stays.enqueued_ns[late], -stays.leave_ns[late]),
    )
    line = stays.producer * (int(stays.key.max(initial=0)) + 1) + stays.key
    own = higher_before(
        (line[ahead], -stays.enqueue[ahead], -stays.left_ns[ahead]),
        (line[late], -stays.enqueue[late], -stays.leave_ns[late]),
    )
    other = np.where(own >= 0, own, whole)
    hit = np.flatnonzero(other >= 0)
    hit = hit[np.argsort(stays.leave[late[hit]], kind="stable")]
    return Overtaken(late=late[hit], other=ahead[other[hit]], by_producer=int((own >= 0).sum()))


def falsely_empty(operations: Operations, stays: Stays) -> Integers:
    """Return the rows of dequeues that found nothing, although one element was in the queue all the while."""
    empty = operations.empty
    there = np.flatnonzero(stays.acked)
    found = higher_before(
        (stays.key[there], stays.enqueued_ns[there], stays.leave_ns[there]),
        (empty.key, empty.invoke_ns, empty.return_ns),
    )
    return empty.row[found >= 0]


Points = tuple[Integers, Integers, Integers]  # lines, places on them, heights


def higher_before(points: Points, asked: Points) -> Integers:
    """Return for each asked point one on its line at a smaller place and a greater height: the first of the highest.

    -1: there is none.
    """
    order = line_order(points[0], points[1])
    line, place, height = (column[order] for column in points)
    places, asked_places = packed((line, place), (asked[0], asked[1]))
    heights, levels = packed((line, height), (asked[0], asked[2]))
    highest = np.maximum.accumulate(heights)
    before = np.searchsorted(places, asked_places) - 1  # perhaps on a smaller line, whose heights are all below
    hit = np.flatnonzero((before >= 0) & (highest[np.maximum(before, 0)] > levels)) if len(places) else before[:0]
    found = np.full(len(asked[0]), -1, dtype=np.int64)
    found[hit] = order[np.searchsorted(highest, highest[before[hit]])]
    return found
