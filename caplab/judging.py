"""Judging a run's folder: its checkers, and the verdict of its row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import expectations_file, results
from .check import Context, Finding, check_history
from .model.expectations import Expectations
from .model.history import Table
from .model.runs import RunRecord
from .verdict import Verdict, judge


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run with its findings and its verdict."""

    record: RunRecord
    history: Table
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
    return JudgedRun(record, history, findings, judge(row, record, findings))


@cache
def expectations() -> Expectations:
    """Return the project's own table: the packaged one, else that of the checkout; it is read once."""
    packaged = Path(__file__).parent / "expectations.yaml"
    return expectations_file.read(packaged if packaged.exists() else experiments_folder() / "expectations.yaml")


def experiments_folder() -> Path:
    """Return the experiments' folder: in the package, else in the checkout."""
    packaged = Path(__file__).parent / "experiments"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "experiments"
