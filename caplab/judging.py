"""Judging a run's folder: its checkers, and the verdict of its row.

A run is judged once, by the control that measured it. Others read what it concluded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .check import PROPERTIES, Context, Finding, check_history
from .check.finding import State
from .files import expectations_file, results
from .files.packaged import expectations_path, experiments_folder
from .model.expectations import Expectation, Expectations
from .model.fields import FieldError
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

    Raises OSError or FieldError if a file is missing or damaged, or if the verdict does not follow from the findings.
    """
    verdict = Verdict.from_json(f"{results.JOURNAL}: caplab", outcome)
    judged = JudgedRun(results.read_record(folder), results.read_findings(folder), verdict)
    if verdict.state is not State.UNKNOWN and (problem := _contradiction(judged)):
        raise FieldError(
            f"{results.JOURNAL}: the verdict is {verdict.state.value}, but {problem}"
            " Hint: some file was changed since the run was judged: copy them again, or run it again."
        )
    return judged


def _contradiction(judged: JudgedRun) -> str:
    """Say what in a verdict does not follow from the record and the findings; '' if all does.

    What another version of the lab measured is left alone.
    """
    record, verdict = judged.record, judged.verdict
    properties = tuple(judgement.expected for judgement in verdict.judgements)
    row = Expectation(
        engine=record.engine, mode=record.mode, fault=record.fault, properties=properties, why="", source=""
    )
    if verdict.row != row.name:
        return f"it is of the row '{verdict.row}', and the run of '{row.name}'."
    if not properties:
        return "it names no property."
    if verdict.state is State.HOLDS and verdict.reasons:
        return f"it has a reason against it: {verdict.reasons[0]}"
    known = {expected.property for expected in properties} <= PROPERTIES.keys()
    return _judged_otherwise(row, judged) if known else ""


def _judged_otherwise(row: Expectation, judged: JudgedRun) -> str:
    """Judge a run's findings again by its row, and say what comes of it if that is something else; '' if it is not."""
    verdict, again = judged.verdict, judge(row, judged.record, judged.findings)
    if again.state is not verdict.state:
        why = next(iter(again.reasons), "all that its row names holds.")
        return f"by {results.RECORD} and {results.FINDINGS} it is {again.state.value}: {why}"
    for now, then in zip(again.judgements, verdict.judgements, strict=True):
        if now.state is not then.state or now.measured != then.measured:
            return f"'{then.expected.name()}' is {then.measured} there, and {now.measured} in {results.FINDINGS}."
    return ""


@cache
def expectations() -> Expectations:
    """Return the project's own table: the packaged one, else that of the checkout; it is read once."""
    return expectations_file.read(expectations_path())
