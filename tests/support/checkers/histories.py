"""Small histories for the tests of checkers: rows as dicts, times in milliseconds after an origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.check import Context, check_history
from caplab.files.expectations_file import read
from caplab.model.history import SCHEMA, Table, validate
from caplab.model.runs import Baseline, FaultWindow, FinalScan, RunRecord, WallAnchor
from caplab.report import RunReport
from caplab.verdict import judge

MS = 1_000_000
ORIGIN_NS = 7_000_000_000_000  # as a monotonic clock shows it
EXPECTATIONS = read(Path(__file__).parents[3] / "experiments" / "expectations.yaml")

Row = dict[str, Any]

CUT_TITLE = "A Redis primary and its zone are cut off (wait 0, min-0)"
SIDES = {"minority": ("b",), "majority": ("a", "c")}  # of a cut

OLD_ID, NEW_ID = "e7fde5a2" * 5, "39110c49" * 5  # replication ids; their names have no order
# The fields of a run record for another engine: a Redis whose primary was killed.
REDIS: Row = {
    "experiment": "redis/kill-primary",
    "engine": "redis",
    "mode": "everysec-wait-0",
    "settings": {
        "downAfterMilliseconds": 1000,
        "failoverTimeoutMilliseconds": 6000,
        "persistence": "everysec",
        "writesPerSecond": 100,
    },
    "versions": {"redis": "8.0.2"},
}


# And for a Cassandra with one member killed, for 15 s from the tenth second on.
CASSANDRA: Row = {
    "experiment": "cassandra/kill-node",
    "engine": "cassandra",
    "mode": "QUORUM-QUORUM",
    "fault": "kill-node",
    "settings": {
        "readMilliseconds": 800,
        "writeMilliseconds": 800,
        "casMilliseconds": 800,
        "phiConvictThreshold": 5,
        "writesPerSecond": 100,
        "faultSeconds": 15,
    },
    "versions": {"cassandra": "5.0.6"},
    "has_primary": False,
}
MEMBERS = ("cs-0", "cs-1", "cs-2")  # cs-1 is the one that is killed


def at(ms: float) -> int:
    """Convert milliseconds to a moment in nanoseconds."""
    return ORIGIN_NS + round(ms * MS)


def operation(scheduled_ms: float, outcome: str = "ok", latency_ms: float | None = 2, **columns: Any) -> Row:
    """Make one operation, invoked as scheduled; latency None: it never returned."""
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
    """Make adds of values, 10 ms apart."""
    return [
        operation(first_ms + 10 * number, outcome, op="add", value=value, **columns)
        for number, value in enumerate(values)
    ]


def scan(elements: Iterable[int | None], scheduled_ms: float = 1_000_000, **columns: Any) -> list[Row]:
    """Make a scan, one row for each element; None is that there was none."""
    return [operation(scheduled_ms, op="scan", value=element, **columns) for element in elements]


def table(rows: Iterable[Row]) -> Table:
    """Make a table of rows as a prober writes them: plain strings, not sorted."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def history(rows: Iterable[Row]) -> Table:
    """Make a history of rows as checkers take it."""
    return validate(table(rows))


def kill(injected_ms: float = 1000, healed_ms: float | None = 10_000, proven: bool = True) -> FaultWindow:
    """Make the window of a kill of a primary."""
    healed_ns = None if healed_ms is None else at(healed_ms)
    return FaultWindow(
        kind="kill",
        target="pg-0",
        injected_ns=at(injected_ms),
        healed_ns=healed_ns,
        evidence=("cgroup empty",) if proven else (),
        proven=proven,
    )


def scanned(elements: int, server: str | None = None) -> Context:
    """Make the record of a final scan that succeeded."""
    return Context(final_scan=FinalScan(converged=True, elements=elements, server=server))


def run_record(**fields: Any) -> RunRecord:
    """Make the record of a run that killed the primary of an asynchronous cluster."""
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


def killed_run(
    lost: Iterable[int] = (), down_ms: int = 2000, operations: int = 3000, epochs: tuple[str, str] = ("1", "2")
) -> list[Row]:
    """Make a kill of the primary at 10 s, seen by vantages a, b and c: adds to members, reads through the Service.

    Each has an operation every 10 ms; the primary acks nothing for down_ms. lost values were acked, but are not found.
    epochs are those before and after.
    """
    rows, gone, survived = [], set(lost), []
    for number in range(operations):
        ms = 10 * number
        outcome, error = ("ok", None) if not 10_000 <= ms < 10_000 + down_ms else ("fail", "refused")
        value = operations * 10 + number
        labels = {"vantage": "abc"[number % 3], "error": error, "epoch": epochs[ms >= 10_000]}
        rows.append(operation(ms, outcome, 3, op="add", value=value, route="direct", **labels))
        rows.append(operation(ms, outcome, 1, op="read", route="service", **labels))
        if outcome == "ok" and value not in gone:
            survived.append(value)
    return rows + scan(survived)


