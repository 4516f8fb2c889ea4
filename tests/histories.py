"""Small histories for the tests of checkers: rows as dicts, times in milliseconds after an origin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.check import Context
from caplab.model.history import SCHEMA, Table, validate
from caplab.model.runs import Baseline, FaultWindow, FinalScan, RunRecord, WallAnchor

MS = 1_000_000
ORIGIN_NS = 7_000_000_000_000  # as a monotonic clock shows it

Row = dict[str, Any]


def at(ms: float) -> int:
    """A moment in nanoseconds."""
    return ORIGIN_NS + round(ms * MS)


def operation(scheduled_ms: float, outcome: str = "ok", latency_ms: float | None = 2, **columns: Any) -> Row:
    """One operation, invoked as scheduled; latency None: it never returned."""
    row: Row = {
        "vantage": "a",
        "session": 1,
        "op": "write",
        "scheduled_ns": at(scheduled_ms),
        "invoke_ns": at(scheduled_ms),
        "return_ns": None if latency_ms is None else at(scheduled_ms + latency_ms),
        "outcome": outcome,
    }
    return row | columns


def adds(values: Iterable[int], outcome: str = "ok", first_ms: float = 0, **columns: Any) -> list[Row]:
    """Adds of values, 10 ms apart."""
    return [
        operation(first_ms + 10 * number, outcome, op="add", value=value, **columns)
        for number, value in enumerate(values)
    ]


def scan(elements: Iterable[int], scheduled_ms: float = 1_000_000, **columns: Any) -> list[Row]:
    """A scan, one row an element."""
    return [operation(scheduled_ms, op="scan", value=element, **columns) for element in elements]


def table(rows: Iterable[Row]) -> Table:
    """Rows as a prober writes them: plain strings, not sorted."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def history(rows: Iterable[Row]) -> Table:
    """Rows as checkers take them."""
    return validate(table(rows))


def kill(injected_ms: float = 1000, healed_ms: float | None = 10_000, proven: bool = True) -> FaultWindow:
    """A kill of a primary."""
    healed_ns = None if healed_ms is None else at(healed_ms)
    return FaultWindow("kill", "pg-0", at(injected_ms), healed_ns, ("cgroup empty",) if proven else (), proven)


def scanned(elements: int, server: str | None = None) -> Context:
    """What is known of a final scan that went well."""
    return Context(final_scan=FinalScan(True, elements, server))


def run_record(**fields: Any) -> RunRecord:
    """A run that killed the primary of an asynchronous cluster."""
    values: dict[str, Any] = {
        "experiment": "postgres/kill-primary",
        "engine": "postgres",
        "mode": "async",
        "fault": "kill-primary",
        "settings": {"ttl": 20, "loopWait": 5, "maximumLagOnFailover": 1048576, "writesPerSecond": 100},
        "seed": 7,
        "fault_windows": (kill(),),
        "boot_id": "2b6f",
        "wall_anchor": WallAnchor(ORIGIN_NS, 1_700_000_000_000_000_000),
        "versions": {"postgres": "17.2", "patroni": "4.0.4"},
        "baseline": Baseline(True),
    }
    return RunRecord(**(values | fields))
