"""Every figure of every row, before and now: regressed, improved, changed, the same, or too few runs. Pure.

Each figure has one test, and the whole table one rate of false alarms: the chance that anything at all is marked
although nothing changed. Figures that no arrangement of their values could mark (all zero, too few runs) cannot raise a
false alarm, and get no share of the rate (Tarone, "A modified Bonferroni method for discrete data", Biometrics 46,
1990).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy import stats  # type: ignore[import-untyped]  # it has no stubs

from caplab.model.expectations import Promise

from .choosing import ChosenRuns
from .options import FALSE_ALARMS, MAX_RUNS, MIN_CHANGE
from .ranks import Shift, Test, least_of, rank_test, shift
from .values import Figure, Key, MeasuredRun


class Result(Enum):
    """The result of comparing a figure. CHANGED: it differs, and neither more nor less of it is better."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    CHANGED = "changed"
    SAME = "same"
    TOO_FEW = "too few runs"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a difference counts: false_alarms for the whole table; min_change as a share of the earlier median."""

    false_alarms: float = FALSE_ALARMS
    min_change: float = MIN_CHANGE


@dataclass(frozen=True, slots=True)
class Sample:
    """One side's values, in the order of their runs; mad is the median absolute deviation from the median."""

    values: tuple[float, ...]
    median: float
    mad: float
    at_least: bool

    @classmethod
    def of(cls, figures: Sequence[Figure]) -> Sample:
        """Build a sample of the runs in which it was measured, at least one."""
        values = np.asarray([figure.value for figure in figures])
        median = float(np.median(values))
        mad = float(np.median(np.abs(values - median)))
        return cls(tuple(values.tolist()), median, mad, any(figure.at_least for figure in figures))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure:
    """One compared figure. p is corrected for the number of figures. enough: the new runs needed, else None.

    violated: in how many new runs, and before, it was not as its row promises. first_seen: it was zero in every run
    before, is not in some new one, and that alone may be chance.
    """

    key: Key
    unit: str
    has_primary: bool
    base: Sample
    new: Sample
    change: Shift
    p: float
    result: Result
    enough: int | None
    violated: int
    violated_before: int
    first_seen: bool


@dataclass(frozen=True, slots=True)
class Table:
    """All figures that both sides have. tested: how many of them share the rate of false alarms."""

    figures: tuple[ComparedFigure, ...]
    tested: int
    only_before: tuple[str, ...]  # rows without a new run
    only_new: tuple[str, ...]  # rows without one before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    key: Key
    base: tuple[Figure, ...]
    new: tuple[Figure, ...]
    has_primary: bool
    test: Test

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.base), len(self.new)


def weigh(chosen: ChosenRuns, rule: Rule) -> Table:
    """Compare every figure of the new runs with the same figure of those before."""
    pairs = tuple(_pairs(chosen))
    shares = sharers([pair.test.least for pair in pairs], rule.false_alarms)
    figures = tuple(_weighed(pair, shares, rule) for pair in pairs)
    base, new = chosen.base.keys(), chosen.new.keys()
    return Table(figures, shares, tuple(sorted(base - new)), tuple(sorted(new - base)))


def sharers(least: Iterable[float], rate: float) -> int:
    """Return Tarone's number: the least k of which no more than k figures could be marked at rate / k. At least 1."""
    every = sorted(least)
    return next(k for k in range(1, len(every) + 2) if sum(p <= rate / k for p in every) <= k)


def _pairs(chosen: ChosenRuns) -> Iterable[_Pair]:
    for row in sorted(chosen.base.keys() & chosen.new.keys()):
        base, new = _figures(chosen.base[row]), _figures(chosen.new[row])
        has_primary = chosen.new[row][-1].has_primary
        for key in new:  # in the order of the row
            unit = new[key][-1].unit
            old, now = (_in_unit(figures, unit) for figures in (base.get(key, ()), new[key]))
            if old:
                yield _Pair(key=key, base=old, new=now, has_primary=has_primary, test=_test(old, now))


def _in_unit(figures: Iterable[Figure], unit: str) -> tuple[Figure, ...]:
    """Keep the figures in this unit: a changed unit is reported among the differences."""
    return tuple(figure for figure in figures if figure.unit == unit)


