"""Zones: which keys have two clusters that would each have to come before the other.

With f the first return of a cluster's operations and s their last invocation, cluster a must come before b where
f(a) < s(b): some operation of a had returned when one of b was invoked. Clusters can be ordered, and the key is
linearizable, exactly if no two must come before each other: Gibbons & Korach 1997, who call a cluster's zone forward
where f < s, and find that no two forward zones may overlap, nor a backward one lie within a forward one. At equal
times operations are concurrent, so the ends of zones do not count: a zone that ends where another begins is beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, Mask
from caplab.check.lines import by_line

from .clusters import BEGINNING

_WIDE = 2**62


@dataclass(frozen=True, slots=True)
class Line:
    """All keys one after the other on one line, so that one sort orders each of them by time."""

    low: int
    length: int  # of one key
    ranks: Integers | None = None  # every moment, if moments themselves would be too large

    @classmethod
    def over(cls, keys: int, returns: Integers, invocations: Integers) -> Line:
        """Build the line of these moments. Returns before all invocations share a place, and so do those after."""
        invoked = invocations[invocations != BEGINNING]
        low, high = (int(invoked.min()), int(invoked.max())) if len(invoked) else (0, 0)
        if keys * (length := high - low + 3) < _WIDE:
            return cls(low - 1, length)
        ranks = np.unique(np.concatenate([returns, invocations]))
        return cls(0, len(ranks), ranks)

    def at(self, key: Integers, ns: Integers) -> Integers:
        """Return the place of a moment of a key."""
        if self.ranks is not None:
            return key * self.length + np.searchsorted(self.ranks, ns)
        return key * self.length + (np.clip(ns, self.low, self.low + self.length - 1) - self.low)


def conflicts(line: Line, key: Integers, first: Integers, last: Integers, keys: int) -> Mask:
    """Return, for each key, whether two of its clusters would each have to come before the other."""
    conflicting = np.zeros(keys, dtype=np.bool_)
    # Key after key, and so nearly in order on the line: sorting and searching then keep to the processor's caches.
    by_key = by_line(key)
    key, first, last = key[by_key], first[by_key], last[by_key]
    is_forward = first < last
    forward, backward = np.flatnonzero(is_forward), np.flatnonzero(~is_forward)
    begin = line.at(key[forward], first[forward])
    order = np.argsort(begin, kind="stable")
    begin, forward = begin[order], forward[order]
    if not len(forward):
        return conflicting
    end = line.at(key[forward], last[forward])
    conflicting[key[forward[1:][begin[1:] < end[:-1]]]] = True
    # Of forward zones that do not overlap, only the last that begins before a backward one can hold it.
    inner_begin, inner_end = line.at(key[backward], last[backward]), line.at(key[backward], first[backward])
    before = np.searchsorted(begin, inner_begin) - 1
    within = (before >= 0) & (inner_end < end[before])
    conflicting[key[backward[within]]] = True
    return conflicting
