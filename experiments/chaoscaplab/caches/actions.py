"""Chaos Toolkit actions: what expires in a cache, a RedisCluster, while its readers go on."""

from __future__ import annotations

import time
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..clusters.lookup import lookup_cluster
from ..clusters.redis import ENGINE as REDIS
from ..recorded_event import RecordedEvent
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
    expired_entries: list[dict[str, Any]] = []
    with RecordedEvent("hot keys expired", cache.pod) as event:
        for _ in range(int(times)):
            hottest = _ask(lambda: cache.hottest(int(count)))
            if not hottest:
                raise _empty(cache)
            keys = [hot.key for hot in hottest]
            taken = _ask(lambda keys=keys: cache.expire(keys, _milliseconds(after_seconds)))
            if taken:
                first = hottest[0]
                event.add_evidence(
                    f"{first.key} had {first.remaining_ms} ms left (LFU {first.frequency}), and now {after_seconds:g} s"
                )
            expired_entries += [
                {"key": hot.key, "frequency": hot.frequency, "remaining_ms": hot.remaining_ms} for hot in hottest
            ]
            time.sleep(float(after_seconds) + float(pause_seconds))
    return expired_entries


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
    with RecordedEvent("entries expired at once", cache.pod) as event:
        before = _ask(cache.expired)
        entries = _ask(lambda: cache.expire_all(_milliseconds(after_seconds)))
        if not entries:
            raise _empty(cache)
        time.sleep(float(after_seconds) + float(refill_seconds))
        expired = _ask(cache.expired) - before
        event.add_evidence(
            f"{entries} entries were given {after_seconds:g} s; {expired} keys expired by the server's own count"
        )
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
    with RecordedEvent("cache emptied", cache.pod) as event:
        keys = _ask(cache.empty)
        if not keys:
            raise _empty(cache)
        event.add_evidence(f"there were {keys} keys, and then none")
        time.sleep(float(refill_seconds))
    return {"keys": keys}


def _cache(name: str, namespace: str, kind: str, configuration: Configuration | None) -> Cache:
    redis_cluster = lookup_cluster(name, namespace, kind, configuration)
    if redis_cluster.engine.ENGINE != REDIS:
        raise ActivityFailed(f"A {redis_cluster.engine.KIND} is no cache. Hint: name a RedisCluster.")
    return Cache(redis_cluster.server, redis_cluster.namespace, str(redis_cluster.body()["status"].get("primary")))


def _empty(cache: Cache) -> ActivityFailed:
    return ActivityFailed(f"{cache.pod} has no entries. Hint: begin with readers, and give them time to read.")


def _ask(what: Any) -> Any:
    try:
        return what()
    except ExecFailed as error:
        raise ActivityFailed(f"The cache does not do it: {error}") from error


def _milliseconds(seconds: float) -> int:
    """At least one: with none left an entry is deleted, and does not expire."""
    return max(1, round(1000 * float(seconds)))
