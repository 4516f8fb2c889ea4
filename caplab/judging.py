"""Judging a run's folder: its checkers, and the verdict of its row.

A run is judged once, by the control that measured it. Others read what it concluded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .check import Context, Finding, check_history
from .files import expectations_file, results
from .model.expectations import Expectations
from .model.runs import RunRecord
from .verdict import Verdict, judge


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run with its findings and its verdict."""

    record: RunRecord
    findings: tuple[Finding, ...]
    verdict: Verdict


def judge_folder(folder: Path) -> JudgedRun:
    """Read a run's folder, check and judge it, and store the findings in it.

    Raises OSError or ValueError if there is no run to read, LookupError if no row fits it.
    """
    record, history = results.read_run(folder)
    row = expectations().find(record.engine, record.mode, record.fault)
    findings = check_history(history, Context.of(record))
    results.write_findings(folder, findings)
    return JudgedRun(record, findings, judge(row, record, findings))


def read_judged(folder: Path, outcome: Mapping[str, Any]) -> JudgedRun:
    """Read a judged run; outcome is what its control wrote into the journal. The history is not needed.

    Raises OSError or FieldError if a file is missing or damaged.
    """
    verdict = Verdict.from_json(f"{results.JOURNAL}: caplab", outcome)
    return JudgedRun(results.read_record(folder), results.read_findings(folder), verdict)


@cache
def expectations() -> Expectations:
    """Return the project's own table: the packaged one, else that of the checkout; it is read once."""
    packaged = Path(__file__).parent / "expectations.yaml"
    return expectations_file.read(packaged if packaged.exists() else experiments_folder() / "expectations.yaml")


def experiments_folder() -> Path:
    """Return the experiments' folder: in the package, else in the checkout."""
    packaged = Path(__file__).parent / "experiments"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "experiments"
