"""In a file a session's operations follow each other, and nothing else is ordered by that."""

from __future__ import annotations

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import cases

from caplab.check import standalone
from caplab.model.disorder import validate_stored
from caplab.model.history import Table

pytestmark = pytest.mark.property
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=4)  # a pause, and how long


def table_of(sessions: list[list[tuple[int, int]]]) -> Table:
    rows = []
    for session, steps in enumerate(sessions):
        now = 0
        for pause, length in steps:
            begin = now + pause
            now = begin + length
            rows.append((begin, now, session))
    rows.sort()
    columns = {
        "session": pa.array([row[2] for row in rows], pa.int32()),
        "op": pa.array(["write"] * len(rows)),
        "value": pa.array(range(len(rows)), pa.int64()),
        "invoke_ns": pa.array([row[0] for row in rows], pa.int64()),
        "return_ns": pa.array([row[1] for row in rows], pa.int64()),
        "outcome": pa.array(["ok"] * len(rows)),
    }
    return validate_stored(pa.table(columns))


def precedences(history: Table) -> set[tuple[int, int]]:
    begins, ends = (history.column(name).to_pylist() for name in ("invoke_ns", "return_ns"))
    return {(one, other) for one, end in enumerate(ends) for other, begin in enumerate(begins) if end < begin}


@settings(max_examples=cases(300), deadline=None)
@given(sessions=st.lists(STEPS, min_size=1, max_size=3))
def test_only_a_sessions_own_operations_are_ordered(sessions: list[list[tuple[int, int]]]) -> None:
    before = table_of(sessions)
    after = standalone.in_session_order(before)
    session = before.column("session").to_pylist()
    added = precedences(after) - precedences(before)
    assert precedences(before) <= precedences(after)
    assert all(session[one] == session[other] for one, other in added)
    if len(sessions) == 1:
        begins, ends = (before.column(name).to_pylist() for name in ("invoke_ns", "return_ns"))
        meeting = {(a, b) for a, end in enumerate(ends) for b, at in enumerate(begins) if begins[a] < end == at}
        assert added == meeting
