"""The database behind the cache, a PostgresCluster: loads with a cost, and the writes that make cached copies stale."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .. import clock
from ..engines.postgres.client import PostgresLink
from ..links import Client, Endpoint, NotOpened, Result
from ..load.workloads import Operation
from ..outcomes import OK, Outcome
from .pool import Pool
from .reader import Loaded, LoadFailed
from .values import Load

_WRITERS = 4  # writes have connections of their own, so that they do not wait behind loads
_ABANDONED = Outcome("fail", "timeout")  # the database did it, but its reader had stopped waiting


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one load: so many milliseconds at one of so many places, each of which takes one load at a time."""

    milliseconds: int
    places: int


@dataclass(slots=True)
class _Waiter:
    """Whether a load's reader still waits."""

    is_there: bool = True


class Database:
    """A Source (reader.py) behind the primary's Service, with a bound on this prober's loads under way.

    A load that nobody waits for any more keeps its connection until the database has answered: a request cannot be
    taken back. record is called once for each load that was sent, before close returns.
    """

    def __init__(
        self, client: Client, service: Endpoint, cost: Cost, connections: int, record: Callable[[Load], None]
    ) -> None:
        self._cost, self._record = cost, record
        self._loading = Pool(client, service, PostgresLink, connections)
        self._writing = Pool(client, service, PostgresLink, _WRITERS)
        self._tasks: set[asyncio.Task[Loaded]] = set()

    async def load(self, key: str) -> Loaded:
        """Load a key, as Source does."""
        waiter = _Waiter()
        task = asyncio.create_task(self._carry_out(key, waiter))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter.is_there = False
            raise

    async def write(self, operation: Operation) -> Result:
        """Carry out a write."""
        try:
            async with self._writing.link() as link:
                return await link.perform(operation)
        except NotOpened as refused:
            return Result(outcome=refused.outcome)

    def close(self) -> None:
        """Close every link; operations under way end."""
        for task in self._tasks:
            task.cancel()
        self._loading.close()
        self._writing.close()

    async def _carry_out(self, key: str, waiter: _Waiter) -> Loaded:
        try:
            async with self._loading.link() as link:
                # It may have waited for its slot longer than its reader waited.
                load = await self._send(link, key, waiter) if waiter.is_there else None
        except NotOpened as refused:
            raise LoadFailed(refused.outcome) from refused
        if load is None:
            raise LoadFailed(_ABANDONED)
        if load.result.outcome != OK:
            raise LoadFailed(load.result.outcome)
        return Loaded(load.result.value, (load.return_ns - load.invoke_ns) / 1e9, load.result.server)

    async def _send(self, link: PostgresLink, key: str, waiter: _Waiter) -> Load:
        """Send a load, and return it as the database carried it out or refused it."""
        invoke_ns = clock.now_ns()
        result = await link.load(key, self._cost.milliseconds, self._cost.places)
        if result.outcome == OK and not waiter.is_there:
            result = Result(outcome=_ABANDONED, server=result.server, epoch=result.epoch)
        load = Load(key, invoke_ns, clock.now_ns(), result)
        self._record(load)
        return load

    def _done(self, task: asyncio.Task[Loaded]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the caller that waited has the error; if none waited, asyncio must not report it
