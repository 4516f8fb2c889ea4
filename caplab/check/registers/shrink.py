"""Witnesses that cannot be made smaller by leaving out one operation: for keys with cas, or values written twice.

Delta debugging (Zeller & Hildebrandt, "Simplifying and isolating failure-inducing input", 2002): leave out what can go,
in ever smaller parts. The rest must prove something about the whole history. So without a value's writer, reads of the
value are left out too, and a cas that expected it counts as a plain write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from caplab.check.columns import Integers, Mask

from .clusters import Clusters, clusters_of
from .judge import disordered
from .operations import Operations
from .search import OutOfBudgetError, violation_ns
from .sound import sound
from .steps import Step

_WORK = 5_000_000  # operations checked in all tries; after that the rest is the witness, though it may not be minimal
_OVERHEAD = 2_000  # the fixed cost of a try, in operations
_STATES = 20_000  # of one try


def shrunk_by_zones(operations: Operations) -> list[int]:
    """Return the rows of a witness of one key that zones found not linearizable."""
    clusters, count = clusters_of(operations), len(operations.writers)
    rows = np.concatenate([operations.writers.row, operations.readers.row])
    by_row = np.argsort(rows)

    def violates(kept: Integers) -> bool:
        there = np.zeros(len(rows), dtype=np.bool_)
        there[by_row[kept]] = True
        part = _founded(operations, clusters, there[:count], there[count:])
        return bool(disordered(part, clusters_of(part)).any())

    return [int(row) for row in rows[by_row[_least(len(rows), violates)]]]


def _founded(operations: Operations, clusters: Clusters, writers: Mask, readers: Mask) -> Operations:
    """Select the operations, without those whose value has no writer among them."""
    there = np.ones(len(clusters.key) + 1, dtype=np.bool_)  # beginnings are; values that nobody wrote are already known
    there[: len(writers)] = writers
    return operations.only(writers, readers & there[clusters.source], there[clusters.expects])


def shrunk_by_search(steps: Sequence[Step]) -> list[int]:
    """Return the rows of a witness of one key that the search found not linearizable. steps are by invocation."""

    def violates(kept: Integers) -> bool:
        try:
            return violation_ns(sound(steps, kept.tolist()), _STATES) is not None
        except OutOfBudgetError:
            return False

    return [steps[place].row for place in _least(len(steps), violates)]


def _least(count: int, violates: Callable[[Integers], bool]) -> Integers:
    """Return places, in order, that violate, and do not without any one of them, as far as the budget allows."""
    kept, size, work = np.arange(count), max(1, count // 2), _WORK
    while True:
        before, begin = len(kept), 0
        while begin < len(kept):
            rest = np.delete(kept, slice(begin, begin + size))
            work -= len(rest) + _OVERHEAD
            if work < 0:
                return kept
            if violates(rest):
                kept = rest
            else:
                begin += size
        if size == 1 and len(kept) == before:
            return kept
        size = max(1, size // 2)
