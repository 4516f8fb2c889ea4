"""What a history's transactions prove: every anomaly by name, with how often it occurs and its witnesses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import internal, lists, registers, words
from .cycles import G_NONADJACENT, cycles_of
from .edges import EdgeList
from .evident import happened
from .graph import core_of
from .lists import Suspects
from .models import FORBIDDEN_FROM
from .transactions import READS, Places, Transactions, Writers, touches_of

_SHOWN = 3  # proofs of each anomaly


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A sentence, and the transactions that prove it."""

    what: str
    transactions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """Counts and a few proofs of each anomaly, by its name and the order that it needs ('', session, realtime).

    undecided: groups of transactions with a cycle whose smallest class was not found in time, or depends on an order of
    appends that no read shows. unordered_writes: of registers, with no known place in the order. repeated: values
    written several times. dependencies: how many were found.
    """

    counts: dict[tuple[str, str], int]
    proofs: dict[tuple[str, str], list[Proof]]
    undecided: int
    unordered_writes: int
    repeated: int
    dependencies: int


def proofs_of(t: Transactions) -> Proofs:
    """Find every anomaly."""
    touches = touches_of(t)
    edges = EdgeList(len(t))
    sure = happened(t)
    suspects = [lists.infer(t, touches, edges, sure), registers.infer(t, touches, edges, sure)]
    inconsistent = internal.inconsistent(t, touches)
    dependencies = edges.count
    edges.add_sessions(t)
    edges.add_real_time(t)
    counts: dict[tuple[str, str], int] = {}
    proofs: dict[tuple[str, str], list[Proof]] = {}
    for name, count, shown in _alone(t, suspects, inconsistent):
        if count:
            counts[name, ""] = counts.get((name, ""), 0) + count
            proofs.setdefault((name, ""), []).extend(shown)
    core = core_of(edges.gathered(), _unordered(t, suspects))
    cycles = cycles_of(core, t)
    for cycle in sorted(cycles, key=lambda each: len(each.steps)):
        kind = cycle.name, cycle.order
        counts[kind] = counts.get(kind, 0) + 1
        if cycle.steps and len(proofs.setdefault(kind, [])) < _SHOWN:
            members = tuple(step.source for step in cycle.steps)
            proofs[kind].append(Proof(what=words.of_cycle(t, cycle), transactions=members))
    weakest_first = sorted(counts, key=lambda kind: list(FORBIDDEN_FROM).index(kind[0]))
    return Proofs(
        counts={kind: counts[kind] for kind in weakest_first},
        proofs={kind: proofs.get(kind, [])[:_SHOWN] for kind in weakest_first},
        undecided=core.open + sum(not cycle.steps and cycle.name == G_NONADJACENT for cycle in cycles),
        unordered_writes=sum(each.unordered_writes for each in suspects),
        repeated=sum(each.repeated for each in suspects),
        dependencies=dependencies,
    )


def _unordered(t: Transactions, suspects: list[Suspects]) -> tuple[Places, Places]:
    """Return the transactions with unread appends, with their keys, in the order of their ends."""
    unread = np.concatenate([each.unread for each in suspects])
    unread = unread[np.argsort(t.return_ns[t.of[unread]], kind="stable")]
    return t.of[unread], t.key[unread]


def _alone(t: Transactions, suspects: list[Suspects], inconsistent: Places) -> Iterator[tuple[str, int, list[Proof]]]:
    """Yield the anomalies that are no cycles."""
    writers = _writers(t, suspects)
    for each in suspects:
        reads = {"g1a": each.aborted, "g1b": each.intermediate, "unwritten": each.unwritten, "doubled": each.duplicated}
        for name, places in reads.items():
            yield name, len(places), [_of_read(t, name, int(read), writers) for read in places[:_SHOWN]]
        yield "g1c", len(each.future), [_of_future(t, int(read)) for read in each.future[:_SHOWN]]
        yield (
            "incompatible_orders",
            len(each.incompatible),
            [
                Proof(what=words.of_orders(t, *pair), transactions=_members(t, pair))
                for pair in each.incompatible[:_SHOWN]
            ],
        )
        yield (
            "incompatible_orders",
            len(each.reordered),
            [
                Proof(what=words.of_own_order(t, *found), transactions=_members(t, found[:2]))
                for found in each.reordered[:_SHOWN]
            ],
        )
        yield (
            "dirty_updates",
            len(each.dirty),
            [Proof(what=words.of_dirty(t, *pair), transactions=_members(t, pair)) for pair in each.dirty[:_SHOWN]],
        )
        yield (
            "lost_updates",
            sum(len(group) - 1 for group in each.lost),
            [Proof(what=words.of_lost(t, group), transactions=_members(t, group)) for group in each.lost[:_SHOWN]],
        )
    yield "internal", len(inconsistent), [_of_read(t, "internal", int(read), writers) for read in inconsistent[:_SHOWN]]


def _members(t: Transactions, micro: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(t.of[each]) for each in micro[:20])


def _writers(t: Transactions, suspects: list[Suspects]) -> Writers | None:
    """Return who wrote what, if a proof has to name it."""
    if not any(len(each.aborted) or len(each.intermediate) for each in suspects):
        return None
    writes = np.flatnonzero(t.op != READS)
    return Writers(writes, t.key[writes], t.value[writes])


def _of_future(t: Transactions, read: int) -> Proof:
    return Proof(what=words.of_future(t, read), transactions=(int(t.of[read]),))


def _of_read(t: Transactions, name: str, read: int, writers: Writers | None) -> Proof:
    writer = None
    if name in ("g1a", "g1b") and writers is not None:
        found = t.elements[t.begin[read] : t.end[read]] if t.is_list[t.key[read]] else t.value[read : read + 1]
        writes = writers.find(np.repeat(t.key[read], len(found)), found)
        writes = writes[writes >= 0]
        guilty = writes[~t.possible[t.of[writes]]] if name == "g1a" else writes[-1:]
        writer = int(t.of[guilty[0]]) if len(guilty) else None
    members = (int(t.of[read]),) if writer is None else (int(t.of[read]), writer)
    return Proof(what=words.of_read(t, name, read, writer), transactions=members)
