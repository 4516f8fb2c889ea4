"""One figure over the runs of a row, as SVG whose colours are the page's. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from caplab.check.checker import SHARE
from caplab.compare.values import Figure, MeasuredRun
from caplab.report import words

from .series import Line, Row

WIDTH, HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 348, 16, 124
_MAX_TICKS = 4
_MIN_DRAWN = 1e-100  # less is drawn as 0: its steps would underflow
_FAR = 2.5  # a bound over so many times the highest value is written, not drawn
_DATE, _DAY = 72, 44  # pixels that '2026-11-01' takes, and '11-01'


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale from values and runs to pixels; values begin at 0."""

    runs: int
    top: float

    def x(self, index: float) -> float:
        """Return a run's place: runs are equally far apart, whatever their times."""
        return _LEFT + (_RIGHT - _LEFT) * (index + 0.5) / self.runs

    def y(self, value: float) -> float:
        """Return a value's place."""
        return _BOTTOM - (_BOTTOM - _TOP) * min(max(value / self.top, 0.0), 1.0)


def chart(row: Row, line: Line, title: str) -> str:
    """Draw the whole picture."""
    top, ticks = axis([*line.values, *_near_limits(line)], whole=line.unit == "")
    scale = Scale(len(row.runs), top)
    parts = [
        *_ticks(scale, ticks, line.unit),
        *_dates(scale, row.runs),
        *_marks(scale, row),
        *_limits(scale, line),
        *_path(scale, line),
        *(_dot(scale, index, run, line) for index, run in enumerate(row.runs)),
    ]
    least, most = (words.of_unit(end, line.unit) for end in (min(line.values), max(line.values)))
    label = f"{title}: {len(line.values)} runs, from {least} to {most}"
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label={quoteattr(words.one_line(label))}>'
    return "\n".join([head, *filter(None, parts), "</svg>"])


def axis(values: Sequence[float], whole: bool = False) -> tuple[float, tuple[float, ...]]:
    """Return the axis's highest value and its ticks, from 0 in round steps; in whole steps for counts."""
    highest = max(values, default=0.0)
    highest = highest if highest > _MIN_DRAWN else 1.0
    power = 10.0 ** math.floor(math.log10(highest / _MAX_TICKS))
    step = next(size * power for size in (1, 2, 5, 10, 20) if highest <= _MAX_TICKS * size * power)
    step = max(1.0, step) if whole else step
    count = max(1, math.ceil(highest / step - 1e-9))
    return count * step, tuple(number * step for number in range(count + 1))


def far_limit(line: Line) -> float | None:
    """Return the newest bound if it is too far off to be drawn."""
    limits = _limits_of(line)
    if not limits or limits[-1] in _near_limits(line):
        return None
    return limits[-1] if line.unit else math.floor(limits[-1])  # counts have no fractions


def _near_limits(line: Line) -> list[float]:
    highest = max(line.values, default=0.0)
    return [limit for limit in _limits_of(line) if 0 < limit <= _FAR * highest]


def _limits_of(line: Line) -> list[float]:
    """Return the bounds; NaN and infinity bound nothing."""
    limits = (figure.limit for figure in line.figures if figure is not None)
    return [limit for limit in limits if limit is not None and math.isfinite(limit)]


def _short_value(number: float, unit: str) -> str:
    if unit == SHARE:
        return f"{100 * number:g} %"
    shown = f"{number:,.6g}" if number < 10_000 else f"{number / 1000:,.4g} k"
    return f"{shown} {unit}" if unit == "s" else shown


def _ticks(scale: Scale, ticks: Iterable[float], unit: str) -> Iterable[str]:
    for tick in ticks:
        y = f"{scale.y(tick):.1f}"
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>'
        text = escape(_short_value(tick, unit))
        yield f'<text class="tick end" x="{_LEFT - 5}" y="{scale.y(tick) + 3.5:.1f}">{text}</text>'


def _dates(scale: Scale, runs: Sequence[MeasuredRun]) -> Iterable[str]:
    """Draw the day of the first run of each day, if there is room; the year with the first, and where it changes."""
    free, year = 0.0, ""
    for index, run in enumerate(runs):
        day, x = run.began[:10], scale.x(index) - 3
        begins = index == 0 or runs[index - 1].began[:10] != day
        room = _DAY if day[:4] == year else _DATE
        if begins and free <= x <= WIDTH - room:
            shown = escape(day[5:] if day[:4] == year else day)
            yield f'<text class="tick" x="{x:.1f}" y="{_BOTTOM + 15}">{shown}</text>'
            free, year = x + room, day[:4]


def _marks(scale: Scale, row: Row) -> Iterable[str]:
    """Draw a line before the first run of each change, with the number under which the row explains it."""
    free = 0.0
    for number, mark in enumerate(row.marks, 1):
        x = scale.x(mark.index - 0.5)
        title = escape(words.one_line(f"{number}: {'; '.join(mark.changes)}"))
        yield f'<g class="mark"><title>{title}</title><line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{_BOTTOM}"/>'
        if x >= free:
            yield f'<text x="{x:.1f}" y="{_TOP - 6}">{number}</text>'
            free = x + 14
        yield "</g>"


def _limits(scale: Scale, line: Line) -> Iterable[str]:
    """Draw the bound of each run, as steps."""
    near = set(_near_limits(line))
    bounded = [
        (index, figure.limit)
        for index, figure in enumerate(line.figures)
        if figure is not None and figure.limit in near
    ]
    if bounded:
        points = [
            f"{scale.x(index + side):.1f},{scale.y(limit):.1f}"
            for index, limit in bounded
            if limit is not None
            for side in (-0.5, 0.5)
        ]
        yield f'<polyline class="limit" points="{" ".join(points)}"/>'


def _path(scale: Scale, line: Line) -> Iterable[str]:
    """Draw a line from run to run; broken where one has no figure."""
    for is_measured, part in groupby(enumerate(line.figures), key=lambda item: item[1] is not None):
        points = [f"{scale.x(index):.1f},{scale.y(figure.value):.1f}" for index, figure in part if figure is not None]
        if is_measured and len(points) > 1:
            yield f'<polyline class="path" points="{" ".join(points)}"/>'


def _dot(scale: Scale, index: int, run: MeasuredRun, line: Line) -> str:
    """Draw a circle, hollow if the run proves nothing; a triangle if the figure is violated."""
    figure = line.figures[index]
    if figure is None:
        return ""
    x, y = scale.x(index), scale.y(figure.value)
    text = quoteattr(point_text(run, figure, line.unit))
    if figure.violated:
        return f'<path class="dot invalid" d="M{x - 4.5:.1f} {y + 3.5:.1f}h9l-4.5 -8z" data-text={text}/>'
    state = "unknown" if run.doubtful else "valid"
    return f'<circle class="dot {state}" cx="{x:.1f}" cy="{y:.1f}" r="3" data-text={text}/>'


def point_text(run: MeasuredRun, figure: Figure, unit: str) -> str:
    """Describe a run's figure in a sentence."""
    bound = "≥ " if figure.at_least else ""
    date = f"{run.began[:10]} {run.began[11:16]} UTC"
    what = "violated" if figure.violated else "proves nothing" if run.doubtful else "ok"
    return words.one_line(
        words.DOT.join((date, f"{bound}{words.of_unit(figure.value, unit)}", what, f"run {run.run_id}"))
    )
