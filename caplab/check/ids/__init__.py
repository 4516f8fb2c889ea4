"""Ids: a server hands out each id once, and ids grow with time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.checker import Checker
from caplab.check.columns import NEVER, Integers, among, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.lines import line_order, packed
from caplab.check.versions import key_codes
from caplab.check.witness import shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted, grouped, were

NAME = "ids"


def check(history: Table, context: Context) -> Finding:
    """Look for ids that were handed out twice, and for ids smaller than one that was acked before.

    It takes the ok operations with a value, key by key. Ids of concurrent operations may come in any order, gaps are
    allowed. Figures: keys, ids, without_value (ok operations without their id; left out), duplicates (ids that had been
    handed out by another operation: n equal ones are n - 1), out_of_order (ids handed out to an operation that was
    invoked after a greater one had been acked).

    Violated by either. Unknown with fewer than context.enough ids.
    """
    acked = among(history, "op", ["id"]) & among(history, "outcome", ["ok"])
    with_value = acked & present(history, "value")
    ids = _ids(history, np.flatnonzero(with_value))
    again, first = _duplicates(ids)
    late, greater = _out_of_order(ids)
    figures: dict[str, Json] = {
        "keys": len(np.unique(ids.key)),
        "ids": len(ids.row),
        "without_value": int((acked & ~with_value).sum()),
        "duplicates": len(again),
        "out_of_order": len(late),
    }
    many = shares([len(again), len(late)])
    figures["witnesses"] = [
        *_witnesses(history, "handed out twice", again[: many[0]], first[: many[0]], context),
        *_witnesses(history, "handed out after a greater one was acked", late[: many[1]], greater[: many[1]], context),
    ]
    state, reason = _judge(figures, context.enough)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["id"]).any() else "no operation is an id"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ids:
    """Ids that were handed out, by invocation."""

    row: Integers
    key: Integers
    value: Integers
    invoke_ns: Integers
    return_ns: Integers


def _ids(history: Table, rows: Integers) -> _Ids:
    value, invoke_ns = (integers(history, name, 0)[rows] for name in ("value", "invoke_ns"))
    return _Ids(
        row=rows,
        key=key_codes(history)[0][rows],
        value=value,
        invoke_ns=invoke_ns,
        return_ns=integers(history, "return_ns", NEVER)[rows],
    )


def _duplicates(ids: _Ids) -> tuple[Integers, Integers]:
    """Return the rows of ids that had been handed out already, and for each the row of the one invoked first."""
    order = line_order(ids.key, ids.value, ids.row)
    key, value, row = ids.key[order], ids.value[order], ids.row[order]
    same = np.zeros(len(order), dtype=np.bool_)
    same[1:] = (key[1:] == key[:-1]) & (value[1:] == value[:-1])
    begin = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    by_row = np.argsort(row[same])
    return row[same][by_row], row[begin[same]][by_row]


def _out_of_order(ids: _Ids) -> tuple[Integers, Integers]:
    """Return the rows of ids smaller than one acked before, and for each the row of the greatest such id."""
    by_return = line_order(ids.key, ids.return_ns)
    by_invoke = line_order(ids.key, ids.invoke_ns)
    acked, asked = packed(
        (ids.key[by_return], ids.return_ns[by_return]), (ids.key[by_invoke], ids.invoke_ns[by_invoke])
    )
    values, smaller = packed((ids.key[by_return], ids.value[by_return]), (ids.key[by_invoke], ids.value[by_invoke]))
    greatest = np.maximum.accumulate(values)
    before = np.searchsorted(acked, asked, side="left") - 1  # of another key, or -1, if none was acked
    late = np.flatnonzero((before >= 0) & (greatest[before] > smaller)) if len(values) else before
    place = np.searchsorted(greatest, greatest[before[late]], side="left")  # where it became the greatest
    row = ids.row[by_invoke[late]]
    by_row = np.argsort(row)
    return row[by_row], ids.row[by_return[place]][by_row]


def _witnesses(history: Table, what: str, rows: Integers, others: Integers, context: Context) -> list[Json]:
    values = integers(history, "value", 0)
    return [
        witness(history, f"The id {values[row]} was {what}{_greater(values, row, other)}.", (other, row), context)
        for row, other in zip(rows.tolist(), others.tolist(), strict=True)
    ]


def _greater(values: Integers, row: int, other: int) -> str:
    return "" if values[row] == values[other] else f": {values[other]}"


def _judge(figures: dict[str, Json], enough: int) -> tuple[State, str]:
    ids = figures["ids"]
    if figures["duplicates"] or figures["out_of_order"]:
        return State.VIOLATED, (
            f"Of {counted(ids, 'id')} {grouped(figures['duplicates'])} had been handed out before,"
            f" {grouped(figures['out_of_order'])} {are(figures['out_of_order'])} smaller than one that was acked"
            " before."
        )
    if not isinstance(ids, int) or ids < enough:
        return State.UNKNOWN, f"Only {counted(ids, 'id')} {were(ids)} handed out; {enough:,} {are(enough)} needed."
    return (
        State.HOLDS,
        "The only id is no other's." if ids == 1 else f"All {grouped(ids)} ids are different, and grow with time.",
    )


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
)
