"""A folder of experiments and a stand-in for Chaos Toolkit, for the tests of suites: nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from caplab.files import results
from caplab.judging import judge_folder
from caplab.model.runs import FinalScan, RunRecord
from caplab.run_context import RunContext
from support.checkers.histories import adds, kill, killed_run, run_record, scan, table

SUITE = """title: two
runs:
- {experiment: postgres/kill-primary, settings: {durability: quorum}}
- {experiment: postgres/control, settings: {durability: quorum}}
- {experiment: redis/control}
"""
SECONDS = {"cluster": 20.0, "load": 40.0}


def experiments_in(folder: Path, suite: str = SUITE) -> Path:
    """Write experiment files that are not experiments, and the suite 'two' of them."""
    for name in ("postgres/kill-primary", "postgres/control", "redis/control"):
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"title: {name}\n")
    (folder / "suites").mkdir(exist_ok=True)
    (folder / "suites" / "two.yaml").write_text(suite)
    return folder


def left_behind(folder: Path, record: RunRecord, lost: bool = False) -> dict[str, Any]:
    """Write a small run that is valid by its row, except for what is lost. Returns its verdict, as the control does."""
    rows = killed_run([15_100] if lost else [], operations=1500)
    if record.fault == "none":
        rows = [*adds(range(100), route="direct", epoch="1"), *scan(range(1, 100) if lost else range(100))]
    elements = sum(row["op"] == "scan" for row in rows)
    results.write_run(folder, replace(record, final_scan=FinalScan(converged=True, elements=elements)), table(rows))
    return judge_folder(folder).verdict.to_json()


def record_of(experiment: str) -> RunRecord:
    """Make the record of a run of one of these experiments."""
    engine, _, fault = experiment.partition("/")
    if fault == "kill-primary":
        return run_record(mode="quorum", fault_windows=(kill(10_000, 14_000),))
    mode = "quorum" if engine == "postgres" else "everysec-wait-0"
    return run_record(experiment=experiment, engine=engine, mode=mode, fault="none", fault_windows=())


@dataclass
class FakeToolkit:
    """A stand-in for toolkit.drive: leaves a run behind, or does what is set for an experiment instead."""

    instead: dict[str, Callable[[Path], dict[str, Any]]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)  # the experiments whose runs lose a write
    driven: list[str] = field(default_factory=list)

    def __call__(self, file: Path, settings: Mapping[str, str], context: RunContext, out: TextIO) -> dict[str, Any]:
        folder = context.folder
        experiment = f"{file.parent.name}/{file.stem}"
        self.driven.append(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        if experiment in self.instead:
            return self.instead[experiment](folder)
        verdict = left_behind(folder, record_of(experiment), experiment in self.lost)
        return journal(f"id-{len(self.driven)}", **verdict)


def journal(run_id: str = "id-1", **outcome: Any) -> dict[str, Any]:
    """Make a journal of a measured run."""
    return {"status": "completed", "caplab": {"run": run_id, "seconds": SECONDS, "verdict": "valid"} | outcome}


def interrupted(folder: Path) -> dict[str, Any]:
    """Leave a half-made run, as Ctrl-C does: set it for an experiment of FakeToolkit."""
    (folder / "run.log").write_text("half made\n")
    raise KeyboardInterrupt
