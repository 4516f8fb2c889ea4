"""A member may answer the operator anything, for ever: no more of it is read than a bound, and no longer."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from caplab_operator.engines.cassandra import observe as cassandra
from caplab_operator.engines.postgres import observe as patroni
from caplab_operator.engines.postgres import sql
from caplab_operator.engines.redis import observe as redis
from caplab_operator.handlers.redis import watch as redis_watch
from caplab_wire import bounded, resp
from support.databases.fake_postgres import READY, message, rows
from support.objects.dripping_server import DRIPS, dripping
from support.operator.observed_postgres import pod

MIB = 1 << 20
HERE = pod("x-0", address="127.0.0.1")
AUTHENTICATED = message(b"R", struct.pack("!i", 0))
GREETING = AUTHENTICATED + READY
PARAMETER = message(b"S", b"x\0" + b"y" * 1000 + b"\0")
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def answering(*parts: bytes, drip_seconds: float = 0.0, greeting: bytes = b"") -> Iterator[tuple[int, list[int]]]:
    """A port where whoever asks gets a greeting, parts, and then the last of them again and again, for ever.

    Yields the port, and how many bytes were taken of each connection. drip_seconds: byte by byte, so long apart.
    """
    taken: list[int] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        sent = 0
        with connection, suppress(OSError):
            if greeting:
                connection.recv(1000)
                connection.sendall(greeting)
            connection.recv(1000)
            connection.sendall(b"".join(parts))
            while not over.wait(drip_seconds):
                sent += connection.send(
                    b"x" if drip_seconds else parts[-1] * max(1, (1 << 16) // max(1, len(parts[-1])))
                )
        taken.append(sent)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1], taken
        over.set()
        server.shutdown(socket.SHUT_RDWR)


def taken_of(taken: list[int]) -> int:
    end = time.monotonic() + 60
    while not taken:
        assert time.monotonic() < end
        time.sleep(0.005)
    return max(taken)


REDIS_ANSWERS = [
    pytest.param([b"+OK\r\n$1073741824\r\n", bytes(65536)], id="a text of a gibibyte"),
    pytest.param([b"+OK\r\n*100000000\r\n", b"$1\r\na\r\n"], id="a vast list"),
    pytest.param([b"+OK\r\n*10000\r\n", b"$65536\r\n" + bytes(65536) + b"\r\n"], id="a list of long texts"),
    pytest.param([b"+OK\r\n+", bytes(65536)], id="a line without an end"),
    pytest.param([b"+OK\r\n", b"*1\r\n"], id="lists in lists"),
    pytest.param([b"+OK\r\n", b"+" + b"9" * 9000 + b"\r\n"], id="garbage"),
    pytest.param([b"+OK\r\n:" + b"9" * 9000 + b"\r\n", b"\0"], id="a number without an end"),
]


@pytest.mark.parametrize("parts", REDIS_ANSWERS)
def test_a_redis_that_does_not_stop_is_silent_and_little_of_it_is_read(
    parts: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(*parts) as (port, taken):
        monkeypatch.setattr(redis, "REDIS_PORT", port)
        monkeypatch.setattr(redis, "SENTINEL_PORT", port)
        place = redis.Place((HERE,), (replace(HERE, name="x-sentinel-0"),), "pw")
        cluster = redis.look(place, ["hz"])
        assert (cluster.members, cluster.sentinels, cluster.shut_out) == ({}, {}, frozenset())
        assert redis.users_of(place, HERE) == ()
        assert taken_of(taken) < 16 * MIB  # most of it is what the kernel holds


def test_what_a_redis_answers_too_long_is_said_where_something_was_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"+OK\r\n$1048576\r\n", bytes(65536)) as (port, _):
        monkeypatch.setattr(redis, "REDIS_PORT", port)
        refusals = redis.send_to_member(redis.Place((HERE,), (), "pw"), HERE, [("CONFIG", "SET", "hz", "10")])
        assert refusals == ["the answer is over 1,048,576 bytes"]


@pytest.mark.parametrize("parts", [b"+OK\r\n*9\r\n", b"+OK\r\n+"])
def test_a_redis_that_drips_is_given_up_after_three_waits(parts: bytes) -> None:
    with answering(parts, drip_seconds=0.02) as (port, _):
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            resp.ask("127.0.0.1", port, "pw", ("PING",), seconds=0.2)
        assert time.monotonic() - began < 2


HTTP_ANSWERS = [
    pytest.param([OK + b"\r\n", bytes(65536)], id="a body without an end"),
    pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10\r\n0123456789abcdef\r\n"], id="chunks"),
    pytest.param([OK, b"X: y\r\n"], id="headers without an end"),
    pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n"], id="continue"),
    pytest.param([b"HTTP/1.1 200 ", bytes(65536)], id="a line without an end"),
    pytest.param([b"garbage\r\n"], id="garbage"),
    pytest.param([OK + b"Content-Length: -5\r\n\r\n", b"[" * 65536], id="lists in lists"),
    pytest.param([OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, b"["], id="lists in lists that end"),
]


@pytest.mark.parametrize("parts", HTTP_ANSWERS)
def test_a_management_port_that_does_not_stop_is_silent_and_little_of_it_is_read(
    parts: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(*parts) as (port, taken):
        monkeypatch.setattr(patroni, "PATRONI_PORT", port)
        monkeypatch.setattr(patroni, "_TIMEOUT_SECONDS", 0.5)
        monkeypatch.setattr(cassandra, "MANAGEMENT_PORT", port)
        monkeypatch.setattr(cassandra, "TIMEOUT_SECONDS", 0.5)
        assert patroni.look([HERE], None).answers == {}
        assert cassandra.look(cassandra.Place((HERE,), "pw")).members == {}
        assert taken_of(taken) < 16 * MIB


@pytest.mark.parametrize("drip", DRIPS)
def test_a_management_port_that_drips_is_given_up_after_three_waits(drip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping(*DRIPS[drip]) as port:
        monkeypatch.setattr(cassandra, "MANAGEMENT_PORT", port)
        monkeypatch.setattr(cassandra, "TIMEOUT_SECONDS", 0.2)
        began = time.monotonic()
        assert cassandra.look(cassandra.Place((HERE,), "pw")).members == {}
        assert time.monotonic() - began < 2


def test_no_member_sends_the_operator_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the member itself may not go, the operator would have gone for it, with its password."""
    body = json.dumps({"state": "running"}).encode()
    there = OK + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
    with answering(there) as (elsewhere, gone):
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n" % elsewhere
        with answering(moved) as (port, _):
            monkeypatch.setattr(patroni, "PATRONI_PORT", port)
            assert patroni.look([HERE], None).answers == {}
            assert patroni.send("127.0.0.1", "pw", "/restart", {}).startswith("302")
        assert gone == []


