"""Reads that are routed among replicas: the policies, the members' positions, and sessions that go by them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from caplab_probes import clock
from caplab_probes.links import Endpoint, NotDone, NotOpened, Position, Result, Scan, Topology
from caplab_probes.load.sessions import Attempt, Sessions
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import OK, Outcome
from caplab_probes.routing.endpoints import Router
from caplab_probes.routing.reads import FRESH_NS, ObservedLsns, ReadRouting, eligible, needs_lsn, routing_of
from caplab_probes.routing.replicas import Positions, ReplicaReads
from caplab_probes.spec import MAX_LAG_BYTES, ClientOptions, Limits

from caplab.contract.objects import READ_ROUTINGS

LIMITS = Limits(connect_seconds=0.2, statement_seconds=0.2, start_seconds=0.1, in_flight=4)
SERVICE = Endpoint("service", "s", 1)
MEMBERS = tuple(Endpoint(f"pg-{number}", f"h{number}", 1) for number in range(3))
TOPOLOGY = Topology(SERVICE, MEMBERS)
WRITE = Operation(index=0, op="write", route="replica", key="k", value=1)
READ = Operation(index=1, op="read", route="replica", key="k")
POSITIONS = {"pg-0": Position(1000, True, 0), "pg-1": Position(1000, False, 0), "pg-2": Position(700, False, 0)}


def routing(name: str, wait_ms: int | None = None) -> ReadRouting:
    chosen = routing_of(ClientOptions(read_routing=name, replica_wait_ms=wait_ms))
    assert chosen
    return chosen


def observed(written: int = 0, read: int = 0, unknown_ns: int | None = None) -> ObservedLsns:
    return ObservedLsns(written, read, unknown_ns)


@pytest.mark.parametrize(
    ("name", "of", "names"),
    [
        ("read-your-writes", observed(), {"pg-1", "pg-2"}),
        ("read-your-writes", observed(written=700), {"pg-1", "pg-2"}),
        ("read-your-writes", observed(written=701), {"pg-1"}),
        ("read-your-writes", observed(written=1001), set()),
        ("read-your-writes", observed(read=1001), {"pg-1", "pg-2"}),
        ("read-your-writes", observed(unknown_ns=5), set()),
        ("monotonic", observed(read=701), {"pg-1"}),
        ("monotonic", observed(written=1001), {"pg-1", "pg-2"}),
        ("monotonic", observed(unknown_ns=5), {"pg-1", "pg-2"}),
        ("causal", observed(written=701), {"pg-1"}),
        ("causal", observed(read=701), {"pg-1"}),
        ("causal", observed(read=700, written=600), {"pg-1", "pg-2"}),
        ("causal", observed(unknown_ns=5), set()),
        ("lag-aware", observed(written=2000, read=2000, unknown_ns=5), {"pg-1", "pg-2"}),
    ],
)
def test_a_read_goes_only_to_replicas_that_have_replayed_enough(name: str, of: ObservedLsns, names: set[str]) -> None:
    assert eligible(routing(name), of, POSITIONS, 0) == names


def test_lag_is_measured_against_a_primary_that_was_asked_just_now() -> None:
    def lag_aware(bytes_: int, now_ns: int = 0, positions: Mapping[str, Position] = POSITIONS) -> frozenset[str]:
        chosen = routing_of(ClientOptions(read_routing="lag-aware", max_lag_bytes=bytes_))
        assert chosen
        return eligible(chosen, ObservedLsns(), positions, now_ns)

    assert lag_aware(300) == {"pg-1", "pg-2"}
    assert lag_aware(299) == {"pg-1"}
    assert lag_aware(0) == {"pg-1"}
    assert lag_aware(300, FRESH_NS) == {"pg-1", "pg-2"}
    # What it has written since then nobody knows.
    assert lag_aware(300, FRESH_NS + 1) == set()
    # Of two that take themselves for primaries the one that is further counts.
    assert lag_aware(300, positions={**POSITIONS, "pg-3": Position(1200, True, 0)}) == {"pg-1"}
    assert eligible(routing("lag-aware"), ObservedLsns(), {}, 0) == set()


def test_which_routings_ask_for_something() -> None:
    assert routing_of(ClientOptions()) is None
    assert routing_of(ClientOptions(read_routing="plain")) is None
    assert routing("lag-aware").max_lag_bytes == MAX_LAG_BYTES
    assert [routing(name).is_shared for name in READ_ROUTINGS[1:]] == [False, False, False, True]
    assert [routing(name).wait_seconds > 0 for name in READ_ROUTINGS[1:]] == [False, False, False, True]
    assert [needs_lsn(ClientOptions(read_routing=name)) for name in READ_ROUTINGS] == [False, True, True, False, True]


def test_a_write_without_a_position_is_covered_by_what_a_primary_says_later() -> None:
    observed = ObservedLsns()
    observed.learn(WRITE, Result(outcome=OK, lsn=500, epoch="1"), 1, 2)
    observed.learn(WRITE, Result(outcome=OK, epoch="1"), 3, 4)
    assert observed.unknown_ns == 4
    observed.learn(
        READ, Result(outcome=OK, lsn=600, epoch="1"), 3, 5
    )  # it was asked for before that write was acknowledged
    observed.learn(READ, Result(outcome=OK, lsn=900, epoch=None), 5, 6)  # a replica's
    assert observed == ObservedLsns(500, 900, 4)
    observed.learn(READ, Result(outcome=OK, lsn=650, epoch="1"), 7, 8)
    assert observed == ObservedLsns(650, 900, None)


@dataclass(kw_only=True)
class Member:
    """A database member: how far it is, what it has, how it answers."""

    name: str
    lsn: int = 100
    primary: bool = False
    value: int | None = None
    answers: bool = True
    hangs: bool = False
    asked: int = 0
    reads: int = 0


@dataclass
class Cluster:
    """A client, and the members it reaches; the Service leads to the primary."""

    members: Mapping[str, Member] = field(
        default_factory=lambda: {
            member.name: member
            for member in (Member(name="pg-0", primary=True), Member(name="pg-1"), Member(name="pg-2"))
        }
    )
    open_links: int = 0

    def member(self, endpoint: Endpoint) -> Member:
        primary = next(member for member in self.members.values() if member.primary)
        return primary if endpoint.name == "service" else self.members[endpoint.name]

    async def open(self, endpoint: Endpoint) -> MemberLink:
        member = self.member(endpoint)
        if not member.answers:
            raise NotOpened(Outcome("fail", "refused"))
        self.open_links += 1
        return MemberLink(self, member)

    async def prepare(self, endpoint: Endpoint) -> None:
        raise NotImplementedError

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class MemberLink:
    def __init__(self, of: Cluster, member: Member) -> None:
        self._of, self.member = of, member
        self.server = member.name
        self.alive = True

    def close(self) -> None:
        self._of.open_links -= self.alive
        self.alive = False

    async def perform(self, operation: Operation) -> Result:
        await asyncio.sleep(0)
        epoch = "1" if self.member.primary else None
        if operation.op == "read":
            self.member.reads += 1
            return Result(outcome=OK, value=self.member.value, server=self.server, epoch=epoch, lsn=self.member.lsn)
        self.member.value = operation.value
        self.member.lsn += 10
        return Result(outcome=OK, value=None, server=self.server, epoch=epoch, lsn=self.member.lsn)


async def ask(link: object) -> Position:
    assert isinstance(link, MemberLink)
    link.member.asked += 1
    if link.member.hangs:
        await asyncio.Event().wait()
    if not link.member.answers:
        raise NotDone("gone")
    return Position(link.member.lsn, link.member.primary, clock.now_ns())


async def looked_at(cluster: Cluster, *names: str) -> None:
    """Wait until each was asked twice more: what it was before is then known."""
    before = {name: cluster.members[name].asked for name in names}
    async with asyncio.timeout(60):
        while any(cluster.members[name].asked < before[name] + 2 for name in names):
            await asyncio.sleep(0.001)


def test_positions_are_of_the_members_that_answer_and_are_forgotten_with_them() -> None:
    async def scenario() -> None:
        cluster, topology = Cluster(), TOPOLOGY
        positions = Positions(cluster, lambda: topology, ask, 0.05)
        await looked_at(cluster, *cluster.members)
        assert {name: (position.lsn, position.primary) for name, position in positions.by_member.items()} == {
            "pg-0": (100, True),
            "pg-1": (100, False),
            "pg-2": (100, False),
        }
        cluster.members["pg-1"].hangs = True
        cluster.members["pg-2"].answers = False
        async with asyncio.timeout(60):
            while positions.by_member.keys() != {"pg-0"}:
                await positions.wait_for_answer(1)
        # It came back with less than it had.
        cluster.members["pg-2"].answers, cluster.members["pg-2"].lsn = True, 40
        async with asyncio.timeout(60):
            while "pg-2" not in positions.by_member:
                await positions.wait_for_answer(1)
        assert positions.by_member["pg-2"].lsn == 40
        topology = Topology(SERVICE, MEMBERS[:1])
        async with asyncio.timeout(60):
            while "pg-2" in positions.by_member or cluster.open_links > 1:
                await asyncio.sleep(0.001)
        positions.close()
        assert cluster.open_links == 0

    asyncio.run(scenario())


async def sessions_of(cluster: Cluster, name: str, *operations: Operation, wait_ms: int | None = None) -> list[Attempt]:
    """What comes of some operations, one after the other, a probe of that routing does with a cluster."""
    attempts: list[Attempt] = []
    router = Router(lambda: TOPOLOGY)
    positions = Positions(cluster, lambda: TOPOLOGY, ask, 0.2)
    reads = ReplicaReads(routing(name, wait_ms), positions, lambda: TOPOLOGY, router.primary)
    sessions = Sessions(cluster, router, LIMITS, count(1), attempts.append, reads)
    await looked_at(cluster, *cluster.members)
    for operation in operations:
        await sessions.carry_out(operation, clock.now_ns())
    reads.close()
    sessions.close()
    return attempts


def servers(attempts: list[Attempt]) -> Counter[str | None]:
    return Counter(attempt.result.server for attempt in attempts if attempt.operation.op == "read")


def test_reads_take_the_replicas_in_turn_and_own_writes_are_read_from_the_primary_until_one_has_them() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        before = await sessions_of(cluster, "read-your-writes", *[READ] * 4)
        assert servers(before) == {"pg-1": 2, "pg-2": 2}
        written = await sessions_of(cluster, "read-your-writes", WRITE, READ, READ)
        assert servers(written) == {"pg-0": 2}
        assert [attempt.result.value for attempt in written] == [None, 1, 1]
        cluster.members["pg-2"].lsn = cluster.members["pg-0"].lsn + 10
        assert servers(await sessions_of(cluster, "read-your-writes", WRITE, READ, READ)) == {"pg-2": 2}
        assert cluster.open_links == 0

    asyncio.run(scenario())


def test_a_session_that_read_from_one_replica_does_not_go_to_one_that_is_behind_it() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        cluster.members["pg-1"].lsn = 90
        assert servers(await sessions_of(cluster, "lag-aware", *[READ] * 6)) == {"pg-1": 3, "pg-2": 3}
        attempts = await sessions_of(cluster, "monotonic", *[READ] * 6)
        assert servers(attempts)["pg-1"] <= 1  # before it had read from the other
        assert servers(attempts)["pg-0"] == 0

    asyncio.run(scenario())


def test_a_causal_read_waits_for_a_replica_within_its_interval_and_then_goes_to_the_primary() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        alone = await sessions_of(cluster, "causal", WRITE, READ, wait_ms=30)
        assert servers(alone) == {"pg-0": 1}
        read = alone[1]
        assert read.return_ns is not None
        assert read.return_ns - read.invoke_ns >= 30_000_000  # the wait is a part of the operation

        async def catch_up() -> None:
            while cluster.members["pg-0"].value != 2:
                await asyncio.sleep(0.001)
            cluster.members["pg-2"].lsn = cluster.members["pg-0"].lsn

        catching = asyncio.create_task(catch_up())
        later = await sessions_of(cluster, "causal", replace(WRITE, value=2), READ, wait_ms=1000)
        await catching
        assert servers(later) == {"pg-2": 1}

    asyncio.run(scenario())


def test_what_one_session_writes_binds_the_others_of_a_causal_probe_only() -> None:
    async def scenario(name: str) -> str | None:
        cluster = Cluster()
        attempts: list[Attempt] = []
        router = Router(lambda: TOPOLOGY)
        positions = Positions(cluster, lambda: TOPOLOGY, ask, 0.2)
        reads = ReplicaReads(
            routing(name, 1 if name == "causal" else None), positions, lambda: TOPOLOGY, router.primary
        )
        sessions = Sessions(cluster, router, LIMITS, count(1), attempts.append, reads)
        await looked_at(cluster, *cluster.members)
        # Two sessions: both are under way at one time.
        await asyncio.gather(*(sessions.carry_out(READ, clock.now_ns()) for _ in range(2)))
        await asyncio.gather(*(sessions.carry_out(WRITE, clock.now_ns()) for _ in range(1)))
        writer = attempts[-1].session
        await asyncio.gather(*(sessions.carry_out(READ, clock.now_ns()) for _ in range(2)))
        reads.close()
        sessions.close()
        (other,) = (attempt for attempt in attempts[-2:] if attempt.session != writer)
        return other.result.server

    assert asyncio.run(scenario("read-your-writes")) in ("pg-1", "pg-2")
    assert asyncio.run(scenario("causal")) == "pg-0"


def test_where_nobody_is_known_a_read_is_refused_or_goes_to_the_primary() -> None:
    async def scenario(topology: Topology) -> Endpoint | None:
        router = Router(lambda: topology)
        positions = Positions(Cluster(), lambda: topology, ask, 0.2)
        reads = ReplicaReads(routing("monotonic"), positions, lambda: topology, router.primary)
        endpoint = await reads.choose(ObservedLsns())
        reads.close()
        return endpoint

    assert asyncio.run(scenario(Topology(SERVICE, ()))) == SERVICE
    assert asyncio.run(scenario(Topology(None, ()))) is None
