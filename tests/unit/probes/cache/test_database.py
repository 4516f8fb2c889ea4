"""The database behind the cache against a tiny server that speaks just enough of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from caplab_probes.cache.database import Cost, Database
from caplab_probes.cache.reader import Loaded, LoadFailed
from caplab_probes.cache.values import Load
from caplab_probes.links import Endpoint, Result
from caplab_probes.outcomes import OK, Outcome
from support.databases.fake_postgres import DONE, WRITE, FakeServer, client_of, fake_server, response, rows
from support.databases.loopback import run, wait_until

COST = Cost(milliseconds=50, places=20)
LOAD = "SELECT caplab_load($1, $2, $3)"
WASTED = Outcome("fail", "timeout")


class Scene:
    """A database on a server, and the loads that it recorded."""

    def __init__(self, fake: FakeServer, connections: int) -> None:
        self.fake, self.loads = fake, list[Load]()
        service = Endpoint("service", "localhost", fake.port)
        self.database = Database(client_of(fake), service, COST, connections, self.loads.append)

    @property
    def keys(self) -> list[str]:
        """What the server was asked for."""
        bound = zip(self.fake.statements, self.fake.bound, strict=True)
        return [values[0].decode() for statement, values in bound if statement == LOAD]

    @property
    def outcomes(self) -> list[Outcome]:
        return [load.result.outcome for load in self.loads]

    async def begin(self, key: str) -> asyncio.Task[Loaded]:
        """A load that the server is at work on."""
        before = len(self.keys)
        loading = asyncio.create_task(self.database.load(key))
        await wait_until(lambda: len(self.keys) > before)
        return loading


@asynccontextmanager
async def scene(connections: int = 1, **settings: object) -> AsyncIterator[Scene]:
    async with fake_server(**{"reply": rows(b"7"), **settings}) as fake:
        stored = Scene(fake, connections)
        try:
            yield stored
        finally:
            stored.database.close()


async def cancelled(loading: asyncio.Task[Any]) -> None:
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading


def test_a_load_brings_the_version_and_is_recorded_as_long_as_it_took() -> None:
    async def scenario() -> None:
        async with scene() as stored:
            loaded = await stored.database.load("k")
            assert stored.fake.bound == [[b"k", b"50", b"20"]]
            (load,) = stored.loads
            assert (load.key, load.result) == ("k", Result(outcome=OK, value=7, server="pg-1", epoch="3"))
            assert 0 < load.invoke_ns < load.return_ns
            assert loaded == Loaded(7, (load.return_ns - load.invoke_ns) / 1e9, "pg-1")

    run(scenario)


def test_a_key_that_is_not_there_has_no_version() -> None:
    async def scenario() -> None:
        async with scene(reply=rows(None)) as stored:
            assert (await stored.database.load("k")).version is None
            assert stored.outcomes == [OK]

    run(scenario)


def test_only_so_many_loads_are_under_way_and_their_connections_are_used_again() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(2, hang=hang) as stored:
            loading = [asyncio.create_task(stored.database.load(f"k{number}")) for number in range(6)]
            await wait_until(lambda: len(stored.keys) == 2)
            hang.set()
            await asyncio.gather(*loading)
            assert stored.keys == ["k0", "k1", "k2", "k3", "k4", "k5"]
            assert stored.fake.connections == 2
            assert stored.outcomes == [OK] * 6

    run(scenario)


def test_the_time_that_a_load_waited_for_its_place_is_not_the_databases() -> None:
    async def scenario() -> None:
        async with scene() as stored:
            await asyncio.gather(stored.database.load("first"), stored.database.load("second"))
            first, second = stored.loads
            assert second.invoke_ns >= first.return_ns

    run(scenario)


def test_a_load_whose_reader_has_gone_is_recorded_once_and_its_connection_is_used_again() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang) as stored:
            await cancelled(await stored.begin("k"))
            assert stored.loads == []  # the database is still at work
            hang.set()
            await wait_until(lambda: stored.loads)
            assert stored.loads[0].result == Result(outcome=WASTED, server="pg-1", epoch="3")
            assert (await stored.database.load("another")).version == 7
            assert stored.outcomes == [WASTED, OK]
            assert stored.fake.connections == 1

    run(scenario)


def test_a_load_whose_reader_has_gone_keeps_its_place_until_the_database_is_done() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang) as stored:
            await cancelled(await stored.begin("first"))
            second = asyncio.create_task(stored.database.load("second"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.shield(second)
            assert (stored.keys, stored.fake.connections) == (["first"], 1)
            hang.set()
            await second
            assert stored.keys == ["first", "second"]

    run(scenario)


def test_what_a_database_refuses_to_a_reader_who_has_gone_is_recorded_as_refused() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang, reply=response(b"E", b"ERROR", b"53100")) as stored:
            await cancelled(await stored.begin("k"))
            hang.set()
            await wait_until(lambda: stored.loads)
            assert stored.outcomes == [Outcome("fail", "refused")]

    run(scenario)


def test_a_load_whose_reader_goes_while_it_waits_for_its_place_is_never_sent() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang) as stored:
            first = await stored.begin("first")
            second, third = (asyncio.create_task(stored.database.load(key)) for key in ("second", "third"))
            await asyncio.sleep(0)
            await cancelled(second)
            hang.set()
            await asyncio.gather(first, third)
            assert stored.keys == ["first", "third"]
            assert [load.key for load in stored.loads] == ["first", "third"]
            assert stored.fake.connections == 1

    run(scenario)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (response(b"E", b"ERROR", b"53100"), Outcome("fail", "refused")),
        (response(b"E", b"ERROR", b"57014"), Outcome("fail", "timeout")),
    ],
)
def test_a_load_that_the_database_refuses_is_recorded_and_its_connection_is_used_again(
    reply: bytes, outcome: Outcome
) -> None:
    async def scenario() -> None:
        async with scene(reply=reply) as stored:
            with pytest.raises(LoadFailed) as refused:
                await stored.database.load("k")
            assert refused.value.outcome == outcome
            assert stored.outcomes == [outcome]
            stored.fake.reply = rows(b"8")
            assert (await stored.database.load("k")).version == 8
            assert stored.fake.connections == 1

    run(scenario)


def test_a_load_whose_connection_closes_has_failed_and_the_next_has_another() -> None:
    async def scenario() -> None:
        async with scene(close_instead=True) as stored:
            with pytest.raises(LoadFailed) as refused:
                await stored.database.load("k")
            assert refused.value.outcome == Outcome("fail", "closed")
            assert stored.outcomes == [refused.value.outcome]
            stored.fake.close_instead = False
            assert (await stored.database.load("k")).version == 7
            assert stored.fake.connections == 2

    run(scenario)


def test_where_no_connection_is_made_nothing_is_loaded_or_recorded_and_the_place_is_given_back() -> None:
    async def scenario() -> None:
        async with scene(accept=False) as stored:
            with pytest.raises(LoadFailed) as refused:
                await stored.database.load("k")
            assert refused.value.outcome == Outcome("fail", "refused")
            assert await stored.database.write(WRITE) == Result(outcome=Outcome("fail", "refused"))
            assert stored.loads == []
            stored.fake.accept = True
            assert (await stored.database.load("k")).version == 7

    run(scenario)


def test_a_write_does_not_wait_behind_loads() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang, hanging="caplab_load", replies=[DONE]) as stored:
            first = asyncio.create_task(stored.database.load("first"))
            second = asyncio.create_task(stored.database.load("second"))
            await wait_until(lambda: stored.keys)
            assert await stored.database.write(WRITE) == Result(outcome=OK, value=None, server="pg-1", epoch="3")
            assert (first.done(), second.done()) == (False, False)
            assert stored.outcomes == []
            hang.set()
            await asyncio.gather(first, second)

    run(scenario)


def test_a_write_that_changed_nothing_is_told_as_it_is_and_writes_share_connections() -> None:
    async def scenario() -> None:
        async with scene(reply=response(b"E", b"ERROR", b"25006")) as stored:
            assert (await stored.database.write(WRITE)).outcome == Outcome("fail", "readonly")
            stored.fake.reply = DONE
            assert (await stored.database.write(WRITE)).outcome == OK
            assert stored.fake.connections == 1
            await asyncio.gather(*(stored.database.write(WRITE) for _ in range(9)))
            assert stored.fake.connections == 4
            assert stored.loads == []

    run(scenario)


def test_the_connection_of_a_write_that_was_left_is_closed_and_its_place_given_back() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang, reply=DONE) as stored:
            writing = [asyncio.create_task(stored.database.write(WRITE)) for _ in range(4)]
            await wait_until(lambda: len(stored.fake.statements) == 4)
            for write in writing:
                await cancelled(write)
            hang.set()
            await wait_until(lambda: stored.fake.open == 0)
            assert (await stored.database.write(WRITE)).outcome == OK
            assert stored.fake.connections == 5

    run(scenario)


def test_close_lets_go_of_links_that_rest() -> None:
    async def scenario() -> None:
        async with scene(2) as stored:
            await asyncio.gather(
                stored.database.load("first"), stored.database.load("second"), stored.database.write(WRITE)
            )
            assert stored.fake.open == 3
            stored.database.close()
            await wait_until(lambda: stored.fake.open == 0)

    run(scenario)


def test_close_cancels_loads_that_are_under_way_or_wait() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(2, hang=hang) as stored:
            loading = [await stored.begin("first"), await stored.begin("second")]
            loading.append(asyncio.create_task(stored.database.load("third")))
            await asyncio.sleep(0)
            stored.database.close()
            for load in loading:
                with pytest.raises(asyncio.CancelledError):
                    await load
            hang.set()
            await wait_until(lambda: stored.fake.open == 0)
            assert stored.keys == ["first", "second"]

    run(scenario)


def test_close_lets_go_of_the_link_of_a_load_whose_reader_has_gone() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang) as stored:
            await cancelled(await stored.begin("k"))
            stored.database.close()
            hang.set()
            await wait_until(lambda: stored.fake.open == 0)

    run(scenario)


def test_close_ends_a_write_that_is_under_way_and_sends_none_of_those_that_wait() -> None:
    async def scenario() -> None:
        hang = asyncio.Event()
        async with scene(hang=hang, reply=DONE) as stored:
            writing = [asyncio.create_task(stored.database.write(WRITE)) for _ in range(6)]
            await wait_until(lambda: len(stored.fake.statements) == 4)
            stored.database.close()
            outcomes = [(await write).outcome for write in writing]
            assert outcomes == [Outcome("info", "closed")] * 4 + [Outcome("fail", "closed")] * 2
            hang.set()
            await wait_until(lambda: stored.fake.open == 0)
            assert len(stored.fake.statements) == stored.fake.connections == 4

    run(scenario)
