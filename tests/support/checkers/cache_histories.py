"""Readers of a cache and loads of the database behind it, as histories written by hand."""

from __future__ import annotations

from support.checkers.histories import Row, operation

QUIET_MS, LOAD_MS = 1.0, 50.0


def reads(first_s: float, end_s: float, latency_ms: float | None = QUIET_MS, outcome: str = "ok") -> list[Row]:
    """Make reads, a hundred a second."""
    error = {"error": "timeout"} if outcome != "ok" else {}
    due = range(round(1000 * first_s), round(1000 * end_s), 10)
    return [operation(due_ms, outcome, latency_ms, op="read", key="k", **error) for due_ms in due]


def loads(first_s: float, end_s: float, per_second: int, outcome: str = "ok") -> list[Row]:
    error = {"error": "timeout"} if outcome != "ok" else {}
    due = range(round(1000 * first_s), round(1000 * end_s), 1000 // per_second)
    return [operation(due_ms, outcome, LOAD_MS, op="load", key="k", **error) for due_ms in due]
