"""Which runs are held against which: a rolling baseline of the last n of each row, and what came after. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .options import MOST
from .values import MeasuredRun, Results


@dataclass(frozen=True, slots=True)
class Chosen:
    """By row, in the order in which they began; looked_at are all that are judged now, also those that prove nothing.

    Runs that prove nothing are in neither base nor new: doubtful is how many there are on both sides.
    """

    base: dict[str, tuple[MeasuredRun, ...]]
    new: dict[str, tuple[MeasuredRun, ...]]
    looked_at: tuple[MeasuredRun, ...]
    doubtful: int


def choose(base: Results, new: Results, last: int, newest: int | None) -> Chosen:
    """Of each row the newest runs of new, None: all of them, and the last runs of base before them.

    Of more than MOST new runs, the newest are weighed; a violation counts in all of them.

    A run that is in both is new. Where base holds runs of new too, as a folder of all results does, only those of it
    count that began before the first new one of the row; another base may be of any time.
    """
    judged = {row: runs[-newest:] if newest else runs for row, runs in _by_row(new.runs).items()}
    taken = {run.run_id for runs in judged.values() for run in runs}
    overlap = bool({run.run_id for run in base.runs} & {run.run_id for run in new.runs})
    before = [run for run in base.runs if run.run_id not in taken]
    if overlap:
        before = [run for run in before if run.row not in judged or run.began < judged[run.row][0].began]
    looked_at = tuple(run for runs in judged.values() for run in runs)
    proving = {row: runs[-last:] for row, runs in _by_row(run for run in before if not run.doubtful).items()}
    doubtful = sum(run.doubtful for run in (*before, *looked_at))
    weighed = {row: runs[-MOST:] for row, runs in _by_row(run for run in looked_at if not run.doubtful).items()}
    return Chosen(proving, weighed, looked_at, doubtful)


def _by_row(runs: Iterable[MeasuredRun]) -> dict[str, tuple[MeasuredRun, ...]]:
    rows: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        rows.setdefault(run.row, []).append(run)
    return {row: tuple(found) for row, found in rows.items()}
