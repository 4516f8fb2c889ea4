"""The cache in Redis against a tiny server that speaks just enough of the protocol."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from caplab_probes import clock
from caplab_probes.cache.entries import Entry
from caplab_probes.cache.reader import CacheUnavailable, Loaded
from caplab_probes.cache.redis_cache import RedisCache
from caplab_probes.links import Endpoint, Link
from support.databases.fake_redis import FakeRedis, client_of, error, fake_redis, service_of
from support.databases.loopback import run, silent, wait_until

LOADED = Loaded(7, 0.0507, "pg-1")
PATIENT, HASTY = 5.0, 0.3  # seconds
NOBODY = Endpoint("service", "127.0.0.1", 1)


@asynccontextmanager
async def cache_on(fake: FakeRedis, seconds: float = PATIENT) -> AsyncIterator[RedisCache]:
    cache = RedisCache(client_of(fake), service_of(fake), seconds)
    try:
        yield cache
    finally:
        cache.close()


def test_an_entry_that_was_put_is_read_back_with_the_time_it_has_left() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            await cache.put("k", LOADED, 10.0)
            fake.later_seconds = 4.0
            entry, server = await cache.get("k")
            assert entry is not None
            assert (entry.version, entry.load_seconds, server) == (7, 0.0507, "rd-1")
            assert 5.0 < entry.remaining_seconds <= 6.0
            assert list(fake.registers) == [b"cache/k"]

    run(scenario)


def test_an_entry_that_ran_out_is_none_and_so_is_one_that_never_was() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            await cache.put("k", LOADED, 10.0)
            assert await cache.get("another") == (None, "rd-1")
            fake.later_seconds = 10.0
            assert await cache.get("k") == (None, "rd-1")

    run(scenario)


def test_a_lifetime_of_less_than_a_millisecond_is_one() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            await cache.put("k", LOADED, 0.0001)
            assert fake.operations[-1][-2:] == [b"PX", b"1"]

    run(scenario)


def test_what_somebody_else_wrote_is_no_entry_and_one_without_an_end_stays() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            fake.registers[b"cache/k"] = b"something"
            assert await cache.get("k") == (None, "rd-1")
            fake.registers[b"cache/k"] = b"7 50000"
            assert await cache.get("k") == (Entry(7, 0.05, math.inf), "rd-1")

    run(scenario)


def test_a_value_and_its_remaining_time_are_asked_for_in_one_packet() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            await cache.get("k")
            assert fake.operations == [[b"GET", b"cache/k"], [b"PTTL", b"cache/k"]]
            assert b"GET" in fake.packets[-1]
            assert b"PTTL" in fake.packets[-1]

    run(scenario)


def test_a_claim_is_one_readers_alone_and_no_entry() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache, cache_on(fake) as elsewhere:
            assert await cache.claim("k", "one", 10.0)
            assert not await cache.claim("k", "two", 10.0)
            assert not await elsewhere.claim("k", "three", 10.0)
            assert await elsewhere.claim("another", "three", 10.0)
            assert (await cache.get("k"))[0] is None

    run(scenario)


def test_a_claim_ends_by_itself() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            assert await cache.claim("k", "one", 10.0)
            fake.later_seconds = 9.0
            assert not await cache.claim("k", "two", 10.0)
            fake.later_seconds = 10.0
            assert await cache.claim("k", "two", 10.0)

    run(scenario)


def test_a_claim_that_is_given_back_is_free_and_the_entry_stays() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            await cache.put("k", LOADED, 10.0)
            assert await cache.claim("k", "one", 10.0)
            await cache.release("k", "one")
            assert await cache.claim("k", "two", 10.0)
            assert (await cache.get("k"))[0] is not None

    run(scenario)


def test_only_ones_own_claim_is_given_back() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            assert await cache.claim("k", "one", 10.0)
            fake.later_seconds = 10.0
            assert await cache.claim("k", "two", 10.0)
            await cache.release("k", "one")
            assert not await cache.claim("k", "three", 10.0)
            await cache.release("never claimed", "one")

    run(scenario)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"reply": error("LOADING Redis is loading the dataset in memory")}, "LOADING"),
        ({"reply": error("MISCONF Errors writing to the AOF file")}, "MISCONF"),
        ({"close_instead": True}, "closed"),
    ],
)
def test_a_cache_that_refuses_or_closes_is_gone_and_its_link_is_not_used_again(
    settings: dict[str, Any], problem: str
) -> None:
    async def scenario() -> None:
        async with fake_redis(**settings) as fake, cache_on(fake) as cache:
            asked: list[Callable[[], Awaitable[object]]] = [
                lambda: cache.get("k"),
                lambda: cache.put("k", LOADED, 10.0),
                lambda: cache.claim("k", "one", 10.0),
                lambda: cache.release("k", "one"),
            ]
            for number, ask in enumerate(asked, start=1):
                with pytest.raises(CacheUnavailable, match=problem):
                    await ask()
                assert fake.connections == number
            await wait_until(lambda: fake.open == 0)
            fake.reply, fake.close_instead = None, False
            assert await cache.claim("k", "one", 10.0)
            assert fake.connections == 5

    run(scenario)


def test_a_replica_takes_no_entry_and_is_gone() -> None:
    async def scenario() -> None:
        async with fake_redis(replid=None) as fake, cache_on(fake) as cache:
            with pytest.raises(CacheUnavailable, match="READONLY"):
                await cache.put("k", LOADED, 10.0)
            await wait_until(lambda: fake.open == 0)

    run(scenario)


def test_a_cache_that_is_slower_than_its_seconds_is_gone_and_its_late_answer_is_nobodys() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with fake_redis(hang=hang) as fake, cache_on(fake, HASTY) as cache:
            began = clock.now_ns()
            asking = asyncio.create_task(cache.claim("k", "one", 10.0))
            await wait_until(lambda: fake.operations)
            with pytest.raises(CacheUnavailable):
                await asking
            assert (clock.now_ns() - began) / 1e9 >= HASTY
            fake.hang = None
            assert (await cache.get("another"))[0] is None
            assert fake.connections == 2
            hang.set()
            await wait_until(lambda: fake.open == 1)

    run(scenario)


def test_a_cache_that_does_not_say_hello_in_its_seconds_is_gone() -> None:
    async def scenario() -> None:
        # its client would wait for a second
        async with silent() as port, cache_on(FakeRedis(port=port), 0.1) as cache:
            with pytest.raises(CacheUnavailable, match=r"no answer within 0\.1 s"):
                await cache.get("k")

    run(scenario)


@pytest.mark.parametrize("there", [True, False])
def test_a_cache_that_lets_nobody_in_or_is_not_there_is_gone(there: bool) -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            client = client_of(fake, password="wrong")
            cache = RedisCache(client, service_of(fake) if there else NOBODY, PATIENT)
            with pytest.raises(CacheUnavailable, match="WRONGPASS" if there else "127.0.0.1"):
                await cache.get("k")
            await wait_until(lambda: fake.open == 0)

    run(scenario)


def test_the_link_of_a_cancelled_reader_is_closed() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with fake_redis(hang=hang) as fake, cache_on(fake) as cache:
            asking = asyncio.create_task(cache.get("k"))
            await wait_until(lambda: fake.operations)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            hang.set()
            await wait_until(lambda: fake.open == 0)
            assert await cache.claim("k", "one", 10.0)
            assert fake.connections == 2

    run(scenario)


def test_a_link_that_rests_is_used_again() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake, cache_on(fake) as cache:
            for _ in range(3):
                await cache.get("k")
            assert fake.connections == 1
            await asyncio.gather(cache.get("k"), cache.get("k"))
            await asyncio.gather(cache.get("k"), cache.get("k"))
            assert fake.connections == 2

    run(scenario)


def test_a_link_that_broke_while_it_rested_is_not_used() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            client, links = client_of(fake), list[Link]()
            opened = client.open

            async def noted(endpoint: Endpoint) -> Link:
                links.append(await opened(endpoint))
                return links[-1]

            client.open = noted  # type: ignore[method-assign]
            cache = RedisCache(client, service_of(fake), PATIENT)
            await cache.put("k", LOADED, 10.0)
            links[0].close()
            entry, _ = await cache.get("k")
            assert entry is not None
            assert fake.connections == 2
            cache.close()

    run(scenario)


def test_close_lets_go_of_every_link_that_rests() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            cache = RedisCache(client_of(fake), service_of(fake), PATIENT)
            await asyncio.gather(*(cache.get("k") for _ in range(3)))
            assert fake.open == 3
            cache.close()
            await wait_until(lambda: fake.open == 0)

    run(scenario)


def test_close_ends_what_is_under_way_and_opens_no_more() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with fake_redis(hang=hang) as fake:
            cache = RedisCache(client_of(fake), service_of(fake), PATIENT)
            asking = asyncio.create_task(cache.get("k"))
            await wait_until(lambda: fake.operations)
            cache.close()
            with pytest.raises(CacheUnavailable, match="closed"):
                await asking
            with pytest.raises(CacheUnavailable, match="readers have stopped"):
                await cache.get("k")
            hang.set()
            await wait_until(lambda: fake.open == 0)
            assert fake.connections == 1

    run(scenario)


def test_a_cache_that_is_too_slow_says_how_long_it_was_waited_for() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with fake_redis(hang=hang) as fake, cache_on(fake, HASTY) as cache:
            with pytest.raises(CacheUnavailable, match=r"no answer within 0\.3 s"):
                await cache.get("k")
            hang.set()

    run(scenario)
