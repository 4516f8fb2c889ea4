"""The rank test, held against SciPy's own where that is exact, and by the cases whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats  # type: ignore[import-untyped]  # it has no stubs
from support.effort import cases

from caplab.compare.options import MAX_RUNS
from caplab.compare.ranks import least_of, rank_test, shift
from caplab.compare.weighing import enough_of_each, sharers

samples = some.lists(some.integers(0, 4).map(float), min_size=2, max_size=6)


@settings(max_examples=cases(150), deadline=None)
@given(samples, samples)
def test_with_ties_it_is_what_all_permutations_give(first: list[float], second: list[float]) -> None:
    ranks = stats.rankdata([*first, *second])
    every = stats.permutation_test(
        (ranks[len(first) :], ranks[: len(first)]), lambda new, _old, axis: new.sum(axis=axis),
        vectorized=True, n_resamples=np.inf,
    )  # fmt: skip
    assert rank_test(first, second).p == pytest.approx(every.pvalue)
    possible = [2 * min((every.null_distribution <= p).mean(), (every.null_distribution >= p).mean())
                for p in every.null_distribution]  # fmt: skip
    assert rank_test(first, second).least == pytest.approx(min(1.0, *possible))


@settings(max_examples=cases(100), deadline=None)
@given(some.permutations(range(14)), some.integers(1, 13))
def test_without_ties_it_is_mann_and_whitneys(order: Sequence[int], size: int) -> None:
    first, second = [float(value) for value in order[:size]], [float(value) for value in order[size:]]
    assert rank_test(first, second).p == pytest.approx(stats.mannwhitneyu(second, first, method="exact").pvalue)


def test_five_runs_of_ten_against_none_of_twenty_is_fishers_answer_and_not_the_normal_one() -> None:
    base, new = [0.0] * 20, [1.0] * 5 + [0.0] * 5
    p = rank_test(base, new).p
    assert p == pytest.approx(2 * math.comb(10, 5) / math.comb(30, 5))
    assert stats.mannwhitneyu(base, new).pvalue < p / 4  # SciPy's answer where values are equal


def test_equal_values_say_nothing_and_infinite_ones_are_values() -> None:
    assert rank_test([3.0] * 5, [3.0] * 9).p == 1.0
    assert rank_test([3.0] * 5, [3.0] * 9).least == 1.0
    assert rank_test([1.0, 2.0, math.inf], [math.inf, math.inf, math.inf]).p == pytest.approx(0.4)
    assert rank_test([0.0], [1.0]).p == least_of(1, 1) == 1.0


def test_a_shift_is_the_median_of_all_differences_within_what_the_test_would_take() -> None:
    base, new = [float(value) for value in range(20)], [value + 100.5 for value in range(10)]
    change = shift(base, new)
    assert change.estimate == pytest.approx(95.5)
    assert change.low is not None
    assert change.high is not None
    assert change.low < 95.5 < change.high
    assert rank_test([value + change.low - 0.01 for value in base], new).p <= 0.05  # outside the interval it is refused
    assert rank_test([value + change.low + 0.01 for value in base], new).p > 0.05
    assert shift([1.0, 2.0], [3.0, 4.0]).low is None  # 6 arrangements: none is as rare as 5 %


def test_an_interval_holds_the_true_shift_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        change = shift(rng.exponential(size=12).tolist(), (rng.exponential(size=8) + 0.3).tolist())
        inside += change.low is not None and change.high is not None and change.low <= 0.3 <= change.high
    assert 0.94 <= inside / 400 <= 0.985


@pytest.mark.parametrize(
    ("least", "shares"),
    [
        ([], 1),
        ([1.0] * 500, 1),  # what is zero in all runs takes no share
        ([1e-9] * 40 + [1.0] * 500, 40),
        ([0.004] * 3, 3),  # at a half of 1 % all three could be marked; at a third none
        ([1e-9] * 2 + [0.004], 2 + 1),
        ([0.02] * 9, 1),
    ],
)
def test_the_rate_is_shared_out_to_what_could_be_marked(least: list[float], shares: int) -> None:
    assert sharers(least, 0.01) == shares


def test_the_least_runs_of_each_side_that_can_be_marked() -> None:
    assert enough_of_each(0.01) == 5  # 2 of 252 orders are as extreme; of four and four, 2 of 70
    assert enough_of_each(0.05) == 4
    assert enough_of_each(0) == MAX_RUNS
