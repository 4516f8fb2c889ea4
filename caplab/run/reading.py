"""What a run's and a suite's folder say of a run: its report, the command that repeats it, and the machine."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..command_error import CommandError
from ..files import results
from ..judging import JudgedRun, read_judged
from ..model.fields import FieldError, Fields
from ..plain_text import plural
from ..report.second_clock import clock_check
from ..report.values import RunReport
from . import plans
from .plans import Machine, PlannedRun, SuitePlan


def report_of(outcome: Mapping[str, Any], judged: JudgedRun) -> RunReport:
    """Build the report of a judged run; outcome is what its control wrote into the journal, FieldError if wrongly."""
    fields = Fields.of(f"{results.JOURNAL}: caplab", outcome)
    stages = Fields.of(f"{results.JOURNAL}: caplab.seconds", outcome.get("seconds") or {})
    return RunReport(
        name=judged.verdict.row,
        run_id=fields.text("run"),
        record=judged.record,
        verdict=judged.verdict,
        findings=judged.findings,
        clock=clock_check(judged.record, judged.findings),
        seconds={stage: _seconds(stages, stage) for stage in stages.values},
    )


def _seconds(stages: Fields, stage: str) -> float:
    seconds = stages.number(stage)
    if not math.isfinite(seconds):
        raise stages.error(stage, "a number of seconds")
    return seconds


def read_report(folder: Path) -> RunReport:
    """Read the report of a run that was judged. FieldError if it is damaged, CommandError if it has no verdict."""
    try:
        outcome = results.judged_outcome(folder)
        if outcome is None:
            raise CommandError(f"{folder}: the run has no verdict. Hint: name a run that was judged.")
        return report_of(outcome, read_judged(folder, outcome))
    except FileNotFoundError as error:
        raise CommandError(f"{folder}: the run has no verdict. Hint: name a run that was judged.") from error
    except (KeyError, ValueError) as error:
        advice = "" if "Hint: " in str(error) else " Hint: run it again, or remove the folder."
        raise FieldError(f"{folder}: it cannot be shown: {error}{advice}") from error


def why_not_judged(folder: Path) -> str:
    """Say why a run without a verdict has none, as far as its folder shows."""
    try:
        results.read_journal(folder)
    except FileNotFoundError:
        return "not made"
    except (OSError, ValueError) as error:
        return f"its journal cannot be read: {error}"
    return "it ended without a verdict"


def runs_without_verdict(folder: Path, plan: SuitePlan, judged: Sequence[PlannedRun]) -> list[tuple[str, str]]:
    """Return the name of each planned run that is not among those with a verdict, and why."""
    return [(run.name, why_not_judged(folder / run.folder)) for run in plan.runs if run not in judged]


def judged_runs(folder: Path, plan: SuitePlan) -> list[PlannedRun]:
    """Return the runs of a suite that have a verdict. CommandError if none has."""
    runs = [planned for planned in plan.runs if results.is_judged(folder / planned.folder)]
    if not runs:
        first = f"{plan.runs[0].name}: {why_not_judged(folder / plan.runs[0].folder)}" if plan.runs else "it has none"
        raise CommandError(
            f"{folder}: no run has a verdict ({first}). Hint: continue it (caplab run {plan.name} --resume)."
        )
    return runs


def plan_around(folder: Path) -> tuple[SuitePlan | None, PlannedRun | None]:
    """Return the plan of the suite that a run's folder is in, and the run as it was planned; None: there is none."""
    plan = plans.read(folder.parent) if (folder.parent / plans.PLAN).is_file() else None
    return plan, next((run for run in plan.runs if run.folder == folder.resolve().name), None) if plan else None


def command_of(planned: PlannedRun | None) -> str:
    """Return the command that makes such a run; '' if it is not known."""
    if planned is None:
        return ""
    settings = (f" --set {shlex.quote(f'{name}={value}')}" for name, value in planned.settings.items())
    return f"caplab run {shlex.quote(planned.experiment)}{''.join(settings)}"


def description_of(folder: Path) -> str:
    """Return what the experiment of a judged run says of itself, from its journal; '' if it says nothing."""
    experiment = results.read_journal(folder).get("experiment")
    described = experiment.get("description") if isinstance(experiment, dict) else None
    return described if isinstance(described, str) else ""


def described_machine(machine: Machine) -> str:
    """Describe a machine, such as '2 cores, 24 GiB, AMD EPYC, x86_64'."""
    size = f"{plural(machine.cores, 'core')}, {machine.memory_bytes / 2**30:.0f} GiB"
    return ", ".join(filter(None, (size, machine.cpu, machine.architecture)))
