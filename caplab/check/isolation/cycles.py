"""Cycles themselves: a short one of each group, and whether it takes one anti-dependency (rw) or several."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from .edges import PASS, RW, WR, Edges
from .graph import SI, Component, Core
from .transactions import Transactions

BUDGET = 3_000_000  # nodes visited in one history
_SHORT = 40  # groups of a class in which the shortest cycle is looked for; of the others any
_SEEDS = 400  # edges of a group from which it is looked for

G_SINGLE, G_NONADJACENT, LONG_FORK = "g_single", "g_nonadjacent", "long_fork"
_Visit = tuple[int, int]  # a node, and whether it was entered by an rw


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A dependency of one transaction on another, of a kind, on a key (-1: of none)."""

    source: int
    target: int
    kind: int
    key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A cycle of an anomaly, which its transactions prove together; order: what it needs beside dependencies."""

    name: str
    order: str
    steps: tuple[Step, ...]


@dataclass(slots=True)
class _Budget:
    left: int


def cycles_of(core: Core, t: Transactions, budget: int = BUDGET) -> list[Cycle]:
    """Return a cycle of each component, the smallest groups first.

    Of the groups that snapshot isolation forbids, one without a cycle of one rw is g_nonadjacent, or a long fork. Those
    that the budget does not reach come back without steps, and then as g_nonadjacent.
    """
    found: list[Cycle] = []
    shown: Counter[tuple[str, str]] = Counter()
    purse = _Budget(budget)
    for component in sorted(core.components, key=lambda each: len(each.edges)):
        kind = component.name, component.order
        if not shown[kind]:
            purse.left = max(purse.left, budget // 4)
        cycle = None
        if purse.left > 0:
            cycle = _Search(core.edges, component, purse, t).cycle(shortest=shown[kind] < _SHORT)
        shown[kind] += cycle is not None
        name = G_NONADJACENT if component.name == SI else component.name
        found.append(cycle or Cycle(name=name, order=component.order, steps=()))
    return found


class _Search:
    """Looks for cycles of a component."""

    def __init__(self, edges: Edges, component: Component, purse: _Budget, t: Transactions) -> None:
        self._component, self._purse, self._t = component, purse, t
        self._most = edges.transactions
        self._out: dict[int, list[tuple[int, int, int]]] = {}
        rows = component.edges
        parts = (edges.source[rows].tolist(), edges.target[rows].tolist(), edges.kind[rows].tolist())
        for source, target, kind, key in zip(*parts, edges.key[rows].tolist(), strict=True):
            self._out.setdefault(source, []).append((target, kind, key))
        seeds = component.seeds
        by_kind = zip(edges.source[seeds].tolist(), edges.target[seeds].tolist(), strict=True)
        keyed = zip(edges.kind[seeds].tolist(), edges.key[seeds].tolist(), strict=True)
        self._seeds = [
            (source, target, kind, key) for (source, target), (kind, key) in zip(by_kind, keyed, strict=True)
        ]

    def cycle(self, shortest: bool) -> Cycle | None:
        component = self._component
        if component.name != SI:
            steps = self._best(shortest, single=False)
            return None if steps is None else Cycle(name=component.name, order=component.order, steps=steps)
        steps = self._best(shortest, single=True)
        if steps is not None:
            return Cycle(name=G_SINGLE, order=component.order, steps=steps)
        if self._purse.left <= 0:
            return None
        steps = self._best(shortest, single=False)
        if steps is None:
            return None
        name = LONG_FORK if _is_long_fork(steps, self._t) else G_NONADJACENT
        return Cycle(name=name, order=component.order, steps=steps)

    def _best(self, shortest: bool, single: bool) -> tuple[Step, ...] | None:
        best: tuple[Step, ...] | None = None
        for count, seed in enumerate(self._seeds):
            if best is not None and (not shortest or count >= _SEEDS or len(best) == 2):
                break
            steps = self._through(seed, single, self._most if best is None else len(best) - 1)
            if steps is not None:
                best = steps
            if self._purse.left <= 0:
                break
        return best

    def _through(self, seed: tuple[int, int, int, int], single: bool, most: int) -> tuple[Step, ...] | None:
        """Return the shortest cycle that begins with the seed, of at most so many transactions."""
        source, target, kind, _ = seed
        apart = self._component.name == SI
        begin: _Visit = (target, 1 if kind == RW and apart else 0)
        distance = {begin: 1 if target < self._most else 0}
        came: dict[_Visit, tuple[_Visit, int, int]] = {}
        queue = deque([begin])
        while queue:
            here = queue.popleft()
            self._purse.left -= 1
            if distance[here] > most or self._purse.left <= 0:
                return None
            if here[0] == source and here[1] == 0:
                return self._steps(seed, begin, here, came)
            for onward, onward_kind, onward_key in self._out.get(here[0], ()):
                if onward_kind == RW and ((apart and here[1]) or (apart and single)):
                    continue
                state = 0
                if apart and (onward_kind == RW or (onward_kind == PASS and here[1])):
                    state = 1
                there: _Visit = (onward, state)
                is_transaction = onward < self._most
                far = distance[here] + is_transaction
                if there not in distance or far < distance[there]:
                    distance[there] = far
                    came[there] = (here, onward_kind, onward_key)
                    (queue.append if is_transaction else queue.appendleft)(there)
        return None

    def _steps(
        self,
        seed: tuple[int, int, int, int],
        begin: _Visit,
        end: _Visit,
        came: dict[_Visit, tuple[_Visit, int, int]],
    ) -> tuple[Step, ...] | None:
        path: list[tuple[int, int, int]] = []
        here = end
        while here != begin:
            back, kind, key = came[here]
            path.append((here[0], kind, key))
            here = back
        hops = [(seed[1], seed[2], seed[3]), *reversed(path)]
        steps: list[Step] = []
        source, kind, key = seed[0], -1, -1
        for node, hop_kind, hop_key in hops:
            if kind in (-1, PASS) and hop_kind != PASS:
                kind, key = hop_kind, hop_key
            if node < self._most:
                steps.append(Step(source=source, target=node, kind=kind, key=key))
                source, kind, key = node, -1, -1
        visited = [step.source for step in steps]
        return tuple(steps) if len(set(visited)) == len(visited) else None


def _is_long_fork(steps: Sequence[Step], t: Transactions) -> bool:
    """Return whether two readers saw two writes in opposite orders: wr and rw take turns."""
    kinds = [step.kind for step in steps]
    turns = all({kind, after} == {WR, RW} for kind, after in zip(kinds, [*kinds[1:], kinds[0]], strict=True))
    return turns and len(kinds) >= 4
