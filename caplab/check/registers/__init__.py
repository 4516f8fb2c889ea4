"""Registers: each key behaves as one copy of a value would, for every client and member (linearizability).

Herlihy & Wing, "Linearizability: a correctness condition for concurrent objects", TOPLAS 1990: a history is
linearizable exactly if it is so for each key alone. Keys begin absent. Operations at one moment are concurrent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import Integers, Mask, among, codes, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.nouns import are, counted, some_are
from caplab.check.witness import operations as operation_rows
from caplab.model.fields import Json
from caplab.model.history import Table

from .clusters import Clusters, clusters_of
from .judge import NONE, disordered, unfounded
from .operations import Operations, operations_of
from .search import BUDGET, OutOfBudgetError, violation_ns
from .steps import steps_of
from .witnesses import Violating, witnesses
from .words import sentence

NAME = "registers"


def applies(history: Table) -> str:
    """Return why there is nothing to check in a validated history, or ''."""
    operations = operations_of(history)
    if len(operations.writers) or (~operations.readers.null).any():
        return ""
    return "no operation writes a register"


def check(history: Table, context: Context) -> Finding:
    """Search, key by key, for an order of all operations that respects real time and explains each result.

    Figures: keys, operations (that bear on it: not those that failed, nor reads without an answer), violating_keys
    (names, all of them), undecided_keys (names), other_keys (left out: they hold sets, counters or ids), witness (the
    fewest operations that prove a violation) and witnesses, one a key, the smallest of at most 20 keys.

    Unknown where the search for an order of a key outgrew search.BUDGET, unless another violates; and with fewer
    than context.enough operations.
    """
    operations = operations_of(history)
    clusters = clusters_of(operations)
    violating, undecided = _judge(operations, clusters)
    shown = _witnesses(history, operations, violating.alone, witnesses(operations, clusters, violating), context)
    tally = _Tally(
        _count_keys(operations),
        len(operations.writers) + len(operations.readers),
        _names(operations, violating.keys),
        _names(operations, undecided),
    )
    figures: dict[str, Json] = {
        "keys": tally.keys,
        "operations": tally.operations,
        "violating_keys": tally.violating,
        "undecided_keys": tally.undecided,
        "other_keys": operations.other_keys,
        "witness": shown[0]["operations"] if shown else [],
        "witnesses": shown,
    }
    state, reason = _state(tally, shown, context)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


@dataclass(frozen=True, slots=True)
class _Tally:
    """What the state depends on."""

    keys: int
    operations: int
    violating: list[str]
    undecided: list[str]


def _judge(operations: Operations, clusters: Clusters) -> tuple[Violating, Mask]:
    """Judge by zones; search only where an observed value was written twice. Also return the undecided keys."""
    alone = unfounded(operations, clusters)
    explained = alone == NONE
    by_zones = disordered(operations, clusters) & explained & ~clusters.repeated
    by_search: dict[int, int] = {}
    undecided = np.zeros(len(alone), dtype=np.bool_)
    for key, part in operations.each_key(explained & clusters.repeated):
        try:
            at_ns = violation_ns(steps_of(part), BUDGET)
        except OutOfBudgetError:
            undecided[key] = True
        else:
            by_search |= {} if at_ns is None else {key: at_ns}
    return Violating(alone, by_zones, by_search), undecided


def _witnesses(
    history: Table, operations: Operations, alone: Integers, proofs: Sequence[tuple[int, list[int]]], context: Context
) -> list[dict[str, Json]]:
    """Return the witnesses, in words and as rows; for a value that nobody wrote, with the writers that failed to."""
    steps = {step.row: step for step in steps_of(operations.at_rows(sorted(row for _, rows in proofs for row in rows)))}
    failed = {
        key: _failed(history, rows[0], steps[rows[0]].observed) if alone[key] != NONE else [] for key, rows in proofs
    }
    shown = sorted({row for key, rows in proofs for row in rows + failed[key]})
    # All at once is much the fastest.
    operation_at = dict(zip(shown, operation_rows(history, shown, context), strict=True))
    return [
        {
            "what": sentence(operations.keys[key], [steps[row] for row in rows], bool(failed[key])),
            "operations": [operation_at[row] for row in sorted(failed[key] + rows)],
        }
        for key, rows in proofs
    ]


def _failed(history: Table, row: int, value: int | None) -> list[int]:
    """Return the failed writers of a value to a row's key."""
    key, _ = codes(history, "key")
    rows = among(history, "op", ["write", "cas"]) & among(history, "outcome", ["fail"]) & (key == key[row])
    rows &= present(history, "value") & (integers(history, "value", 0) == value)
    return [int(place) for place in np.flatnonzero(rows)]


def _names(operations: Operations, keys: Mask) -> list[str]:
    return sorted(operations.keys[key] for key in np.flatnonzero(keys))


def _count_keys(operations: Operations) -> int:
    there = np.zeros(len(operations.keys), dtype=np.bool_)
    there[operations.writers.key] = there[operations.readers.key] = True
    return int(there.sum())


def _state(tally: _Tally, shown: Sequence[Mapping[str, Json]], context: Context) -> tuple[State, str]:
    if tally.violating:
        keys = some_are(len(tally.violating), tally.keys, "key")
        reason = f"{keys} not linearizable. {shown[0]['what']}"
        return State.VIOLATED, reason
    if tally.undecided:
        return State.UNKNOWN, (
            f"{some_are(len(tally.undecided), tally.keys, 'key')} undecided: observed values had been written"
            f" more than once, and {BUDGET} states were not enough to check every order."
        )
    if tally.operations < context.enough:
        few = counted(tally.operations, "operation")
        reason = f"Only {few} on registers; {context.enough} {are(context.enough)} needed."
        return State.UNKNOWN, reason
    return State.HOLDS, f"Linearizable keys: all {tally.keys}, in {counted(tally.operations, 'operation')}."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(
            name="notLinearizable",
            words="keys not linearizable",
            figure="violating_keys",
            of="keys",
            by_side=False,
            by_route=False,
        ),
    ),
)
