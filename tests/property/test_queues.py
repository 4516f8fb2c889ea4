"""The queue checker against a search through all orders that one queue could have carried out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import history, operation
from support.checkers.slow_queues import QUEUE, is_queue, random_rows
from support.checkers.written_histories import alone
from support.effort import cases

from caplab.check import Context, State, queue

pytestmark = pytest.mark.property

EACH = 40  # histories in one example
SEEDS = st.integers(0, 2**32)


@settings(max_examples=cases(25))
@given(SEEDS)
def test_what_a_queue_could_have_done_is_never_violated(seed: int) -> None:
    """With info and failed operations, elements that repeat, dequeues that found nothing, and a scan."""
    rng = random.Random(seed)
    for _ in range(EACH):
        rows = random_rows(rng, distinct=False)
        if queue.check(history(rows), Context(enough=1)).state is State.VIOLATED:
            assert not is_queue(rows), rows


@settings(max_examples=cases(25))
@given(SEEDS)
def test_of_distinct_elements_whatever_no_queue_could_have_done_is_violated(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(EACH):
        rows = random_rows(rng, distinct=True)
        violated = queue.check(history(rows), Context(enough=1)).state is State.VIOLATED
        assert violated != is_queue(rows), rows


@settings(max_examples=cases(25))
@given(SEEDS)
def test_a_witness_is_a_violation_by_itself(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(EACH):
        # A dequeue that failed says that the key is a queue, and nothing else.
        rows = [operation(0, "fail", op="dequeue", key=QUEUE, session=98), *random_rows(rng, rng.random() < 0.5)]
        table = history(rows)
        mark = [place for place, row in enumerate(table.to_pylist()) if row["session"] == 98]
        finding: Any = queue.check(table, Context(enough=1))
        for shown in finding.figures.get("witnesses", []):
            marked = [{"row": place} for place in mark] + shown["operations"]
            again = queue.check(alone(table, sorted(marked, key=lambda row: int(row["row"]))), Context(enough=1))
            assert again.state is State.VIOLATED, shown
