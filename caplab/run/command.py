"""`caplab run`: makes and judges the runs of a suite or an experiment, all of it in one folder."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..command_error import CommandError
from ..judging import experiments_folder
from ..plain_text import Out
from . import plans, refusals, resuming
from .plans import Machine, SuitePlan
from .stored import LAB_FAILED, exit_code
from .suite_run import SuiteRun
from .suites import Suite, experiments, find
from .timings import earlier_runs

__all__ = ["LAB_FAILED", "RunOptions", "exit_code", "planned", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line's options; a run's settings override its suite's.

    resume: the suite's folder to resume, resuming.NEWEST the newest that is not finished, None: begin anew. Settings
    and repeat are those of the folder then.
    """

    name: str
    repeat: int = 1
    settings: Mapping[str, str] | None = None
    folder: Path = Path("results")
    keep: bool = False
    verbose: bool = False
    resume: str | None = None


def planned(options: RunOptions) -> list[str]:
    """Return the names of the requested runs; FieldError if they can't be made on any cluster.

    No cluster is asked. For a suite to be resumed, all its runs are named.
    """
    suite = find(experiments_folder(), options.name, dict(options.settings or {}))
    if options.resume is None:
        refusals.refuse_unfit(suite)
    else:
        resuming.folder_to_resume(options.folder, suite.name, options.name, options.resume)
    return [run.name for run in suite.runs for _ in range(options.repeat)]


def run(options: RunOptions, out: Out = sys.stdout) -> int:
    """Make the runs; return the exit code. Raises FieldError for an unknown name, or with nothing to resume."""
    return _begin(options, out) if options.resume is None else _resume(options, options.resume, out)


def _begin(options: RunOptions, out: Out) -> int:
    settings = dict(options.settings or {})
    suite = find(experiments_folder(), options.name, settings)
    plan = plans.plan_of(suite, options.name, settings, options.repeat, Machine.here())
    now = datetime.datetime.now(datetime.UTC)
    folder = options.folder / f"{now:%Y%m%d-%H%M%S}-{suite.name}"
    _make(folder)
    with resuming.held(folder):
        return _carry_out(plan, suite, folder, options, out)


def _make(folder: Path) -> None:
    """Make a new suite's folder; CommandError if nothing can be written to it: no run has begun then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(0, "Permission denied")
    except OSError as error:
        raise CommandError(
            f"Results cannot be kept in {folder}: {error.strerror}."
            " Hint: name a folder that you may write to (--results FOLDER)."
        ) from error


def _resume(options: RunOptions, resume: str, out: Out) -> int:
    name = find(experiments_folder(), options.name, {}).name
    folder = resuming.folder_to_resume(options.folder, name, options.name, resume)
    with resuming.held(folder):
        then = plans.read(folder)
        suite = find(experiments_folder(), options.name, then.settings)
        now = plans.plan_of(suite, options.name, then.settings, then.repeat, then.machine)
        resuming.refuse_changed(folder, then, now)
        resuming.clear_for(folder, then, now)
        print(f"resuming {folder}: {len(resuming.unfinished(folder, now))} of {len(now.runs)} runs are left", file=out)
        return _carry_out(now, suite, folder, options, out)


def _keep_plan(folder: Path, plan: SuitePlan) -> None:
    try:
        plans.write(folder, plan)
    except OSError as error:
        raise CommandError(f"Results cannot be kept in {folder}: {error.strerror}. Hint: make room there.") from error


def _carry_out(plan: SuitePlan, suite: Suite, folder: Path, options: RunOptions, out: Out) -> int:
    _keep_plan(folder, plan)
    files = {planned_run.experiment: planned_run.file for planned_run in suite.runs}
    before = earlier_runs(options.folder, experiments(experiments_folder()))
    under_way = SuiteRun(plan, files, folder, before, out, verbose=options.verbose)
    under_way.all()
    if not options.keep:
        under_way.tidy()
    return under_way.end()
