"""The explanation of the timeline's plot: the axis of time, and the legend below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from . import strips
from .bins import BinnedRun
from .marks import COLUMN, COLUMN_EDGE
from .svg import FAINT, INK, MUTED, Frame, line, rectangle, text, width

AXIS_HEIGHT = 50  # pixels
_ROW, _SWATCH, _SIZE = 20, 11, 11
_MAX_TICKS = 14
_TICK_LINE = 'stroke-width="0.7" class="tick"'


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample of a drawn element, from (0, 0) to (wide, _SWATCH), and its meaning."""

    sample: str
    wide: float
    text: str


def axis(frame: Frame, title: str) -> tuple[list[str], list[str]]:
    """Draw lines at round seconds, behind the strips, and the figures below the plot."""
    span = frame.end_seconds - frame.begin_seconds
    sizes = (size * 10**power for power in count() for size in (1, 2, 5))
    step = next(size for size in sizes if span <= _MAX_TICKS * size)
    middle, tick_text = 'text-anchor="middle"', 'text-anchor="middle" class="tick"'
    lines, figures = [], []
    for tick in range(-int(-frame.begin_seconds // step), int(frame.end_seconds // step) + 1):
        x = frame.x(tick * step)
        lines.append(line(x, frame.top - 4, x, frame.bottom + 8, FAINT, _TICK_LINE))
        figures.append(text(x, frame.bottom + 20, f"{tick * step:,}", 11, MUTED, tick_text))
    figures.append(text((frame.left + frame.right) / 2, frame.bottom + 36, title, 11, MUTED, middle))
    return lines, figures


def legend(entries: Sequence[Entry], top: float, left: float, right: float) -> tuple[list[str], float]:
    """Draw the entries, in as many rows as needed; also return where the last row ends."""
    drawn: list[str] = []
    x, y = left, top
    for entry in entries:
        wide = entry.wide + 6 + width(entry.text, _SIZE)
        if x > left and x + wide > right:
            x, y = left, y + _ROW
        drawn.append(f'<g transform="translate({x:.1f} {y:.1f})">{entry.sample}</g>')
        drawn.append(text(x + entry.wide + (6 if entry.wide else 0), y + _SWATCH - 1.5, entry.text, _SIZE, MUTED))
        x += wide + 14
    return drawn, y + _ROW


def entries(binned: BinnedRun, warm_up: bool, fault: bool, has_primary: bool = True) -> list[Entry]:
    """List what is in the picture, and nothing else; without a primary writes go to members in turn as reads do."""
    ramp = (rectangle(_SWATCH * place, 0, _SWATCH, _SWATCH, colour) for place, colour in enumerate(strips.RAMP))
    width_ms = f"{1000 * binned.bin_seconds:,.0f} ms"
    entries = [
        Entry(
            "".join(ramp),
            _SWATCH * len(strips.RAMP),
            f"share acknowledged, of what was scheduled in each {width_ms}: none ... all",
        ),
        Entry(_boxed("#fff"), _SWATCH, "nothing scheduled"),
        Entry(_latency(), 2 * _SWATCH, f"p99 latency of the acknowledged, 1 ms to {strips.ceiling(binned)}, log scale"),
    ]
    if fault:
        entries.append(Entry(_boxed(COLUMN), _SWATCH, "fault is live"))
    if shown := sum(len(strip.lost_seconds) for strip in binned.strips):
        # The checker keeps a sample, so there may be more.
        lost_text = f"acknowledged write that was lost ({shown} shown)"
        entries.append(Entry(rectangle(4, 0, 2, _SWATCH, INK), _SWATCH, lost_text))
    if warm_up:
        faded = f'<g opacity="0.35">{rectangle(0, 0, _SWATCH, _SWATCH, strips.RAMP[-1])}</g>'
        entries.append(Entry(faded, _SWATCH, "pale: warm-up, not counted"))
    if any(strip.route == "direct" and (strip.kind == "reads" or not has_primary) for strip in binned.strips):
        which = "reads direct" if has_primary else "direct"
        entries.append(Entry("", 0, f"{which}: to each member in turn, so one that is down costs its share of them"))
    return entries


def _boxed(fill: str) -> str:
    return rectangle(0.5, 0.5, _SWATCH - 1, _SWATCH - 1, fill, f'stroke="{COLUMN_EDGE}"')


def _latency() -> str:
    return f'<path d="M0 {_SWATCH}V7H6V2H11V5H16V8H22V{_SWATCH}Z" fill="{strips.LATENCY}"/>'
