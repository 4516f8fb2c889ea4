"""What becomes of judged runs: their reports, the files of their suite, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..check.finding import State, merge
from ..contract.names import VERDICT_SCHEMA
from ..files import results
from ..judging import JudgedRun
from ..report.junit import LabFailure, junit_xml
from ..report.summary import summary_markdown, verdict_json
from ..report.timeline.picture import timeline
from ..report.values import RunReport
from .plans import SuitePlan
from .reading import report_of

EXIT_CODES: Mapping[State, int] = {State.HOLDS: 0, State.VIOLATED: 1, State.UNKNOWN: 2}
LAB_FAILED = 3

Ended = RunReport | LabFailure


def rendered(folder: Path, outcome: Mapping[str, Any], judged: JudgedRun) -> RunReport:
    """Build the report of a judged run; its history is read only to draw it, and without one there is no picture."""
    report = report_of(outcome, judged)
    with suppress(FileNotFoundError):
        results.write_picture(folder, timeline(results.read_history(folder), report))
    return report


def reports_of(ended: Sequence[Ended]) -> list[RunReport]:
    """Return the reports of the runs that have a verdict."""
    return [report for report in ended if isinstance(report, RunReport)]


def failures_of(ended: Sequence[Ended]) -> list[str]:
    """Return a sentence for each run that the lab could not make."""
    return [f"{failure.name}: {failure.sentence}" for failure in ended if isinstance(failure, LabFailure)]


def write_reports(folder: Path, plan: SuitePlan, ended: Sequence[Ended]) -> None:
    """Write verdict.json, summary.md and junit.xml of a suite, as far as it has come. OSError if that cannot be."""
    reports = reports_of(ended)
    verdict = {
        "schema": VERDICT_SCHEMA,
        "suite": plan.suite,
        "machine": asdict(plan.machine),
        **verdict_json(reports),
        "failures": failures_of(ended),
    }
    results.write_suite(
        folder,
        verdict=json.dumps(verdict, indent=1) + "\n",
        summary=summary_markdown(reports),
        junit=junit_xml(plan.suite, ended),
    )


def exit_code(states: Sequence[State], failures: int) -> int:
    """Return 0 if all are valid, 1 if some are invalid, 2 if some are unknown, 3 if the lab itself failed. Pure."""
    if failures or not states:
        return LAB_FAILED
    return EXIT_CODES[merge(states)]
