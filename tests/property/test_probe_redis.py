"""The Redis client: whatever a server says."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from caplab_probes.engines.redis.outcomes import ErrorReply, classify
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import NoAnswer
from hypothesis import given, settings
from hypothesis import strategies as st
from support.databases.fake_redis import (
    ADD,
    BEAT_ONCE,
    CAS_ONCE,
    COUNT,
    ID,
    INCR,
    MULTI,
    READ,
    WRITE_ONCE,
    client_of,
    error,
    fake_redis,
    reply_of,
    service_of,
)
from support.effort import cases

from caplab.model.history import ERRORS, OUTCOMES

pytestmark = pytest.mark.property

error_replies = st.builds(ErrorReply, st.text() | st.sampled_from(["READONLY no", "NOREPLICAS no", "LOADING"]))


@given(
    st.booleans(),
    st.none() | st.sampled_from(NoAnswer) | error_replies,
    st.integers(0, 8),
    st.none() | st.integers(0, 9) | error_replies,
)
def test_an_outcome_of_redis_is_of_the_vocabulary_and_never_surer_than_what_was_seen(
    sent: bool,
    problem: NoAnswer | ErrorReply | None,
    wanted: int,
    acked: int | ErrorReply | None,
) -> None:
    outcome = classify(sent, problem, wanted, acked)
    assert outcome.outcome in OUTCOMES
    assert outcome.error is None or outcome.error in ERRORS
    enough = wanted == 0 or (isinstance(acked, int) and acked >= wanted)
    assert (outcome.outcome == "ok") == (problem is None and enough)
    if problem is not None and not sent:
        assert outcome.outcome == "fail"
    if isinstance(problem, NoAnswer) and sent:
        assert outcome.outcome == "info"


replies = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.text("AREDONLY x", max_size=20).map(error),
    st.integers(-(2**63), 2**63 - 1).map(reply_of),
    st.binary(max_size=10).map(reply_of),
    st.lists(st.integers(0, 9), max_size=3).map(reply_of),
)
redis_operations = st.sampled_from(
    [
        *(ADD, READ, WRITE_ONCE, BEAT_ONCE, replace(ADD, level="wait-1")),
        *(MULTI, CAS_ONCE, replace(CAS_ONCE, expected=5, level="wait-1"), INCR, COUNT, ID, replace(ID, level="wait-1")),
    ]
)


@given(st.lists(st.tuples(redis_operations, replies, replies), max_size=4))
@settings(max_examples=cases(40))
def test_whatever_a_redis_says_an_operation_has_an_outcome(
    steps: list[tuple[Operation, bytes | None, bytes | None]],
) -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            link = await client_of(fake).open(service_of(fake))
            for op, reply, acked in steps:
                fake.reply, fake.acked = reply, acked or reply_of(1)
                performing = asyncio.create_task(link.perform(op))
                await asyncio.wait({performing}, timeout=0.05)
                if not performing.done():  # half a reply: the session would time out
                    link.close()
                result = await performing
                assert result.outcome.outcome in OUTCOMES
                assert (result.outcome.outcome == "ok") == (result.outcome.error is None)
                assert result.value is None or (result.outcome.outcome == "ok" and op.op in ("read", "id"))
                assert result.observed is None or (result.outcome.outcome == "ok" and op.op == "cas")
            link.close()

    asyncio.run(scenario())
