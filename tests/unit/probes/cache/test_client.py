"""The client of the workload cache, with a tiny server of each kind behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from caplab_probes.cache.client import CacheClient
from caplab_probes.cache.spec import CacheSpec
from caplab_probes.cache.values import ClusterAccess, Load
from caplab_probes.engines.postgres.statements import TABLES
from caplab_probes.links import Endpoint, NotDone, Result, Topology
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import OK, Outcome
from caplab_probes.spec import Limits
from support.databases.fake_postgres import FakeServer, fake_server, rows
from support.databases.fake_redis import FakeRedis, fake_redis, member_of, service_of
from support.databases.loopback import run, wait_until

ASKED = CacheSpec(store="pg", protection="none", ttl_ms=8000, load_ms=50, places=20, connections=3)
LIMITS = Limits(connect_seconds=1.0, statement_seconds=5.0, scan_seconds=0.5)
CACHE_LOGIN = {"username": "caplab", "password": "secret"}
STORE_LOGIN = {"username": "caplab", "password": "", "database": "caplab"}
READ = Operation(index=0, op="read", route="service", key="k", workload="cache")
WRITE = Operation(index=1, op="write", route="service", key="k", value=9, workload="cache")


@dataclass(kw_only=True)
class Scene:
    """A client between two servers; store: the endpoints of the database, its Service first."""

    redis: FakeRedis
    postgres: FakeServer
    store: Topology
    asked: CacheSpec = ASKED
    limits: Limits = LIMITS
    seed: int = 5
    loads: list[Load] = field(default_factory=list)

    def __post_init__(self) -> None:
        cache = ClusterAccess(CACHE_LOGIN, lambda: Topology(self.endpoint, (member_of(self.redis),)))
        self.client = CacheClient(
            self.asked, cache, ClusterAccess(STORE_LOGIN, lambda: self.store), self.limits, self.seed
        )
        self.client.report_loads_to(self.loads.append)

    @property
    def endpoint(self) -> Endpoint:
        return service_of(self.redis)

    async def perform(self, *operations: Operation) -> list[Result]:
        """Each on a link of its own, as sessions have them."""
        links = [await self.client.open(self.endpoint) for _ in operations]
        return await asyncio.gather(
            *(link.perform(operation) for link, operation in zip(links, operations, strict=True))
        )


def at(fake: FakeServer, name: str) -> Endpoint:
    return Endpoint(name, "localhost" if name == "service" else "127.0.0.1", fake.port)


@asynccontextmanager
async def scene(
    redis: Mapping[str, object] | None = None, postgres: Mapping[str, object] | None = None, **settings: Any
) -> AsyncIterator[Scene]:
    async with fake_redis(**redis or {}) as cache, fake_server(**{"reply": rows(b"7"), **(postgres or {})}) as behind:
        store = Topology(at(behind, "service"), (at(behind, "pg-1"),))
        cached = Scene(redis=cache, postgres=behind, store=store, **settings)
        try:
            yield cached
        finally:
            await cached.client.close()


@pytest.fixture(autouse=True)
def _patience_with_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a machine that is busy is not taken for a cache that is gone."""
    monkeypatch.setattr("caplab_probes.cache.client._CACHE_SECONDS", 5.0)


def test_a_read_goes_through_the_cache_and_what_is_missing_is_loaded_once() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            assert await cached.perform(READ) == [Result(outcome=OK, value=7, server="pg-1")]
            assert await cached.perform(READ) == [Result(outcome=OK, value=7, server="rd-1")]
            assert cached.postgres.statements == ["SELECT caplab_load($1, $2, $3)"]
            assert cached.postgres.bound == [[b"k", b"50", b"20"]]
            assert (cached.redis.connections, cached.postgres.connections) == (1, 1)

    run(scenario)


def test_an_entry_is_kept_for_as_long_as_was_asked() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            await cached.perform(READ)
            assert cached.redis.operations[-1][-2:] == [b"PX", b"8000"]
            cached.redis.later_seconds = 8.0
            assert await cached.perform(READ) == [Result(outcome=OK, value=7, server="pg-1")]

    run(scenario)


