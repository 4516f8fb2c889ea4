"""Resolving host names without many threads."""

from __future__ import annotations

import asyncio
import socket


class Resolver:
    """Resolves host names as they are asked for; all who ask at one time share one look-up.

    A look-up without an answer blocks a thread until the resolver gives up: there must not be many.
    """

    def __init__(self) -> None:
        self._lookups: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def address(self, host: str) -> str:
        """An address of the host; raises OSError."""
        return (await self.addresses(host))[0]

    async def addresses(self, host: str) -> tuple[str, ...]:
        """All addresses of the host, each once; raises OSError."""
        task = self._lookups.get(host)
        if task is None:
            task = asyncio.create_task(_look_up(host))
            self._lookups[host] = task
            task.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(task)

    def _forget(self, host: str, task: asyncio.Task[tuple[str, ...]]) -> None:
        del self._lookups[host]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have


async def _look_up(host: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in infos))
