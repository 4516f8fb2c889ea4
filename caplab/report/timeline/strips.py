"""The strips of the timeline: for each the acked share, and the latency of the acked operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from caplab.check.columns import Integers
from caplab.check.series import UNNAMED

from .bins import BinnedRun, Floats, Strip
from .svg import FAINT, INK, MUTED, Frame, fitted, line, number, rectangle, runs, text, width

LANE, BAR = 16, 10  # heights of a strip's two parts, in pixels: latency above, share below
_STRIP, _BAND_GAP = LANE + BAR + 7, 12
_LABEL_ROOM, _ZONE_ROOM = 118, 58
# From none through some to all acked: orange over yellow to blue, even steps of OKLab. Told apart by the colour-blind.
RAMP = ("#c8401a", "#d9702a", "#e89b3a", "#f3c54b", "#b9b387", "#7f9daa", "#3d83c4")
LATENCY = "#8b93a1"
_BLANK = -1
_FLOOR_SECONDS = 1e-3  # faster ones are shown alike


@dataclass(frozen=True, slots=True)
class Row:
    """A strip and the top of its lane."""

    strip: Strip
    top: float


def height(strips: Sequence[Strip]) -> float:
    """Return the pixels that all strips take, one below the other."""
    bands = len({strip.vantage for strip in strips})
    return len(strips) * _STRIP + max(bands - 1, 0) * _BAND_GAP


def ceiling(binned: BinnedRun) -> str:
    """Format the latency at the top of each lane."""
    top_ms = 10 ** _decades(binned)
    return f"{top_ms} ms" if top_ms < 1000 else f"{top_ms // 1000:,} s"


def _decades(binned: BinnedRun) -> int:
    """Return the powers of ten that the latency lanes span, from a millisecond up."""
    worst = max((float(np.nanmax(strip.p99_seconds, initial=_FLOOR_SECONDS)) for strip in binned.strips), default=0.0)
    return max(2, math.ceil(math.log10(max(worst, _FLOOR_SECONDS) / _FLOOR_SECONDS)))


def zones(binned: BinnedRun, frame: Frame) -> list[str]:
    """Draw the name of each band on the left, and the scale of its first lane on the right."""
    drawn: list[str] = []
    for band in _bands(binned, frame):
        begin, end = band[0].top, band[-1].top + LANE + BAR
        drawn.append(text(14, (begin + end) / 2 + 5, _zone(band[0].strip.vantage), 13, more='font-weight="bold"'))
        for label, y in ((ceiling(binned), begin + 7), ("1 ms", begin + LANE + 2)):
            drawn.append(text(frame.right + 5, y, label, 9, MUTED))
    return drawn


def names(binned: BinnedRun, frame: Frame) -> list[str]:
    """Draw the name of each strip beside it."""
    return [
        beside(frame, row.top + LANE + BAR - 5, fitted(named(row.strip), _LABEL_ROOM, 11))
        for row in placed(binned, frame)
    ]


def beside(frame: Frame, y: float, name: str) -> str:
    """Draw a name to the left of the plot."""
    return text(frame.left - 8, y, name, 11, more='text-anchor="end"')


def sticky(binned: BinnedRun, names: Sequence[str], frame: Frame) -> list[str]:
    """Group names, on a ground of their own, that stay in sight where the page scrolls the picture sideways.

    Each band's own name is small among them: the page shows it once the large one is out of sight.
    """
    small = 'text-anchor="end" font-weight="bold" class="stuck"'
    zones = [
        text(frame.left - 8, band[0].top + 9, _zone(band[0].strip.vantage), 9, more=small)
        for band in _bands(binned, frame)
    ]
    left = frame.left - 8 - _LABEL_ROOM - 6
    ground = rectangle(left, frame.top - 2, frame.left - 2 - left, frame.bottom - frame.top + 4, "#fff")
    return [f'<g class="names" data-x="{number(left)}">', ground, *names, *zones, "</g>"]


def bars(binned: BinnedRun, frame: Frame) -> list[str]:
    """Draw the strips themselves, with their lost writes marked."""
    drawn: list[str] = []
    span = _decades(binned)
    # Drawn with a bin as the unit, so that places are whole numbers: half the size, and no rounding.
    scale = f"scale({(frame.right - frame.left) / binned.count:.6f} 1)"
    for row in placed(binned, frame):
        drawn.append(line(frame.left, row.top + LANE, frame.right, row.top + LANE, FAINT))
        paths = [_latency(row.strip.p99_seconds, span), *_shares(row.strip.share)]
        place = f"translate({number(frame.left)} {number(row.top)}) {scale}"
        drawn.append(f'<g transform="{place}">{"".join(paths)}</g>')
        for seconds in row.strip.lost_seconds:
            # It ends within the bar, which still shows that the write was acknowledged.
            drawn.append(rectangle(frame.x(seconds) - 1, row.top + 6, 2, LANE + BAR // 2 - 6, INK, 'class="lost"'))
    return drawn


def placed(binned: BinnedRun, frame: Frame) -> list[Row]:
    """Return all strips with their places."""
    return [row for band in _bands(binned, frame) for row in band]


def _bands(binned: BinnedRun, frame: Frame) -> list[list[Row]]:
    """Place the strips of each vantage."""
    bands, top = [], frame.top
    for _, strips in groupby(binned.strips, lambda strip: strip.vantage):
        band = []
        for strip in strips:
            band.append(Row(strip, top))
            top += _STRIP
        bands.append(band)
        top += _BAND_GAP
    return bands


def _zone(vantage: str) -> str:
    """Return a vantage's name, with the word zone if there is room for both."""
    label = f"zone {vantage}"
    return label if width(label, 13, bold=True) <= _ZONE_ROOM else fitted(vantage, _ZONE_ROOM, 13, bold=True)


