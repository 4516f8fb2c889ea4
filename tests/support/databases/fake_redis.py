"""A tiny server that speaks just enough of Redis' protocol (RESP 2) for a client's tests, and keeps the data.

It recognizes the client's scripts by their texts and does what they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import hiredis
from caplab_probes.cache.redis_cache import _RELEASE as RELEASE
from caplab_probes.engines.redis.client import client
from caplab_probes.engines.redis.statements import BEAT, CAS, WRITE
from caplab_probes.links import Client, Endpoint, Result, Topology
from caplab_probes.load.workloads import Operation
from caplab_probes.spec import Limits

from support.databases.loopback import listening

LIMITS = Limits(connect_seconds=1.0, statement_seconds=0.2, start_seconds=0.1, scan_seconds=0.5, in_flight=4)
RUN = 9
ADD = Operation(index=0, op="add", route="service", value=(RUN << 37) + 5)
BEAT_ONCE = Operation(index=0, op="write", route="service", key="clock", value=(RUN << 37) + 5)
REGISTER = f"{RUN:07x}/probe/a/service/1"
WRITE_ONCE = Operation(index=0, op="write", route="service", key=REGISTER, value=(RUN << 37) + 5)
READ = Operation(index=0, op="read", route="service", key=REGISTER)
CAS_ONCE = Operation(index=0, op="cas", route="service", key=REGISTER, value=(RUN << 37) + 6, workload="cas")
MULTI = Operation(index=0, op="write", route="service", key=REGISTER, value=(RUN << 37) + 4, workload="register-multi")
INCR = Operation(index=0, op="incr", route="service", key=REGISTER, value=1, workload="counter")
COUNT = Operation(index=0, op="read", route="service", key=REGISTER, workload="counter")
ID = Operation(index=0, op="id", route="service", key=f"{RUN:07x}/probe", workload="ids")
REPLID = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"
AROUND = frozenset({b"AUTH", b"CLIENT", b"INFO", b"WAIT"})  # commands that are not operations


def error(text: str) -> bytes:
    return b"-" + text.encode() + b"\r\n"


def reply_of(value: object) -> bytes:
    """Encode a reply: a whole number, bytes, nothing, or a list of these."""
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(reply_of, value))
    return b"$%d\r\n%s\r\n" % (len(value), value) if isinstance(value, bytes) else b"$-1\r\n"


@dataclass(kw_only=True)
class FakeRedis:
    """A server that does what it is asked, or answers with reply instead; seen has all commands as they came."""

    replid: str | None = REPLID  # None: a replica
    reply: bytes | None = None
    acked: bytes | None = reply_of(1)  # to WAIT; None: never
    hang: asyncio.Event | None = None  # operations wait for it
    close_instead: bool = False
    password: bytes = b"secret"
    lists: dict[bytes, list[bytes]] = field(default_factory=dict)
    registers: dict[bytes, bytes] = field(default_factory=dict)
    ends: dict[bytes, float] = field(default_factory=dict)  # when registers expire, on the fake's clock
    later_seconds: float = 0.0  # how far its clock is ahead
    commands: list[list[bytes]] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    port: int = 0

    @property
    def operations(self) -> list[list[bytes]]:
        return [command for command in self.commands if command[0] not in AROUND]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self._talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            self.packets.append(data)
            parser.feed(data)
            while (command := parser.gets()) is not False:
                self.commands.append(command)
                answer = await self._answer(command)
                if answer is None:
                    return
                writer.write(answer)

    async def _answer(self, command: list[bytes]) -> bytes | None:
        """Answer a command; None closes the connection."""
        if command[0] == b"AUTH":
            return b"+OK\r\n" if command[2] == self.password else error("WRONGPASS invalid username-password pair")
        if command[0] == b"CLIENT":
            return reply_of(b"id=3 addr=10.0.0.9:50988 laddr=127.0.0.1:%d fd=7 name=\n" % self.port)
        if command[0] == b"INFO":
            return reply_of(self._replication())
        if command[0] == b"WAIT":
            if self.acked is None:
                await asyncio.Event().wait()
            return self.acked
        if self.hang:
            await self.hang.wait()
        if self.close_instead:
            return None
        return self.reply if self.reply is not None else self._do(command)

    def _replication(self) -> bytes:
        role = b"role:master\r\n" if self.replid else b"role:slave\r\nmaster_host:rd-1\r\n"
        replid = (self.replid or REPLID).encode()
        return b"# Replication\r\n%sconnected_slaves:1\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n" % (
            role,
            replid,
            b"0" * 40,
        )

    def _do(self, command: list[bytes]) -> bytes:
        self._expire()
        name, *rest = command
        if name in (b"RPUSH", b"EVAL", b"SET", b"INCRBY", b"INCR") and self.replid is None:
            return error("READONLY You can't write against a read only replica.")
        does: dict[bytes, Callable[..., bytes]] = {
            b"RPUSH": self._push,
            b"EVAL": self._script,
            b"SET": self._set,
            b"INCRBY": self._increment,
            b"INCR": lambda key: self._increment(key, b"1"),
            b"GET": self._get,
            b"PTTL": self._remaining,
            b"LRANGE": self._range,
            b"MGET": self._get_many,
            b"PING": lambda: b"+PONG\r\n",
            b"SCAN": self._scan,
        }
        return does[name](*rest)

    def _get(self, key: bytes) -> bytes:
        return reply_of(self.registers.get(key))

    def _set(self, key: bytes, value: bytes, *options: bytes) -> bytes:
        if b"NX" in options and key in self.registers:
            return reply_of(None)
        self.registers[key] = value
        self.ends.pop(key, None)
        if b"PX" in options:
            self.ends[key] = self._now() + int(options[options.index(b"PX") + 1]) / 1000
        return b"+OK\r\n"

    def _now(self) -> float:
        return time.monotonic() + self.later_seconds

    def _expire(self) -> None:
        for key in [key for key, end in self.ends.items() if end <= self._now()]:
            del self.registers[key], self.ends[key]

    def _remaining(self, key: bytes) -> bytes:
        if key not in self.registers:
            return reply_of(-2)
        return reply_of(round(1000 * (self.ends[key] - self._now())) if key in self.ends else -1)

    def _increment(self, key: bytes, amount: bytes) -> bytes:
        self.registers[key] = b"%d" % (int(self.registers.get(key, b"0")) + int(amount))
        return reply_of(int(self.registers[key]))

    def _get_many(self, *keys: bytes) -> bytes:
        return reply_of([self.registers.get(key) for key in keys])

    def _range(self, key: bytes, first: bytes, last: bytes) -> bytes:
        return reply_of(self.lists.get(key, [])[int(first) : int(last) + 1])

    def _push(self, key: bytes, value: bytes) -> bytes:
        self.lists.setdefault(key, []).append(value)
        return reply_of(len(self.lists[key]))

    def _script(self, script: bytes, _: bytes, key: bytes, value: bytes, *expected: bytes) -> bytes:
        text = script.decode()
        if text == BEAT:
            return self._push(key, b"%s %s 1795249592193842" % ((self.replid or "").encode(), value))
        if text == CAS:
            was = self.registers.get(key, b"")
            if (was,) == expected:
                self.registers[key] = value
            return reply_of(was)
        if text == RELEASE:
            own = self.registers.get(key) == value
            if own:
                del self.registers[key]
                self.ends.pop(key, None)
            return reply_of(int(own))
        assert text == WRITE
        if int(self.registers.get(key, b"-1")) >= int(value):
            return reply_of(0)
        self.registers[key] = value
        return reply_of(1)

    def _scan(self, cursor: bytes, _: bytes, pattern: bytes, *__: bytes) -> bytes:
        """Scan two keys at a time, and repeat the last one: a real scan may return a key twice."""
        keys = sorted(key for key in self.registers if key.startswith(pattern.removesuffix(b"*")))
        at = int(cursor)
        after = at + 2 if at + 2 < len(keys) else 0
        return reply_of([b"%d" % after, keys[max(0, at - 1) : at + 2]])


def fake_redis(**settings: object) -> AbstractAsyncContextManager[FakeRedis]:
    return listening(FakeRedis(**settings))  # type: ignore[arg-type]


def client_of(fake: FakeRedis, limits: Limits = LIMITS, password: str = "secret") -> Client:
    login = {"username": "caplab", "password": password}
    return client(login, limits, lambda: Topology(None, (member_of(fake),)))


def member_of(fake: FakeRedis) -> Endpoint:
    return Endpoint("rd-1", "127.0.0.1", fake.port)


def service_of(fake: FakeRedis) -> Endpoint:
    return Endpoint("service", "localhost", fake.port)


async def perform(fake: FakeRedis, *operations: Operation) -> list[Result]:
    link = await client_of(fake).open(service_of(fake))
    results = [await link.perform(operation) for operation in operations]
    link.close()
    return results
