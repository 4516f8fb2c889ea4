"""One prober's reads through the cache: missing entries are loaded from the database, under a protection.

The cache is never the source of truth. If it does not answer, readers go straight to the database, and nothing
protects the database from them.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ..links import Result
from ..outcomes import OK, Outcome
from .entries import Entry
from .protections import CacheTiming, Protection, ReadAction

_POLL_SECONDS = 0.01  # how often a reader that waits for another's load checks for its entry
_TIMED_OUT = Result(outcome=Outcome("fail", "timeout"))


class CacheUnavailable(Exception):
    """The cache does not answer, or refuses; the message says which."""


class LoadFailed(Exception):
    """The database gave no answer; outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load returned. version is None if the database has no such key; server is the member that answered."""

    version: int | None
    seconds: float
    server: str | None


class Cache(Protocol):
    """The cache, as its readers use it. Every method raises CacheUnavailable."""

    async def get(self, key: str) -> tuple[Entry | None, str | None]:
        """Return the entry, and the member that answered."""

    async def put(self, key: str, loaded: Loaded, lifetime_seconds: float) -> None:
        """Store what was loaded for so many seconds."""

    async def claim(self, key: str, token: str, seconds: float) -> bool:
        """Claim the load of a key for so many seconds at most; returns whether this caller has it."""

    async def release(self, key: str, token: str) -> None:
        """Release the claim, if it is still this caller's."""


class Source(Protocol):
    """The database behind the cache."""

    async def load(self, key: str) -> Loaded:
        """Load a key. Raises LoadFailed. If cancelled, the database stays at work and its answer is dropped."""


class Reader:
    """All reads of one prober. uniform draws from (0, 1]; deadline_seconds is how long a reader waits."""

    def __init__(
        self,
        cache: Cache,
        source: Source,
        protection: Protection,
        timing: CacheTiming,
        uniform: Callable[[], float],
        deadline_seconds: float,
    ) -> None:
        self._cache, self._source = cache, source
        self._protection, self._timing, self._uniform = protection, timing, uniform
        self._deadline_seconds = deadline_seconds
        self._flights: dict[str, asyncio.Task[Loaded]] = {}
        self._refreshes: dict[str, asyncio.Task[None]] = {}

    async def read(self, key: str) -> Result:
        """Read a key. Never raises for what the cache or the database do."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._read(key)
        except TimeoutError:
            return _TIMED_OUT
        except LoadFailed as problem:
            return Result(outcome=problem.outcome)

    def close(self) -> None:
        """Cancel the loads that nobody waits for; no more reads may follow."""
        for task in [*self._flights.values(), *self._refreshes.values()]:
            task.cancel()

    async def _read(self, key: str) -> Result:
        try:
            entry, server = await self._cache.get(key)
        except CacheUnavailable:
            return _result(await self._source.load(key))
        action = self._protection.action_on(self._timing, entry, self._uniform())
        if entry is None or action is ReadAction.LOAD:
            return _result(await self._load(key))
        if action is ReadAction.REFRESH:
            self._refresh(key)
        return Result(outcome=OK, value=entry.version, server=server)

    async def _load(self, key: str) -> Loaded:
        if ReadAction.LOAD not in self._protection.exclusive:
            return await self._load_and_put(key)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._single_flight(key))
            flight.add_done_callback(lambda done: _discard_task(self._flights, key, done))
        return await asyncio.shield(flight)  # others of this process wait for it too

    async def _single_flight(self, key: str) -> Loaded:
        """Load a key once for all processes: here, or wait for the process that does."""
        token = uuid.uuid4().hex
        async with asyncio.timeout(self._deadline_seconds):
            while True:
                try:
                    if await self._cache.claim(key, token, self._deadline_seconds):
                        return await self._load_claimed(key, token)
                    await asyncio.sleep(_POLL_SECONDS)
                    entry, server = await self._cache.get(key)
                except CacheUnavailable:
                    return await self._source.load(key)
                if entry is not None:
                    return Loaded(entry.version, entry.load_seconds, server)

    async def _load_claimed(self, key: str, token: str) -> Loaded:
        try:
            return await self._load_and_put(key)
        finally:
            await self._release_claim(key, token)

    async def _load_and_put(self, key: str) -> Loaded:
        loaded = await self._source.load(key)
        if loaded.version is not None:
            with suppress(CacheUnavailable):  # the reader has its value
                await self._cache.put(key, loaded, self._protection.lifetime(self._timing, self._uniform()))
        return loaded

    def _refresh(self, key: str) -> None:
        if key not in self._refreshes:
            task = self._refreshes[key] = asyncio.create_task(self._refresh_claimed(key))
            task.add_done_callback(lambda done: _discard_task(self._refreshes, key, done))

    async def _refresh_claimed(self, key: str) -> None:
        """Refresh a key unless another reader does; meanwhile readers get the entry that is there."""
        token = uuid.uuid4().hex
        try:
            async with asyncio.timeout(self._deadline_seconds):
                if await self._cache.claim(key, token, self._deadline_seconds):
                    await self._load_claimed(key, token)
        except (CacheUnavailable, LoadFailed, TimeoutError):
            return  # the next reader gets the entry as it is, and tries again

    async def _release_claim(self, key: str, token: str) -> None:
        with suppress(CacheUnavailable):  # a claim expires by itself
            await self._cache.release(key, token)


def _result(loaded: Loaded) -> Result:
    return Result(outcome=OK, value=loaded.version, server=loaded.server)


def _discard_task(
    tasks: dict[str, asyncio.Task[Loaded]] | dict[str, asyncio.Task[None]], key: str, done: object
) -> None:
    del tasks[key]
    if isinstance(done, asyncio.Task) and not done.cancelled():
        done.exception()  # the caller that waited has the error; if none waited, asyncio must not report it
