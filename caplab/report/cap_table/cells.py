"""The cells of the CAP table: promises, figures and sides in words, for one run or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caplab.check.finding import State
from caplab.model.expectations import Promise, PropertyExpectation
from caplab.verdict import Judgement

from ..judged import measured, predicted

NOT_MEASURED = "not measured"
_ALL = "all"


def where(expected: PropertyExpectation) -> str:
    """Return the side and route, such as 'minority, direct'; 'all' if neither is named."""
    return ", ".join(part for part in (expected.side, expected.route) if part) or _ALL


def promised(expected: PropertyExpectation, judged: Sequence[Judgement]) -> str:
    """Format the promise; a budget as its expression, with its value under the settings of the judged runs."""
    if expected.budget is None:
        return predicted(Judgement(expected=expected, state=State.UNKNOWN, reason=""))
    limited = [judgement for judgement in judged if judgement.limit is not None]
    if not limited:
        return f"{'≤' if expected.promise is Promise.BOUNDED else 'must show ≥'} {expected.budget}"
    return _range(limited, lambda judgement: judgement.limit or 0, predicted)


def shown(judged: Sequence[Judgement]) -> str:
    """Format the figure; for several runs the least and the most, and their number."""
    with_figure = [judgement for judgement in judged if judgement.measured is not None]
    if not with_figure:
        return NOT_MEASURED
    text = _range(with_figure, lambda judgement: judgement.measured or 0, measured)
    if len(judged) == 1:
        return text
    return (
        f"{text}; {len(with_figure)} of {len(judged)} runs"
        if len(with_figure) < len(judged)
        else f"{text}; {len(with_figure)} runs"
    )


def _range(judged: Sequence[Judgement], by: Callable[[Judgement], float], show: Callable[[Judgement], str]) -> str:
    least, most = show(min(judged, key=by)), show(max(judged, key=by))
    return least if least == most else f"{least} to {most}"
