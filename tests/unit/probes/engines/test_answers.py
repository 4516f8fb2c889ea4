"""A member may answer anything: no client takes more of it into memory than its bound."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from caplab_probes.engines import opening
from caplab_probes.engines.cassandra import driver
from caplab_probes.engines.opening import ANSWER_BYTES, check_scan_size
from caplab_probes.engines.postgres.wire import PostgresError
from caplab_probes.engines.postgres.wire import Wire as PostgresWire
from caplab_probes.engines.redis.wire import RedisError, pack
from caplab_probes.engines.redis.wire import Wire as RedisWire
from caplab_probes.links import NotDone
from caplab_probes.spec import PLAIN_CLIENT, Limits
from cassandra.cluster import NoHostAvailable
from support.databases.fake_postgres import READY, message, rows
from support.databases.loopback import run

MIB = 1 << 20
GREETING = message(b"R", struct.pack("!i", 0)) + READY


@asynccontextmanager
async def answering(*parts: bytes, size: int = 64 * MIB, greeting: bytes = b"") -> AsyncIterator[tuple[int, list[int]]]:
    """A port where a request is answered by parts and then by zeros up to a size; how much was taken of it."""
    taken: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greeting:
            await reader.read(1000)
            writer.write(greeting)
        await reader.read(1000)
        writer.write(b"".join(parts))
        sent = 0
        try:
            while sent < size:
                writer.write(bytes(1 << 16))
                await writer.drain()
                sent += 1 << 16
        except ConnectionError:
            pass
        finally:
            taken.append(sent)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], taken
    server.close()
    async with asyncio.timeout(60):
        while not taken:
            await asyncio.sleep(0.01)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


ROW = message(b"D", struct.pack("!hi", 1, 100) + bytes(100))


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"D" + struct.pack("!i", 1 << 30)], id="a message of a gibibyte"),
        pytest.param([rows(), *[ROW] * 40_000], id="rows without end"),
        pytest.param([message(b"N", b"SNOTICE\0VNOTICE\0C00000\0M" + b"x" * 1000 + b"\0\0")] * 4000, id="notices"),
    ],
)
def test_a_postgres_that_does_not_stop_is_given_up(parts: list[bytes]) -> None:
    async def scenario() -> None:
        async with answering(b"".join(parts), greeting=GREETING) as (port, taken):
            wire = await PostgresWire.open({"hostaddr": "127.0.0.1", "port": port, "user": "u", "dbname": "d",
                                            "sslmode": "disable", "gssencmode": "disable"})  # fmt: skip
            with pytest.raises(PostgresError, match="the answer is longer than 1,048,576 bytes") as caught:
                await wire.ask("select 1")
            assert caught.value.sent  # nobody knows what became of it
            assert not wire.alive
        assert taken[0] < 32 * MIB

    run(scenario)


def test_a_postgres_may_answer_a_scan_at_length_and_is_read_in_pieces() -> None:
    """What waits to be read is looked at again and again: it counts once."""
    answer = rows()[: -len(message(b"C", b"SELECT 0\0"))] + ROW * 33_000 + message(b"C", b"SELECT 33000\0")
    assert 3 * ANSWER_BYTES < len(answer) < 4 * MIB

    async def scenario() -> None:
        whole = message(b"1") + message(b"2") + answer + READY
        async with answering(whole, size=0, greeting=GREETING) as (port, _):
            wire = await PostgresWire.open({"hostaddr": "127.0.0.1", "port": port, "user": "u", "dbname": "d",
                                            "sslmode": "disable", "gssencmode": "disable"})  # fmt: skip
            assert len((await wire.ask("select 1", max_bytes=4 * MIB)).rows) == 33_000
            wire.close()

    run(scenario)


@pytest.mark.parametrize(
    "begin",
    [
        b"*100000000\r\n",
        b"%50000000\r\n",
        b"~4000000\r\n",
        b"*2\r\n*100000000\r\n",
        b"$1073741824\r\n",
        b"+",
        b"*1\r\n$9999999\r\n",
    ],
)
def test_a_redis_that_does_not_stop_is_given_up(begin: bytes) -> None:
    before = peak_bytes()

    async def scenario() -> None:
        async with answering(begin) as (port, taken):
            wire = await RedisWire.open("127.0.0.1", port)
            with pytest.raises(RedisError, match="the answer is longer than 1,048,576 bytes") as caught:
                await wire.ask(pack(("GET", "k")), 1)
            assert caught.value.sent
            assert not wire.alive
        assert taken[0] < 32 * MIB

    run(scenario)
    assert peak_bytes() - before < 64 * MIB


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_vast_list_is_seen_also_where_it_comes_in_pieces(cut: int) -> None:
    async def scenario() -> None:
        wire, head = RedisWire(), b"*100000000\r\n"
        assert not wire._is_too_long(head[:cut]) or cut >= len(head) - 1
        assert wire._is_too_long(head[cut:]) or cut >= len(head) - 1

    run(scenario)


def test_replies_that_are_asked_for_are_no_vast_lists() -> None:
    async def scenario() -> None:
        wire = RedisWire()
        for reply in (b"*10000\r\n", b"$7\r\n1000000\r\n", b":1000000\r\n", b"+OK\r\n", b"$4\r\n*1%2\r\n"):
            assert not wire._is_too_long(reply)

    run(scenario)


def test_a_scan_that_finds_more_than_a_prober_can_hold_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SCAN_ELEMENTS", 10)
    check_scan_size(10)
    with pytest.raises(NotDone, match="more than 10 elements"):
        check_scan_size(11)


@contextmanager
def cassandra_that_says(answer: bytes) -> Iterator[int]:
    """A port where every request is answered by these bytes and then by silence."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                    held.append(client)
                    client.recv(1000)
                    client.sendall(answer)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for client in held:
        client.close()


def test_a_cassandra_whose_frame_is_too_long_is_given_up_when_it_begins() -> None:
    supported = 6
    header = struct.pack("!BBhBi", 0x85, 0, 0, supported, 200 * MIB)
    limits = Limits(connect_seconds=5.0)
    with cassandra_that_says(header + bytes(1000)) as port, pytest.raises(NoHostAvailable) as caught:
        driver.connect(("127.0.0.1",), port, {"username": "", "password": ""}, limits, PLAIN_CLIENT)
    assert "the answer is longer than 16,777,216 bytes" in str(caught.value.errors)
