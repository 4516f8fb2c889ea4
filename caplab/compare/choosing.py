"""Which runs are compared: a rolling baseline of the last n of each row, and what came after. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .options import MAX_RUNS
from .values import MeasuredRun, Results

_FILL_OF = 4  # of so many earlier runs at most one is weighed with the new ones; the rest is their baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRuns:
    """The chosen runs by row, in the order of their beginning; looked_at are all judged runs, also unusable ones.

    Runs that prove nothing are in neither base nor new: doubtful is how many there are on both sides. filled is how
    many of the runs in new are the newest before, and not among those that are judged now.
    """

    base: dict[str, tuple[MeasuredRun, ...]]
    new: dict[str, tuple[MeasuredRun, ...]]
    looked_at: tuple[MeasuredRun, ...]
    doubtful: int
    filled: int = 0


def choose(base: Results, new: Results, last: int, newest: int | None, least: int = 1) -> ChosenRuns:
    """Choose the newest runs of new for each row (None: all), and the last runs of base before them.

    Of more than MAX_RUNS new runs, the newest are weighed; a violation counts in all of them.

    If new has fewer than least runs of a row, its newest earlier runs are weighed with them: a night with one run of
    each row could never prove a change. They count as figures only; whether they are invalid was reported in their
    time.

    A run that is in both is new. If base contains runs of new too, as a folder of all results does, only those of it
    count that began before the first new one of the row; another base may be of any time.
    """
    judged = {row: runs[-newest:] if newest else runs for row, runs in _by_row(new.runs).items()}
    taken = {run.run_id for runs in judged.values() for run in runs}
    overlap = bool({run.run_id for run in base.runs} & {run.run_id for run in new.runs})
    before = [run for run in base.runs if run.run_id not in taken]
    if overlap:
        before = [run for run in before if run.row not in judged or run.began < judged[run.row][0].began]
    looked_at = tuple(run for runs in judged.values() for run in runs)
    proving = _by_row(run for run in before if not run.doubtful)
    doubtful = sum(run.doubtful for run in (*before, *looked_at))
    weighed = {row: runs[-MAX_RUNS:] for row, runs in _by_row(run for run in looked_at if not run.doubtful).items()}
    fill = {row: _fill(proving.get(row, ()), least - len(runs)) for row, runs in weighed.items()}
    return ChosenRuns(
        base={row: runs[: len(runs) - len(fill.get(row, ()))][-last:] for row, runs in proving.items()},
        new={row: (*fill[row], *runs) for row, runs in weighed.items()},
        looked_at=looked_at,
        doubtful=doubtful,
        filled=sum(len(runs) for runs in fill.values()),
    )


def _fill(before: Sequence[MeasuredRun], lacking: int) -> tuple[MeasuredRun, ...]:
    """Return the newest earlier runs of a row that are weighed together with too few new ones."""
    count = min(max(0, lacking), len(before) // _FILL_OF)
    return tuple(before[len(before) - count :])


def _by_row(runs: Iterable[MeasuredRun]) -> dict[str, tuple[MeasuredRun, ...]]:
    rows: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        rows.setdefault(run.row, []).append(run)
    return {row: tuple(chosen_runs) for row, chosen_runs in rows.items()}
