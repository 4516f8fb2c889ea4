"""The cache in a RedisCluster: entries with a time to live, and claims beside them."""

from __future__ import annotations

import asyncio
from typing import Any

from caplab.model.keys import CACHE_ENTRIES

from ..engines.redis.client import RedisLink
from ..engines.redis.statements import Command
from ..engines.redis.wire import RedisError
from ..links import Client, Endpoint, NotOpened
from . import entries
from .entries import Entry
from .pool import Pool
from .reader import CacheUnavailable, Loaded

# Release only one's own claim: it may have expired, and be another's by now.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisCache:
    """A Cache (reader.py) behind the primary's Service; all readers of a prober share its links.

    seconds: how long an answer may take; a cache that is slower counts as unavailable.
    """

    def __init__(self, client: Client, service: Endpoint, seconds: float) -> None:
        self._links = Pool(client, service, RedisLink)
        self._seconds = seconds

    async def get(self, key: str) -> tuple[Entry | None, str | None]:
        """Get an entry, as Cache does."""
        (value, remaining_ms), server = await self._ask(("GET", _entry(key)), ("PTTL", _entry(key)))
        return entries.decode(value, remaining_ms), server

    async def put(self, key: str, loaded: Loaded, lifetime_seconds: float) -> None:
        """Store an entry, as Cache does."""
        value = entries.encode(loaded.version or 0, loaded.seconds)
        await self._ask(("SET", _entry(key), value, "PX", max(1, round(1000 * lifetime_seconds))))

    async def claim(self, key: str, token: str, seconds: float) -> bool:
        """Claim a load, as Cache does."""
        (reply,), _ = await self._ask(("SET", _claim(key), token, "NX", "PX", max(1, round(1000 * seconds))))
        return reply is not None

    async def release(self, key: str, token: str) -> None:
        """Release a claim, as Cache does."""
        await self._ask(("EVAL", _RELEASE, 1, _claim(key), token))

    def close(self) -> None:
        """Close every link; operations under way end."""
        self._links.close()

    async def _ask(self, *commands: Command) -> tuple[list[Any], str | None]:
        try:
            async with asyncio.timeout(self._seconds), self._links.link() as link:
                return await link.ask_all(*commands), link.server
        except TimeoutError as problem:
            raise CacheUnavailable(f"no answer within {self._seconds:g} s") from problem
        except (RedisError, NotOpened) as problem:
            raise CacheUnavailable(str(problem)) from problem


def _entry(key: str) -> str:
    return f"{CACHE_ENTRIES}{key}"


def _claim(key: str) -> str:
    return f"claim/{key}"
