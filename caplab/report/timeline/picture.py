"""The timeline: what clients experienced in one run, over time, as one SVG without other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from caplab.check.finding import Context
from caplab.model.history import Table, is_validated, validate

from ..headline import RunHeadline, headline
from ..values import RunReport
from . import details, legend, marks, strips, title
from .bins import BinnedRun, binned, first_ns
from .details import Details
from .svg import FAINT, FONTS, Frame, number, rectangle

WIDTH = 900  # pixels: the width of a README
_LEFT, _RIGHT = 198, 44  # room beside the plot: for the names of strips, for the scale of latencies
_MARGIN = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A picture, and what is where in it."""

    svg: str
    bins: BinnedRun
    frame: Frame
    rows: tuple[strips.Row, ...]


def timeline(history: Table, report: RunReport) -> str:
    """Draw a run's picture: in a band for each vantage, a strip for its writes and its reads on each route.

    Times are seconds from the first injection; from the first operation without one. history is as written or as
    validated; ValueError if it is not a history (see caplab.model.history.validate).
    """
    return drawn(history, report).svg


def origin_of(history: Table, report: RunReport) -> int:
    """Return the moment from which times are counted: the first injection, or the first operation without one."""
    injected_ns = Context.of(report.record).injected_ns
    return (first_ns(history) or 0) if injected_ns is None else injected_ns


def drawn(history: Table, report: RunReport, extra: Details | None = None) -> Drawn:
    """Draw the picture; with extra as the page shows it, below a heading of its own."""
    table = history if is_validated(history) else validate(history)
    context, origin_ns = Context.of(report.record), origin_of(table, report)
    bins = binned(table, origin_ns, _reach_ns(report, context), _lost(report) if extra is None else ())
    labels, segments = _labels(report, bins), details.segments(extra, origin_ns)
    label_rows = max((label.row + 1 for label in labels), default=0)
    frame = _frame(bins, 0 if extra else title.HEIGHT, label_rows, details.lane_height(segments))
    rows = tuple(strips.placed(bins, frame))
    steady = None if context.steady_ns is None else (context.steady_ns - origin_ns) / 1e9
    lane = details.lane(segments, frame, frame.bottom - details.lane_height(segments) + 8)
    shades = details.shades(report, rows, frame, origin_ns) if extra else []
    over = [*lane[0], *(details.marks(extra, rows, frame) if extra else [])]
    layers = _Layers(behind=shades, over=over, on_lane=lane[1], beside=lane[2], stretches=extra is not None)
    plot = _plot(bins, frame, labels, steady, context.injected_ns is not None, layers)
    warm_up = steady is not None and steady > bins.begin_seconds
    entries = legend.entries(bins, warm_up, bool(labels), report.record.has_primary)
    entries += details.entries(extra, bool(shades)) if extra else []
    below, bottom = legend.legend(entries, frame.bottom + legend.AXIS_HEIGHT, _MARGIN, WIDTH - _MARGIN)
    shown = headline(report)
    head = [] if extra else title.title(shown, report.run_id, _MARGIN, WIDTH - _MARGIN)
    return Drawn(svg=_document(shown, bottom + 2, [*head, *plot, *below]), bins=bins, frame=frame, rows=rows)


def _reach_ns(report: RunReport, context: Context) -> list[int]:
    """Return moments that must be visible, even if there is no load any more."""
    if context.injected_ns is None:
        return []
    ends = [window.healed_ns for window in context.fault_windows] + [context.settled_ns]
    sides = headline(report).sides
    served = [round(1e9 * side.outage.seconds) for side in (sides.judged, sides.other) if side]
    return [*(context.injected_ns + after_ns for after_ns in served), *(end for end in ends if end is not None)]


def _lost(report: RunReport) -> list[int]:
    """Return the checker's sample of lost values."""
    values = report.figures("durability").get("lost_values")
    if not isinstance(values, Sequence) or isinstance(values, str) or not report.is_conclusive("durability"):
        return []
    return [value for value in values if isinstance(value, int) and not isinstance(value, bool)]


def _labels(report: RunReport, bins: BinnedRun) -> list[marks.PlacedMark]:
    return marks.placed(marks.marks(report, bins.end_seconds), _frame(bins), WIDTH - _MARGIN)


def _frame(bins: BinnedRun, head: float = 0, label_rows: int = 0, lane: float = 0) -> Frame:
    top = head + 8 + marks.LABEL_ROW * label_rows
    bottom = top + max(strips.height(bins.strips), 20) + lane
    return Frame(
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=top,
        bottom=bottom,
        begin_seconds=bins.begin_seconds,
        end_seconds=bins.end_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """What is drawn behind the strips, over them, and beside. stretches: the page stretches the axis of time."""

    behind: list[str]
    over: list[str]
    on_lane: list[str]
    beside: list[str]
    stretches: bool


def _plot(
    bins: BinnedRun,
    frame: Frame,
    labels: Sequence[marks.PlacedMark],
    steady: float | None,
    injected: bool,
    layers: _Layers,
) -> list[str]:
    """Draw the plot from back to front: fault columns, the axis' lines, the strips, the moments, the texts."""
    since = "the injection" if injected else "the first operation"
    lines, figures = legend.axis(frame, f"seconds since {since}")
    veil = []
    if steady is not None and (wide := frame.x(steady) - frame.left) > 0:
        tall = frame.bottom - frame.top + 4
        veil = [rectangle(frame.left, frame.top - 2, wide, tall, "#fff", 'class="warm-up" opacity="0.65"')]
    begin, end = _stretching(frame) if layers.stretches else ("", "")
    names = [*strips.names(bins, frame), *layers.beside]
    return [
        begin,
        *marks.columns(labels, frame),
        *lines,
        *layers.behind,
        *strips.bars(bins, frame),
        *veil,
        *layers.over,
        *marks.leaders(labels, frame),
        end,
        *marks.texts(labels, frame),
        *strips.zones(bins, frame),
        *layers.on_lane,
        *(strips.sticky(bins, names, frame) if layers.stretches else names),
        *figures,
    ]


def _stretching(frame: Frame) -> tuple[str, str]:
    """Return the beginning and the end of the group of all that the page stretches along the axis of time."""
    window = rectangle(frame.left - 1, 0, frame.right - frame.left + 2, frame.bottom + 9, "#fff")
    return f'<clipPath id="plot">{window}</clipPath><g clip-path="url(#plot)"><g class="stretches">', "</g></g>"


def _document(shown: RunHeadline, height: float, parts: Sequence[str]) -> str:
    name = escape(f"{shown.title}: {shown.line}")
    description = escape(shown.served)
    size = f'width="{WIDTH}" height="{number(height)}" viewBox="0 0 {WIDTH} {number(height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONTS}">',
        f"<title>{name}</title>",
        f"<desc>What clients saw over time. {description}</desc>",
        # White on any page: the colours are chosen for it.
        rectangle(0.5, 0.5, WIDTH - 1, height - 1, "#fff", f'rx="6" stroke="{FAINT}"'),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
