"""One connection to Postgres on asyncio: libpq's own non-blocking calls, and nothing above them.

psycopg's AsyncConnection does not fit: to cancel, it sends a cancel request and waits for its answer (through the
very partition that is being measured), its connect_timeout is 2 s at least, and it takes twice the processor time
(docs/probes.md has the figures). libpq's manual: chapters 34.1, 34.4.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import OperationalError, conninfo
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, PollingStatus
from psycopg.pq import PGconn as NewPGconn
from psycopg.pq.abc import PGconn, PGresult

from ...outcomes import NoAnswer
from ..opening import ANSWER_BYTES, WireError, answer_too_long
from .outcomes import ServerError

Row = tuple[str | None, ...]


class PostgresError(WireError):
    """What came instead of success, and the SQLSTATEs of the warnings with it."""

    def __init__(self, problem: NoAnswer | ServerError, sent: bool, text: str, warnings: tuple[str, ...] = ()) -> None:
        super().__init__(sent, text)
        self.problem = problem
        self.warnings = warnings


@dataclass(frozen=True, slots=True)
class Answer:
    """A statement's success: its rows as text, how many rows it changed, and the SQLSTATEs of its warnings."""

    rows: tuple[Row, ...]
    changed: int
    warnings: tuple[str, ...]


class ByteCounter:
    """Counts the bytes that have come on a connection, unread ones included, by the kernel's own count.

    It works for TCP on Linux (tcp_info.tcpi_bytes_received of linux/tcp.h); elsewhere nothing is counted.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._begun = self._total()

    def begin(self) -> None:
        """Start the count here."""
        self._begun = self._total()

    def count(self) -> int:
        """Return the bytes since the start."""
        return self._total() - self._begun

    def close(self) -> None:
        """Close its copy of the socket, which would otherwise keep the connection open."""
        self._socket.close()

    def _total(self) -> int:
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
            (total,) = struct.unpack_from("Q", info, _RECEIVED_AT)
        except (OSError, AttributeError, struct.error):
            return 0
        return int(total)


_RECEIVED_AT = 128


class Wire:
    """An open connection, with at most one statement under way. Close it in the loop that opened it."""

    def __init__(self, conn: PGconn, loop: asyncio.AbstractEventLoop) -> None:
        self._conn = conn
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None
        self._results: list[PGresult] = []
        self._warnings: list[str] = []
        self._counter = ByteCounter(conn.socket)
        self._max_bytes = ANSWER_BYTES
        self._why_closed = "the connection was closed before the answer"
        self._socket = conn.socket
        conn.nonblocking = 1
        conn.notice_handler = self._on_notice
        loop.add_reader(self._socket, self._on_readable)

    @classmethod
    async def open(cls, parameters: Mapping[str, str | int]) -> Wire:
        """Connect by libpq's parameters, with hostaddr among them: resolving a name would block.

        Raises PostgresError (never sent). Safe to cancel: nothing is left behind.
        """
        loop = asyncio.get_running_loop()
        text = conninfo.make_conninfo("", **parameters)
        conn: PGconn = NewPGconn.connect_start(text.encode())
        try:
            await _handshake(conn, loop)
        except BaseException:
            conn.finish()
            raise
        return cls(conn, loop)

    @property
    def alive(self) -> bool:
        """False once the connection is known to be closed, by the server or by this end."""
        return self._socket >= 0

    def parameter(self, name: str) -> str:
        """Return a setting that the server reports whenever it changes, as of its last answer; '' if it does not."""
        value = self._conn.parameter_status(name.encode()) if self.alive else None
        return (value or b"").decode()

    async def ask(self, statement: str, *values: str | int, max_bytes: int = ANSWER_BYTES) -> Answer:
        """Run one statement; it is over when the server is ready for the next, with its commit done.

        Raises PostgresError, also if the answer is longer than max_bytes: then the connection is closed. After a
        cancellation the statement goes on: close the connection.
        """
        if not self.alive:
            raise PostgresError(NoAnswer.CLOSED, False, "the connection was closed")
        self._results.clear()
        self._warnings.clear()
        self._max_bytes = max_bytes
        self._counter.begin()
        self._waiting = self._loop.create_future()
        try:
            self._conn.send_query_params(statement.encode(), [str(value).encode() for value in values])
            # One short statement at a time: the last one was answered, so the socket has room.
            stuck = self._conn.flush()
        except OperationalError as error:
            self.close()
            raise PostgresError(NoAnswer.CLOSED, True, str(error)) from error
        if stuck:
            self.close()
            raise PostgresError(NoAnswer.CLOSED, True, "the socket took only part of the statement")
        await self._waiting
        return self._answer()

    def close(self) -> None:
        """Close at once: send the message of termination if the socket takes it, and wait for nothing."""
        if self.alive:
            self._loop.remove_reader(self._socket)
            self._socket = -1
            self._counter.close()
            self._conn.finish()
        self._wake()

    def _on_readable(self) -> None:
        # libpq takes in all there is: check before, so that it never holds more than the bound.
        if self._counter.count() > self._max_bytes:
            self._why_closed = answer_too_long(self._max_bytes)
            self.close()
            return
        try:
            self._conn.consume_input()
            while not self._conn.is_busy():
                result = self._conn.get_result()
                if result is None:
                    self._wake()
                    break
                self._results.append(result)
        except OperationalError:
            self.close()
        if self.alive and self._conn.status == ConnStatus.BAD:
            self.close()

    def _wake(self) -> None:
        if self._waiting is not None:
            _wake(self._waiting)

    def _on_notice(self, notice: PGresult) -> None:
        if _field(notice, DiagnosticField.SEVERITY_NONLOCALIZED) == "WARNING":
            self._warnings.append(_field(notice, DiagnosticField.SQLSTATE))

    def _answer(self) -> Answer:
        warnings = tuple(self._warnings)
        for result in self._results:
            if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
                text = (result.error_message or b"").decode(errors="replace").strip()
                raise PostgresError(_problem(result), True, text, warnings)
        if not self._results or not self.alive:
            raise PostgresError(NoAnswer.CLOSED, True, self._why_closed, warnings)
        last = self._results[-1]
        return Answer(_rows(last), last.command_tuples or 0, warnings)


async def _handshake(conn: PGconn, loop: asyncio.AbstractEventLoop) -> None:
    if conn.status == ConnStatus.BAD:
        raise PostgresError(NoAnswer.REFUSED, False, conn.get_error_message())
    # By the manual: as if the last poll had returned WRITING.
    poll = int(PollingStatus.WRITING)
    while poll != PollingStatus.OK:
        if poll == PollingStatus.FAILED:
            raise PostgresError(NoAnswer.REFUSED, False, conn.get_error_message())
        await _ready(loop, conn.socket, write=poll == PollingStatus.WRITING)
        poll = conn.connect_poll()


async def _ready(loop: asyncio.AbstractEventLoop, descriptor: int, write: bool) -> None:
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(descriptor, _wake, future)
    try:
        await future
    finally:
        remove(descriptor)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _problem(result: PGresult) -> ServerError | NoAnswer:
    sqlstate = _field(result, DiagnosticField.SQLSTATE)
    if not sqlstate:  # libpq's own: the connection broke
        return NoAnswer.CLOSED
    return ServerError(sqlstate, _field(result, DiagnosticField.SEVERITY_NONLOCALIZED) in ("FATAL", "PANIC"))


def _field(result: PGresult, field: DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode(errors="replace")


def _rows(result: PGresult) -> tuple[Row, ...]:
    columns = range(result.nfields)
    return tuple(tuple(_text(result.get_value(row, column)) for column in columns) for row in range(result.ntuples))


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()
