"""The tests' own servers, which listen on this machine only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar


class Fake(Protocol):
    """A server that answers one connection, and gets the port of the request."""

    port: int

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the connection ends."""


F = TypeVar("F", bound=Fake)


@asynccontextmanager
async def listening(fake: F) -> AsyncIterator[F]:
    """Run the fake on a port of its own while the block runs."""
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Provide a port that accepts connections and never answers; they are held until the block ends."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)  # from Python 3.13 on, one without a reference is closed

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.close()


async def wait_until(true: Callable[[], object]) -> None:
    """Wait until a condition holds. Raises TimeoutError after 60 s."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.001)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario in a loop of its own, for 60 s at most."""
    asyncio.run(asyncio.wait_for(scenario(), 60))
