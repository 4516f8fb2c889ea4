"""Registers: each key behaves as one copy of a value would, for every client and member (linearizability).

Herlihy & Wing, "Linearizability: a correctness condition for concurrent objects", TOPLAS 1990: a history is
linearizable exactly if it is so for each key alone. Keys begin absent, or with context.initial. Operations at one
moment are concurrent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import NEVER, Integers, Mask, among, codes, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.witness import operations as operation_rows
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted, some_are

from .clusters import clusters_of
from .judge import NONE, disordered, unexplained, unfounded, without_repeated
from .operations import Operations, operations_of
from .search import OutOfBudgetError, violation_ns
from .steps import Step, steps_of
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

    Figures: keys, operations (that bear on it: not those that failed, unless a cas was refused, nor reads without an
    answer), violating_keys
    (names, all of them), undecided_keys (names), other_keys (left out: they hold sets, counters or ids), witness (the
    fewest operations that prove a violation) and witnesses, one a key, the smallest of at most 20 keys.

    Unknown where the search for an order of a key outgrew context.budget, unless another violates; and with fewer than
    context.enough operations.
    """
    operations = operations_of(history, context.initial)
    violating, undecided = _judge(operations, context.budget)
    shown = _witnesses(history, operations, violating.alone, witnesses(operations, violating), context)
    tally = _Tally(
        keys=_count_keys(operations),
        operations=len(operations),
        violating=_names(operations, violating.keys),
        undecided=_names(operations, undecided),
        hint=_hint(operations, violating.alone),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """What the state depends on; hint: what else may explain a violation, or ''."""

    keys: int
    operations: int
    violating: list[str]
    undecided: list[str]
    hint: str


def _judge(operations: Operations, budget: int) -> tuple[Violating, Mask]:
    """Judge by zones; search only where an observed value was written twice, or a cas was refused.

    Also return the undecided keys.
    """
    clusters = clusters_of(operations)
    alone = unfounded(operations, clusters)
    explained = alone == NONE
    once = without_repeated(operations, clusters)
    once_clusters = clusters if once is operations else clusters_of(once)
    by_zones = disordered(once, once_clusters) & explained
    by_search: dict[int, int] = {}
    undecided = np.zeros(len(alone), dtype=np.bool_)
    to_search = explained & ~by_zones & (clusters.repeated | unexplained(operations, clusters))
    for key, part in operations.each_key(to_search):
        try:
            at_ns = violation_ns(steps_of(part), budget)
        except OutOfBudgetError:
            undecided[key] = True
        else:
            by_search |= {} if at_ns is None else {key: at_ns}
    return Violating(alone=alone, by_zones=by_zones, once=once, clusters=once_clusters, by_search=by_search), undecided


def _witnesses(
    history: Table, operations: Operations, alone: Integers, proofs: Sequence[tuple[int, list[int]]], context: Context
) -> list[dict[str, Json]]:
    """Return the witnesses, in words and as rows; for a value that nobody wrote, with the writers that failed to."""
    rows_of_proofs = sorted(row for _, rows in proofs for row in rows)
    steps = {step.row: _named(operations, step) for step in steps_of(operations.at_rows(rows_of_proofs))}
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


def _named(operations: Operations, step: Step) -> Step:
    """Return an operation with the values of the history."""
    name = operations.naming.of
    return replace(
        step,
        observed=name(step.observed) if step.observes else None,
        written=name(step.written) if step.writes else None,
    )


def _hint(operations: Operations, alone: Integers) -> str:
    """Return how to say what registers begin with, if one showed a value before anything was surely written to it."""
    suspects = alone[alone != NONE]
    if operations.naming.initial is not None or not len(suspects):
        return ""
    acked = np.full(len(operations.keys), NEVER)
    np.minimum.at(acked, operations.writers.key, operations.writers.return_ns)
    early = np.isin(operations.readers.row, suspects) & ~operations.readers.null
    early &= operations.readers.invoke_ns <= acked[operations.readers.key]
    if not early.any():
        return ""
    value = operations.readers.value[early][0]
    return f" Hint: if registers hold {value} at first, say so with --initial {value}."


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
    for part in (operations.writers, operations.readers, operations.refusals):
        there[part.key] = True
    return int(there.sum())


def _state(tally: _Tally, shown: Sequence[Mapping[str, Json]], context: Context) -> tuple[State, str]:
    if tally.violating:
        keys = some_are(len(tally.violating), tally.keys, "key")
        return State.VIOLATED, f"{keys} not linearizable. {shown[0]['what']}{tally.hint}"
    if tally.undecided:
        return State.UNKNOWN, (
            f"{some_are(len(tally.undecided), tally.keys, 'key')} undecided: observed values had been written"
            f" more than once, and {context.budget:,} states were not enough to check every order."
            f" Hint: allow more with --budget {10 * context.budget}."
        )
    if tally.operations < context.enough:
        few = counted(tally.operations, "operation")
        reason = f"Only {few} on registers; {context.enough:,} {are(context.enough)} needed."
        return State.UNKNOWN, reason
    return State.HOLDS, f"Linearizable keys: all {tally.keys:,}, in {counted(tally.operations, 'operation')}."


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
