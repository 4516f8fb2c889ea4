"""Promised beside measured: a row for each property that the run's expectation row names."""

from __future__ import annotations

import math

from caplab.check.checker import RATIO, SHARE
from caplab.check.finding import State
from caplab.model.expectations import Promise
from caplab.verdict import Judgement

from . import words
from .grid import Grid
from .values import RunReport

_MARKS = {State.HOLDS: "ok", State.VIOLATED: "VIOLATED", State.UNKNOWN: "unknown"}
_UNPROVEN = "unproven"  # as promised, in a run that proves nothing


def predicted_beside_measured(report: RunReport) -> Grid:
    """Build the grid, in the order of the expectation row."""
    has_primary = report.record.has_primary
    rows = tuple(
        (
            words.of_expected(judgement.expected, has_primary),
            predicted(judgement),
            measured(judgement),
            mark(judgement, report),
        )
        for judgement in report.verdict.judgements
    )
    return Grid("promised beside measured", ("property", "promised", "measured", ""), rows, frozenset({0, 1, 2, 3}))


def mark(judgement: Judgement, report: RunReport) -> str:
    """Say whether a property is as promised: never 'ok' in a run that proves nothing."""
    is_unproven = judgement.state is State.HOLDS and report.verdict.state is State.UNKNOWN
    return _UNPROVEN if is_unproven else _MARKS[judgement.state]


def reasons(report: RunReport) -> list[str]:
    """Return why a run is not as promised, in one line each, with properties named as people know them."""
    has_primary = report.record.has_primary
    names = {
        f"{judgement.expected.name()}: ": f"{words.of_expected(judgement.expected, has_primary)}: "
        for judgement in report.verdict.judgements
    }
    told = []
    for reason in report.verdict.reasons:
        name = next((name for name in names if reason.startswith(name)), "")
        told.append(words.one_line(names.get(name, "") + reason.removeprefix(name)))
    return told


def predicted(judgement: Judgement) -> str:
    """Format the promise, with its budget's value under the run's settings."""
    expected = judgement.expected
    match expected.promise:
        case Promise.MUST_SHOW if expected.budget is not None:
            return f"must show ≥ {_limit(judgement)}  ({expected.budget})"
        case Promise.MUST_SHOW:
            return "must show"
        case Promise.BOUNDED:
            return f"≤ {_limit(judgement)}  ({expected.budget or 'no budget'})"
    return str(expected.promise.value)


def _limit(judgement: Judgement) -> str:
    if judgement.limit is None:
        return words.UNKNOWN
    if judgement.unit == SHARE:
        return words.ratio(judgement.limit)
    if judgement.unit:
        return f"{judgement.limit:,.1f} {judgement.unit}"
    return words.counted(math.floor(judgement.limit))  # counts have no fractions


def measured(judgement: Judgement) -> str:
    """Format the measured figure, among how many operations."""
    value = judgement.measured
    if value is None:
        return "not measured"
    if judgement.unit == SHARE:
        return words.ratio(value)
    if judgement.unit == RATIO:
        return f"{'≥ ' if judgement.at_least else ''}{value:,.1f} {RATIO}"
    if judgement.unit:
        return words.seconds(value, judgement.at_least)
    return words.counted(value) if judgement.of is None else words.of_writes(value, judgement.of)
