"""The head of the timeline: what was done, its verdict and what it cost, and how long whom was not served."""

from __future__ import annotations

from caplab.check.finding import State

from ..headline import RunHeadline
from .marks import DOUBT, SERVED
from .svg import MUTED, fitted, text, width

HEIGHT = 76  # pixels
_COLOURS = {State.HOLDS: SERVED, State.VIOLATED: DOUBT, State.UNKNOWN: MUTED}
_SIZES = (17, 15, 13)  # of the run's name: the largest in which it is whole
_BOLD = 'font-weight="bold"'


def title(shown: RunHeadline, run_id: str, left: float, right: float) -> list[str]:
    """Draw the name with the run's id at the right edge, then verdict and cost, then how clients were served."""
    run_id = fitted(run_id, 320, 10)
    room = right - left - width(run_id, 10) - 14
    size = next((size for size in _SIZES if width(shown.title, size, bold=True) <= room), _SIZES[-1])
    return [
        text(left, 27, fitted(shown.title, room, size, bold=True), size, more=_BOLD),
        text(right, 27, run_id, 10, MUTED, 'text-anchor="end"'),
        _verdict(shown, left, right),
        text(left, 66, fitted(shown.served, right - left, 12), 12),
    ]


def _verdict(shown: RunHeadline, left: float, right: float) -> str:
    """Draw verdict and cost in one text, so that one follows the other in any font; the verdict is coloured."""
    drawn = text(left, 47, fitted(shown.line, right - left, 13), 13, more=_BOLD)
    coloured = f'<tspan fill="{_COLOURS[shown.state]}">{shown.verdict}</tspan>'
    return drawn.replace(shown.verdict, coloured, 1)
