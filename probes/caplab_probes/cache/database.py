"""The database behind the cache, a PostgresCluster: loads that cost something, and the writes that make copies old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .. import clock
from ..engines.postgres.client import PostgresLink
from ..links import Client, Endpoint, NotOpened, Result
from ..outcomes import OK, Outcome
from ..workloads import Operation
from .loads import Load
from .pool import Pool
from .reader import Loaded, LoadFailed

_WRITERS = 4  # connections of their own: a write does not wait behind loads
_ABANDONED = Outcome("fail", "timeout")  # the database did it, and nobody waited any more


@dataclass(frozen=True, slots=True)
class Cost:
    """What one load costs: milliseconds at one of so many places, of which each takes one load at a time."""

    milliseconds: int
    places: int


@dataclass(slots=True)
class _Waiter:
    """Whether a load's reader is still there."""

    is_there: bool = True


class Database:
    """A Source (reader.py) behind the primary's Service: at most so many loads of this prober are under way.

    A load that nobody waits for any more keeps its connection until the database is done with it: what is
    asked for is not unasked. record is called once for each load that was sent, and is done before close.
    """

    def __init__(
        self, client: Client, service: Endpoint, cost: Cost, connections: int, record: Callable[[Load], None]
    ) -> None:
        self._cost, self._record = cost, record
        self._loading = Pool(client, service, PostgresLink, connections)
        self._writing = Pool(client, service, PostgresLink, _WRITERS)
        self._tasks: set[asyncio.Task[Loaded]] = set()

    async def load(self, key: str) -> Loaded:
        """As of Source."""
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
            return Result(refused.outcome)

    def close(self) -> None:
        """Let go of every link; what is under way ends."""
        for task in self._tasks:
            task.cancel()
        self._loading.close()
        self._writing.close()

    async def _carry_out(self, key: str, waiter: _Waiter) -> Loaded:
        try:
            async with self._loading.link() as link:
                # It may have waited for its slot for longer than its reader did.
                load = await self._send(link, key, waiter) if waiter.is_there else None
        except NotOpened as refused:
            raise LoadFailed(refused.outcome) from refused
        if load is None:
            raise LoadFailed(_ABANDONED)
        if load.result.outcome != OK:
            raise LoadFailed(load.result.outcome)
        return Loaded(load.result.value, (load.return_ns - load.invoke_ns) / 1e9, load.result.server)

    async def _send(self, link: PostgresLink, key: str, waiter: _Waiter) -> Load:
        """A load that the database did, or refused."""
        invoke_ns = clock.now_ns()
        result = await link.load(key, self._cost.milliseconds, self._cost.places)
        if result.outcome == OK and not waiter.is_there:
            result = Result(_ABANDONED, server=result.server, epoch=result.epoch)
        load = Load(key, invoke_ns, clock.now_ns(), result)
        self._record(load)
        return load

    def _done(self, task: asyncio.Task[Loaded]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have
