"""Witnesses of keys that are not linearizable: the operations that prove it, and a sentence that names the anomaly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caplab.check.columns import Integers, Mask

from .clusters import Clusters
from .judge import NONE
from .operations import Operations
from .shrink import shrunk_by_search, shrunk_by_zones
from .smallest import of_more, of_two
from .steps import Step, steps_of

MAX_WITNESSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Violating:
    """The keys that are not linearizable, and how each was found.

    alone: for each key the row of an operation that no other explains, or NONE. by_zones: which keys have zones that
    conflict, among the operations `once` and their clusters. by_search: those that the search found, with the moment
    when no order was left.
    """

    alone: Integers
    by_zones: Mask
    once: Operations
    clusters: Clusters
    by_search: Mapping[int, int]

    @property
    def keys(self) -> Mask:
        """All of them."""
        violating: Mask = (self.alone != NONE) | self.by_zones
        violating[list(self.by_search)] = True
        return violating


def witnesses(operations: Operations, violating: Violating) -> list[tuple[int, list[int]]]:
    """Return (key, rows) of at most 20 keys, the smallest first.

    The first is the smallest that exists, except for keys with cas or values written twice: their witnesses are only so
    small that no operation can be left out. Each is a proof beside every other operation of the history.
    """
    once = violating.once
    smallest = {int(key): [int(violating.alone[key])] for key in np.flatnonzero(violating.alone != NONE)}
    has_cas = np.zeros(len(violating.alone), dtype=np.bool_)
    has_cas[once.writers.key[once.cas]] = True
    smallest |= _plain(once, violating.clusters, violating.by_zones & ~has_cas)
    for key, part in once.each_key(_first(violating.by_zones & has_cas, MAX_WITNESSES - len(smallest))):
        smallest[key] = shrunk_by_zones(part)
    searched = np.zeros(len(has_cas), dtype=np.bool_)
    searched[list(violating.by_search)] = True
    for key, part in operations.each_key(_first(searched, MAX_WITNESSES - len(smallest))):
        smallest[key] = shrunk_by_search(_until(steps_of(part), violating.by_search[key]))
    return sorted(smallest.items(), key=lambda item: (len(item[1]), item[1]))[:MAX_WITNESSES]


def _plain(operations: Operations, clusters: Clusters, keys: Mask) -> dict[int, list[int]]:
    """Find witnesses of keys without cas and with unique values: of enough keys that the smallest is among them."""
    if not keys.any():
        return {}
    smallest = {key: rows for key, rows in of_two(operations, clusters).items() if keys[key]}
    rest = keys.copy()
    rest[list(smallest)] = False
    # A key without a witness of two has one of three at best.
    while rest.any() and (len(smallest) < MAX_WITNESSES or min(map(len, smallest.values())) > 3):
        some = _first(rest, MAX_WITNESSES)
        smallest |= of_more(operations.of_keys(some))
        rest &= ~some
    return smallest


def _until(steps: Sequence[Step], ns: int) -> list[Step]:
    """Return what was invoked by then, and later writers of what was observed, as plain writes: part of the proof."""
    before = [step for step in steps if step.invoke_ns <= ns]
    observed = {step.observed for step in before if step.observes}
    any_write_counts = any(step.refused for step in before)
    later = [
        replace(step, observes=False, observed=None)
        for step in steps
        if step.invoke_ns > ns and step.writes and (any_write_counts or step.written in observed)
    ]
    return before + later


def _first(which: Mask, count: int) -> Mask:
    return which & (np.cumsum(which) <= count)
