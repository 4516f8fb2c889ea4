"""Suites in folders as `caplab run` leaves them, for the tests of report.html; one of them is full of hostile text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from caplab.files import results
from caplab.judging import judge_folder
from caplab.model.runs import FinalScan, RunRecord
from caplab.run import plans
from caplab.run.plans import Machine, PlannedRun, SuitePlan
from support.checkers.histories import (
    NEW_ID,
    OLD_ID,
    REDIS,
    Row,
    adds,
    at,
    kill,
    killed_run,
    operation,
    run_record,
    scan,
    table,
)

MACHINE = Machine(cores=2, memory_bytes=24 << 30, load=1.5, cpu="One", architecture="x86_64", kernel="6.1")
LOST, STALE, OVERLAPS = 40, 6, 20  # of the run of Redis
MARKUP = '<img src=x onerror="window.attacked = 1"></script><script>window.attacked = 1</script>\'"&amp;'
HOSTILE = f"{MARKUP}\x1b[31m\x07\u202e{'long' * 2500}"
_KILLED = kill(10_000, 22_000)


def redis_rows() -> list[Row]:
    """Make a failover of Redis with lost writes, stale reads, and an old primary that still acknowledges."""
    rows = killed_run(lost=range(31_250, 31_250 + LOST), epochs=(OLD_ID, NEW_ID))
    for row in rows:
        if row["op"] != "scan":
            row["server"] = "rd-0" if row["epoch"] == OLD_ID else "rd-1"
    for number in range(60):
        rows.append(operation(10 + 200 * number, key="k", value=number, vantage="a", route="service", server="rd-1"))
        seen = number - 1 if number >= 60 - STALE else number
        read = operation(
            100 + 200 * number, op="read", key="k", value=seen, vantage="b", route="replica", server="rd-2"
        )
        rows.append(read | {"session": 2})
    late: Row = {"vantage": "c", "session": 3, "epoch": OLD_ID, "server": "rd-0", "route": "direct"}
    rows += [operation(12_900 + 5 * number, op="add", value=90_000 + number, **late) for number in range(OVERLAPS)]
    return rows + scan(range(90_000, 90_000 + OVERLAPS))


def write_run(folder: Path, record: RunRecord, rows: list[Row], run_id: str = "run-1") -> Path:
    """Write the folder of a judged run."""
    elements = sum(row["op"] == "scan" for row in rows)
    whole = replace(record, final_scan=FinalScan(converged=True, elements=elements))
    results.write_run(folder, whole, table(rows))
    verdict = judge_folder(folder).verdict.to_json()
    results.write_journal(
        folder, {"status": "completed", "caplab": {"run": run_id, "seconds": {"load": 40.0}} | verdict}
    )
    return folder


def write_suite(folder: Path, record_fields: Mapping[str, Any] | None = None) -> Path:
    """Write a suite of five planned runs: valid, invalid, invalid with every anomaly, unknown, and one never made."""
    fields: dict[str, Any] = {"mode": "quorum", "fault_windows": (_KILLED,), "settled_ns": at(25_000)}
    redis: dict[str, Any] = {**REDIS, "fault_windows": (replace(_KILLED, target="rd-0"),), "settled_ns": at(24_000)}
    unproven = replace(_KILLED, proven=False)
    made = (
        ("postgres/kill-primary", run_record(**fields), killed_run()),
        ("postgres/kill-primary", run_record(**fields), killed_run(lost=[31_300])),
        ("redis/kill-primary", run_record(**{**redis, **(record_fields or {})}), redis_rows()),
        ("postgres/kill-primary", run_record(**{**fields, "fault_windows": (unproven,)}), killed_run()),
    )
    planned = []
    for number, (experiment, record, rows) in enumerate(made, 1):
        run = _planned(number, experiment)
        write_run(folder / run.folder, record, rows, f"run-{number}")
        planned.append(run)
    planned.append(_planned(len(planned) + 1, "postgres/control"))
    _write_plan(folder, planned)
    return folder


def write_control(folder: Path) -> Path:
    """Write a suite of one run without a fault."""
    record = run_record(mode="quorum", fault="none", fault_windows=())
    rows = [*adds(range(100), route="direct", epoch="1", server="pg-0"), *scan(range(100))]
    run = _planned(1, "postgres/control")
    write_run(folder / run.folder, record, rows)
    _write_plan(folder, [run])
    return folder


def hostile_fields() -> dict[str, Any]:
    """Return fields of a record whose texts try to become markup, to control a terminal, or to fill the page."""
    window = replace(_KILLED, target=HOSTILE, evidence=(HOSTILE,))
    return {
        "experiment": HOSTILE,
        "settings": {**REDIS["settings"], HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}},
        "versions": {HOSTILE: HOSTILE},
        "images": {"redis": HOSTILE},
        "specs": {HOSTILE: HOSTILE},
        "fault_windows": (window,),
    }


def _planned(number: int, experiment: str) -> PlannedRun:
    settings = {"durability": "quorum"} if experiment.startswith("postgres") else {"wait": "0"}
    return PlannedRun(number=number, experiment=experiment, settings=settings, repeat=1, digest="0")


def _write_plan(folder: Path, runs: list[PlannedRun]) -> None:
    plan = SuitePlan(suite="core", name="core", settings={}, repeat=1, machine=MACHINE, runs=tuple(runs))
    plans.write(folder, plan)
