"""Dependencies between transactions: who comes before whom, why, and on which key.

Adya, Liskov & O'Neil, "Generalized isolation level definitions", ICDE 2000: ww (the next version of what it wrote), wr
(it read that), rw (it overwrote what was read). Beside transactions there are nodes that only stand for many edges at
once: PASS goes on from one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caplab.check.columns import NEVER, Integers

from .transactions import Places, Transactions

WW, WR, RW, SESSION, REALTIME, PASS = range(6)
_DIRECT = 8  # pairs for each reader and writer, up to which they are edges of their own
_Part = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Edges from source to target, each of a kind and on a key (-1: of none); nodes below `transactions` are such."""

    source: Places
    target: Places
    kind: Places
    key: Places
    nodes: int
    transactions: int


class EdgeList:
    """Edges as they are found."""

    def __init__(self, transactions: int) -> None:
        """Begin with the nodes of the transactions, and no edges."""
        self._transactions = self._nodes = transactions
        self._parts: list[_Part] = []

    @property
    def count(self) -> int:
        """How many edges there are so far."""
        return sum(len(part[0]) for part in self._parts)

    def add(self, source: Places, target: Places, kind: int, key: Places | int) -> None:
        """Add edges, but for those from a node to itself."""
        apart = source != target
        keys = np.broadcast_to(np.asarray(key, dtype=np.int32), source.shape)[apart]
        kinds = np.full(len(keys), kind, dtype=np.int8)
        self._parts.append((source[apart].astype(np.int32), target[apart].astype(np.int32), kinds, keys))

    def add_pairs(
        self, readers: Places, reader_group: Places, writers: Places, writer_group: Places, key_of: Places
    ) -> None:
        """Add an rw edge from every reader to every other writer of its group; key_of has the key of each group.

        Where these are many, edges go by two chains of nodes through the writers of a group, one from each end: a
        reader that is a writer of the group too enters them before and after its own place.
        """
        writers, writer_group = _distinct(writers, writer_group, self._transactions)
        readers, reader_group = _distinct(readers, reader_group, self._transactions)
        low = np.searchsorted(writer_group, reader_group, side="left")
        high = np.searchsorted(writer_group, reader_group, side="right")
        counts = high - low
        if counts.sum() <= _DIRECT * (len(readers) + len(writers)):
            at = np.repeat(low - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
            groups = np.repeat(reader_group, counts)
            self.add(np.repeat(readers, counts), writers[at], RW, key_of[groups])
            return
        size, chain = len(writers), self._nodes
        self._nodes += 2 * size
        ahead, back, places = chain, chain + size, np.arange(size)
        key = key_of[writer_group]
        self.add(ahead + places, writers, PASS, key)
        self.add(back + places, writers, PASS, key)
        joined = np.flatnonzero(writer_group[1:] == writer_group[:-1])
        self.add(ahead + joined, ahead + joined + 1, PASS, key[joined])
        self.add(back + joined + 1, back + joined, PASS, key[joined])
        codes = writer_group.astype(np.int64) * self._transactions + writers
        wanted = reader_group.astype(np.int64) * self._transactions + readers
        own = np.searchsorted(codes, wanted)
        is_own = (own < high) & (codes[np.minimum(own, max(0, size - 1))] == wanted)
        forward = np.where(is_own, own + 1, low)
        there = forward < high
        self.add(readers[there], ahead + forward[there], RW, key_of[reader_group[there]])
        there = is_own & (own > low)
        self.add(readers[there], back + own[there] - 1, RW, key_of[reader_group[there]])

    def add_sessions(self, t: Transactions) -> None:
        """Add the order of the committed transactions of each session."""
        committed = np.flatnonzero(t.committed)
        order = committed[np.lexsort((t.return_ns[committed], t.invoke_ns[committed], t.session[committed]))]
        same = t.session[order[1:]] == t.session[order[:-1]]
        self.add(order[:-1][same], order[1:][same], SESSION, -1)

    def add_real_time(self, t: Transactions) -> None:
        """Add the order of each transaction that returned before another was invoked, by a chain of the returns."""
        committed = np.flatnonzero(t.committed & (t.return_ns != NEVER))
        times = np.unique(t.return_ns[committed])
        chain = self._nodes + np.arange(len(times))
        self._nodes += len(times)
        self.add(chain[:-1], chain[1:], REALTIME, -1)
        self.add(committed, chain[np.searchsorted(times, t.return_ns[committed])], REALTIME, -1)
        later = np.flatnonzero(t.possible)
        before = np.searchsorted(times, t.invoke_ns[later], side="left") - 1
        self.add(chain[before[before >= 0]], later[before >= 0], REALTIME, -1)

    def gathered(self) -> Edges:
        """Return all edges."""
        parts = zip(*self._parts, strict=True) if self._parts else iter([[np.zeros(0, dtype=np.int32)]] * 4)
        source, target, kind, key = (np.concatenate(part) for part in parts)
        return Edges(
            source=source, target=target, kind=kind, key=key, nodes=self._nodes, transactions=self._transactions
        )


def _distinct(transactions: Places, groups: Places, most: int) -> tuple[Integers, Integers]:
    """Return the distinct pairs, sorted by group and transaction."""
    pairs = np.unique(groups.astype(np.int64) * max(1, most) + transactions)
    return pairs % max(1, most), pairs // max(1, most)
