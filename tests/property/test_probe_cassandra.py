"""The Cassandra client: whatever the driver says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import combinations

import pytest
from caplab_probes.engines.cassandra.outcomes import Answer, classify, not_sent, reading
from caplab_probes.engines.cassandra.statements import (
    BUCKETS,
    COMMIT_LEVELS,
    LEVELS_OF,
    READ_LEVELS,
    TEXTS,
    WRITE_LEVELS,
    Kind,
    bucket_of,
    element_of,
    first_write_of,
    scans_of,
    statement_of,
)
from caplab_probes.load.workloads import Operation, Writer, run_of, value_of
from caplab_probes.outcomes import NoAnswer
from caplab_probes.spec import ProbeSpec
from cassandra import InvalidRequest, OperationTimedOut, ReadTimeout, Unavailable, WriteFailure, WriteTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.protocol import ErrorMessage, OverloadedErrorMessage, ServerError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.databases.fake_cassandra import (
    ADD,
    CAS,
    COUNT,
    ID,
    INCR,
    LIMITS,
    READ,
    SERVICE,
    WRITE,
    FakeRing,
    Planted,
    client_of,
)
from support.effort import cases

from caplab.model.history import ERRORS, OUTCOMES

pytestmark = pytest.mark.property

errors = st.sampled_from(
    [
        Unavailable("x"),
        WriteTimeout("x", write_type=0),
        ReadTimeout("x"),
        WriteFailure("x"),
        InvalidRequest("x"),
        OperationTimedOut(),
        ConnectionShutdown("x"),
        NoHostAvailable("x", {}),
        OverloadedErrorMessage(0x1001, "x", None),
        ServerError(0, "x", None),
    ]
) | st.integers(0, 0xFFFF).map(lambda code: ErrorMessage(code, "x", None))
rows = st.lists(st.tuples(st.none() | st.integers(-5, 5)), max_size=2).map(tuple)
answers = st.builds(Answer, rows=rows, error=st.none() | errors, asked=st.integers(0, 3)) | st.sampled_from(
    NoAnswer
).map(not_sent)
SHARED = replace(WRITE, workload="register-multi")
operations = (
    st.builds(replace, st.sampled_from([ADD, WRITE, SHARED]), level=st.sampled_from([None, *WRITE_LEVELS]))
    | st.builds(replace, st.just(READ), level=st.sampled_from([None, *READ_LEVELS]))
    | st.builds(replace, st.just(INCR), level=st.sampled_from([None, *LEVELS_OF["counter"][1]]))
    | st.builds(replace, st.just(COUNT), level=st.sampled_from([None, *LEVELS_OF["counter"][0]]))
    | st.builds(
        replace,
        st.just(CAS),
        level=st.sampled_from([None, *LEVELS_OF["cas"][1]]),
        expected=st.none() | st.integers(0, 2**62),
    )
)


@given(st.sampled_from(Kind), answers)
def test_an_outcome_of_cassandra_is_of_the_vocabulary_and_never_surer_than_what_was_seen(
    kind: Kind, answer: Answer
) -> None:
    outcome = classify(kind, answer)
    assert outcome.outcome in OUTCOMES
    assert outcome.error is None or outcome.error in ERRORS
    assert (outcome.outcome == "ok") == (answer.error is None)
    if isinstance(answer.error, OperationTimedOut | ConnectionShutdown):
        assert outcome.outcome == "info"
    if kind is not Kind.READ and answer.error is not None and answer.asked > 1:
        assert outcome.outcome == "info"
    if kind is Kind.CONDITIONAL and outcome.outcome == "fail" and answer.asked:
        assert isinstance(answer.error, InvalidRequest)


@given(operations, answers)
def test_only_what_is_acknowledged_is_ok_and_only_a_read_observes(operation: Operation, answer: Answer) -> None:
    kind = statement_of(operation).kind
    outcome, observed = reading(operation, kind, answer)
    if outcome.outcome == "ok":
        assert answer.error is None
        assert kind is not Kind.CONDITIONAL or operation.op == "cas" or answer.rows[0][0] is True
    assert observed is None or (operation.op in ("read", "cas") and outcome.outcome == "ok")


@given(operations, st.integers(1, 2**63 - 1))
def test_a_statement_says_which_run_its_data_is_of_and_fits_its_table(operation: Operation, value: int) -> None:
    own = operation.op in ("add", "write")
    op = replace(operation, value=value) if own else operation
    conditional = op.op == "cas" or (op.op != "read" and op.level in COMMIT_LEVELS)
    for statement in (statement_of(op), *([first_write_of(op)] if conditional and own else [])):
        assert statement.text in TEXTS
        assert statement.text.count("?") == len(statement.values)
        assert (statement.serial is not None) == (" IF " in statement.text) == conditional
        run = run_of(value) if own else 9
        assert run in statement.values
        assert 0 <= run < 2**31  # an int of CQL
    if op.op == "add":
        # Where a scan looks for it.
        assert statement_of(op).values == (run_of(value), bucket_of(value), value)


@given(st.integers(0, 1 << 20), st.integers(-30, 30), st.sampled_from(sorted(combinations(range(5), 2))))
def test_zones_that_count_alike_do_not_meet_in_one_partition(index: int, apart: int, two: tuple[int, int]) -> None:
    """Lightweight transactions on one partition are in each other's way; a zone's own are 256 apart in one."""
    spec = ProbeSpec(
        run_id="run-1", workload="set", rate=40.0, routes=("service",), vantages=("a", "b", "c", "d", "e"), seed=0
    )
    first, second = (Writer(spec, vantage) for vantage in two)
    assert bucket_of(value_of(first, index + 30)) != bucket_of(value_of(second, index + 30 + apart))
    assert len({bucket_of(value_of(first, index + number)) for number in range(BUCKETS)}) == BUCKETS


@given(st.text(min_size=1), st.sampled_from(["ONE", "ALL"]))
def test_a_scan_of_a_set_looks_into_every_bucket_once(run_id: str, level: str) -> None:
    buckets = [statement.values[1] for statement in scans_of("set-scan", run_id, level)]
    assert buckets == list(range(BUCKETS))
    assert element_of((7,)) == (None, 7)
    assert element_of(("k", 7)) == ("k", 7)


planted = st.none() | st.builds(Planted, errors, st.integers(0, 3)) | st.just(Planted(hang=True))


@given(st.lists(st.tuples(operations, planted, planted), max_size=4))
@settings(max_examples=cases(40))
def test_whatever_the_driver_says_an_operation_has_an_outcome(
    steps: list[tuple[Operation, Planted | None, Planted | None]],
) -> None:
    async def scenario() -> None:
        ring = FakeRing()
        client = client_of(ring, replace(LIMITS, connect_seconds=30))  # however busy the machine is
        link = await client.open(SERVICE)
        for op, first, second in [*steps, *((ID, first, second) for _, first, second in steps)]:
            ring.planted = [first, second]
            performing = asyncio.create_task(link.perform(op))
            await asyncio.wait({performing}, timeout=0.05)
            if not performing.done():  # the session would time out
                link.close()
            result = await performing
            assert result.outcome.outcome in OUTCOMES
            assert op.op != "id" or (result.value is not None) == (result.outcome.outcome == "ok")
            if not link.alive:
                link = await client.open(SERVICE)
        await client.close()
        assert (len(ring.contacts), ring.ended) == (1, 1)

    asyncio.run(scenario())
