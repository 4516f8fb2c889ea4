"""The cells of the CAP table: promises, figures and sides in words, of one run or of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caplab.check.finding import State
from caplab.model.expectations import Promise, PropertyExpectation
from caplab.verdict import Judgement

from .judged import measured, predicted

NOT_MEASURED = "not measured"
_ALL = "all"


def where(expected: PropertyExpectation) -> str:
    """Such as 'minority, direct'; 'all' where neither side nor route is named."""
    return ", ".join(part for part in (expected.side, expected.route) if part) or _ALL


def promised(expected: PropertyExpectation, judged: Sequence[Judgement]) -> str:
    """The promise; of a budget the expression, with its value under the settings of the runs that were judged by it."""
    if expected.budget is None:
        return predicted(Judgement(expected, State.UNKNOWN, ""))
    limited = [one for one in judged if one.limit is not None]
    if not limited:
        return f"{'≤' if expected.promise is Promise.BOUNDED else 'must show >='} {expected.budget}"
    return _range(limited, lambda one: one.limit or 0, predicted)


def shown(judged: Sequence[Judgement]) -> str:
    """The figure; of several runs the least and the most, and how many they are."""
    found = [one for one in judged if one.measured is not None]
    if not found:
        return NOT_MEASURED
    said = _range(found, lambda one: one.measured or 0, measured)
    if len(judged) == 1:
        return said
    return f"{said}; {len(found)} of {len(judged)} runs" if len(found) < len(judged) else f"{said}; {len(found)} runs"


def _range(judged: Sequence[Judgement], by: Callable[[Judgement], float], show: Callable[[Judgement], str]) -> str:
    least, most = show(min(judged, key=by)), show(max(judged, key=by))
    return least if least == most else f"{least} to {most}"
