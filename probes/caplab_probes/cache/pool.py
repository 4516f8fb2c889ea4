"""Links to one endpoint that all readers of a prober share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Generic, Protocol, TypeVar

from ..links import Client, Endpoint, NotOpened
from ..outcomes import Outcome


class _Link(Protocol):
    @property
    def alive(self) -> bool: ...

    def close(self) -> None: ...


_L = TypeVar("_L", bound=_Link)
_CLOSED = Outcome("fail", "closed")


class Pool(Generic[_L]):
    """Pool of links to one endpoint; most is how many there may be, None for any number.

    Waiting callers are served in order of arrival.
    """

    def __init__(self, client: Client, endpoint: Endpoint, kind: type[_L], most: int | None = None) -> None:
        self._client, self._endpoint, self._kind = client, endpoint, kind
        self._places: AbstractAsyncContextManager[object] = nullcontext() if most is None else asyncio.Semaphore(most)
        self._idle: list[_L] = []
        self._used: set[_L] = set()
        self._closed = False

    @asynccontextmanager
    async def link(self) -> AsyncIterator[_L]:
        """Yield a link for one exchange. Raises NotOpened. A link that is left in mid-exchange is closed."""
        async with self._places:
            link = await self._open()
            self._used.add(link)
            try:
                yield link
            except BaseException:
                link.close()
                raise
            finally:
                self._used.discard(link)
            self._idle.append(link)

    def close(self) -> None:
        """Close every link, and open no more; what is under way on one ends."""
        self._closed = True
        for link in [*self._idle, *self._used]:
            link.close()

    async def _open(self) -> _L:
        while self._idle:
            if (link := self._idle.pop()).alive:
                return link
        if self._closed:
            raise NotOpened(_CLOSED, "the probe's readers have stopped")
        opened = await self._client.open(self._endpoint)
        assert isinstance(opened, self._kind)
        if self._closed:  # the pool was closed while the link was being opened
            opened.close()
        return opened