ROW = message(b"D", struct.pack("!hi", 1, 1000) + bytes(1000))


@pytest.mark.parametrize(
    ("parts", "greeting"),
    [
        pytest.param([rows(), ROW], GREETING, id="rows without end"),
        pytest.param([b"D" + struct.pack("!i", 1 << 30), bytes(65536)], GREETING, id="a message of a gibibyte"),
        pytest.param([message(b"N", b"SNOTICE\0C00000\0M" + b"x" * 1000 + b"\0\0")], GREETING, id="notices"),
        pytest.param(
            [message(b"A", struct.pack("!i", 7) + b"c\0" + b"x" * 1000 + b"\0")], GREETING, id="notifications"
        ),
        pytest.param([b""], AUTHENTICATED + 4000 * PARAMETER, id="parameters before it is ready"),
    ],
)
def test_a_postgres_that_does_not_stop_is_given_up(
    parts: list[bytes], greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(*parts, greeting=greeting) as (port, taken):
        monkeypatch.setattr(sql, "POSTGRES_PORT", port)
        with pytest.raises(sql.SqlError, match="the answer is over 1,048,576 bytes"):
            sql.Session("127.0.0.1", "u", "pw", "d", 60.0).ask("select 1", seconds=60.0)
        assert taken_of(taken) < 32 * MIB


def test_a_postgres_that_says_much_unasked_is_connected_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_MAX_KEPT_BYTES", 2000)
    answer = message(b"1") + message(b"2") + rows(b"1") + READY
    notice = message(b"A", struct.pack("!i", 7) + b"c\0" + b"x" * 2000 + b"\0")
    with answering(notice + answer, drip_seconds=60, greeting=GREETING) as (port, _):
        monkeypatch.setattr(sql, "POSTGRES_PORT", port)
        session = sql.Session("127.0.0.1", "u", "pw", "d", 5.0)
        assert session.ask("select 1", seconds=5.0) == [["1"]]
        assert not session.is_open


def test_a_bound_holds_for_the_bytes_of_a_connection() -> None:
    with answering(bytes(1000), drip_seconds=60) as (port, _):
        with bounded.connect("127.0.0.1", port, 5.0, max_bytes=999) as connection, connection.makefile("rb") as stream:
            connection.sendall(b"x")
            with pytest.raises(ConnectionError, match="over 999 bytes"):
                stream.read(1000)
        with (
            bounded.connect("127.0.0.1", port, 5.0, max_bytes=1000) as connection,
            connection.makefile("rb") as stream,
        ):
            connection.sendall(b"x")
            assert len(stream.read(1000)) == 1000


@pytest.mark.parametrize("parts", [b"$9999999\r\n", b"*3\r\n$7\r\nmessage\r\n", b"\r\n"])
def test_a_sentinel_that_does_not_stop_is_listened_to_no_further_than_the_bound(
    parts: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listened(port: int) -> None:
        watch = redis_watch.PromotionWatch(lambda: None, lambda: False)
        for listen in (watch._to_events, watch._until_closed):
            streams = await asyncio.open_connection("127.0.0.1", port)
            streams[1].write(b"x")
            with suppress(ValueError):
                await asyncio.wait_for(listen(streams, "pw"), 60)
            streams[1].close()

    with answering(parts) as (port, taken):
        asyncio.run(listened(port))
        assert taken_of(taken) < 16 * MIB
