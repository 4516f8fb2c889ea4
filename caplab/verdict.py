"""The verdict: what was found, held against what an expectation row promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from caplab.check.finding import Finding, State, merge
from caplab.model import budgets
from caplab.model.expectations import PROPERTIES, Demand, Expectation, Promise
from caplab.model.fields import Json
from caplab.model.runs import CONTROL, RunRecord


@dataclass(frozen=True, slots=True)
class Judgement:
    """One property of the row: what was promised, what was measured, and whether it holds.

    limit is the budget's value under the run's settings: the most, or of a must-show the least. measured and limit
    are in unit ('' for a count). None: not measured, or no limit.
    """

    property: str
    promise: Promise
    state: State
    reason: str
    unit: str = ""
    measured: float | None = None
    budget: str | None = None
    limit: float | None = None

    def to_json(self) -> dict[str, Json]:
        """A plain dict, as verdict.json keeps it."""
        return {
            "property": self.property,
            "promise": self.promise.value,
            "state": self.state.value,
            "reason": self.reason,
            "unit": self.unit,
            "measured": self.measured,
            "budget": self.budget,
            "limit": self.limit,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """valid, invalid or unknown, the reasons it is not valid, and every property that the row names."""

    row: str
    state: State
    reasons: tuple[str, ...]
    judgements: tuple[Judgement, ...]

    def to_json(self) -> dict[str, Json]:
        """A plain dict, as verdict.json keeps it."""
        return {
            "verdict": self.state.value,
            "row": self.row,
            "reasons": list(self.reasons),
            "properties": [judgement.to_json() for judgement in self.judgements],
        }


def judge(row: Expectation, run: RunRecord, findings: Iterable[Finding]) -> Verdict:
    """Hold a run's findings against its row.

    Only what the row names counts. A run that is no case of its row (no evidence of the fault, a baseline
    that failed, another mode) is unknown whatever it measured; the reasons still tell what else was wrong.
    Otherwise a violated property makes it invalid; a property that was not measured, or an anomaly
    that must show and did not, makes it unknown.
    """
    by_checker = {finding.property: finding for finding in findings}
    judgements = tuple(_judge(demand, row.route, run.settings, by_checker) for demand in row.demands)
    doubts = (*_wrong_row(row, run), *_baseline_doubts(run), *_fault_doubts(run))
    wrong = [one for one in judgements if one.state is not State.HOLDS]
    wrong.sort(key=lambda one: one.state is not State.VIOLATED)  # what is violated comes first
    reasons = (*doubts, *(f"{one.property}: {one.reason}" for one in wrong))
    state = State.UNKNOWN if doubts else merge(judgement.state for judgement in judgements)
    return Verdict(row.name, state, reasons, judgements)


def _wrong_row(row: Expectation, run: RunRecord) -> Sequence[str]:
    is_ = (run.engine, run.mode, run.fault)
    return () if is_ == (row.engine, row.mode, row.fault) else (f"The run is {' '.join(is_)}, the row {row.name}.",)


def _baseline_doubts(run: RunRecord) -> Sequence[str]:
    if run.baseline is None:
        return ("There is no record of a baseline.",)
    return () if run.baseline.held else (f"The baseline failed: {run.baseline.problem or 'no reason given'}.",)


def _fault_doubts(run: RunRecord) -> Sequence[str]:
    if run.fault == CONTROL:
        return tuple(f"A control run, but {one.target} had a {one.kind}." for one in run.fault_windows)
    if not run.fault_windows:
        return (f"There is no evidence of the fault: no {run.fault} is on record.",)
    return tuple(
        f"There is no evidence that the {one.kind} of {one.target} was live."
        for one in run.fault_windows
        if not one.proven
    )


def _judge(
    demand: Demand, route: str | None, settings: Mapping[str, Json], findings: Mapping[str, Finding]
) -> Judgement:
    """Judge one property; where it was not measured, or its budget has no value, it is unknown."""
    unit = PROPERTIES[demand.property].unit
    try:
        measured, at_least = _measured(demand.property, route, findings)
        limit = budgets.evaluate(demand.budget, settings) if demand.budget is not None else None
    except (_Unmeasured, budgets.BudgetError) as problem:
        return Judgement(demand.property, demand.promise, State.UNKNOWN, str(problem), unit, budget=demand.budget)
    state, reason = _weigh(demand, measured, at_least, limit, unit)
    return Judgement(demand.property, demand.promise, state, reason, unit, measured, demand.budget, limit)


class _Unmeasured(Exception):
    """The message says why there is no figure."""


def _measured(name: str, route: str | None, findings: Mapping[str, Finding]) -> tuple[float, bool]:
    """The property's figure, and whether it is only a lower bound."""
    where = PROPERTIES[name]
    finding = findings.get(where.checker)
    if finding is None:
        raise _Unmeasured(f"the checker '{where.checker}' did not run.")
    if finding.state is State.UNKNOWN:
        raise _Unmeasured(finding.reason)
    figures = _of_route(finding.figures, route)
    value, lower_bounds = figures.get(where.figure), figures.get("lower_bounds")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Unmeasured(f"the checker '{where.checker}' gives no number '{where.figure}'.")
    return value, isinstance(lower_bounds, Sequence) and where.figure in lower_bounds


def _of_route(figures: Mapping[str, Json], route: str | None) -> Mapping[str, Json]:
    """The figures of the row's route, of a checker that tells routes apart."""
    by_route = figures.get("by_route")
    if route is None or not isinstance(by_route, Mapping):
        return figures
    of_route = by_route.get(route)
    if not isinstance(of_route, Mapping):
        raise _Unmeasured(f"no operation took the route '{route}'.")
    return of_route


def _weigh(demand: Demand, measured: float, at_least: bool, limit: float | None, unit: str) -> tuple[State, str]:
    shown = f"{'at least ' if at_least else ''}{_shown(measured, unit)}"
    match demand.promise:
        case Promise.FORBIDDEN:
            return (State.VIOLATED, f"{shown}; forbidden.") if measured > 0 else (State.HOLDS, "none.")
        case Promise.MUST_SHOW:
            return _must_show(demand, measured, shown, limit, unit)
        case Promise.POSSIBLE:
            return State.HOLDS, shown
        case Promise.BOUNDED if limit is not None:
            text = f"{shown}; the budget is {_shown(limit, unit)} ({demand.budget})."
            if measured > limit:
                return State.VIOLATED, text
            return (State.UNKNOWN if at_least else State.HOLDS), text
    return State.UNKNOWN, "the row bounds it, but gives no budget."


def _must_show(demand: Demand, measured: float, shown: str, limit: float | None, unit: str) -> tuple[State, str]:
    """What shows less than the least that is promised proves nothing, and is no violation."""
    if measured > 0 and measured >= (limit or 0):
        return State.HOLDS, shown
    least = "" if limit is None else f"{shown}; at least {_shown(limit, unit)} ({demand.budget}): "
    return State.UNKNOWN, f"{least}it must show here, and did not."


def _shown(value: float, unit: str) -> str:
    return f"{value:.3f} {unit}" if unit else f"{value:g}"