@pytest.mark.parametrize(("protection", "loads"), [("none", 5), ("lock", 1)])
def test_readers_are_protected_as_was_asked_and_share_the_connections(protection: str, loads: int) -> None:
    async def scenario() -> None:
        async with scene(asked=replace(ASKED, protection=protection)) as cached:
            assert {result.outcome for result in await cached.perform(*[READ] * 5)} == {OK}
            assert len(cached.loads) == loads
            assert cached.postgres.connections == min(loads, 3)

    run(scenario)


def test_lifetimes_are_drawn_by_the_seed() -> None:
    async def scenario() -> None:
        drawn = []
        for seed in (5, 5, 6):
            async with scene(asked=replace(ASKED, protection="jitter"), seed=seed) as cached:
                await cached.perform(READ)
                drawn.append(int(cached.redis.operations[-1][-1]))
        assert drawn[0] == drawn[1] != drawn[2]
        assert all(4000 <= lifetime < 8000 for lifetime in drawn)

    run(scenario)


def test_a_write_goes_to_the_database_and_makes_the_copy_old() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            await cached.perform(READ)
            asked = len(cached.redis.operations)
            assert await cached.perform(WRITE) == [Result(outcome=OK, value=None, server="pg-1", epoch="3")]
            assert cached.postgres.statements[-1].startswith("INSERT INTO caplab_register ")
            assert cached.postgres.bound[-1] == [b"k", b"9"]
            assert len(cached.redis.operations) == asked
            cached.postgres.reply = rows(b"9")
            assert await cached.perform(READ) == [Result(outcome=OK, value=7, server="rd-1")]

    run(scenario)


def test_where_the_cache_refuses_readers_go_straight_to_the_database() -> None:
    async def scenario() -> None:
        async with scene(redis={"close_instead": True}) as cached:
            assert await cached.perform(READ, READ) == [Result(outcome=OK, value=7, server="pg-1")] * 2
            assert len(cached.loads) == 2

    run(scenario)


def test_loads_are_told_from_when_somebody_wants_to_know() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            await cached.perform(READ)
            assert [(load.key, load.result) for load in cached.loads] == [
                ("k", Result(outcome=OK, value=7, server="pg-1", epoch="3"))
            ]
            await cached.perform(READ, WRITE)
            assert len(cached.loads) == 1
            loads: list[Load] = []
            cached.client.report_loads_to(loads.append)
            await cached.perform(replace(READ, key="another"))
            assert ([load.key for load in loads], len(cached.loads)) == (["another"], 1)

    run(scenario)


def test_nobody_has_to_be_told() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            reached = (
                ClusterAccess(CACHE_LOGIN, lambda: Topology(None, ())),
                ClusterAccess(STORE_LOGIN, lambda: cached.store),
            )
            client = CacheClient(ASKED, *reached, LIMITS, 5)
            assert await (await client.open(cached.endpoint)).perform(READ) == Result(
                outcome=OK, value=7, server="pg-1"
            )
            await client.close()

    run(scenario)


def test_a_reader_gives_up_by_itself_and_its_load_is_told_when_the_database_is_done() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(limits=replace(LIMITS, statement_seconds=0.3)) as cached:
            await cached.perform(READ)
            cached.postgres.hang = hang
            assert await cached.perform(replace(READ, key="another")) == [Result(outcome=Outcome("fail", "timeout"))]
            assert len(cached.loads) == 1
            hang.set()
            await wait_until(lambda: len(cached.loads) == 2)
            assert (cached.loads[1].key, cached.loads[1].result.outcome) == ("another", Outcome("fail", "timeout"))

    run(scenario)


def test_a_link_says_of_no_member_that_it_leads_there_and_its_end_ends_nothing() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            first, second = [await cached.client.open(cached.endpoint) for _ in range(2)]
            assert (first.server, first.alive) == (None, True)
            await first.perform(READ)
            first.close()
            assert await second.perform(READ) == Result(outcome=OK, value=7, server="rd-1")
            assert cached.redis.connections == 1

    run(scenario)


def test_a_cache_is_not_scanned() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            with pytest.raises(NotDone, match="scan its store"):
                await cached.client.scan(cached.endpoint, "register-scan", "run-1")
            assert (cached.redis.connections, cached.postgres.connections) == (0, 0)

    run(scenario)


