"""A tiny server that speaks just enough of the Postgres protocol (manual, chapter 55) for a client's tests."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from caplab_probes.engines.postgres.client import client
from caplab_probes.links import Client, Endpoint, Result, Topology
from caplab_probes.load.workloads import Operation
from caplab_probes.spec import PLAIN_CLIENT, ClientOptions, Limits

from support.databases.loopback import listening

LIMITS = Limits(connect_seconds=1.0, statement_seconds=0.2, start_seconds=0.1, scan_seconds=0.5, in_flight=4)
ADD = Operation(index=0, op="add", route="service", value=5)
BEAT = Operation(index=0, op="write", route="service", key="clock", value=(9 << 37) + 5)
WRITE = Operation(index=0, op="write", route="service", key="k", value=5)
READ = Operation(index=0, op="read", route="service", key="k")
MULTI = Operation(index=0, op="write", route="service", key="k", value=5, workload="register-multi")
CAS = Operation(index=0, op="cas", route="service", key="k", value=6, workload="cas", expected=5)
CAS_FIRST = Operation(index=0, op="cas", route="service", key="k", value=6, workload="cas")
INCR = Operation(index=0, op="incr", route="service", key="k", value=1, workload="counter")
COUNT = Operation(index=0, op="read", route="service", key="k", workload="counter")
ID = Operation(index=0, op="id", route="service", key="9/probe", workload="ids")


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def response(kind: bytes, severity: bytes, sqlstate: bytes) -> bytes:
    """Make a notice (N) or an error (E), with a translated text, as a server may send it."""
    fields = b"S" + b"TRANSLATED\0V" + severity + b"\0C" + sqlstate + b"\0Mtext\0\0"
    return message(kind, fields)


def parameter(name: bytes, value: bytes) -> bytes:
    return message(b"S", name + b"\0" + value + b"\0")


def rows(*values: bytes | None) -> bytes:
    """Make rows of one column and their end; of two columns if a value has a '|'."""
    width = 1 + max([value.count(b"|") for value in values if value], default=0)
    columns = b"".join(b"c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0) for _ in range(width))
    text = message(b"T", struct.pack("!h", width) + columns)
    for value in values:
        cells = value.split(b"|") if value is not None else [None]
        body = b"".join(struct.pack("!i", -1) if not cell else struct.pack("!i", len(cell)) + cell for cell in cells)
        text += message(b"D", struct.pack("!h", width) + body)
    return text + message(b"C", b"SELECT %d\0" % len(values))


def bound_values(body: bytes) -> list[bytes]:
    """Read the values of a Bind message of text parameters."""
    _, _, rest = body.split(b"\0", 2)
    (formats,) = struct.unpack_from("!h", rest)
    at, values = 2 + 2 * formats + 2, []
    for _ in range(struct.unpack_from("!h", rest, at - 2)[0]):
        (length,) = struct.unpack_from("!i", rest, at)
        values.append(rest[at + 4 : at + 4 + length])
        at += 4 + length
    return values


IDENTITY = "inet_server_addr"  # in the statement by which a client learns which server it talks to
READY = message(b"Z", b"I")
DONE = message(b"C", b"INSERT 0 1\0")
CALLED = message(b"C", b"CALL\0")
NOTHING_DONE = message(b"C", b"INSERT 0 0\0")


@dataclass(kw_only=True)
class FakeServer:
    """A server that answers with the replies set on it; statements are as received, with their values in bound."""

    timeline: bytes | None = b"00000003"
    reply: bytes = DONE
    replies: list[bytes] = field(default_factory=list)  # before it, one for each statement
    hang: asyncio.Event | None = None  # statements of clients wait for it
    hanging: str = ""  # only statements that contain this
    close_instead: bool = False
    accept: bool = True
    statements: list[str] = field(default_factory=list)
    bound: list[list[bytes]] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._greet(reader, writer):
            return
        while True:
            kind, (length,) = await reader.readexactly(1), struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            if kind == b"P":
                statement = body.split(b"\0")[1].decode()
            elif kind == b"B":
                values = bound_values(body)
            elif kind == b"S":
                writer.write(await self._answer(statement, values))
                if self.close_instead and IDENTITY not in statement:
                    return
            elif kind == b"X":
                return

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        if not self.accept:
            writer.write(response(b"E", b"FATAL", b"57P03"))
            return False
        standby = b"on" if self.timeline is None else b"off"
        writer.write(message(b"R", struct.pack("!i", 0)) + parameter(b"in_hot_standby", standby) + READY)
        return True

    async def _answer(self, statement: str, values: list[bytes]) -> bytes:
        begin = message(b"1") + message(b"2")
        if IDENTITY in statement:
            timeline = self.timeline or b""
            return begin + rows(b"127.0.0.1|" + timeline) + READY
        self.statements.append(statement)
        self.bound.append(values)
        if self.hang and self.hanging in statement:
            await self.hang.wait()
        if self.close_instead:
            return b""
        return begin + (self.replies.pop(0) if self.replies else self.reply) + READY


def fake_server(**settings: object) -> AbstractAsyncContextManager[FakeServer]:
    return listening(FakeServer(**settings))  # type: ignore[arg-type]


def client_of(fake: FakeServer, limits: Limits = LIMITS, options: ClientOptions = PLAIN_CLIENT) -> Client:
    member = Endpoint("pg-1", "127.0.0.1", fake.port)
    login = {"username": "caplab", "password": "", "database": "caplab"}
    return client(login, limits, lambda: Topology(None, (member,)), options)


async def perform(fake: FakeServer, *operations: Operation) -> list[Result]:
    link = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
    results = [await link.perform(operation) for operation in operations]
    link.close()
    return results
