"""The queue checker against a search through all orders that one queue could have carried out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import history
from support.checkers.slow_queues import is_queue, random_rows

from caplab.check import Context, State, queue

pytestmark = pytest.mark.property

EACH = 40  # histories in one example
SEEDS = st.integers(0, 2**32)


@settings(max_examples=25)
@given(SEEDS)
def test_what_a_queue_could_have_done_is_never_violated(seed: int) -> None:
    """With info and failed operations, elements that repeat, dequeues that found nothing, and a scan."""
    rng = random.Random(seed)
    for _ in range(EACH):
        rows = random_rows(rng, distinct=False)
        if queue.check(history(rows), Context(enough=1)).state is State.VIOLATED:
            assert not is_queue(rows), rows


@settings(max_examples=25)
@given(SEEDS)
def test_of_distinct_elements_whatever_no_queue_could_have_done_is_violated(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(EACH):
        rows = random_rows(rng, distinct=True)
        violated = queue.check(history(rows), Context(enough=1)).state is State.VIOLATED
        assert violated != is_queue(rows), rows
