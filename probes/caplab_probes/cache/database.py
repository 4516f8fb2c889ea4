"""The database behind the cache, a PostgresCluster: loads that cost something, and the writes that make copies old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .. import clock
from ..engines.postgres.client import PostgresLink
from ..links import Client, Endpoint, NotOpened, Result
from ..outcomes import OK, Outcome
from ..workloads import Operation
from .loads import Load
from .reader import Loaded, NotLoaded

_WRITERS = 4  # connections of their own: a write does not wait behind loads
_WASTED = Outcome("fail", "timeout")  # the database did it, and nobody waited any more


@dataclass(frozen=True, slots=True)
class Cost:
    """What one load costs: milliseconds at one of so many places, of which each takes one load at a time."""

    milliseconds: int
    places: int


class Database:
    """A Source (reader.py) behind the primary's Service: at most so many loads of this prober are under way.

    A load that nobody waits for any more keeps its connection until the database is done with it: what is
    asked for is not unasked. record is called once for each load that was sent.
    """

    def __init__(
        self, client: Client, service: Endpoint, cost: Cost, connections: int, record: Callable[[Load], None]
    ) -> None:
        self._client, self._service, self._cost, self._record = client, service, cost, record
        self._loading = _Pool(client, service, connections)
        self._writing = _Pool(client, service, _WRITERS)
        self._tasks: set[asyncio.Task[Loaded]] = set()

    async def load(self, key: str) -> Loaded:
        """As of Source."""
        wanted = asyncio.Event()
        wanted.set()
        task = asyncio.create_task(self._carry_out(key, wanted))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            wanted.clear()
            raise

    async def write(self, operation: Operation) -> Result:
        """Carry out a write."""
        try:
            async with self._writing.link() as link:
                return await link.perform(operation)
        except NotOpened as refused:
            return Result(refused.outcome)

    def close(self) -> None:
        """Let go of every link; what is under way ends."""
        for task in self._tasks:
            task.cancel()
        self._loading.close()
        self._writing.close()

    async def _carry_out(self, key: str, wanted: asyncio.Event) -> Loaded:
        try:
            async with self._loading.link() as link:
                if not wanted.is_set():  # it waited for its place for longer than its reader did
                    raise NotLoaded(_WASTED)
                return await self._ask(link, key, wanted)
        except NotOpened as refused:
            raise NotLoaded(refused.outcome) from refused

    async def _ask(self, link: PostgresLink, key: str, wanted: asyncio.Event) -> Loaded:
        invoke_ns = clock.now_ns()
        result = await link.load(key, self._cost.milliseconds, self._cost.places)
        return_ns = clock.now_ns()
        if result.outcome == OK and not wanted.is_set():
            result = Result(_WASTED, server=result.server, epoch=result.epoch)
        self._record(Load(key, invoke_ns, return_ns, result))
        if result.outcome != OK:
            raise NotLoaded(result.outcome)
        return Loaded(result.value, (return_ns - invoke_ns) / 1e9, result.server)

    def _done(self, task: asyncio.Task[Loaded]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have


class _Pool:
    """Connections to one endpoint, at most so many; whoever comes first is served first."""

    def __init__(self, client: Client, endpoint: Endpoint, most: int) -> None:
        self._client, self._endpoint = client, endpoint
        self._places = asyncio.Semaphore(most)
        self._idle: list[PostgresLink] = []

    @asynccontextmanager
    async def link(self) -> AsyncIterator[PostgresLink]:
        """A link for one statement; raises NotOpened. One that was left in the middle of it is closed."""
        async with self._places:
            link = await self._open()
            try:
                yield link
            except NotLoaded:
                self._idle.append(link)  # refused, or for nobody: the connection itself is sound
                raise
            except BaseException:
                link.close()
                raise
            self._idle.append(link)

    def close(self) -> None:
        """Let go of those that rest."""
        for link in self._idle:
            link.close()

    async def _open(self) -> PostgresLink:
        while self._idle:
            if (link := self._idle.pop()).alive:
                return link
        opened = await self._client.open(self._endpoint)
        assert isinstance(opened, PostgresLink)
        return opened
