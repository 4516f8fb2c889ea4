"""Figures of real runs, from docs/evidence, and more runs drawn from them, on which comparisons are tested."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from caplab_cluster.paths import REPOSITORY

from caplab.compare.reading import read
from caplab.compare.values import Figure, Key, MeasuredRun

EVIDENCE = REPOSITORY / "docs" / "evidence"
_RUN = re.compile(r"\| ([^|]+) \| VALID \| ([\d,.]+) s \| [^|]+ \| [\d,]+ \| [\d,]+ \| [\d,]+ \|")
_MIN_SPREAD = 0.01  # three runs may lie closer together than they usually do
_RARE = 1 / 20  # of the runs of an async Postgres lost a write: 2 of 39 that docs/evidence lists

Rows: TypeAlias = Mapping[str, tuple[MeasuredRun, ...]]
Change: TypeAlias = Callable[[Key, Figure], Figure]


def failovers(row: str, page: str) -> list[float]:
    """Return the seconds of every valid run of a row that a page of docs/evidence lists."""
    text = (EVIDENCE / page).read_text(encoding="utf-8")
    return [float(seconds) for name, seconds in _RUN.findall(text) if name == row]


def core_rows() -> Rows:
    """Return the runs of the suite core, three of each row, as docs/evidence/cap has them."""
    rows: dict[str, list[MeasuredRun]] = {}
    for run in read(EVIDENCE / "cap" / "core.json").runs:
        rows.setdefault(run.row, []).append(run)
    return {row: tuple(runs) for row, runs in rows.items()}


def unchanged(_key: Key, figure: Figure) -> Figure:
    """Change nothing."""
    return figure


def drawn(rows: Rows, each: int, rng: np.random.Generator, begin: int = 0, change: Change = unchanged) -> Rows:
    """Draw so many runs of every row, each a recorded one, with the figures spread as those of the row were.

    begin is the number of the first one; each is a minute after the one before. change is applied to every figure.
    """
    spreads = {row: _spreads(runs) for row, runs in rows.items()}
    return {
        row: tuple(
            _again(_of(runs, rng), begin + number, _drawn(spreads[row], _of(runs, rng), rng, change))
            for number in range(each)
        )
        for row, runs in rows.items()
    }


def with_failovers(row: str, seconds: Sequence[float], begin: int = 0) -> tuple[MeasuredRun, ...]:
    """Return runs of the row of core, each with one of these failover times, and all else as recorded."""
    recorded = core_rows()[row]
    runs = []
    for number, value in enumerate(seconds):
        run = recorded[number % len(recorded)]
        key = Key(row, "failoverTime")
        figures = {**run.figures, key: replace(run.figures[key], value=value)}
        runs.append(_again(run, begin + number, figures))
    return tuple(runs)


def _of(runs: Sequence[MeasuredRun], rng: np.random.Generator) -> MeasuredRun:
    return runs[int(rng.integers(len(runs)))]


def _again(run: MeasuredRun, number: int, figures: Mapping[Key, Figure]) -> MeasuredRun:
    day, minute = divmod(number, 1440)
    began = f"2026-11-{1 + day:02d}T{minute // 60:02d}:{minute % 60:02d}:00Z"
    return replace(run, run_id=f"{run.row} {number}", began=began, figures=figures)


def _spreads(runs: Sequence[MeasuredRun]) -> dict[Key, float]:
    """Return the relative spread of each figure."""
    spreads = {}
    for key in runs[0].figures:
        values = [run.figures[key].value for run in runs if key in run.figures]
        middle = float(np.mean(values))
        spreads[key] = max(_MIN_SPREAD, float(np.std(values)) / middle) if middle else 0.0
    return spreads


def _drawn(
    spreads: Mapping[Key, float], run: MeasuredRun, rng: np.random.Generator, change: Change
) -> dict[Key, Figure]:
    figures = {}
    for key, figure in run.figures.items():
        value = figure.value
        if figure.unit:
            value *= float(rng.lognormal(0.0, spreads.get(key, 0.0)))
        elif value > 1:
            value = float(rng.poisson(value))
        elif key.property == "lost" and figure.promise == "bounded":
            value = float(rng.random() < _RARE)
        figures[key] = change(key, replace(figure, value=value))
    return figures