def named(strip: Strip) -> str:
    """Name a strip within its zone, such as 'writes via service'."""
    if strip.route == "service":
        return f"{strip.kind} via service"
    return strip.kind if strip.route == UNNAMED else f"{strip.kind} {strip.route}"


def levels(share: Floats) -> Integers:
    """Return each bin's place in RAMP: its ends are for none and all only; blank if nothing was scheduled."""
    between = 1 + np.floor(np.nan_to_num(share) * (len(RAMP) - 2))
    level = np.where(share >= 1, len(RAMP) - 1, np.where(share <= 0, 0, np.minimum(between, len(RAMP) - 2)))
    return np.where(np.isnan(share), _BLANK, level).astype(np.int64)


def _shares(share: Floats) -> list[str]:
    """Draw a path for each colour: bins are short strokes as thick as the bar."""
    strokes: dict[int, list[str]] = {}
    for level, begin, end in runs(levels(share)):
        if level != _BLANK:
            strokes.setdefault(level, []).append(f"M{begin} {LANE + BAR // 2}h{end - begin}")
    return [
        f'<path d="{"".join(paths)}" stroke="{RAMP[level]}" stroke-width="{BAR}" shape-rendering="crispEdges"/>'
        for level, paths in sorted(strokes.items())
    ]


def _latency(p99_seconds: Floats, span: int) -> str:
    """Draw an area over the lane's floor, a step for each bin, in half pixels; broken where nothing was acked."""
    seconds = np.maximum(np.nan_to_num(p99_seconds, nan=_FLOOR_SECONDS), _FLOOR_SECONDS)
    tall = np.maximum(1, np.round(2 * LANE * np.log10(seconds / _FLOOR_SECONDS) / span))
    parts, on_floor = [], True
    for value, begin, end in runs(np.where(np.isnan(p99_seconds), _BLANK, tall).astype(np.int64)):
        if value != _BLANK:
            parts.append(f"{f'M{begin} {LANE}' if on_floor else ''}V{number(LANE - value / 2)}H{end}")
        elif not on_floor:
            parts.append(f"V{LANE}")
        on_floor = value == _BLANK
    return f'<path d="{"".join(parts)}V{LANE}" fill="{LATENCY}" stroke="none"/>' if parts else ""
