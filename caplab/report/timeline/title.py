"""The head of the timeline: which run it was, its verdict, and the figures that matter most."""

from __future__ import annotations

from caplab.check.finding import Context, State
from caplab.model.runs import CONTROL

from .. import words
from ..values import RunReport, is_lower_bound
from .marks import DOUBT, SERVED
from .svg import MUTED, fitted, text, width

HEIGHT = 58  # pixels
_COLOURS = {State.HOLDS: SERVED, State.VIOLATED: DOUBT, State.UNKNOWN: MUTED}


def title(report: RunReport, left: float, right: float) -> list[str]:
    """Draw name and verdict, the run's id at the right edge, and a line of figures below."""
    verdict, run_id = words.of_state(report.verdict.state), fitted(report.run_id, 320, 10)
    room = right - left - width(run_id, 10) - width(verdict, 17, bold=True) - 28
    name, bold = fitted(report.name, room, 17, bold=True), 'font-weight="bold"'
    # In one text, so that the verdict follows the name in any font.
    drawn = f"{name}{words.DOT}{verdict}"
    before = text(left, 27, drawn, 17, more=bold)
    coloured = f'<tspan fill="{_COLOURS[report.verdict.state]}">{verdict}</tspan></text>'
    return [
        before.removesuffix(f"{verdict}</text>") + coloured,
        text(right, 27, run_id, 10, MUTED, 'text-anchor="end"'),
        text(left, 48, fitted(headline_figures(report), right - left, 12), 12),
    ]


def headline_figures(report: RunReport) -> str:
    """Format failover time (or outage), operations acked, acked writes lost; '?' where no checker has a figure."""
    return words.DOT.join((_failover(report), _acked(report), _lost(report)))


def _failover(report: RunReport) -> str:
    record = report.record
    if Context.of(record).injected_ns is None:
        return "control run: no fault" if record.fault == CONTROL else f"no {record.fault} is recorded"
    name, lasted = words.failover(record.has_primary), report.measured("availability", "failover_seconds")
    if lasted is None:
        return f"{name} {words.UNKNOWN}"
    at_least = is_lower_bound(report.figures("availability"), "failover_seconds")
    return f"{name} {words.seconds(lasted, at_least)}"


def _acked(report: RunReport) -> str:
    acked, operations = (report.measured("availability", name) for name in ("acked", "operations"))
    if acked is None or not operations:
        return f"operations acked {words.UNKNOWN}"
    return f"{words.counted(acked)} of {words.counted(operations)} operations acked ({words.ratio(acked / operations)})"


def _lost(report: RunReport) -> str:
    lost, writes = (report.measured("durability", name) for name in ("lost", "acked"))
    if lost is None or writes is None:
        return f"acked writes lost {words.UNKNOWN}"
    return f"{words.counted(lost)} of {words.counted(writes)} acked writes lost"
