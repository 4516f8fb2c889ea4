"""A prober's reads through the cache, on a cache and a database of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from caplab_probes import clock
from caplab_probes.cache.entries import Entry
from caplab_probes.cache.protections import PROTECTIONS, CacheTiming
from caplab_probes.cache.reader import CacheUnavailable, Loaded, LoadFailed, Reader
from caplab_probes.outcomes import OK, Outcome

TERMS = CacheTiming(ttl_seconds=10.0, grace_seconds=5.0)
LOAD_SECONDS = 0.05


@dataclass
class FakeCache:
    """Forgets at the time it was told, unless it is gone."""

    kept: dict[str, tuple[Loaded, float]] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    gone: bool = False

    def _ask(self) -> float:
        if self.gone:
            raise CacheUnavailable("gone")
        return clock.now_ns() / 1e9

    async def get(self, key: str) -> tuple[Entry | None, str | None]:
        now = self._ask()
        loaded, until = self.kept.get(key, (None, 0.0))
        if loaded is None or loaded.version is None or until <= now:
            return None, "cache-0"
        return Entry(loaded.version, loaded.seconds, until - now), "cache-0"

    async def put(self, key: str, loaded: Loaded, lifetime_seconds: float) -> None:
        self.kept[key] = loaded, self._ask() + lifetime_seconds

    async def claim(self, key: str, token: str, seconds: float) -> bool:
        self._ask()
        return self.claims.setdefault(key, token) == token

    async def release(self, key: str, token: str) -> None:
        self._ask()
        if self.claims.get(key) == token:
            del self.claims[key]

    def expires_in(self, key: str, seconds: float) -> None:
        loaded, _ = self.kept[key]
        self.kept[key] = loaded, clock.now_ns() / 1e9 + seconds


@dataclass
class FakeDatabase:
    """Each load brings a newer version."""

    loads: int = 0
    seconds: float = LOAD_SECONDS
    problem: str = ""

    async def load(self, key: str) -> Loaded:
        self.loads += 1
        version = self.loads
        await asyncio.sleep(self.seconds)
        if self.problem:
            raise LoadFailed(Outcome("fail", self.problem))
        return Loaded(version, self.seconds, "pg-0")


class Scene:
    """Two processes in front of one cache and one database."""

    def __init__(self, protection: str, deadline_seconds: float = 30.0) -> None:
        self.cache, self.database = FakeCache(), FakeDatabase()
        rule = PROTECTIONS[protection]
        self.readers = [Reader(self.cache, self.database, rule, TERMS, lambda: 0.5, deadline_seconds) for _ in range(2)]

    async def read_all(self, count: int = 10) -> list[Any]:
        return await asyncio.gather(*(reader.read("hot") for reader in self.readers for _ in range(count)))


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize(("protection", "loads"), [("none", 20), ("lock", 1), ("xfetch", 20), ("jitter", 20)])
def test_of_readers_that_miss_together_all_load_and_under_the_lock_one(protection: str, loads: int) -> None:
    async def scenario() -> None:
        scene = Scene(protection)
        results = await scene.read_all()
        assert {result.outcome for result in results} == {OK}
        assert scene.database.loads == loads
        again = await scene.read_all()
        assert scene.database.loads == loads
        assert {result.server for result in again} == {"cache-0"}
        assert not scene.cache.claims

    run(scenario)


@pytest.mark.parametrize("protection", ["refresh-ahead", "stale-while-revalidate"])
def test_what_is_loaded_anew_behind_readers_is_loaded_once_and_nobody_waits(protection: str) -> None:
    async def scenario() -> None:
        scene = Scene(protection)
        await scene.readers[0].read("hot")
        assert scene.database.loads == 1
        scene.cache.expires_in("hot", 1.0)
        scene.database.seconds = 0.5
        served = await scene.read_all()
        assert {result.value for result in served} == {1}  # who waited would have 2
        while scene.cache.kept["hot"][0].version == 1:
            await asyncio.sleep(0.005)
        assert scene.database.loads == 2
        assert {result.value for result in await scene.read_all()} == {2}

    run(scenario)


def test_whoever_waits_for_another_process_has_what_that_one_loaded() -> None:
    async def scenario() -> None:
        scene = Scene("lock")
        first = asyncio.create_task(scene.readers[0].read("hot"))
        while not scene.cache.claims:
            await asyncio.sleep(0)
        second = await scene.readers[1].read("hot")
        assert (second.value, second.server) == (1, "cache-0")
        assert (await first).server == "pg-0"

    run(scenario)


def test_a_claim_of_one_that_died_ends_and_another_loads() -> None:
    async def scenario() -> None:
        scene = Scene("lock")
        scene.cache.claims["hot"] = "of one that died"
        reading = asyncio.create_task(scene.readers[0].read("hot"))
        await asyncio.sleep(0.05)
        assert scene.database.loads == 0
        del scene.cache.claims["hot"]  # its time is over
        assert (await reading).value == 1

    run(scenario)


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_without_the_cache_readers_go_straight_to_the_database(protection: str) -> None:
    async def scenario() -> None:
        scene = Scene(protection)
        scene.cache.gone = True
        results = await scene.read_all(3)
        assert {(result.outcome, result.server) for result in results} == {(OK, "pg-0")}
        assert scene.database.loads == 6

    run(scenario)


@pytest.mark.parametrize("protection", ["none", "lock"])
def test_a_reader_waits_only_so_long_and_what_comes_later_is_in_no_cache(protection: str) -> None:
    async def scenario() -> None:
        scene = Scene(protection, deadline_seconds=0.05)
        scene.database.seconds = 0.2
        results = await scene.read_all(2)
        assert {result.outcome for result in results} == {Outcome("fail", "timeout")}
        await asyncio.sleep(0.25)
        assert not scene.cache.kept
        scene.database.seconds = 0.01
        patient = Reader(scene.cache, scene.database, PROTECTIONS[protection], TERMS, lambda: 0.5, 30.0)
        assert (await patient.read("hot")).outcome == OK

    run(scenario)


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_database_that_refuses_is_no_entry(protection: str) -> None:
    async def scenario() -> None:
        scene = Scene(protection)
        scene.database.problem = "refused"
        assert {result.outcome for result in await scene.read_all(2)} == {Outcome("fail", "refused")}
        assert not scene.cache.kept
        scene.database.problem = ""
        assert (await scene.readers[0].read("hot")).outcome == OK

    run(scenario)


def test_a_key_that_the_database_does_not_have_is_not_kept() -> None:
    async def scenario() -> None:
        scene = Scene("none")

        async def nothing(key: str) -> Loaded:
            return Loaded(None, 0.01, "pg-0")

        scene.database.load = nothing  # type: ignore[method-assign]
        assert (await scene.readers[0].read("hot")).value is None
        assert not scene.cache.kept

    run(scenario)
