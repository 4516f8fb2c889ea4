"""The line before a run: its number, the number of all, and the estimated time for all that are left."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from . import words

_NEWEST = 5  # the newest runs used for an estimate: machines and experiments change
_TWO_HOURS, _TWO_MINUTES = 7200, 120  # seconds


@dataclass(frozen=True, slots=True)
class RunAhead:
    """A run to be made: its experiment, such as postgres/kill-primary, and its settings."""

    experiment: str
    settings: Mapping[str, str]

    @property
    def engine(self) -> str:
        """Its engine's folder; '' if it has none."""
        return self.experiment.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class RunDuration:
    """How long a run took, from its cluster to its verdict. settings None: they are not known."""

    experiment: str
    settings: Mapping[str, str] | None
    seconds: float


_FITS: tuple[Callable[[RunAhead, RunDuration], bool], ...] = (
    lambda run, took: (run.experiment, run.settings) == (took.experiment, took.settings),
    lambda run, took: run.experiment == took.experiment,
    lambda run, took: run.engine != "" and run.engine == RunAhead(took.experiment, {}).engine,
)


def estimate(run: RunAhead, before: Sequence[RunDuration]) -> float | None:
    """Estimate a run's seconds; None if no similar run was ever made.

    It is the median of the newest runs of the same experiment and settings, else of the experiment, else of the engine.
    before is in the order of time.
    """
    for fits in _FITS:
        if seconds := [took.seconds for took in before if fits(run, took)]:
            return statistics.median(seconds[-_NEWEST:])
    return None


def time_left(runs: Sequence[RunAhead], before: Sequence[RunDuration]) -> str:
    """Estimate how long these runs take together, in words; runs without an estimate are counted."""
    estimates = [seconds for run in runs if (seconds := estimate(run, before)) is not None]
    unknown = len(runs) - len(estimates)
    if not estimates:
        return "time left unknown: nothing similar was run before"
    if unknown:
        return f"at least {rounded(sum(estimates))} left, and {unknown} of {len(runs)} runs without an estimate"
    return f"about {rounded(sum(estimates))} left"


def rounded(seconds: float) -> str:
    """Format an estimate: '40 s', '14 min', '2 h 10 min'."""
    if seconds < _TWO_MINUTES:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if seconds < _TWO_HOURS else f"{minutes // 60} h {minutes % 60:02d} min"


def announcement(number: int, of: int, name: str, left: str) -> str:
    """Build the line, such as '[4/17] postgres/kill-primary durability=async   about 14 min left'."""
    return f"[{number}/{of}] {words.one_line(name)}   {left}"
