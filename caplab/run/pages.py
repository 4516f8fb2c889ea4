"""The pages of suites and runs: read from results alone, and written beside them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files import results
from ..files.chart_library import chart_library
from ..report.html.history import HistoryView, view_of
from ..report.html.page import page
from ..report.html.values import RunPage, SuitePage
from ..report.values import RunReport
from . import plans
from .plans import SuitePlan
from .reading import (
    command_of,
    described_machine,
    description_of,
    judged_runs,
    plan_around,
    read_report,
    runs_without_verdict,
)


def write_suite(folder: Path, failures: Mapping[str, str]) -> Path:
    """Write the page of a suite. failures: why a planned run has no verdict, by its name, where that is known."""
    plan = plans.read(folder)
    judged = judged_runs(folder, plan)
    runs = [_run_page(folder / planned.folder, command_of(planned)) for planned in judged]
    missing = [(name, failures.get(name) or why) for name, why in runs_without_verdict(folder, plan, judged)]
    return _write(folder, _suite(folder, plan, runs, missing))


def write_run(folder: Path) -> Path:
    """Write the page of one run, with its command if it is in a suite's folder."""
    plan, planned = plan_around(folder)
    run = _run_page(folder, command_of(planned))
    machine = described_machine(plan.machine) if plan else ""
    return _write(folder, SuitePage(suite=run.report.name, machine=machine, made=_begun([run]), runs=[run]))


def _suite(folder: Path, plan: SuitePlan, runs: Sequence[RunPage], missing: Sequence[tuple[str, str]]) -> SuitePage:
    return SuitePage(
        suite=f"suite {plan.suite}",
        machine=described_machine(plan.machine),
        made=f"{_begun(runs)}, {folder.resolve().name}",
        runs=runs,
        without_verdict=missing,
    )


def _write(folder: Path, suite: SuitePage) -> Path:
    return results.write_page(folder, page(suite, chart_library()))


def _run_page(folder: Path, command: str) -> RunPage:
    run_report = read_report(folder)
    view, problem = view_of_run(folder, run_report)
    described = description_of(folder)
    return RunPage(report=run_report, command=command, description=described, view=view, problem=problem)


def view_of_run(folder: Path, run_report: RunReport) -> tuple[HistoryView | None, str]:
    """Look through a run's history; return why there is none if it is missing or damaged: the verdict still stands."""
    try:
        return view_of(results.read_history(folder), run_report), ""
    except FileNotFoundError:
        return None, f"{results.HISTORY} is gone."
    except (OSError, ValueError) as error:
        return None, str(error)


def _begun(runs: Sequence[RunPage]) -> str:
    first_ns = min(run.report.record.wall_anchor.unix_ns for run in runs)
    moment = datetime.datetime.fromtimestamp(first_ns / 1e9, datetime.UTC)
    return f"begun {moment:%Y-%m-%d %H:%M} UTC"
