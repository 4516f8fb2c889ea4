"""Resolver of host names that needs few threads."""

from __future__ import annotations

import asyncio
import socket


class Resolver:
    """Resolves host names on demand; concurrent callers share one look-up.

    A look-up without an answer blocks a thread until the resolver gives up: there must not be many.
    """

    def __init__(self) -> None:
        self._lookups: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def address(self, host: str) -> str:
        """Return an address of the host. Raises OSError."""
        return (await self.addresses(host))[0]

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return all addresses of the host, each once. Raises OSError."""
        task = self._lookups.get(host)
        if task is None:
            task = asyncio.create_task(_look_up(host))
            self._lookups[host] = task
            task.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(task)

    def _forget(self, host: str, task: asyncio.Task[tuple[str, ...]]) -> None:
        del self._lookups[host]
        if not task.cancelled():
            task.exception()  # the caller that waited has the error; if none waited, asyncio must not report it


async def _look_up(host: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in infos))
