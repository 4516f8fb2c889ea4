"""Histories as a person writes them down: one operation a line, times in milliseconds.

    a1 write x 1 0-2
    a2 read  x - 5-9        nothing was there
    a1 write x 2 10-? info  it never returned

A line has vantage and session, op, key ('.': none), value ('-': none), from when to when, and the outcome if not ok.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import Table
from caplab.model.runs import FinalScan
from support.checkers.histories import Row, at

# Records of a final scan of keys that prove nothing, if the history has one row of it; and the resulting messages.
USELESS_SCANS = [
    (FinalScan(converged=False, elements=1, problem="pg-2 did not rejoin"), "had not converged .* pg-2 did not rejoin"),
    (FinalScan(converged=True, elements=None, problem="timed out"), "final scan failed: timed out"),
    (FinalScan(converged=True, elements=2), "returned 2 elements, but the history holds 1"),
    (FinalScan(converged=True, elements=1, server="pg-1"), "no final scan of keys"),
]


def written(text: str) -> list[Row]:
    """Parse the rows of a written history."""
    return [_row(line.split()) for line in text.splitlines() if line.strip()]


def _row(words: list[str]) -> Row:
    who, op, key, value, times, *outcome = words
    begin, end = times.split("-")
    return {
        "vantage": who[0],
        "session": int(who[1:]),
        "op": op,
        "key": None if key == "." else key,
        "value": None if value == "-" else int(value),
        "scheduled_ns": at(float(begin)),
        "invoke_ns": at(float(begin)),
        "return_ns": None if end == "?" else at(float(end)),
        "outcome": outcome[0] if outcome else "ok",
    }


def line_of(row: Mapping[str, Any]) -> str:
    """Write an operation of a witness in this form, without its times."""
    outcome = "" if row["outcome"] == "ok" else f" {row['outcome']}"
    value = "-" if row.get("value") is None else row["value"]
    return f"{row['vantage']}{row['session']} {row['op']} {row.get('key') or '.'} {value}{outcome}"


def lines_of(text: str) -> list[str]:
    """Return the operations of a written history in this form, by their invocation."""
    rows = sorted(written(text), key=lambda row: int(row["invoke_ns"]))
    return [line_of(row) for row in rows]


def witnesses_of(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the witnesses in a finding's figures."""
    return list(figures["witnesses"])


def alone(history: Table, operations: Sequence[Mapping[str, Any]], without: int | None = None) -> Table:
    """Make a history of a witness' operations only, all or all but one."""
    rows = [operation["row"] for place, operation in enumerate(operations) if place != without]
    return history.take(pa.array(rows, type=pa.int64()))