def test_tables_are_made_by_the_service_of_the_store_and_the_cache_is_looked_at() -> None:
    async def scenario() -> None:
        async with scene() as cached, fake_server() as member:
            cached.store = replace(cached.store, members=(at(member, "pg-2"),))
            await cached.client.prepare(cached.endpoint)
            assert sum(statement.startswith("CREATE") for statement in cached.postgres.statements) == len(TABLES)
            assert member.connections == 0
            assert cached.redis.connections == 1

    run(scenario)


@pytest.mark.parametrize("has_service", [True, False])
def test_where_an_endpoint_of_the_store_fails_the_next_is_tried(has_service: bool) -> None:
    async def scenario() -> None:
        async with scene(postgres={"accept": False}) as cached, fake_server() as member:
            service = cached.store.service if has_service else None
            cached.store = Topology(service, (at(cached.postgres, "pg-1"), at(member, "pg-2"), at(member, "pg-3")))
            await cached.client.prepare(cached.endpoint)
            assert cached.postgres.connections == (2 if has_service else 1)
            assert member.connections == 1
            assert sum(statement.startswith("CREATE") for statement in member.statements) == len(TABLES)

    run(scenario)


def test_where_all_endpoints_of_the_store_fail_the_last_one_is_named_and_the_cache_is_not_asked() -> None:
    async def scenario() -> None:
        async with scene(postgres={"accept": False}) as cached:
            with pytest.raises(NotDone, match=r"^pg-1: "):
                await cached.client.prepare(cached.endpoint)
            assert cached.postgres.connections == 2
            assert cached.redis.connections == 0

    run(scenario)


def test_a_store_without_endpoints_is_not_prepared() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            cached.store = Topology(None, ())
            with pytest.raises(NotDone, match="no endpoint of the store is known"):
                await cached.client.prepare(cached.endpoint)

    run(scenario)


def test_a_cache_that_is_no_primary_is_not_prepared() -> None:
    async def scenario() -> None:
        async with scene(redis={"replid": None}) as cached:
            with pytest.raises(NotDone, match="the member is not a primary"):
                await cached.client.prepare(cached.endpoint)

    run(scenario)


def test_close_lets_go_of_all_connections_and_of_loads_that_are_under_way() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene() as cached:
            await cached.perform(READ, WRITE)
            cached.postgres.hang = hang
            reading = asyncio.create_task(cached.perform(replace(READ, key="another")))
            await wait_until(lambda: len(cached.postgres.statements) == 3)
            assert (cached.redis.open, cached.postgres.open) == (1, 2)
            await cached.client.close()
            with pytest.raises(asyncio.CancelledError):
                await reading
            hang.set()
            await wait_until(lambda: (cached.redis.open, cached.postgres.open) == (0, 0))

    run(scenario)


def test_close_ends_what_waits_for_the_load_of_another_process() -> None:
    async def scenario() -> None:
        async with scene(asked=replace(ASKED, protection="lock")) as cached:
            cached.redis.registers[b"claim/k"] = b"of another process"
            reading = asyncio.create_task(cached.perform(READ))
            await wait_until(lambda: sum(command[0] == b"SET" for command in cached.redis.operations) == 2)
            await cached.client.close()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await wait_until(lambda: cached.redis.open == 0)
            assert cached.postgres.connections == 0

    run(scenario)


def test_a_client_that_opened_nothing_is_closed_too() -> None:
    async def scenario() -> None:
        async with scene() as cached:
            await cached.client.close()
            assert (cached.redis.connections, cached.postgres.connections) == (0, 0)

    run(scenario)


@pytest.mark.parametrize("protection", ["lock", "refresh-ahead"])
def test_close_while_a_claimed_key_is_loaded_leaves_no_connection(protection: str) -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(asked=replace(ASKED, protection=protection)) as cached:
            if protection == "refresh-ahead":
                await cached.perform(READ)
                cached.redis.later_seconds = 7.0  # of 8: it is time to load it anew
            before = len(cached.postgres.statements)
            cached.postgres.hang = hang
            reading = asyncio.create_task(cached.perform(READ))
            await wait_until(lambda: len(cached.postgres.statements) > before)
            connections = cached.redis.connections
            await cached.client.close()
            await asyncio.gather(reading, return_exceptions=True)
            hang.set()
            await wait_until(lambda: (cached.redis.open, cached.postgres.open) == (0, 0))
            assert cached.redis.connections == connections

    run(scenario)
