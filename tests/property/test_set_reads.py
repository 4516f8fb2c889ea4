"""Set reads against a slow version that follows its words, and against sets that are always up to date."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import history
from support.checkers.slow_set_reads import fates, honest_rows, random_rows
from support.effort import cases

from caplab.check import Context, State, set_reads

pytestmark = pytest.mark.property

KINDS = ("stable", "lost", "vanished", "unsettled", "never_read", "stale")
EACH = 20  # histories in one example
SEEDS = st.integers(0, 2**32)


@settings(max_examples=cases(30))
@given(SEEDS)
def test_elements_fare_as_comparing_every_scan_says(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(EACH):
        rows = random_rows(rng)
        figures: Any = set_reads.check(history(rows), Context(enough=1)).figures
        if not figures:
            sets = {row["key"] for row in rows if row["op"] == "add"}
            assert all((row["op"], row["outcome"]) != ("scan", "ok") or row["key"] not in sets for row in rows)
            continue
        expected = fates(rows)
        assert {kind: figures[kind] for kind in KINDS} == {kind: expected[kind] for kind in KINDS}, rows
        wrong = sum(figures[kind] for kind in ("lost", "vanished", "stale"))
        assert len(figures.get("witnesses", [])) == min(20, wrong)


@settings(max_examples=cases(30))
@given(SEEDS)
def test_a_set_that_is_always_up_to_date_is_never_violated(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(EACH):
        rows = honest_rows(rng)
        finding = set_reads.check(history(rows), Context(enough=1))
        assert finding.state is not State.VIOLATED, rows
