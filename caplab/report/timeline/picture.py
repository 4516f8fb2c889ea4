"""The timeline: what clients experienced in one run, over time, as one SVG without other files."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from caplab.check.finding import Context
from caplab.model.history import Table, is_validated, validate

from .. import words
from ..values import RunReport
from . import legend, marks, strips, title
from .bins import BinnedRun, binned, first_ns
from .svg import FAINT, FONTS, Frame, number, rectangle

WIDTH = 900  # pixels: the width of a README
_LEFT, _RIGHT = 198, 44  # room beside the plot: for the names of strips, for the scale of latencies
_MARGIN = 14


def timeline(history: Table, report: RunReport) -> str:
    """Draw a run's picture: in a band for each vantage, a strip for its writes and its reads on each route.

    Times are seconds from the first injection; from the first operation without one. history is as written or as
    validated; ValueError if it is not a history (see caplab.model.history.validate).
    """
    table = history if is_validated(history) else validate(history)
    context = Context.of(report.record)
    origin_ns = context.injected_ns
    if origin_ns is None:
        origin_ns = first_ns(table) or 0
    bins = binned(table, origin_ns, _reach_ns(report, context), _lost(report))
    labels = _labels(report, bins)
    frame = _frame(bins, max((label.row + 1 for label in labels), default=0))
    steady = None if context.steady_ns is None else (context.steady_ns - origin_ns) / 1e9
    drawn = _plot(bins, frame, labels, steady, context.injected_ns is not None)
    warm_up = steady is not None and steady > bins.begin_seconds
    entries = legend.entries(bins, warm_up, bool(labels), report.record.has_primary)
    below, bottom = legend.legend(entries, frame.bottom + legend.AXIS_HEIGHT, _MARGIN, WIDTH - _MARGIN)
    return _document(report, bottom + 2, [*title.title(report, _MARGIN, WIDTH - _MARGIN), *drawn, *below])


def _reach_ns(report: RunReport, context: Context) -> list[int]:
    """Return moments that must be visible, even if there is no load any more."""
    if context.injected_ns is None:
        return []
    ends = [window.healed_ns for window in context.fault_windows] + [context.settled_ns]
    failover = report.measured("availability", "failover_seconds") or 0
    return [context.injected_ns + round(1e9 * failover), *(end for end in ends if end is not None)]


def _lost(report: RunReport) -> list[int]:
    """Return the checker's sample of lost values."""
    values = report.figures("durability").get("lost_values")
    if not isinstance(values, Sequence) or isinstance(values, str) or not report.is_conclusive("durability"):
        return []
    return [value for value in values if isinstance(value, int) and not isinstance(value, bool)]


def _labels(report: RunReport, bins: BinnedRun) -> list[marks.PlacedMark]:
    return marks.placed(marks.marks(report, bins.end_seconds), _frame(bins, 0), WIDTH - _MARGIN)


def _frame(bins: BinnedRun, label_rows: int) -> Frame:
    top = title.HEIGHT + 8 + marks.LABEL_ROW * label_rows
    bottom = top + max(strips.height(bins.strips), 20)
    return Frame(
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=top,
        bottom=bottom,
        begin_seconds=bins.begin_seconds,
        end_seconds=bins.end_seconds,
    )


def _plot(
    bins: BinnedRun, frame: Frame, labels: Sequence[marks.PlacedMark], steady: float | None, injected: bool
) -> list[str]:
    """Draw the plot from back to front: fault columns, the axis' lines, the strips, the moments, the texts."""
    since = "the injection" if injected else "the first operation"
    lines, figures = legend.axis(frame, f"seconds since {since}")
    veil = []
    if steady is not None and (wide := frame.x(steady) - frame.left) > 0:
        tall = frame.bottom - frame.top + 4
        veil = [rectangle(frame.left, frame.top - 2, wide, tall, "#fff", 'class="warm-up" opacity="0.65"')]
    return [
        *marks.columns(labels, frame),
        *lines,
        *strips.bars(bins, frame),
        *veil,
        *marks.leaders(labels, frame),
        *strips.labels(bins, frame),
        *figures,
    ]


def _document(report: RunReport, height: float, parts: Sequence[str]) -> str:
    name = escape(words.one_line(f"{report.name}: {words.of_state(report.verdict.state)}"))
    description = escape(words.one_line(title.headline_figures(report)))
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
