"""Isolation: which model of isolation the transactions of a history can have run under, from what they read.

Adya, Liskov & O'Neil, "Generalized isolation level definitions", ICDE 2000; Kingsbury & Alvaro, "Elle: inferring
isolation anomalies from experimental observations", VLDB 2020. Keys begin absent, and lists empty.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caplab.check.checker import Checker, Property
from caplab.check.columns import among, codes
from caplab.check.finding import Context, Finding, State
from caplab.check.witness import MAX_WITNESSES, witness
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.transactions import TXN
from caplab.nouns import are, counted, were

from . import models
from .models import FORBIDDEN_FROM, MODELS, ORDERS, PARALLEL_SNAPSHOT, SERIALIZABLE, rank_of

if TYPE_CHECKING:
    from .proofs import Proofs
    from .transactions import Transactions

NAME = "isolation"
CYCLES = ("g0", "g1c", "g_single", "g_nonadjacent", "long_fork", "g2_item")


def applies(history: Table) -> str:
    """Return why there is nothing to check in a validated history, or ''."""
    return "" if among(history, "op", [TXN]).any() else "no operation is a transaction"


def applies_to_file(columns: Collection[str]) -> str:
    """Return why there is nothing to check in a file with these columns, or ''."""
    return "" if TXN in columns else f"there is no column '{TXN}'"


def check(history: Table, context: Context) -> Finding:
    """Find every anomaly that the transactions prove, and name the strongest model without them.

    Figures: transactions (committed), failed, not_known, dependencies; for each anomaly how often it is proven: g1a,
    g1b, unwritten, doubled, internal (reads), incompatible_orders (keys), dirty_updates (appends), lost_updates
    (transactions); and groups of transactions with a cycle of a class, none of which has a worse one: g0, g1c,
    g_single, g_nonadjacent, long_fork, g2_item, each with _session and _realtime for cycles that need these orders;
    session_cycles and realtime_cycles are their sums. model: the strongest model that the history allows, allows: every
    one that no other implies, asked: the weakest level asked for (strict serializable where none was). unplaced:
    writes of registers whose place in the order is not known. repeated: values written several times to one key.
    undecided: groups of which only that they have a cycle is known.

    Violated by an anomaly that the asked level forbids. Unknown with fewer than context.enough committed transactions,
    with levels of other names, and where unplaced, repeated or undecided ones might hide an anomaly.
    """
    if importlib.util.find_spec("scipy") is None:
        reason = "Isolation is checked with scipy, which is not installed. Hint: pip install scipy."
        return Finding(property=NAME, state=State.UNKNOWN, reason=reason)
    from .proofs import proofs_of  # noqa: PLC0415  # it is not in every image of the lab
    from .transactions import transactions_of  # noqa: PLC0415

    t = transactions_of(history)
    proofs = proofs_of(t)
    ranks = models.allowed(proofs.counts)
    level = _asked(history, t, context.level)
    shown = _witnesses(history, t, proofs, context)
    figures = _figures(t, proofs) | {
        "model": models.named(ranks),
        "allows": list(models.strongest(ranks)),
        "asked": level.words,
        "witnesses": shown,
    }
    state, reason = _state(proofs, figures, level, context)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


@dataclass(frozen=True, slots=True)
class _Level:
    """The weakest level that was asked for: its rank and order, and in words; not known: a word of none."""

    rank: int
    order: str
    words: str
    is_known: bool = True


def _asked(history: Table, t: Transactions, default: str) -> _Level:
    level, words = codes(history, "level")
    used = {int(code) for code in set(level[t.row].tolist())}
    levels = []
    for code in used:
        word = words[code] if code >= 0 else default or models.STRICT
        known = models.asked(word)
        if known is None:
            return _Level(-1, "", word, is_known=False)
        levels.append(_Level(*known, word))
    strict = _Level(rank_of(SERIALIZABLE), "realtime", models.STRICT)
    return min(levels, key=lambda each: (each.rank, ORDERS.index(each.order)), default=strict)


def _figures(t: Transactions, proofs: Proofs) -> dict[str, Json]:
    figures: dict[str, Json] = {
        "transactions": int(t.committed.sum()),
        "failed": int((~t.possible).sum()),
        "not_known": int((t.possible & ~t.committed).sum()),
        "dependencies": proofs.dependencies,
    }
    for name in FORBIDDEN_FROM:
        figures[name] = proofs.counts.get((name, ""), 0)
    for order in ORDERS[1:]:
        counts = {f"{name}_{order}": proofs.counts.get((name, order), 0) for name in CYCLES}
        figures |= {**counts, f"{order}_cycles": sum(counts.values())}
    return figures | {"unplaced": proofs.unordered_writes, "repeated": proofs.repeated, "undecided": proofs.undecided}


def _witnesses(history: Table, t: Transactions, proofs: Proofs, context: Context) -> list[Json]:
    shown: list[Json] = []
    for round_ in range(3):  # the first of every anomaly before the second of any
        for each in proofs.proofs.values():
            if round_ < len(each) and len(shown) < MAX_WITNESSES:
                proof = each[round_]
                shown.append(witness(history, proof.what, (t.row[one] for one in proof.transactions), context))
    return shown


def _state(proofs: Proofs, figures: dict[str, Json], level: _Level, context: Context) -> tuple[State, str]:
    model, transactions = figures["model"], figures["transactions"]
    against = [
        (name, order)
        for name, order in proofs.counts
        if rank_of(FORBIDDEN_FROM[name]) <= level.rank and ORDERS.index(order) <= ORDERS.index(level.order)
    ]
    allows = f"The strongest model that the history allows is {model}." if model != "none" else "No model allows it."
    if against and level.is_known:
        first = next((each[0].what for kind in against if (each := proofs.proofs[kind])), "")
        return State.VIOLATED, f"Not {level.words}. {allows} {first}".rstrip()
    if not level.is_known:
        return State.UNKNOWN, f"The level '{level.words}' is not known here. {allows}"
    if int(str(transactions)) < context.enough:
        return (
            State.UNKNOWN,
            f"Only {counted(transactions, 'committed transaction')}; {context.enough:,} {are(context.enough)} needed.",
        )
    if hidden := _hidden(proofs, level):
        return State.UNKNOWN, f"{hidden} {allows}"
    dependencies = counted(proofs.dependencies, "dependency", "dependencies")
    return State.HOLDS, f"{allows} {counted(transactions, 'committed transaction')}, {dependencies}."


def _hidden(proofs: Proofs, level: _Level) -> str:
    """Return what an anomaly might hide behind, or ''."""
    if proofs.undecided and level.rank >= rank_of(PARALLEL_SNAPSHOT):  # weaker models allow any of these
        groups = counted(proofs.undecided, "group")
        return f"Of {groups} of transactions with a cycle it is not decided what kind it is."
    if proofs.repeated:
        values = f"{counted(proofs.repeated, 'value')} {were(proofs.repeated)}"
        return f"{values} written to one key several times, so it is not known which was read."
    if proofs.unordered_writes:
        writes = counted(proofs.unordered_writes, "write of a register", "writes of registers")
        return f"The place of {writes} in the order is not known: what was there had not been read."
    return "" if proofs.dependencies else "No transaction read or overwrote what another one wrote."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    applies_to_file=applies_to_file,
    properties=(
        Property.overall("writeCycles", "write cycles (G0)", figure="g0", of="transactions"),
        Property.overall("abortedReads", "aborted reads (G1a)", figure="g1a", of="transactions"),
        Property.overall("intermediateReads", "intermediate reads (G1b)", figure="g1b", of="transactions"),
        Property.overall("circularReads", "circular information flow (G1c)", figure="g1c", of="transactions"),
        Property.overall("lostUpdates", "lost updates", figure="lost_updates", of="transactions"),
        Property.overall("readSkews", "read skews (G-single)", figure="g_single", of="transactions"),
        Property.overall("longForks", "long forks", figure="long_fork", of="transactions"),
        Property.overall("writeSkews", "write skews (G2-item)", figure="g2_item", of="transactions"),
        Property.overall(
            "incompatibleOrders", "lists in incompatible orders", figure="incompatible_orders", of="transactions"
        ),
        Property.overall(
            "internalInconsistencies", "reads that contradict their transaction", figure="internal", of="transactions"
        ),
        Property.overall(
            "sessionCycles", "cycles against a session's order", figure="session_cycles", of="transactions"
        ),
        Property.overall("realTimeCycles", "cycles against real time", figure="realtime_cycles", of="transactions"),
    ),
)

__all__ = ["CHECKER", "CYCLES", "MODELS", "NAME", "applies", "check"]