def _figures(runs: Sequence[MeasuredRun]) -> dict[Key, list[Figure]]:
    figures: dict[Key, list[Figure]] = {}
    for run in runs:
        for key, figure in run.figures.items():
            figures.setdefault(key, []).append(figure)
    return figures


def _test(base: Sequence[Figure], new: Sequence[Figure]) -> Test:
    """Test the figures; if a value is only a lower bound, take the larger p of both extremes."""
    values = _values(base), _values(new)
    if not any(figure.at_least for figure in (*base, *new)):
        return rank_test(*values)
    open_base, open_new = _values(base, math.inf), _values(new, math.inf)
    lowest, highest = rank_test(open_base, values[1]), rank_test(values[0], open_new)
    agree = _direction(open_base, values[1]) == _direction(values[0], open_new)
    return Test(max(lowest.p, highest.p) if agree else 1.0, max(lowest.least, highest.least))


def _values(figures: Sequence[Figure], unbounded: float | None = None) -> list[float]:
    return [unbounded if figure.at_least and unbounded is not None else figure.value for figure in figures]


def _direction(base: Sequence[float], new: Sequence[float]) -> int:
    """Return the direction. 1: the new values rank higher, -1: lower, 0: neither."""
    ranks = stats.rankdata([*base, *new])
    apart = float(np.mean(ranks[len(base) :]) - np.mean(ranks[: len(base)]))
    return (apart > 0) - (apart < 0)


def _weighed(pair: _Pair, shares: int, rule: Rule) -> ComparedFigure:
    base, new = Sample.of(pair.base), Sample.of(pair.new)
    change = shift(base.values, new.values)
    limit = rule.false_alarms / shares
    worse = _worse(pair.key.property, pair.new[-1])
    few = least_of(*pair.sizes) > limit
    result = Result.TOO_FEW if few else _result(pair, limit, worse, _matters(base, change, rule))
    is_new = not any(base.values) and any(new.values) and worse > 0 and pair.new[-1].unit == ""
    violated = sum(figure.violated for figure in pair.new)
    return ComparedFigure(
        key=pair.key,
        unit=pair.new[-1].unit,
        has_primary=pair.has_primary,
        base=base,
        new=new,
        change=change,
        p=min(1.0, pair.test.p * shares),
        result=result,
        enough=_enough(len(pair.base), limit) if few else None,
        violated=violated,
        violated_before=sum(figure.violated for figure in pair.base),
        first_seen=is_new and result is not Result.REGRESSED and not violated,
    )


def _result(pair: _Pair, limit: float, worse: int, matters: bool) -> Result:
    if pair.test.p > limit or not matters:
        return Result.SAME
    if worse == 0:
        return Result.CHANGED
    return Result.REGRESSED if _direction(_values(pair.base), _values(pair.new)) == worse else Result.IMPROVED


def _matters(base: Sample, change: Shift, rule: Rule) -> bool:
    """Return whether a difference is large enough to matter."""
    return base.median == 0 or abs(change.estimate) >= rule.min_change * abs(base.median)


def enough_of_each(rate: float) -> int:
    """Return the least number of runs, before and now alike, with which a single figure could be marked at a rate."""
    return next((size for size in range(1, MAX_RUNS + 1) if least_of(size, size) <= rate), MAX_RUNS)


def _enough(before: int, limit: float) -> int | None:
    """Return how many new runs would be enough; None if no practical number is: there are too few before."""
    return next((size for size in range(1, MAX_RUNS + 1) if least_of(before, size) <= limit), None)


def _worse(name: str, figure: Figure) -> int:
    """Return 1 if more of it is worse, 0 if neither more nor less is.

    Unacknowledged writes that are present are as many as were in flight. How long one side of a cut is still served is
    bad only if the row bounds it.
    """
    if name == "unackedFound":
        return 0
    if name in ("writesServed", "readsServed"):
        return 1 if figure.promise in (Promise.BOUNDED.value, Promise.FORBIDDEN.value) else 0
    return 1


def counted(table: Table) -> Mapping[Result, int]:
    """Count the figures by result."""
    return {result: sum(figure.result is result for figure in table.figures) for result in Result}
