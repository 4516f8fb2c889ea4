"""One connection to Redis on asyncio: hiredis' parser, and nothing above it.

redis-py's connection does not fit: it retries where it can (ten times by default), it does not say whether anything
was sent, and it takes more processor time (docs/probes.md has the figures).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import hiredis

from ...outcomes import NoAnswer
from ..keep_alive import keep_alive
from ..opening import ANSWER_BYTES, WireError, answer_too_long
from .outcomes import ErrorReply
from .statements import Command

_INCOMPLETE = object()
_HEADER_BYTES = 24
# A million elements or more (8 MiB of places), as a list, map, set or push announces them. No reply to a prober has so
# many, and none of its keys and values looks like it.
_VAST_LIST = re.compile(rb"\n[*%~>]\+?0*[1-9]\d{6,}\r")


def pack(command: Command) -> bytes:
    """Encode a command as it is sent."""
    return bytes(hiredis.pack_command(command))  # type: ignore[arg-type]  # its types are of one part only


class RedisError(WireError):
    """What came instead of a reply of success."""

    def __init__(self, problem: NoAnswer | ErrorReply, sent: bool, text: str) -> None:
        super().__init__(sent, text)
        self.problem = problem


class Wire(asyncio.Protocol):
    """An open connection, with at most one packet of commands under way. Close it in the loop that opened it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ErrorReply, notEnoughData=_INCOMPLETE)  # type: ignore[arg-type]
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._replies: list[Any] = []
        self._count = 0
        self._received_bytes, self._max_bytes, self._tail = 0, ANSWER_BYTES, b"\n"
        self._why_closed = "the connection was closed before the reply"

    @classmethod
    async def open(cls, address: str, port: int, statement_seconds: float = 1.0) -> Wire:
        """Connect to an address, for operations that may take so many seconds. Raises OSError.

        Safe to cancel: nothing is left behind.
        """
        transport, wire = await asyncio.get_running_loop().create_connection(cls, address, port)
        for option in keep_alive(statement_seconds):
            transport.get_extra_info("socket").setsockopt(*option)
        return wire

    @property
    def alive(self) -> bool:
        """False once the connection is known to be closed, by the server or by this end."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, packet: bytes, count: int, max_bytes: int = ANSWER_BYTES) -> list[Any]:
        """Send commands at once, and return their replies in order, errors as ErrorReply.

        If the first is an error and the others have not come yet, they are not waited for (a WAIT may take long), and
        the connection is closed. Raises RedisError if the server closed before, or if the replies are longer than
        max_bytes: then the connection is closed. Close it after a cancellation.
        """
        if self._transport is None or self._transport.is_closing():
            raise RedisError(NoAnswer.CLOSED, False, "the connection was closed")
        self._replies = []
        self._count = count
        self._received_bytes, self._max_bytes = 0, max_bytes
        self._waiting = self._loop.create_future()
        # The transport hands it to the kernel at once, or later what the kernel does not take: it counts as sent.
        self._transport.write(packet)
        await self._waiting
        if len(self._replies) < count and not self._refused:
            raise RedisError(NoAnswer.CLOSED, True, self._why_closed)
        return self._replies

    def close(self) -> None:
        """Close at once, waiting for nothing."""
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the connected socket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End the reply that is waited for: the server closed, or this end did."""
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Take some bytes of replies."""
        if self._is_too_long(data):
            self._why_closed = answer_too_long(self._max_bytes)
            self.close()
            return
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._replies.append(reply)
        except hiredis.ProtocolError:
            self.close()
        if self._waiting is None or len(self._replies) > self._count:
            self.close()  # replies without a request: they can no longer be told apart
        elif len(self._replies) == self._count:
            self._wake()
        elif self._refused:
            self.close()

    def _is_too_long(self, data: bytes) -> bool:
        """Return whether more came than max_bytes, or a list was announced that the parser would allocate at once."""
        self._received_bytes += len(data)
        begun = self._tail + data
        self._tail = begun[-_HEADER_BYTES:]
        return self._received_bytes > self._max_bytes or _VAST_LIST.search(begun) is not None

    @property
    def _refused(self) -> bool:
        return bool(self._replies) and isinstance(self._replies[0], ErrorReply)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
