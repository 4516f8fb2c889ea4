"""The pages of suites and runs: read from results alone, and written beside them."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..command_error import CommandError
from ..files import results
from ..files.chart_library import chart_library
from ..judging import JudgedRun, read_judged
from ..model.fields import FieldError
from ..plain_text import plural
from ..report.html.history import HistoryView, view_of
from ..report.html.page import page
from ..report.html.values import RunPage, SuitePage
from ..report.second_clock import clock_check
from ..report.values import RunReport
from . import plans
from .plans import Machine, PlannedRun, SuitePlan

_NOT_MADE = "not made"


def report_of(outcome: Mapping[str, Any], judged: JudgedRun) -> RunReport:
    """Build the report of a judged run; outcome is what its control wrote into the journal."""
    return RunReport(
        name=judged.verdict.row,
        run_id=outcome["run"],
        record=judged.record,
        verdict=judged.verdict,
        findings=judged.findings,
        clock=clock_check(judged.record, judged.findings),
        seconds=dict(outcome.get("seconds") or {}),
    )


def report(places: Sequence[Path]) -> str:
    """Write the page of each suite's or run's folder; return a line for each. CommandError if one is neither."""
    return "".join(f"{_page_of(place)}\n" for place in places)


def _page_of(place: Path) -> Path:
    try:
        if (place / plans.PLAN).is_file():
            return write_suite(place, {})
        if (place / results.RECORD).is_file():
            return write_run(place)
    except OSError as error:
        raise CommandError(
            f"{error.filename or place}: {error.strerror}. Hint: name results that you may read and write."
        ) from error
    raise CommandError(f"{place}: no {plans.PLAN} and no {results.RECORD}. Hint: name the folder of a suite or a run.")


def write_suite(folder: Path, failures: Mapping[str, str]) -> Path:
    """Write the page of a suite. failures: why a planned run has no verdict, by its name, where that is known."""
    plan = plans.read(folder)
    runs, missing = [], []
    for planned in plan.runs:
        if results.is_judged(folder / planned.folder):
            runs.append(_run_page(folder / planned.folder, _command(planned)))
        else:
            missing.append((planned.name, failures.get(planned.name, _NOT_MADE)))
    if not runs:
        raise CommandError(f"{folder}: no run has a verdict. Hint: continue it (caplab run {plan.name} --resume).")
    return _write(folder, _suite(folder, plan, runs, missing))


def write_run(folder: Path) -> Path:
    """Write the page of one run, with its command if it is in a suite's folder."""
    if not results.is_judged(folder):
        raise CommandError(f"{folder}: the run has no verdict. Hint: name a run that was judged.")
    plan = plans.read(folder.parent) if (folder.parent / plans.PLAN).is_file() else None
    planned = next((run for run in plan.runs if run.folder == folder.resolve().name), None) if plan else None
    run = _run_page(folder, _command(planned) if planned else "")
    machine = _machine(plan.machine) if plan else ""
    return _write(folder, SuitePage(suite=run.report.name, machine=machine, made=_begun([run]), runs=[run]))


def _suite(folder: Path, plan: SuitePlan, runs: Sequence[RunPage], missing: Sequence[tuple[str, str]]) -> SuitePage:
    return SuitePage(
        suite=f"suite {plan.suite}",
        machine=_machine(plan.machine),
        made=f"{_begun(runs)}, {folder.resolve().name}",
        runs=runs,
        without_verdict=missing,
    )


def _write(folder: Path, suite: SuitePage) -> Path:
    return results.write_page(folder, page(suite, chart_library()))


def _run_page(folder: Path, command: str) -> RunPage:
    try:
        outcome = results.read_journal(folder)["caplab"]
        run_report = report_of(outcome, read_judged(folder, outcome))
    except (KeyError, ValueError) as error:
        raise FieldError(f"{folder}: it cannot be shown: {error} Hint: run it again, or remove the folder.") from error
    view, problem = _view(folder, run_report)
    return RunPage(report=run_report, command=command, view=view, problem=problem)


def _view(folder: Path, run_report: RunReport) -> tuple[HistoryView | None, str]:
    """Look through a run's history; return why there is none if it is missing or damaged: the verdict still stands."""
    try:
        return view_of(results.read_history(folder), run_report), ""
    except FileNotFoundError:
        return None, f"{results.HISTORY} is gone."
    except (OSError, ValueError) as error:
        return None, str(error)


def _command(planned: PlannedRun) -> str:
    settings = (f" --set {shlex.quote(f'{name}={value}')}" for name, value in planned.settings.items())
    return f"caplab run {shlex.quote(planned.experiment)}{''.join(settings)}"


def _machine(machine: Machine) -> str:
    parts: Iterator[str] = filter(None, (machine.cpu, machine.architecture))
    size = f"{plural(machine.cores, 'core')}, {machine.memory_bytes / 2**30:.0f} GiB"
    return ", ".join((size, *parts))


def _begun(runs: Sequence[RunPage]) -> str:
    first_ns = min(run.report.record.wall_anchor.unix_ns for run in runs)
    moment = datetime.datetime.fromtimestamp(first_ns / 1e9, datetime.UTC)
    return f"begun {moment:%Y-%m-%d %H:%M} UTC"
