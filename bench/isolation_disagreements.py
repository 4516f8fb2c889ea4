"""Kinds of disagreement between the checker isolation and adya, each decided by hand.

kind_of says of which kind a disagreement is; DECISIONS says who is right, and why. What is of no kind is open. Where a
model is one of those that every order by force decides, a disagreement has a kind only if that says what the checker
says. A kind that is about certain reads or writes is given only if the checker says what adya says without them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import isolation_orders
from isolation_findings import allows, check, history_of

from caplab.check.isolation import models

OPEN = "not decided"
Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A disagreement: the transactions, a model with its order, whether the checker allows it, and what each found."""

    rows: Rows
    registers: bool
    model: str
    order: str
    ours: bool
    found: frozenset[tuple[str, str]]
    theirs: frozenset[str]

    def guilty(self) -> set[str]:
        """Return the anomalies, by name, for which the checker refuses the model."""
        rank, place = models.rank_of(self.model), models.ORDERS.index(self.order)
        return {
            name
            for name, order in self.found
            if models.rank_of(models.FORBIDDEN_FROM[name]) <= rank and models.ORDERS.index(order) <= place
        }


CONTRADICTION = "a transaction that contradicts itself, at PL-2+"
OWN_ORDER = "appends of one transaction that were found in another order"
OWN_FUTURE = "a read of what its own transaction wrote only later"
ACROSS_ABORTED = "an order of appends across one that failed"
LATER_READS = "reads of a register after the first one of a transaction"
CRASHED = "writes of a register whose outcome is not known, and that were read"
WRITE_ORDER = "an order of blind writes of a register"
FIRST_READ = "a lost update of a version that was not the last one read"

DECISIONS = {
    CONTRADICTION: "A matter of definition. Adya's PL-2+ (consistent view in adya) says nothing of what a transaction"
    " reads of its own writes; the checker's model of that rank is parallel snapshot isolation too, which forbids it."
    " Both find the contradiction, and both refuse snapshot isolation.",
    OWN_ORDER: "The checker is right: a transaction appended 1 and then 2, and somebody read 2 without 1 before it. No"
    " database that is at read committed or above can have shown that, and no order by force explains it. adya does"
    " not look at the order of a transaction's own appends.",
    OWN_FUTURE: "The checker is right: the transaction depends on itself, so it is circular information flow, and no"
    " order by force explains it at any model from read committed on. adya calls it future-read and looks for it in"
    " lists only, of each transaction up to its first contradiction.",
    ACROSS_ABORTED: "The checker is right: with an element of a failed transaction between those of two others, these"
    " are still in an order, and it closes a cycle of writes. adya infers no order across it. Both refuse read"
    " committed, for the aborted read.",
    LATER_READS: "The checker is right: every read shows a version, and with it a dependency, whether the transaction"
    " had read or written the key before or not. adya takes the first read before a write only; of the others it says"
    " that the transaction contradicts itself. Where every order by force decides, none explains the history.",
    CRASHED: "The checker is right: somebody read what it wrote, so it committed, with everything that it wrote. adya"
    " takes writes of registers from acked transactions only. No order by force explains the history.",
    WRITE_ORDER: "A matter of definition, at read uncommitted only. adya assumes that a register's version follows"
    " the one that its transaction had read, and finds cycles of writes with that. The checker does not assume it where"
    " not even read committed holds, so it names the cycle circular information flow (G1c), or finds that reads"
    " contradict each other. Both refuse read committed, or the history is allowed there by force.",
    FIRST_READ: "The checker is right: cursor stability protects the version that the cursor is on, which is the last"
    " one that was read before the write. adya takes the first one. Both refuse PL-2+.",
}


def kind_of(case: Case) -> str:
    """Return the kind of a disagreement."""
    by_force = (case.model, case.order) in isolation_orders.allowed(case.rows)
    if case.model in isolation_orders.MODELS and by_force != case.ours:
        return OPEN
    return _allowed_here(case) if case.ours else _refused_here(case)


def _refused_here(case: Case) -> str:
    if case.model == models.PARALLEL_SNAPSHOT and "internal" in case.theirs:
        return CONTRADICTION
    if "incompatible_orders" in case.guilty() and "incompatible-order" not in case.theirs:
        return OWN_ORDER
    if case.model == models.READ_UNCOMMITTED and case.guilty() == {"g0"} and "G1a" in case.theirs:
        return ACROSS_ABORTED
    # The first without which, and without those before, the checker allows the model, as adya does.
    kinds = ((OWN_FUTURE, _without_future), (LATER_READS, _without_later), (CRASHED, _without_crashed))
    for order in (kinds, kinds[::-1]):
        rows = case.rows
        for kind, reduced in order:
            rows = list(reduced(rows))
            if allows(check(history_of(rows)), case.model, case.order):
                return kind
    return OPEN


def _allowed_here(case: Case) -> str:
    if case.registers and case.model == models.READ_UNCOMMITTED:
        return WRITE_ORDER
    if case.model == models.CURSOR_STABILITY and "lost-update" in case.theirs:
        return FIRST_READ
    return OPEN


def _micro(row: Mapping[str, object]) -> list[list[object]]:
    micro: list[list[object]] = json.loads(str(row["micro"]))
    return micro


def _without_future(rows: Rows) -> Iterator[dict[str, object]]:
    """Yield the transactions without reads of what they wrote later."""
    for row in rows:
        micro = _micro(row)
        kept = [each for at, each in enumerate(micro) if not _is_future(each, micro[at + 1 :])]
        yield {**row, "micro": json.dumps(kept)}


def _is_future(read: list[object], later: list[list[object]]) -> bool:
    op, key, value = read
    found = value if isinstance(value, list) else [value]
    return op == "r" and any(other[0] != "r" and other[1] == key and other[2] in found for other in later)


def _without_later(rows: Rows) -> Iterator[dict[str, object]]:
    """Yield the transactions without reads of a key that they had read or written before."""
    for row in rows:
        micro = _micro(row)
        kept = [each for at, each in enumerate(micro) if each[0] != "r" or each[1] not in [m[1] for m in micro[:at]]]
        yield {**row, "micro": json.dumps(kept)}


def _without_crashed(rows: Rows) -> Iterator[dict[str, object]]:
    """Yield the transactions of known outcome, with all reads of what the others wrote taken out."""
    crashed = [each for row in rows if row["outcome"] == "info" for each in _micro(row) if each[0] != "r"]
    written = [each[1:] for each in crashed]
    for row in rows:
        if row["outcome"] != "info":
            kept = [each for each in _micro(row) if each[0] != "r" or each[1:] not in written]
            yield {**row, "micro": json.dumps(kept)}
