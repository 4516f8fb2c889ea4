"""What stands around the plot of the timeline: its title, the axis of time, and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from caplab.check.finding import Context, State
from caplab.model.runs import CONTROL

from . import words
from .timeline_bins import Binned
from .timeline_marks import COLUMN, COLUMN_EDGE, DOUBT, SERVED
from .timeline_strips import LATENCY, RAMP
from .timeline_svg import FAINT, INK, MUTED, Frame, fitted, line, rectangle, text, width
from .values import RunReport, is_lower_bound

TITLE_HEIGHT, AXIS_HEIGHT = 56, 46  # pixels
_VERDICTS = {State.HOLDS: SERVED, State.VIOLATED: DOUBT, State.UNKNOWN: MUTED}
_ROW, _SWATCH, _SIZE = 20, 11, 11
_MOST_TICKS = 14


@dataclass(frozen=True, slots=True)
class _Entry:
    """A sample of what is drawn, from (0, 0) to (wide, _SWATCH), and what it stands for."""

    sample: str
    wide: float
    said: str


def title(report: RunReport, left: float, right: float) -> list[str]:
    """Name and verdict, the run's id at the right edge, and a line of figures below."""
    verdict, run_id = words.of_state(report.verdict.state), fitted(report.run_id, 200, 10)
    id_left = right - width(run_id, 10)
    room = id_left - left - width(verdict, 17, bold=True) - 24
    name = fitted(report.name, room, 17, bold=True)
    bold = 'font-weight="bold"'
    verdict_left = left + width(name, 17, bold=True) + 12
    return [
        text(left, 27, name, 17, more=bold),
        text(verdict_left, 27, verdict, 17, _VERDICTS[report.verdict.state], bold),
        text(right, 27, run_id, 10, MUTED, 'text-anchor="end"'),
        text(left, 48, fitted(headline_figures(report), right - left, 12), 12),
    ]


def headline_figures(report: RunReport) -> str:
    """Failover time, share acked, acked writes lost; '?' for what no checker could tell."""
    parts = [_failover(report)]
    acked, operations = (report.measured("availability", name) for name in ("acked", "operations"))
    if acked is None or not operations:
        parts.append(f"operations acked {words.UNKNOWN}")
    else:
        share = words.ratio(acked / operations)
        parts.append(f"{words.counted(acked)} of {words.counted(operations)} operations acked ({share})")
    lost, writes = (report.measured("durability", name) for name in ("lost", "acked"))
    known = lost is not None and writes is not None
    of = f"{words.counted(lost)} of {words.counted(writes)}" if lost is not None and writes is not None else ""
    parts.append(f"{of} acked writes lost" if known else f"acked writes lost {words.UNKNOWN}")
    return words.DOT.join(parts)


def _failover(report: RunReport) -> str:
    record = report.record
    if Context.of(record).injected_ns is None:
        return "control run: no fault" if record.fault == CONTROL else f"no {record.fault} is on record"
    failover = report.measured("availability", "failover_seconds")
    if failover is None:
        return f"failover {words.UNKNOWN}"
    at_least = is_lower_bound(report.figures("availability"), "failover_seconds")
    return f"failover {words.seconds(failover, at_least)}"


def axis(frame: Frame, said: str) -> tuple[list[str], list[str]]:
    """Lines at round seconds, to lie below the strips, and the figures below the plot."""
    span = frame.end_seconds - frame.begin_seconds
    sizes = (size * 10**power for power in count() for size in (1, 2, 5))
    step = next(size for size in sizes if span <= _MOST_TICKS * size)
    middle = 'text-anchor="middle"'
    lines, figures = [], []
    for tick in range(-int(-frame.begin_seconds // step), int(frame.end_seconds // step) + 1):
        x = frame.x(tick * step)
        lines.append(line(x, frame.top - 4, x, frame.bottom + 8, FAINT, 'stroke-width="0.7"'))
        figures.append(text(x, frame.bottom + 20, f"{tick * step:,}", 11, MUTED, middle))
    figures.append(text((frame.left + frame.right) / 2, frame.bottom + 36, said, 11, MUTED, middle))
    return lines, figures


def legend(binned: Binned, frame: Frame, warm_up: bool, top: float, left: float, right: float) -> tuple[list[str], float]:
    """The entries in lines as they fit, and how tall they are together."""
    entries = _entries(binned, frame, warm_up)
    drawn, x, y = [], left, top
    for entry in entries:
        wide = entry.wide + 6 + width(entry.said, _SIZE) + 16
        if x > left and x + wide > right:
            x, y = left, y + _ROW
        drawn.append(f'<g transform="translate({x:.1f} {y:.1f})">{entry.sample}</g>')
        drawn.append(text(x + entry.wide + 6, y + _SWATCH - 1, entry.said, _SIZE, MUTED))
        x += wide
    return drawn, y + _ROW - top


def _entries(binned: Binned, frame: Frame, warm_up: bool, decades: int) -> list[_Entry]:
    """What is in the picture, and nothing else."""
    step = f"{1000 * binned.bin_seconds:,.0f} ms"
    found = [
        _Entry("".join(_ramp()), 7 * _SWATCH, f"acked, of what was scheduled in each {step}: none to all"),
        _Entry(_boxed("#fff"), _SWATCH, "nothing scheduled"),
    ]
    return found
