"""How long the runs in a folder of results took."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..files import results
from ..report.progress import RunDuration
from . import plans

_SUITES = 40  # the newest so many folders are read
_RUN = re.compile(r"(\d+)-([^.]+)")  # a folder that was set aside has a dot


def earlier_runs(folder: Path, experiments: Collection[str]) -> list[RunDuration]:
    """Return the duration of all runs in a folder, the oldest first; unreadable ones are skipped.

    experiments are the existing names: older suites have no plan, so that the names must come from their folders.
    """
    by_folder = {name.replace("/", "-"): name for name in experiments}
    newest = sorted(suite_folder for suite_folder in folder.glob("*") if suite_folder.is_dir())[-_SUITES:]
    return [took for suite in newest for took in _of_suite(suite, by_folder)]


def seconds_of(journal: Mapping[str, Any]) -> float | None:
    """Return how long a judged run took, by its journal: from its cluster to its verdict. None for any other. Pure."""
    outcome = journal.get("caplab")
    if not isinstance(outcome, Mapping) or outcome.get("error") or "verdict" not in outcome:
        return None
    stages = outcome.get("seconds")
    parts = list(stages.values()) if isinstance(stages, Mapping) else [journal.get("duration")]
    seconds = [part for part in parts if isinstance(part, int | float) and not isinstance(part, bool)]
    return float(sum(seconds)) if seconds and len(seconds) == len(parts) else None


def _of_suite(suite: Path, by_folder: Mapping[str, str]) -> list[RunDuration]:
    settings = _settings(suite)
    times = []
    for run in sorted(suite.glob("*-*")):
        named = _RUN.fullmatch(run.name)
        seconds = _seconds(run) if named else None
        if named and seconds is not None:
            experiment = by_folder.get(named[2], named[2])
            times.append(RunDuration(experiment, settings.get(int(named[1])), seconds))
    return times


def _settings(suite: Path) -> dict[int, Mapping[str, str]]:
    try:
        return {run.number: run.settings for run in plans.read(suite).runs}
    except (OSError, ValueError):
        return {}


def _seconds(run: Path) -> float | None:
    try:
        return seconds_of(results.read_journal(run))
    except (OSError, ValueError):
        return None
