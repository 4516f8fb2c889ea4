"""Servers of the tests' own, listening on this machine only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar


class Fake(Protocol):
    """What answers one connection, and is told on which port it is asked."""

    port: int

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the connection ends."""


F = TypeVar("F", bound=Fake)


@asynccontextmanager
async def listening(fake: F) -> AsyncIterator[F]:
    """The fake, on a port of its own while the block runs."""
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
