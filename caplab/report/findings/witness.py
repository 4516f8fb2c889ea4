"""Witnesses of a finding: each anomaly as a sentence, and the operations that prove it as a small table."""

from __future__ import annotations

import textwrap

from .. import words
from ..grid import Grid, in_columns
from ..values import Figures, listed, number

SHOWN = 5  # of one checker; all are in --json
_HEADER = ("row", "client", "operation", "outcome", "invoked", "returned", "where")
_WHERE = {"route": "", "server": "", "level": "level ", "epoch": "epoch "}
_NUMBERS = (0, 4, 5)
_TEXTS = frozenset(range(len(_HEADER))) - set(_NUMBERS)


def witnesses(figures: Figures, width: int) -> list[str]:
    """Show the first SHOWN, as lines of at most this width; rows are those of the file, from 1, times are seconds."""
    all_of_them = listed(figures, "witnesses")
    lines: list[str] = []
    for place, witness in enumerate(all_of_them[:SHOWN], 1):
        what = words.shortened(words.one_line(str(witness.get("what", ""))))
        lines += textwrap.wrap(f"{place}. {what}", width, subsequent_indent="   ")
        lines += [f"   {line}" for line in _table(listed(witness, "operations"), width - 3)]
    if more := len(all_of_them) - SHOWN:
        lines += [f"and {more} more (--json has them)"] if more > 0 else []
    return lines


def _table(operations: tuple[Figures, ...], width: int) -> list[str]:
    if not operations:
        return []
    rows = tuple(_row(operation) for operation in operations)
    used = len(_HEADER) if any(row[-1] for row in rows) else len(_HEADER) - 1  # where: often not recorded
    grid = Grid("", _HEADER[:used], tuple(row[:used] for row in rows), _TEXTS - set(range(used, len(_HEADER))))
    return in_columns(grid, width=width)[1:]


def _row(operation: Figures) -> tuple[str, ...]:
    row = number(operation, "row")
    return (
        words.NOTHING if row is None else str(int(row) + 1),
        f"{_word(operation, 'vantage')}/{_word(operation, 'session')}",
        _operation(operation),
        " ".join(_word(operation, name) for name in ("outcome", "error") if name in operation),
        _seconds(number(operation, "invoke_seconds")),
        _seconds(number(operation, "return_seconds")),
        ", ".join(f"{label}{_word(operation, name)}" for name, label in _WHERE.items() if name in operation),
    )


def _operation(operation: Figures) -> str:
    """Format an operation, such as 'write x = 5', 'read x: 4', 'cas x 4 = 5, found 3'."""
    op = _word(operation, "op")
    key = f" {_word(operation, 'key')}" if "key" in operation else ""
    if op == "cas":
        observed = f", found {_word(operation, 'observed')}" if "observed" in operation else ""
        return f"cas{key} {_word(operation, 'expected')} = {_word(operation, 'value')}{observed}"
    if op in ("read", "scan"):
        return f"{op}{key}: {'nothing' if operation.get('value') is None else _word(operation, 'value')}"
    return f"{op}{key} = {_word(operation, 'value')}" if "value" in operation else f"{op}{key}"


def _word(operation: Figures, name: str) -> str:
    value = operation.get(name)
    return words.NOTHING if value is None else words.shortened(words.one_line(str(value)))


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.6f}"