def node_kill_run(
    levels: tuple[str, str] = ("QUORUM", "QUORUM"),
    writes_down_ms: int = 300,
    reads_down_ms: int = 300,
    direct_down_ms: int = 40_000,
    lost: Iterable[int] = (),
    lacking: Iterable[int] = (),
) -> list[Row]:
    """Make a kill of cs-1 at 10 s, seen by vantages a, b and c: adds and reads through the Service, writes to members.

    There is one of each every 10 ms for 60 s. No row has an epoch. lost values were acked, and no copy has them; cs-1's
    own copy lacks the values in lacking. Each member's copy is scanned, then all together.
    """
    rows, survived = [], []
    gone, missed = set(lost), set(lacking)
    for number in range(6000):
        ms, value, write, read = 10 * number, 60_000 + number, *levels
        labels = {"vantage": "abc"[number % 3], "server": MEMBERS[number % 2 * 2]}
        acked = not 10_000 <= ms < 10_000 + writes_down_ms
        result = {"outcome": "ok"} if acked else {"outcome": "fail", "error": "no-quorum", "server": None}
        rows.append(operation(ms, op="add", value=value, route="service", level=write) | labels | result)
        served = not 10_000 <= ms < 10_000 + reads_down_ms
        result = {"outcome": "ok"} if served else {"outcome": "info", "error": "closed", "server": None}
        rows.append(operation(ms, latency_ms=1, op="read", route="service", level=read) | labels | result)
        asked = MEMBERS[number // 3 % 3]
        up = asked != "cs-1" or not 10_000 <= ms < 10_000 + direct_down_ms
        result = {"outcome": "ok", "server": asked} if up else {"outcome": "fail", "error": "refused", "server": None}
        rows.append(operation(ms, op="write", value=number, route="direct", level=write) | labels | result)
        if acked and value not in gone:
            survived.append(value)
    own = [value for value in survived if value not in missed]
    for number, member in enumerate(MEMBERS):
        rows += scan(own if member == "cs-1" else survived, 1_000_000 + number, server=member, route="direct")
    return rows + scan(survived, 1_000_010, server="all", route="service")


def node_kill_report(name: str = "", run_id: str = "run-c", mode: str = "QUORUM-QUORUM", **how: Any) -> RunReport:
    """Make a run of Cassandra, checked and judged; how is node_kill_run's."""
    write, read = mode.split("-")
    rows = node_kill_run((write, read), **how)
    scans = [row["server"] for row in rows if row["op"] == "scan"]
    final = FinalScan(
        converged=True,
        elements=scans.count("all"),
        server="all",
        local={member: scans.count(member) for member in MEMBERS},
    )
    window = replace(kill(10_000, 25_000), target="cs-1")
    fields = CASSANDRA | {"mode": mode, "fault_windows": (window,), "final_scan": final, "settled_ns": at(52_000)}
    return report_of(rows, name, run_id, **fields)


def cut_run(zone_down_ms: int = 40_000, majority_down_ms: int = 2_000, lost: int = 0) -> list[Row]:
    """Make a cut of zone b from 10 s to 25 s. b reaches the primary directly; so many of its writes there are lost."""
    rows, survived = [], []
    for number in range(6000):
        ms, vantage = 10 * number, "abc"[number % 3]
        down_ms, route = (zone_down_ms, "direct") if vantage == "b" else (majority_down_ms, "service")
        acked = not 10_000 <= ms < 10_000 + down_ms
        of_client: Row = {"vantage": vantage, "route": route, "epoch": "12"[ms >= 12_000 and vantage != "b"]}
        result: Row = {"outcome": "ok"} if acked else {"outcome": "info", "error": "timeout"}
        rows.append(operation(ms, op="add", value=number, **of_client) | result)
        rows.append(operation(ms, op="read", **of_client))
        if acked and not (vantage == "b" and 1000 <= number < 1000 + 3 * lost):
            survived.append(number)
    return rows + scan(survived)


def cut_report(rows: Iterable[Row] = (), **how: int) -> RunReport:
    """Make a run of Redis with zone b cut off, checked and judged; how is cut_run's, if there are no rows."""
    return report_of(
        rows or cut_run(**how),
        experiment=CUT_TITLE,
        engine="redis",
        mode="wait-0-min-0",
        fault="partition-primary",
        settings={"downAfterMilliseconds": 1000, "writesPerSecond": 100, "faultSeconds": 15, "vantages": 3},
        fault_windows=(replace(kill(10_000, 25_000), kind="partition", target="rd-1"),),
        sides=SIDES,
    )


def report_of(rows: Iterable[Row], name: str = "", run_id: str = "run-1", **fields: Any) -> RunReport:
    """Make a run of an expectation row, checked and judged; fields are the record's, beside clock and seconds."""
    beside = {"clock": fields.pop("clock", None), "seconds": fields.pop("seconds", {})}
    made = table(rows)
    elements = sum(op == "scan" for op in made["op"].to_pylist())
    record = run_record(**({"final_scan": FinalScan(converged=True, elements=elements), "mode": "quorum"} | fields))
    findings = check_history(made, Context.of(record))
    row = EXPECTATIONS.find(record.engine, record.mode, record.fault)
    return RunReport(
        name=name or row.name,
        run_id=run_id,
        record=record,
        verdict=judge(row, record, findings),
        findings=findings,
        **beside,
    )
