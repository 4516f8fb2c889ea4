"""The verdict: findings compared with what an expectation row promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from caplab.check import MEASURED_BY, PROPERTIES
from caplab.check.checker import SHARE
from caplab.check.finding import Finding, State, merge, state_of
from caplab.model import budgets
from caplab.model.expectations import Expectation, Promise, PropertyExpectation
from caplab.model.fields import Fields, Json
from caplab.model.runs import CONTROL, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One property of the row: what was promised, what was measured, and whether it holds.

    limit is the budget's value under the run's settings: the most, or of a must-show the least. measured and limit
    are in unit ('' for a count). of: how many operations there were of which measured counts some; None: it counts
    none. at_least: measured is only a lower bound. None: not measured, or no limit.
    """

    expected: PropertyExpectation
    state: State
    reason: str
    measured: float | None = None
    of: float | None = None
    at_least: bool = False
    limit: float | None = None

    @property
    def unit(self) -> str:
        """The unit of the figure and of the limit; '' for a property that another version of the lab knows."""
        declared = PROPERTIES.get(self.expected.property)
        return declared.unit if declared else ""

    def to_json(self) -> dict[str, Json]:
        """Return a plain dict, as verdict.json keeps it."""
        return {
            "property": self.expected.property,
            "side": self.expected.side,
            "route": self.expected.route,
            "promise": self.expected.promise.value,
            "state": self.state.value,
            "reason": self.reason,
            "unit": self.unit,
            "measured": self.measured,
            "of": self.of,
            "at_least": self.at_least,
            "budget": self.expected.budget,
            "limit": self.limit,
        }

    @classmethod
    def from_fields(cls, fields: Fields, number: Callable[[Fields, str], float | None]) -> Judgement:
        """Read what `to_json` gives, its numbers by `number`; FieldError names a field that is missing or wrong."""
        expected = PropertyExpectation(
            property=fields.text("property"),
            promise=Promise(fields.one_of("promise", [promise.value for promise in Promise])),
            budget=fields.optional_text("budget"),
            side=fields.optional_text("side"),
            route=fields.optional_text("route"),
        )
        return cls(
            expected=expected,
            state=state_of(fields, "state"),
            reason=str(fields.values.get("reason") or ""),
            measured=number(fields, "measured"),
            of=number(fields, "of"),
            at_least=fields.boolean("at_least") if "at_least" in fields.values else False,
            limit=number(fields, "limit"),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """valid, invalid or unknown, the reasons if it is not valid, and every property that the row names."""

    row: str
    state: State
    reasons: tuple[str, ...]
    judgements: tuple[Judgement, ...]

    def to_json(self) -> dict[str, Json]:
        """Return a plain dict, as verdict.json keeps it."""
        return {
            "verdict": self.state.value,
            "row": self.row,
            "reasons": list(self.reasons),
            "properties": [judgement.to_json() for judgement in self.judgements],
        }

    @classmethod
    def from_json(cls, where: str, value: object) -> Verdict:
        """Read what `to_json` gives, beside other fields; FieldError names a field that is missing or wrong."""
        fields = Fields.of(where, value)
        judgements = (Judgement.from_fields(judged, _plain_number) for judged in fields.objects("properties"))
        return cls(fields.text("row"), state_of(fields, "verdict"), fields.texts("reasons"), tuple(judgements))


def _plain_number(fields: Fields, name: str) -> float | None:
    value = fields.values.get(name)
    if value is None or _is_number(value):
        return value
    raise fields.error(name, "a number")


def judge(row: Expectation, run: RunRecord, findings: Iterable[Finding]) -> Verdict:
    """Compare a run's findings with its row.

    Only what the row names counts. A run that did not test its row (no evidence of the fault, a baseline that failed,
    another mode) is unknown whatever it measured; the reasons still say what else was wrong. Otherwise a violated
    property makes it invalid; a property that was not measured, or an anomaly that must show and did not, makes it
    unknown. So does a violated property of time while a prober stalled.
    """
    by_checker = {finding.property: finding for finding in findings}
    stalled = _stalled_probers(run)
    judgements = tuple(_unless(stalled, _judge(expected, run.settings, by_checker)) for expected in row.properties)
    doubts = (*_wrong_row(row, run), *_baseline_doubts(run), *_fault_doubts(run))
    wrong = [judgement for judgement in judgements if judgement.state is not State.HOLDS]
    wrong.sort(key=lambda judgement: judgement.state is not State.VIOLATED)  # violations come first
    reasons = (*doubts, *(f"{judgement.expected.name()}: {judgement.reason}" for judgement in wrong))
    state = State.UNKNOWN if doubts else merge(judgement.state for judgement in judgements)
    return Verdict(row.name, state, reasons, judgements)


def _wrong_row(row: Expectation, run: RunRecord) -> Sequence[str]:
    is_ = (run.engine, run.mode, run.fault)
    return () if is_ == (row.engine, row.mode, row.fault) else (f"The run is {' '.join(is_)}, the row {row.name}.",)


def _baseline_doubts(run: RunRecord) -> Sequence[str]:
    if run.baseline is None:
        return ("There is no record of a baseline.",)
    problem = run.baseline.problem.rstrip(".") or "no reason given"
    return () if run.baseline.held else (f"The run did not go as planned: {problem}.",)


def _fault_doubts(run: RunRecord) -> Sequence[str]:
    if run.fault == CONTROL:
        return tuple(f"A control run, but {window.target} had a {window.kind}." for window in run.fault_windows)
    if not run.fault_windows:
        return (f"There is no evidence of the fault: no {run.fault} is recorded.",)
    return tuple(
        f"There is no evidence that the {window.kind} of {window.target} was live."
        for window in run.fault_windows
        if not window.proven
    )


def _stalled_probers(run: RunRecord) -> str:
    """Return which probers stalled although no fault cut them off, or took their node; '' if none did."""
    stalled = {
        vantage: seconds
        for vantage, seconds in sorted(run.prober_standstills.items())
        if vantage not in run.sides.get("minority", ())
    }
    return ", ".join(f"of zone {vantage} for {seconds:.1f} s" for vantage, seconds in stalled.items())


def _unless(stalled: str, judgement: Judgement) -> Judgement:
    """Return the judgement; a violation that may be the probers' own event-loop stall becomes unknown."""
    is_of_time = MEASURED_BY[judgement.expected.property].of_time
    if not stalled or not is_of_time or judgement.state is not State.VIOLATED:
        return judgement
    stall = f"But the event loop of a prober stalled: {stalled}. Hint: use an otherwise idle machine."
    reason = f"{judgement.reason} {stall}"
    return replace(judgement, state=State.UNKNOWN, reason=reason)


def _judge(expected: PropertyExpectation, settings: Mapping[str, Json], findings: Mapping[str, Finding]) -> Judgement:
    """Judge one property; it is unknown if it was not measured, or its budget has no value."""
    try:
        measured = _measured(expected, findings)
        limit = budgets.evaluate(expected.budget, settings) if expected.budget is not None else None
    except (_Unmeasured, budgets.BudgetError) as problem:
        return Judgement(expected=expected, state=State.UNKNOWN, reason=str(problem))
    state, reason = _weigh(expected, measured, limit)
    return Judgement(
        expected=expected,
        state=state,
        reason=reason,
        measured=measured.value,
        of=measured.of,
        at_least=measured.at_least,
        limit=limit,
    )


class _Unmeasured(Exception):
    """A figure is missing; the message says why."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A figure, among how many operations, and whether it is only a lower bound."""

    value: float
    of: float | None
    at_least: bool


def _measured(expected: PropertyExpectation, findings: Mapping[str, Finding]) -> _Measured:
    checker, declared = MEASURED_BY[expected.property].name, PROPERTIES[expected.property]
    finding = findings.get(checker)
    if finding is None:
        raise _Unmeasured(f"the checker '{checker}' did not run.")
    if finding.state is State.UNKNOWN:
        raise _Unmeasured(finding.reason)
    figures = _of_route(_of_side(finding.figures, expected.side), expected)
    value, of = _counted(figures.get(declared.figure)), figures.get(declared.of)
    if not _is_number(value):
        raise _Unmeasured(f"the checker '{checker}' gives no number '{declared.figure}'.")
    lower_bounds = figures.get("lower_bounds")
    at_least = isinstance(lower_bounds, Sequence) and declared.figure in lower_bounds
    return _Measured(value, of if _is_number(of) else None, at_least)


def _counted(value: Json) -> Json:
    """Count a list of violations."""
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_side(figures: Mapping[str, Json], side: str | None) -> Mapping[str, Json]:
    """Return the figures of a side, by route and of all."""
    if side is None:
        return figures
    by_side = figures.get("by_side")
    of_side = by_side.get(side) if isinstance(by_side, Mapping) else None
    if not isinstance(of_side, Mapping):
        raise _Unmeasured(f"no operation is on the side '{side}'.")
    return {"by_route": of_side, **_mapping(of_side.get("all"))}


def _of_route(figures: Mapping[str, Json], expected: PropertyExpectation) -> Mapping[str, Json]:
    """Return a route's figures from a checker that separates routes: by name, or as rows that name theirs."""
    by_route = figures.get("by_route")
    if expected.route is None or by_route is None:
        return figures
    if isinstance(by_route, Mapping):
        of_route = by_route.get(expected.route)
    else:
        rows = by_route if isinstance(by_route, Sequence) and not isinstance(by_route, str) else ()
        of_route = next((row for row in rows if _mapping(row).get("route") == expected.route), None)
    if not isinstance(of_route, Mapping):
        raise _Unmeasured(f"no operation took the route '{expected.route}'.")
    return of_route


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _weigh(expected: PropertyExpectation, measured: _Measured, limit: float | None) -> tuple[State, str]:
    unit = PROPERTIES[expected.property].unit
    among = "" if measured.of is None else f" of {_count(measured.of)}"
    shown = f"{'at least ' if measured.at_least else ''}{_shown(measured.value, unit)}{among}"
    match expected.promise:
        case Promise.FORBIDDEN:
            return (State.VIOLATED, f"{shown}; forbidden.") if measured.value > 0 else (State.HOLDS, f"none{among}.")
        case Promise.MUST_SHOW:
            return _must_show(expected, measured.value, shown, limit)
        case Promise.POSSIBLE:
            return State.HOLDS, shown
        case Promise.BOUNDED if limit is not None:
            text = f"{shown}; the budget is {_shown(limit, unit)} ({expected.budget})."
            if measured.value > limit:
                return State.VIOLATED, text
            return (State.UNKNOWN if measured.at_least else State.HOLDS), text
    return State.UNKNOWN, "the row bounds it, but gives no budget."


def _must_show(expected: PropertyExpectation, measured: float, shown: str, limit: float | None) -> tuple[State, str]:
    """Judge a must-show property: less than the promised least proves nothing, and is no violation."""
    if measured > 0 and measured >= (limit or 0):
        return State.HOLDS, shown
    unit = PROPERTIES[expected.property].unit
    least = "" if limit is None else f"{shown}; at least {_shown(limit, unit)} ({expected.budget}): "
    return State.UNKNOWN, f"{least}it must show here, and did not."


def _shown(value: float, unit: str) -> str:
    if unit == SHARE:
        return f"{100 * value:.1f} %"
    return f"{value:.3f} {unit}" if unit else _count(value)


def _count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,g}"
