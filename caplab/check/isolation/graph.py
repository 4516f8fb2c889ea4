"""Cycles among dependencies: which classes of anomalies there are, and in which groups of transactions.

A cycle exists exactly where a component is strongly connected by the edges that its class allows. For cycles in which
no two anti-dependencies (rw) follow each other, which snapshot isolation forbids (Cerone & Gotsman, "Analysing snapshot
isolation", J. ACM 2018), every node has two states: entered by an rw, it is not left by another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array  # type: ignore[import-untyped]  # it has no stubs
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from caplab.check.columns import Mask

from .edges import PASS, REALTIME, RW, SESSION, WR, WW, Edges
from .models import BASE, BY_SESSION, BY_TIME, ORDERS
from .transactions import Places

G0, G1C, SI, G2 = CLASSES = ("g0", "g1c", "si", "g2_item")  # si: g_single or g_nonadjacent
_ALSO = {BASE: (), BY_SESSION: (SESSION,), BY_TIME: (SESSION, REALTIME)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A group of transactions with cycles of one class: its edges, as places in the edges of the core.

    order: '' or what the cycles also need. forward: whether each edge may be taken.
    """

    name: str
    order: str
    edges: Places
    seeds: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The part of the graph in which all cycles are, and its components by class and order.

    open: groups that snapshot isolation may forbid or not, by an order of writes that is not known.
    """

    edges: Edges
    components: tuple[Component, ...]
    open: int = 0


def connected(nodes: int, source: Places, target: Places) -> NDArray[np.int64]:
    """Return for each node the number of its strongly connected component, -1 where it is alone in it."""
    if not len(source):
        return np.full(nodes, -1, dtype=np.int64)
    matrix = coo_array((np.ones(len(source)), (source, target)), shape=(nodes, nodes))
    # tocsr makes one of edges that are there twice: with those connected_components would never end.
    _, labels = connected_components(matrix.tocsr(), directed=True, connection="strong")
    sizes = np.bincount(labels)
    return np.where(sizes[labels] > 1, labels, -1).astype(np.int64)


def core_of(edges: Edges, unordered: tuple[Places, Places]) -> Core:
    """Find every class of cycles, by itself and with the order of sessions and of real time.

    unordered: transactions, each with a key, that wrote the key in an order that is not known.
    """
    labels = connected(edges.nodes, edges.source, edges.target)
    inside = (labels[edges.source] == labels[edges.target]) & (labels[edges.source] >= 0)
    source, target, kind, key = (part[inside] for part in (edges.source, edges.target, edges.kind, edges.key))
    core = Edges(source=source, target=target, kind=kind, key=key, nodes=edges.nodes, transactions=edges.transactions)
    return _found(core, _guessed(labels, *unordered)) if len(source) else Core(edges=core, components=())


def _guessed(labels: NDArray[np.int64], writers: Places, keys: Places) -> tuple[Places, Places]:
    """Return an order of the writers of each key: sources and targets, of those that are in one component.

    What is in several components can be put in an order of these, which closes no cycle.
    """
    there = labels[writers] >= 0
    writers, keys = writers[there], keys[there]
    order = np.lexsort(
        (keys, labels[writers])
    )  # stable: of one key and component they stay in the order that was given
    writers, keys = writers[order], keys[order]
    joined = (labels[writers[1:]] == labels[writers[:-1]]) & (keys[1:] == keys[:-1]) & (writers[1:] != writers[:-1])
    return writers[:-1][joined], writers[1:][joined]


def _found(edges: Edges, guessed: tuple[Places, Places]) -> Core:
    # Nodes are numbered anew: the core is mostly small.
    used, packed = np.unique(np.concatenate((edges.source, edges.target)), return_inverse=True)
    source, target = packed[: len(edges.source)], packed[len(edges.source) :]
    finder = _Finder(edges.kind, source, target, len(used))
    found: list[Component] = []
    for order in ORDERS:
        for name in CLASSES:
            found += finder.components(name, order)
    if not len(guessed[0]):
        return Core(edges=edges, components=tuple(found))
    begin, end = (np.searchsorted(used, part) for part in guessed)
    kinds = np.concatenate((edges.kind, np.full(len(begin), WW, dtype=edges.kind.dtype)))
    with_guesses = _Finder(kinds, np.concatenate((source, begin)), np.concatenate((target, end)), len(used))
    return Core(edges=edges, components=tuple(found), open=with_guesses.closed_by_last(len(begin)))


class _Finder:
    """Finds components class by class; those of a class that has one without an order already are not found again."""

    def __init__(self, kind: Places, source: Places, target: Places, nodes: int) -> None:
        self._kind, self._source, self._target, self._nodes = kind, source, target, nodes
        self._hit = {name: np.zeros(nodes, dtype=np.bool_) for name in CLASSES}

    def components(self, name: str, order: str) -> list[Component]:
        """Return the components of a class that are none of the class itself under a weaker order."""
        allowed = np.isin(self._kind, [*_kinds(name), *_ALSO[order]])
        if order and not np.isin(self._kind, _ALSO[order]).any():
            return []
        label = self._split(allowed) if name == SI else self._plain(allowed)
        seeds = np.flatnonzero(allowed & (label >= 0) & np.isin(self._kind, _seed_kinds(name)))
        by_label = seeds[np.argsort(label[seeds], kind="stable")]
        groups = np.split(by_label, np.flatnonzero(np.diff(label[by_label])) + 1) if len(by_label) else []
        inner = np.flatnonzero(allowed & (label >= 0))
        inner = inner[np.argsort(label[inner], kind="stable")]
        inner_label, known = label[inner], self._known(name)
        fresh: list[Component] = []
        hit = np.zeros(self._nodes, dtype=np.bool_)
        for group in groups:
            low, high = np.searchsorted(inner_label, label[group[0]] + np.array([0, 1]))
            members = inner[low:high]
            if not (known[self._source[members]].any() or known[self._target[members]].any()):
                fresh.append(Component(name=name, order=order, edges=members, seeds=group))
                hit[self._source[members]] = True
        self._hit[name] |= hit
        return fresh

    def closed_by_last(self, count: int) -> int:
        """Return how many groups, at most, snapshot isolation forbids by cycles with one of the last so many edges."""
        most = 0
        for order in ORDERS:
            label = self._split(np.isin(self._kind, [*_kinds(SI), *_ALSO[order]]))[-count:]
            most = max(most, len(np.unique(label[label >= 0])))
        return most

    def _known(self, name: str) -> Mask:
        """Return the nodes of cycles that say the same or more."""
        known = self._hit[name].copy()
        if name == G2:
            known |= self._hit[SI]
        if name in (SI, G2):
            known |= self._hit[G1C]
        if name != G0:
            known |= self._hit[G0]
        return known

    def _plain(self, allowed: Mask) -> Places:
        """Return for each edge the component that it is in, -1 where it is in none."""
        labels = connected(self._nodes, self._source[allowed], self._target[allowed])
        source = labels[self._source]
        return np.where(allowed & (source == labels[self._target]), source, -1)

    def _split(self, allowed: Mask) -> Places:
        """Return the same for cycles without an rw right after another."""
        at = np.flatnonzero(allowed)
        kind, source, target = self._kind[at], self._source[at].astype(np.int64), self._target[at].astype(np.int64)
        anti, onward = kind == RW, kind == PASS
        ends = np.concatenate((target[~anti], target[anti] + self._nodes))
        begins = np.concatenate((source[~anti], source[anti]))
        # Entered by an rw, a node is left by what is none; what only passes on is still entered by it.
        passed, left = ~anti & onward, ~anti & ~onward
        begins = np.concatenate((begins, source[left] + self._nodes, source[passed] + self._nodes))
        ends = np.concatenate((ends, target[left], target[passed] + self._nodes))
        labels = connected(2 * self._nodes, begins, ends)
        label = np.full(len(self._kind), -1, dtype=np.int64)
        for from_state, to_state, which in ((0, 0, ~anti), (0, 1, anti), (1, 0, left), (1, 1, passed)):
            one = labels[source[which] + from_state * self._nodes]
            both = (one == labels[target[which] + to_state * self._nodes]) & (one >= 0)
            label[at[which][both]] = one[both]
        return label


def _kinds(name: str) -> tuple[int, ...]:
    return {G0: (WW,), G1C: (WW, WR), SI: (WW, WR, RW, PASS), G2: (WW, WR, RW, PASS)}[name]


def _seed_kinds(name: str) -> tuple[int, ...]:
    """Return the kinds of which every cycle of the class has one."""
    return {G0: (WW,), G1C: (WR,), SI: (RW,), G2: (RW,)}[name]
