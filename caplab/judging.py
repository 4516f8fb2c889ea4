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
from .files.packaged import expectations_path, experiments_folder
from .model.expectations import Expectations
from .model.runs import RunRecord
from .verdict import Verdict, judge

__all__ = ["JudgedRun", "expectations", "experiments_folder", "judge_folder", "read_judged"]


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
    return expectations_file.read(expectations_path())
