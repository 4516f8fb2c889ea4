"""What sessions ask of a server that hangs: little."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from caplab_probes import clock
from caplab_probes.links import Endpoint, Result, Scan, Topology
from caplab_probes.load.sessions import Attempt, Sessions
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import OK, OVERLOAD
from caplab_probes.routing.endpoints import Router
from caplab_probes.spec import Limits, ProbeSpec

BURST = 4


class SlowLink:
    """Answers when its client lets it."""

    server = "m0"

    def __init__(self, of: CountingClient) -> None:
        self._of = of
        self.alive = True

    def close(self) -> None:
        self.alive = False

    async def perform(self, operation: Operation) -> Result:
        await self._of.may_answer.wait()
        return Result(outcome=OK, server=self.server)


class CountingClient:
    """Knows its open links."""

    def __init__(self) -> None:
        self.links: list[SlowLink] = []
        self.may_answer, self.may_connect = asyncio.Event(), asyncio.Event()
        self.may_connect.set()

    @property
    def open_links(self) -> int:
        return sum(link.alive for link in self.links)

    async def open(self, endpoint: Endpoint) -> SlowLink:
        await self.may_connect.wait()
        self.links.append(SlowLink(self))
        return self.links[-1]

    async def prepare(self, endpoint: Endpoint) -> None:
        raise NotImplementedError

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def test_while_all_places_hang_one_session_at_a_time_looks_whether_they_still_do() -> None:
    limits = Limits(statement_seconds=0.02, in_flight=BURST)
    attempts: list[Attempt] = []

    async def scenario() -> None:
        client = CountingClient()
        topology = Topology(Endpoint("service", "s", 1), ())
        of = Sessions(client, Router(lambda: topology), limits, count(1), attempts.append)

        def burst() -> list[asyncio.Task[None]]:
            first = len(attempts) + BURST
            adds = [Operation(index=first + index, op="add", route="service", value=index) for index in range(BURST)]
            return [asyncio.create_task(of.carry_out(add, clock.now_ns())) for add in adds]

        hanging = burst()
        while len(attempts) < BURST:  # they have timed out, their links are abandoned
            await asyncio.sleep(0.005)
        client.may_connect.clear()
        looking = burst()
        while len(attempts) < 2 * BURST - 1:
            await asyncio.sleep(0.005)
        assert len(client.links) == BURST  # one waits for its connection, the others were not even begun
        client.may_connect.set()
        while len(attempts) < 2 * BURST:
            await asyncio.sleep(0.005)
        assert len(client.links) == BURST + 1
        client.may_answer.set()
        await asyncio.gather(*hanging, *looking)
        of.close()

    asyncio.run(scenario())
    timed_out, overloads = attempts[:BURST], attempts[BURST:]
    assert {attempt.result.outcome.error for attempt in timed_out} == {"timeout"}
    assert {(attempt.result.outcome, attempt.result.server) for attempt in overloads} == {(OVERLOAD, "m0")}


def test_beats_hold_fewer_connections_than_what_is_measured() -> None:
    spec: dict[str, Any] = {"run_id": "run-1", "rate": 30.0, "routes": ("service",), "vantages": ("a",), "seed": 0}
    assert ProbeSpec(workload="set", **spec).limits(Limits()).in_flight == Limits().in_flight
    assert ProbeSpec(workload="clock", **spec).limits(Limits()).in_flight == 2
    assert ProbeSpec(workload="clock", **spec).limits(Limits(in_flight=1)).in_flight == 1
