"""Chaos Toolkit actions: what expires in a cache, a RedisCluster, while its readers go on."""

from __future__ import annotations

import time
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..clusters.asked import asked_for
from ..clusters.redis import ENGINE as REDIS
from ..doing import Doing
from ..server import ExecFailed
from .entries import Cache

__all__ = ["empty_cache", "expire_hot_keys", "expire_many"]


def expire_hot_keys(
    cluster: str,
    count: int = 1,
    times: int = 1,
    after_seconds: float = 1.0,
    pause_seconds: float = 1.0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> list[dict[str, Any]]:
    """Find the entries that are read most, by the server's LFU counters, and let them expire soon; again and again.

    count: how many at a time. after_seconds: how long they are left: an expiry that readers can see coming; 0: none
    can. times: how often, pause_seconds apart, so that each is over before the next. kind is the cluster's, where it is
    not that of the run under way. Returns the entries: key, frequency and remaining_ms. ActivityFailed where
    the cluster is no Redis, counts no reads (evictionPolicy must be an LFU one), or has no entries.
    """
    cache = _cache(cluster, namespace, kind, configuration)
    told: list[dict[str, Any]] = []
    with Doing("hot keys expired", cache.pod) as doing:
        for _ in range(int(times)):
            hottest = _asked(lambda: cache.hottest(int(count)))
            if not hottest:
                raise _empty(cache)
            keys = [hot.key for hot in hottest]
            taken = _asked(lambda keys=keys: cache.expire(keys, _milliseconds(after_seconds)))
            if taken:
                one = hottest[0]
                doing.saw(
                    f"{one.key} had {one.remaining_ms} ms left (LFU {one.frequency}), and now {after_seconds:g} s"
                )
            told += [{"key": hot.key, "frequency": hot.frequency, "remaining_ms": hot.remaining_ms} for hot in hottest]
            time.sleep(float(after_seconds) + float(pause_seconds))
    return told


def expire_many(
    cluster: str,
    after_seconds: float = 0.5,
    refill_seconds: float = 5,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, int]:
    """Let every entry expire at one moment, as what was loaded together does; then give readers time to fill it again.

    after_seconds: how long they are left. refill_seconds: how long the fault is taken to last after that. kind is the
    cluster's, where it is not that of the run under way. Returns how many there were (entries), and how many keys the
    server says have expired meanwhile (expired). ActivityFailed where the cluster is no Redis, or has no entries.
    """
    cache = _cache(cluster, namespace, kind, configuration)
    with Doing("entries expired at once", cache.pod) as doing:
        before = _asked(cache.expired)
        entries = _asked(lambda: cache.expire_all(_milliseconds(after_seconds)))
        if not entries:
            raise _empty(cache)
        time.sleep(float(after_seconds) + float(refill_seconds))
        expired = _asked(cache.expired) - before
        doing.saw(f"{entries} entries were given {after_seconds:g} s; {expired} keys expired by the server's own count")
    return {"entries": entries, "expired": expired}


def empty_cache(
    cluster: str,
    refill_seconds: float = 5,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, int]:
    """Take everything out of a cache at once, as one that has just been started; then give readers time to fill it.

    refill_seconds: how long the fault is taken to last after that. kind is the cluster's, where it is not that of the
    run under way. Returns how many keys there were (keys). ActivityFailed where the cluster is no Redis, or was empty.
    """
    cache = _cache(cluster, namespace, kind, configuration)
    with Doing("cache emptied", cache.pod) as doing:
        keys = _asked(cache.empty)
        if not keys:
            raise _empty(cache)
        doing.saw(f"there were {keys} keys, and then none")
        time.sleep(float(refill_seconds))
    return {"keys": keys}


def _cache(name: str, namespace: str, kind: str, configuration: Configuration | None) -> Cache:
    found = asked_for(name, namespace, kind, configuration)
    if found.engine.ENGINE != REDIS:
        raise ActivityFailed(f"A {found.engine.KIND} is no cache. Hint: name a RedisCluster.")
    return Cache(found.server, found.namespace, str(found.body()["status"].get("primary")))


def _empty(cache: Cache) -> ActivityFailed:
    return ActivityFailed(f"{cache.pod} has no entries. Hint: begin with readers, and give them time to read.")


def _asked(what: Any) -> Any:
    try:
        return what()
    except ExecFailed as error:
        raise ActivityFailed(f"The cache does not do it: {error}") from error


def _milliseconds(seconds: float) -> int:
    """At least one: with none left an entry is deleted, and does not expire."""
    return max(1, round(1000 * float(seconds)))
