"""Columns of time as one line of characters, by height and not by colour alone. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from .values import Column, State

_FASTEST, _SLOWEST = 0.001, 30.0  # seconds: the lowest and the highest bar of latency, by its logarithm
GOOD, POOR, BAD, DOUBT, QUIET, FIGURE = "green", "yellow", "bold red", "bold magenta", "dim", "cyan"
ENOUGH_RATIO = 0.95  # below that it is an outage, as in the availability checker


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """Characters of a line: bars from the lowest to the highest, and one for a missing figure."""

    bars: str
    unacknowledged: str  # operations ended, and none was acknowledged
    idle: str
    dot: str  # between parts of a sentence
    cut: str  # for a name that is too long


FINE = Glyphs(bars="▁▂▃▄▅▆▇█", unacknowledged="x", idle="·", dot=" · ", cut="…")
ASCII = Glyphs(bars="_.,-=+*#", unacknowledged="x", idle=":", dot=" | ", cut="~")
UNKNOWN = "?"


def ratios(columns: Iterable[Column], glyphs: Glyphs = FINE) -> Text:
    """Draw the acknowledged share, from none to all: only all of them gives the highest bar."""
    return _line(columns, glyphs, lambda column: _of_ratio(column.ratio, glyphs))


def latencies(columns: Iterable[Column], glyphs: Glyphs = FINE) -> Text:
    """Draw the p99 of what was acknowledged, from 1 ms to 30 s on a logarithmic scale."""
    return _line(columns, glyphs, lambda column: _of_latency(column, glyphs))


def _line(columns: Iterable[Column], glyphs: Glyphs, measured: Callable[[Column], tuple[str, str]]) -> Text:
    unmeasured = {State.BEFORE: (" ", ""), State.UNKNOWN: (UNKNOWN, DOUBT), State.IDLE: (glyphs.idle, QUIET)}
    marks = [unmeasured.get(column.state) or measured(column) for column in columns]
    line = Text(no_wrap=True)
    for style, run in groupby(marks, key=lambda mark: mark[1]):
        line.append("".join(char for char, _ in run), style)
    return line


def style_of(ratio: float) -> str:
    """Return the colour of a ratio."""
    return GOOD if ratio >= 1 else POOR if ratio >= ENOUGH_RATIO else BAD


def _of_ratio(ratio: float | None, glyphs: Glyphs) -> tuple[str, str]:
    if ratio is None:
        return glyphs.idle, QUIET
    highest = len(glyphs.bars) - 1
    level = highest if ratio >= 1 else 0 if ratio <= 0 else min(highest - 1, 1 + math.floor(ratio * (highest - 1)))
    return glyphs.bars[level], style_of(ratio)


def _of_latency(column: Column, glyphs: Glyphs) -> tuple[str, str]:
    if column.p99_seconds is None:
        return (glyphs.unacknowledged, BAD) if column.ratio is not None else (glyphs.idle, QUIET)
    share = math.log(max(column.p99_seconds, _FASTEST) / _FASTEST) / math.log(_SLOWEST / _FASTEST)
    return glyphs.bars[min(len(glyphs.bars) - 1, math.floor(share * len(glyphs.bars)))], FIGURE
