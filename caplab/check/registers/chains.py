"""Chains: a cas that took effect ties its cluster to that of the value it expected, as nothing came between.

Clusters so tied follow each other with nothing between them, as if they were one: zones are then of whole chains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask

from .clusters import Clusters
from .operations import Operations
from .sources import NOBODY
from .zones import Line


@dataclass(frozen=True, slots=True)
class Chains:
    """For each cluster, the one that its cas follows (itself if none), the first of its chain and its place in it.

    broken: clusters that have no place: their cas expected a value that no operation wrote or that another cas had
    replaced, or stand in a circle.
    """

    follows: Integers
    head: Integers
    place: Integers
    broken: Integers

    def edges(self, first: Integers, last: Integers) -> tuple[Integers, Integers, Integers]:
        """Return the heads of all chains, and the first return and last invocation of each."""
        chain_first, chain_last = first.copy(), last.copy()
        np.minimum.at(chain_first, self.head, first)
        np.maximum.at(chain_last, self.head, last)
        heads = np.flatnonzero(self.head == np.arange(len(first)))
        return heads, chain_first[heads], chain_last[heads]

    def disordered(self, first: Integers, last: Integers) -> Integers:
        """Return clusters with an operation that returned before one of an earlier cluster of the chain was invoked."""
        order = np.lexsort((self.place, self.head))
        line, head = Line.over(len(first), first, last), self.head[order]
        latest = np.maximum.accumulate(line.at(head, last[order]))
        out_of_order: Integers = order[1:][line.at(head, first[order])[1:] < latest[:-1]]
        return out_of_order


def chains_of(operations: Operations, clusters: Clusters) -> Chains:
    """Build the chains of the cas that took effect. An info cas did if its value was observed."""
    count = len(clusters.key)
    follows = np.arange(count)
    taken = _taken(operations, clusters)
    cas, expects = operations.cas[taken], clusters.expects[taken]
    rootless = (expects == NOBODY) | (expects == cas)  # the latter expected a value that only it wrote itself
    lost, cas, expects = cas[rootless], cas[~rootless], expects[~rootless]
    follows[cas] = expects
    rivals = cas[np.bincount(expects, minlength=count)[expects] > 1]
    head, place = _heads(follows)
    circular = np.flatnonzero(follows[head] != head)
    return Chains(follows, head, place, np.concatenate([lost, rivals, circular]))


def _taken(operations: Operations, clusters: Clusters) -> Mask:
    """Return which cas took effect: the ok ones, and those whose value a reader or such a cas observed."""
    taken: Mask = operations.writers.return_ns[operations.cas] != NEVER
    which = np.full(len(clusters.key) + 1, NOBODY)  # of a cluster, the cas that wrote it; NOBODY looks at the last
    which[operations.cas] = np.arange(len(taken))
    fresh = which[np.concatenate([clusters.source, clusters.expects[taken]])]
    while len(fresh := np.unique(fresh[(fresh != NOBODY) & ~taken[fresh]])):
        taken[fresh] = True
        fresh = which[clusters.expects[fresh]]
    return taken


def _heads(follows: Integers) -> tuple[Integers, Integers]:
    """Return the head of each cluster's chain and the number of clusters before it, by pointer doubling.

    A cluster in a circle, or after one, has a head that follows another.
    """
    head, place = follows, (follows != np.arange(len(follows))).astype(np.int64)
    for _ in range(len(follows).bit_length()):
        place = place + place[head]
        head = head[head]
    return head, place
