"""Acked elements that nobody was given, and that are not in the queue any more.

What shows that a queue does not have an element: a scan, or a dequeue that found nothing, begun after its ack. By the
end of that, something must have taken it: an ok dequeue, or one of unknown outcome, which may have taken any one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask
from caplab.check.lines import dense, line_order, packed

from .deliveries import place_in_line
from .operations import Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Acked enqueues whose element was not seen again, by queue and by when it was shown to be gone; and the lost ones.

    enqueue: places in Enqueues. proof: the row that shows first that the element is gone. gone_ns: the end of that.
    takers: how many dequeues of the queue that may have taken one were invoked by then. lost: places here, each of the
    first element that is too many for the takers. unaccounted: as enqueue, of elements that nothing shows to be gone.
    """

    enqueue: Integers
    key: Integers
    proof: Integers
    gone_ns: Integers
    takers: Integers
    lost: Integers
    unaccounted: Integers


def missing_of(operations: Operations, falsely_empty: Integers) -> Missing:
    """Find them. A queue that was empty by mistake once is not believed to be empty."""
    enqueue = _unseen(operations)
    key = operations.key[operations.enqueues.element[enqueue]]
    proofs = _proofs(operations, falsely_empty)
    proof, gone_ns = proofs.first_after(key, operations.enqueues.return_ns[enqueue])
    shown = gone_ns != NEVER
    unaccounted = enqueue[~shown]
    enqueue, key, proof, gone_ns = enqueue[shown], key[shown], proof[shown], gone_ns[shown]
    order = line_order(key, gone_ns)
    enqueue, key, proof, gone_ns = enqueue[order], key[order], proof[order], gone_ns[order]
    takers = _takers(operations, key, gone_ns)
    return Missing(
        enqueue=enqueue,
        key=key,
        proof=proof,
        gone_ns=gone_ns,
        takers=takers,
        lost=_too_many(key, takers),
        unaccounted=unaccounted,
    )


def _unseen(operations: Operations) -> Integers:
    """Return the places of acked enqueues whose element was not seen again; of several the last that were acked."""
    enqueues = operations.enqueues
    acked = np.flatnonzero(enqueues.ok)
    seen = operations.per_element(operations.dequeues) + operations.per_element(operations.shown)
    order = acked[line_order(enqueues.element[acked], enqueues.return_ns[acked])]
    element = enqueues.element[order]
    return order[place_in_line(element) >= seen[element]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proofs:
    """What shows the content of queues, by queue and invocation; first: of those from here on, which ends first."""

    key: Integers
    invoke_ns: Integers
    return_ns: Integers
    row: Integers
    first: Integers

    def first_after(self, key: Integers, moment_ns: Integers) -> tuple[Integers, Integers]:
        """Return the row and the end of the first to end of those begun after a moment; -1 and NEVER without any."""
        begun, asked = packed((self.key, self.invoke_ns), (key, moment_ns))
        place = np.searchsorted(begun, asked, side="right")
        there = np.flatnonzero(place < len(begun))
        there = there[self.key[place[there]] == key[there]]
        row, end_ns = np.full(len(key), -1, dtype=np.int64), np.full(len(key), NEVER)
        first = self.first[place[there]]
        row[there], end_ns[there] = self.row[first], self.return_ns[first]
        return row, end_ns


def _proofs(operations: Operations, falsely_empty: Integers) -> _Proofs:
    scans, empty = operations.scans, operations.empty
    whole = scans.ok & scans.trusted
    doubtful = np.unique(empty.key[np.isin(empty.row, falsely_empty)])
    believed = ~np.isin(empty.key, doubtful)
    key = np.concatenate((scans.key[whole], empty.key[believed]))
    invoke_ns = np.concatenate((scans.invoke_ns[whole], empty.invoke_ns[believed]))
    return_ns = np.concatenate((scans.return_ns[whole], empty.return_ns[believed]))
    row = np.concatenate((scans.first[whole], empty.row[believed]))
    order = line_order(key, invoke_ns)
    key, invoke_ns, return_ns, row = key[order], invoke_ns[order], return_ns[order], row[order]
    first = _first_to_end(key, return_ns)
    return _Proofs(key=key, invoke_ns=invoke_ns, return_ns=return_ns, row=row, first=first)


def _first_to_end(key: Integers, return_ns: Integers) -> Integers:
    """Return for each proof the place of the one that ends first among itself and the later ones of its queue."""
    (end,) = packed((key, return_ns))
    least = np.minimum.accumulate(end[::-1])[::-1]  # greater keys are greater altogether
    place = np.where(end == least, np.arange(len(end)), len(end))
    first: Integers = np.minimum.accumulate(place[::-1])[::-1]
    return first


def _takers(operations: Operations, key: Integers, gone_ns: Integers) -> Integers:
    """Return how many elements of a queue may have been taken by a moment by operations of unknown outcome.

    A scan of unknown outcome may have drained the queue: NEVER stands for no bound.
    """
    takers, scans = operations.takers, operations.scans
    count = _begun_by(takers.key, takers.invoke_ns, key, gone_ns)
    drained: Mask = _begun_by(scans.key[scans.info], scans.invoke_ns[scans.info], key, gone_ns) > 0
    return np.where(drained, NEVER, count)


def _begun_by(line: Integers, invoke_ns: Integers, key: Integers, moment_ns: Integers) -> Integers:
    order = line_order(line, invoke_ns)
    begun, asked = packed((line[order], invoke_ns[order]), (key, moment_ns))
    return np.searchsorted(begun, asked, side="right") - np.searchsorted(line[order], key)


def _too_many(key: Integers, takers: Integers) -> Integers:
    """Return the places of missing elements for which no taker is left, in the order of queue and end.

    Those that were gone by a moment are more than the takers invoked by then; each one more than ever before is lost.
    """
    excess = place_in_line(key) + 1 - takers  # a great NEVER makes it very negative
    line = dense(key)[0]
    span = len(key) + 1
    # Excesses below zero are all the same: none.
    height = line * (span + 1) + np.maximum(excess, 0)
    before = np.empty(len(height), dtype=np.int64)
    if len(height):
        before[0] = 0
        before[1:] = np.maximum.accumulate(height)[:-1]
    return np.flatnonzero(height > np.maximum(before, line * (span + 1)))
