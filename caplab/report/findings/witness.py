"""Witnesses of a finding: each anomaly as a sentence, and the operations that prove it as a small table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from .. import words
from ..grid import Grid, in_columns
from ..values import Figures, listed, number

FOLDED_FROM = 12  # operations of a witness that are all shown; of more only the first and the last
_ELEMENTS = 4  # the last ones of a list that are shown
_FIRST, _LAST = 6, 5  # shown of those
_HEADER = ("row", "client", "operation", "outcome", "invoked", "returned", "where")
_ORDERED = ("row", "client", "operation", "outcome", "order", "where")  # without a clock
_WHERE = {"route": "", "server": "", "level": "level ", "epoch": "epoch "}
_RIGHT = {"row", "invoked", "returned"}  # aligned, as numbers are


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a checker's witnesses is shown: so many, and no more than the first once they have more operations.

    operations: in all; 0 is no bound, and no witness is folded.
    """

    witnesses: int
    operations: int


BRIEF = Budget(3, FOLDED_FROM)
VERBOSE = Budget(5, 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """How witnesses are shown; has_clock: with the times of their operations, else with their order."""

    budget: Budget
    has_clock: bool = True


def witnesses(figures: Figures, width: int, how: Shown) -> list[str]:
    """Show the first witnesses, as lines of at most this width; rows are those of the file, from 1, times seconds."""
    all_of_them = listed(figures, "witnesses")
    count = _count([len(listed(witness, "operations")) for witness in all_of_them], how.budget)
    lines: list[str] = []
    for place, witness in enumerate(all_of_them[:count], 1):
        what = words.shortened(words.one_line(str(witness.get("what", ""))))
        lines += textwrap.wrap(f"{place}. {what}", width, subsequent_indent="   ")
        lines += [f"   {line}" for line in _table(listed(witness, "operations"), width - 3, how)]
    if more := len(all_of_them) - count:
        option = "--json has them" if how.budget is VERBOSE else "--verbose shows more, --json all"
        lines.append(f"and {more} more ({option})")
    return lines


def _count(sizes: Sequence[int], budget: Budget) -> int:
    """Return how many witnesses of these numbers of operations are shown: one at least."""
    shown = sizes[: budget.witnesses]
    while budget.operations and len(shown) > 1 and sum(shown) > budget.operations:
        shown = shown[:-1]
    return len(shown)


def _table(operations: tuple[Figures, ...], width: int, how: Shown) -> list[str]:
    if not operations:
        return []
    rows = [cells(operation, how.has_clock) for operation in operations]
    header = _HEADER if how.has_clock else _ORDERED
    used = len(header) if any(row[-1] for row in rows) else len(header) - 1  # where: often not recorded
    if how.budget.operations and len(rows) > FOLDED_FROM:
        fold = ("...", "", f"{len(rows) - _FIRST - _LAST} more", *[""] * (len(header) - 3))
        rows = [*rows[:_FIRST], fold, *rows[-_LAST:]]
    texts = frozenset(place for place, name in enumerate(header[:used]) if name not in _RIGHT)
    return in_columns(Grid("", header[:used], tuple(row[:used] for row in rows), texts), width=width)[1:]


def cells(operation: Figures, has_clock: bool = True) -> tuple[str, ...]:
    """Format an operation: its row from 1, client, operation, outcome, times (or their order), and where it went."""
    row = number(operation, "row")
    times = number(operation, "invoke_seconds"), number(operation, "return_seconds")
    return (
        words.NOTHING if row is None else str(int(row) + 1),
        f"{_word(operation, 'vantage')}/{_word(operation, 'session')}",
        _operation(operation),
        " ".join(_word(operation, name) for name in ("outcome", "error") if name in operation),
        *(map(_seconds, times) if has_clock else (_order(*times),)),
        ", ".join(f"{label}{_word(operation, name)}" for name, label in _WHERE.items() if name in operation),
    )


def _operation(operation: Figures) -> str:
    """Format an operation, such as 'write x = 5', 'read x: 4', 'cas x 4 = 5, found 3'."""
    op = _word(operation, "op")
    key = f" {_word(operation, 'key')}" if "key" in operation else ""
    if op == "cas":
        observed = f", found {_word(operation, 'observed')}" if "observed" in operation else ""
        return f"cas{key} {_word(operation, 'expected')} = {_word(operation, 'value')}{observed}"
    if isinstance(micro := operation.get("txn"), list):
        return words.shortened(words.one_line(f"{op}: {', '.join(map(_micro, micro)) or 'nothing'}"))
    if op in ("read", "scan"):
        return f"{op}{key}: {'nothing' if operation.get('value') is None else _word(operation, 'value')}"
    return f"{op}{key} = {_word(operation, 'value')}" if "value" in operation else f"{op}{key}"


def _micro(micro: object) -> str:
    """Format a micro-operation of a transaction, such as 'append x = 3', 'read x: [..., 4, 5]'."""
    op, key, value = micro if isinstance(micro, list) and len(micro) == 3 else (micro, "", None)
    if op in ("append", "w"):
        return f"{'write' if op == 'w' else op} {key} = {value}"
    if isinstance(value, list):
        last = ", ".join(map(str, value[-_ELEMENTS:]))
        return f"read {key}: [{'..., ' if len(value) > _ELEMENTS else ''}{last}]"
    return f"read {key}: {'nothing' if value is None else value}"


def _word(operation: Figures, name: str) -> str:
    value = operation.get(name)
    return words.NOTHING if value is None else words.shortened(words.one_line(str(value)))


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.6f}"


def _order(invoked: float | None, returned: float | None) -> str:
    """Format where an operation begins and ends in the order of a history without a clock: '3 to 7'."""
    begin, end = (words.NOTHING if place is None else f"{place * 1e9:.0f}" for place in (invoked, returned))
    return begin if begin == end else f"{begin} to {end}" if returned is not None else f"{begin}, never ended"
