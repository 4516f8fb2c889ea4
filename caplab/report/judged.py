"""Predicted beside measured: a row for each property that the run's expectation row names."""

from __future__ import annotations

import math

from caplab.check.finding import State
from caplab.model.expectations import PROPERTIES, Promise
from caplab.verdict import Judgement

from . import words
from .grid import Grid
from .values import Figures, RunReport, is_lower_bound, nested, number

# Of how many writes a count is one: a checker's figure.
_WRITES = {
    "lost": ("durability", "acked"),
    "unexpected": ("durability", "acked"),
    "duplicated": ("durability", "acked"),
    "twoPrimaries": ("epochs", "acked"),
}
_MARKS = {State.HOLDS: "ok", State.VIOLATED: "VIOLATED", State.UNKNOWN: "unknown"}


def predicted_beside_measured(report: RunReport) -> Grid:
    """In the order of the row."""
    has_primary = report.record.has_primary
    rows = tuple(
        (words.of_property(one.property, has_primary), _predicted(one), _measured(report, one), _MARKS[one.state])
        for one in report.verdict.judgements
    )
    return Grid("predicted beside measured", ("property", "predicted", "measured", ""), rows, frozenset({0, 1, 2, 3}))


def _predicted(judgement: Judgement) -> str:
    match judgement.promise:
        case Promise.MUST_SHOW if judgement.budget is not None:
            return f"must show >= {_limit(judgement)}  ({judgement.budget})"
        case Promise.MUST_SHOW:
            return "must show"
        case Promise.BOUNDED:
            return f"≤ {_limit(judgement)}  ({judgement.budget or 'no budget'})"
    return str(judgement.promise.value)


def _limit(judgement: Judgement) -> str:
    if judgement.limit is None:
        return words.UNKNOWN
    if judgement.unit:
        return f"{judgement.limit:,.1f} {judgement.unit}"
    return words.counted(math.floor(judgement.limit))  # of what is counted there are no fractions


def _measured(report: RunReport, judgement: Judgement) -> str:
    measured = judgement.measured
    if measured is None:
        return "not measured"
    where = PROPERTIES.get(judgement.property)
    at_least = where is not None and is_lower_bound(_of_route(report, where.checker), where.figure)
    if judgement.unit:
        return words.seconds(measured, at_least)
    checker, figure = _WRITES.get(judgement.property, ("", ""))
    writes = number(report.figures(checker), figure)
    return words.counted(measured) if writes is None else words.of_writes(measured, writes)


def _of_route(report: RunReport, checker: str) -> Figures:
    """A checker's figures, of the route that the verdict's row names, if it names one."""
    figures, record = report.figures(checker), report.record
    route = report.verdict.row.removeprefix(f"{record.engine} {record.mode} {record.fault}").strip()
    return nested(nested(figures, "by_route"), route) or figures
