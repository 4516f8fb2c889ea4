"""What `caplab compare` is for: planted changes are found among figures that spread as recorded ones do, and without a
change there are no more alarms than the rate says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded_figures import Change, Rows, core_rows, drawn, failovers, unchanged, with_failovers
from scipy import stats  # type: ignore[import-untyped]  # it has no stubs
from support.effort import cases

from caplab.compare import weighing
from caplab.compare.choosing import choose
from caplab.compare.values import Figure, Key, MeasuredRun, Results
from caplab.compare.weighing import Result, Rule, Table, weigh

QUORUM, ASYNC, ASYNC_CUT = (
    "postgres quorum kill-primary",
    "postgres async kill-primary",
    "postgres async partition-primary-group-both",
)
LOUD = {Result.REGRESSED, Result.IMPROVED, Result.CHANGED}


def results(rows: Rows) -> Results:
    return Results(Path("somewhere"), tuple(run for runs in rows.values() for run in runs))


def table(base: Rows, new: Rows, rule: Rule | None = None) -> Table:
    return weigh(choose(results(base), results(new), 20, 20), rule or Rule())


def loud(comparison: Table) -> dict[tuple[str, str], Result]:
    return {
        (figure.key.row, figure.key.property): figure.result for figure in comparison.figures if figure.result in LOUD
    }


def times(factor: float, row: str) -> Change:
    def change(key: Key, figure: Figure) -> Figure:
        planted = key.row == row and key.property == "failoverTime"
        return replace(figure, value=figure.value * factor) if planted else figure

    return change


def plus(count: int, row: str) -> Change:
    def change(key: Key, figure: Figure) -> Figure:
        planted = key.row == row and key.property == "lost" and not key.side
        return replace(figure, value=figure.value + count) if planted else figure

    return change


def test_a_failover_that_takes_30_percent_longer_is_found_in_ten_runs_among_the_whole_table() -> None:
    rng = np.random.default_rng(1)
    rows = core_rows()
    comparison = table(drawn(rows, 20, rng), drawn(rows, 10, rng, 10_000, times(1.3, QUORUM)))
    assert len(comparison.figures) == 148
    assert loud(comparison) == {(QUORUM, "failoverTime"): Result.REGRESSED}
    (regressed,) = (figure for figure in comparison.figures if figure.result is Result.REGRESSED)
    assert regressed.p < 0.0001
    assert regressed.change.low is not None
    assert 5.0 < regressed.change.low < regressed.change.estimate < 7.0


def test_it_is_found_with_the_very_figures_that_were_recorded() -> None:
    recorded = failovers(QUORUM, "failover-postgres.md")
    assert len(recorded) == 10
    slower = [1.3 * value for value in recorded]
    comparison = table({QUORUM: with_failovers(QUORUM, recorded * 2)}, {QUORUM: with_failovers(QUORUM, slower, 10_000)})
    assert loud(comparison) == {(QUORUM, "failoverTime"): Result.REGRESSED}


def test_a_failover_that_takes_30_percent_less_is_an_improvement() -> None:
    rng = np.random.default_rng(2)
    rows = core_rows()
    comparison = table(drawn(rows, 20, rng), drawn(rows, 10, rng, 10_000, times(0.7, QUORUM)))
    assert loud(comparison) == {(QUORUM, "failoverTime"): Result.IMPROVED}


def test_one_lost_write_more_a_run_than_before_is_a_regression_where_the_row_permits_losses() -> None:
    rng = np.random.default_rng(3)
    rows = core_rows()
    comparison = table(drawn(rows, 20, rng), drawn(rows, 10, rng, 10_000, plus(1, ASYNC)))
    assert loud(comparison) == {(ASYNC, "lost"): Result.REGRESSED}


def test_one_lost_write_in_one_run_is_seen_where_none_was_lost_before_and_is_no_alarm_where_it_is_permitted() -> None:
    rows = {ASYNC: core_rows()[ASYNC]}
    base = _lost(rows[ASYNC], [0] * 20, 0)
    comparison = table({ASYNC: base}, {ASYNC: _lost(rows[ASYNC], [0] * 9 + [1], 10_000)})
    (lost,) = (figure for figure in comparison.figures if figure.key == Key(ASYNC, "lost"))
    assert (lost.result, lost.first_seen, lost.violated) == (Result.SAME, True, 0)


def test_one_lost_write_in_one_run_is_a_violation_where_the_row_forbids_it() -> None:
    rows = {QUORUM: core_rows()[QUORUM]}
    new = _lost(rows[QUORUM], [0] * 9 + [1], 10_000, violated=True)
    comparison = table({QUORUM: _lost(rows[QUORUM], [0] * 20, 0)}, {QUORUM: new})
    (lost,) = (figure for figure in comparison.figures if figure.key == Key(QUORUM, "lost"))
    assert (lost.violated, lost.violated_before, lost.first_seen) == (1, 0, False)


def _lost(
    runs: tuple[MeasuredRun, ...], counts: list[int], begin: int, violated: bool = False
) -> tuple[MeasuredRun, ...]:
    row = runs[0].row
    key = Key(row, "lost")
    made = with_failovers(row, [20.0] * len(counts), begin)
    return tuple(
        replace(run, figures={**run.figures, key: _with(run.figures, key, count, violated)})
        for run, count in zip(made, counts, strict=True)
    )


def _with(figures: Mapping[Key, Figure], key: Key, count: int, violated: bool) -> Figure:
    return replace(figures[key], value=float(count), violated=violated and count > 0)


def marks(rule: Rule, rounds: int, seed: int) -> tuple[int, int]:
    """Of so many tables of equal data: in how many anything is marked, and in how many something as regressed."""
    rng = np.random.default_rng(seed)
    rows = {row: core_rows()[row] for row in (QUORUM, ASYNC, ASYNC_CUT)}
    results = [
        loud(table(drawn(rows, 20, rng), drawn(rows, 10, rng, 10_000, unchanged), rule)).values() for _ in range(rounds)
    ]
    return sum(bool(loud_figures) for loud_figures in results), sum(
        Result.REGRESSED in loud_figures for loud_figures in results
    )


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_resamplings_of_equal_data_raise_no_more_alarms_than_the_rate_says(rate: float) -> None:
    # min_change 0: it is the test that must keep the rate, without the help of what is too small to matter.
    rounds = cases(500)
    marked, regressed = marks(Rule(rate, 0.0), rounds, 20)
    assert regressed <= rate * rounds
    assert marked <= stats.binom.ppf(0.999, rounds, rate)  # at the very rate, 999 of 1,000 trials would have no more


def test_a_rule_that_does_not_share_its_rate_out_is_seen_to_raise_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "sharers", lambda least, rate: 1)
    marked, regressed = marks(Rule(0.1, 0.0), 100, 5)
    assert marked > stats.binom.ppf(0.999, 100, 0.1)
    assert regressed > stats.binom.ppf(0.999, 100, 0.1 / 2)
