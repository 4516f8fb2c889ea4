"""Resuming an unfinished suite: which folder, what of it is kept, and that no other process works on it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import results
from ..model.fields import FieldError
from . import plans
from .plans import PlannedRun, SuitePlan

NEWEST = ""  # resume the newest folder that is not finished
_ASIDE = ".aside-"


def folder_to_resume(folder: Path, suite: str, name: str, wanted: str) -> Path:
    """Return the folder that was asked for, else the suite's newest one in the results without a verdict.

    suite is the suite's name, name what the command line says. Raises FieldError if there is nothing to resume.
    """
    if wanted != NEWEST:
        _refuse_unfit(Path(wanted), name)
        return Path(wanted)
    of_suite = re.compile(rf"\d{{8}}-\d{{6}}-{re.escape(suite)}")
    every = sorted(
        (suite_folder for suite_folder in folder.glob("*") if of_suite.fullmatch(suite_folder.name)), reverse=True
    )
    planned = [suite_folder for suite_folder in every if (suite_folder / plans.PLAN).is_file()]
    for suite_folder in planned:
        plan = plans.read(suite_folder)
        if plan.name == name and unfinished(suite_folder, plan):
            return suite_folder
    there = (
        f"all runs of {planned[0]} have their verdict" if planned else f"{folder} has no suite '{suite}' with a plan"
    )
    raise FieldError(f"Nothing to resume: {there}. Hint: run it without --resume.")


def refuse_changed(folder: Path, then: SuitePlan, now: SuitePlan) -> None:
    """Raise FieldError if the suite plans other runs now: reports would mix two suites."""
    if change := plans.difference(then, now):
        raise FieldError(
            f"The suite '{now.suite}' has changed since {folder} was begun: {change}. "
            "Hint: put the suite's file back as it was, or run it without --resume."
        )


def unfinished(folder: Path, plan: SuitePlan) -> list[PlannedRun]:
    """Return the runs without a verdict."""
    return [run for run in plan.runs if not results.is_judged(folder / run.folder)]


def clear_for(folder: Path, then: SuitePlan, now: SuitePlan) -> None:
    """Set aside what is left of runs to be repeated: half-made ones, and those of changed experiment files."""
    for old, new in zip(then.runs, now.runs, strict=True):
        run = folder / new.folder
        if run.exists() and (old.digest != new.digest or not results.is_judged(run)):
            set_aside(run)


def set_aside(run: Path) -> None:
    """Rename a run's folder: its log may still show why the run failed."""
    number = 1 + sum(1 for _ in run.parent.glob(f"{run.name}{_ASIDE}*"))
    run.rename(run.with_name(f"{run.name}{_ASIDE}{number}"))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a suite's folder for this process alone; FieldError if another one works on it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FieldError(f"Another `caplab run` is working in {folder}. Hint: wait until it has ended.") from error
    except OSError:
        return  # a file system without locks: runs go on, unguarded


def _refuse_unfit(folder: Path, name: str) -> None:
    if not (folder / plans.PLAN).is_file():
        raise FieldError(
            f"Nothing to resume in {folder}: it has no {plans.PLAN}. Hint: name a folder results/<time>-<suite>."
        )
    plan = plans.read(folder)
    if plan.name != name:
        raise FieldError(
            f"{folder} is of '{plan.name}', not of '{name}'. Hint: `caplab run {plan.name} --resume {folder}`."
        )
    if not unfinished(folder, plan):
        raise FieldError(f"Nothing to resume: all runs of {folder} have their verdict. Hint: run it without --resume.")
