"""Elements that were delivered too often, or without having been enqueued.

The n-th delivery of a value needs n enqueues of it that were invoked by the time it returned. Every enqueue may have
taken effect at once and every delivery at its end, so that this is all that elements alone require (Hall's theorem).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers
from caplab.check.lines import line_order, packed

from .operations import Moved, Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Rows of dequeues and scans that are one delivery too many, and of those whose element was not enqueued by then.

    shown_again: rows of scans that show an element after all of its copies had been dequeued.
    """

    duplicated: Integers
    shown_again: Integers
    unexpected: Integers


def deliveries_of(operations: Operations) -> Deliveries:
    """Match deliveries to enqueues, element by element."""
    duplicated, unexpected = _matched(operations)
    shown_again, shown_unexpectedly = _shown(operations)
    return Deliveries(
        duplicated=np.sort(operations.dequeues.row[duplicated]),
        shown_again=np.sort(shown_again),
        unexpected=np.sort(np.concatenate((operations.dequeues.row[unexpected], shown_unexpectedly))),
    )


def _matched(operations: Operations) -> tuple[Integers, Integers]:
    """Return the places of dequeues that are too many, and of those that came before their enqueue or without one."""
    enqueues, dequeues = operations.enqueues, operations.dequeues
    by_invoke = line_order(enqueues.element, enqueues.invoke_ns)
    by_return = line_order(dequeues.element, dequeues.return_ns)
    copies = operations.per_element(enqueues)
    begin = np.cumsum(copies) - copies
    nth = np.empty(len(by_return), dtype=np.int64)
    nth[by_return] = place_in_line(dequeues.element[by_return])
    has_enqueue = nth < copies[dequeues.element]
    early = np.zeros(len(nth), dtype=np.bool_)
    place = begin[dequeues.element[has_enqueue]] + nth[has_enqueue]
    early[has_enqueue] = enqueues.invoke_ns[by_invoke[place]] > dequeues.return_ns[has_enqueue]
    never = copies[dequeues.element] == 0
    return np.flatnonzero(~has_enqueue & ~never), np.flatnonzero(never | early)


def place_in_line(line: Integers) -> Integers:
    """Return the place of each within its line, from 0; the lines are sorted."""
    begins = np.ones(len(line), dtype=np.bool_)
    begins[1:] = line[1:] != line[:-1]
    place = np.arange(len(line))
    return place - np.maximum.accumulate(np.where(begins, place, 0)) if len(line) else place


def _shown(operations: Operations) -> tuple[Integers, Integers]:
    """Return the rows of scans that show one copy more than can be left, and those of elements never enqueued."""
    scans, shown = operations.scans, operations.shown
    copies = operations.per_element(operations.enqueues)
    usable = scans.ok[operations.shown_in]
    unexpected = shown.row[usable & (copies[shown.element] == 0)]
    usable &= scans.trusted[operations.shown_in] & (copies[shown.element] > 0)
    row, element, scan = shown.row[usable], shown.element[usable], operations.shown_in[usable]
    order = line_order(element, scan)
    row, element, scan = row[order], element[order], scan[order]
    (line,) = packed((element, scan))
    before = _returned_before(operations.dequeues, element, scans.invoke_ns[scan])
    return row[before + place_in_line(line) >= copies[element]], unexpected


def _returned_before(dequeues: Moved, element: Integers, moment_ns: Integers) -> Integers:
    """Return how many dequeues of each element had returned before a moment."""
    order = line_order(dequeues.element, dequeues.return_ns)
    returned, asked, begin = packed(
        (dequeues.element[order], dequeues.return_ns[order]),
        (element, moment_ns),
        (element, np.full(len(element), np.iinfo(np.int64).min + 1)),
    )
    return np.searchsorted(returned, asked) - np.searchsorted(returned, begin)
