"""Sessions, on a server of a few lines that does its worst."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from caplab_probes import clock
from caplab_probes.links import Endpoint, NotOpened, Result, Scan, Topology
from caplab_probes.load.sessions import NO_SESSION, Attempt, Sessions
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import OK, OVERLOAD, Outcome
from caplab_probes.routing.endpoints import Router
from caplab_probes.spec import Limits
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import cases

pytestmark = pytest.mark.property

ANSWERS = ("ok", "fail", "closed", "hang", "late", "refused")


@dataclass
class ScriptedServer:
    """A client, its links and their server: it answers as the script says, and counts what waits on it."""

    script: list[str]
    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
    most: int = 0

    async def open(self, endpoint: Endpoint) -> ScriptedLink:
        if self.script and self.script[0] == "refused":
            self.script.pop(0)
            raise NotOpened(Outcome("fail", "refused"))
        return ScriptedLink(self)

    async def prepare(self, endpoint: Endpoint) -> None:
        raise NotImplementedError

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class ScriptedLink:
    server = "m0"

    def __init__(self, of: ScriptedServer) -> None:
        self._of = of
        self._closed = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self._closed.is_set()

    def close(self) -> None:
        self._closed.set()

    async def perform(self, operation: Operation) -> Result:
        answer = self._of.script.pop(0) if self._of.script else "ok"
        place = (operation.route, operation.op)
        self._of.waiting[place] += 1
        self._of.most = max(self._of.most, self._of.waiting[place])
        try:
            return await self._answer(answer)
        finally:
            self._of.waiting[place] -= 1

    async def _answer(self, answer: str) -> Result:
        if answer == "hang":
            await self._closed.wait()
        if answer == "late":
            await asyncio.sleep(0.03)
        if answer in ("hang", "closed"):
            self.close()
            return Result(outcome=Outcome("info", "closed"), server="m0")
        await asyncio.sleep(0.001)
        return Result(outcome=OK if answer != "fail" else Outcome("fail", "readonly"), server="m0", epoch="1")


@given(
    st.lists(st.sampled_from(ANSWERS), max_size=40),
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.sampled_from((0.02, 60.0)),
)
@settings(max_examples=cases(40))
def test_whatever_happens_every_operation_is_recorded_once_by_a_session_that_did_nothing_else(
    script: list[str], naps_ms: list[int], deadline_seconds: float
) -> None:
    limits = Limits(connect_seconds=0.02, statement_seconds=deadline_seconds, start_seconds=0.01, in_flight=3)
    attempts: list[Attempt] = []
    server = ScriptedServer(list(script))

    async def scenario() -> None:
        topology = Topology(Endpoint("service", "s", 1), (Endpoint("m0", "h", 1),))
        sessions = Sessions(server, Router(lambda: topology), limits, count(1), attempts.append)
        tasks = []
        for index, nap in enumerate(naps_ms):
            op = Operation(index=index, op="add", route=("service", "direct")[index % 2], value=index)
            tasks.append(asyncio.create_task(sessions.carry_out(op, clock.now_ns())))
            await asyncio.sleep(nap / 1000)
        sessions.shorten_deadline(0.02)
        async with asyncio.timeout(60):
            while len(attempts) < len(naps_ms):  # also what hangs ends
                await asyncio.sleep(0.005)
        sessions.close()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert sorted(attempt.operation.index for attempt in attempts) == list(range(len(naps_ms)))
    assert server.most <= limits.in_flight
    assert not +server.waiting
    for number in {attempt.session for attempt in attempts} - {NO_SESSION}:
        mine = sorted(
            (attempt for attempt in attempts if attempt.session == number), key=lambda attempt: attempt.invoke_ns
        )
        # One at a time, and nothing after an info.
        assert all(
            attempt.return_ns is not None and attempt.return_ns <= two.invoke_ns for attempt, two in pairwise(mine)
        )
        assert all(attempt.result.outcome.outcome != "info" for attempt in mine[:-1])
    for attempt in attempts:
        assert (attempt.return_ns is None) == (attempt.result.outcome == Outcome("info", "timeout"))
        assert attempt.session != NO_SESSION or attempt.result.outcome == OVERLOAD
