"""Chaos Toolkit actions: expire entries of a cache, which is a RedisCluster, while its readers go on."""

from __future__ import annotations

import time
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract.engines import REDIS
from caplab.kube.errors import ExecFailed
from caplab.run_context import RunContext, current_run

from ..clusters.lookup import lookup_cluster
from ..recorded_event import RecordedEvent
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
    """Expire the entries that are read most, by the server's LFU counters, soon and repeatedly.

    count: entries at a time. after_seconds: the time that they have left, in which readers can see the expiry coming;
    with 0 they cannot. times: how often this is done, pause_seconds apart, so that each time is over before the next.
    kind: the cluster's kind, if it differs from that of the current run. Returns the entries: key, frequency and
    remaining_ms. Raises ActivityFailed if the cluster is not a Redis, counts no reads (evictionPolicy must be one of
    LFU), or has no entries.
    """
    run = current_run()
    cache = _cache(run, cluster, namespace, kind, configuration)
    expired_entries: list[dict[str, Any]] = []
    with RecordedEvent(run, "hot keys expired", cache.pod) as event:
        for _ in range(int(times)):
            hottest = _ask(lambda: cache.hottest(int(count)))
            if not hottest:
                raise _empty(cache)
            keys = [hot.key for hot in hottest]
            taken = _ask(lambda keys=keys: cache.expire(keys, _milliseconds(after_seconds)))
            if taken:
                first = hottest[0]
                event.add_evidence(
                    f"{first.key} (LFU {first.frequency}) had {first.remaining_ms} ms left, and got {after_seconds:g} s"
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
    """Expire all entries at one moment, as if they had been loaded together; then give readers time to reload them.

    after_seconds: the time that the entries have left. refill_seconds: how long the fault is taken to last after that.
    kind: the cluster's kind, if it differs from that of the current run. Returns the number of entries (entries), and
    the number of keys that expired meanwhile by the server's own count (expired). Raises ActivityFailed if the cluster
    is not a Redis, or has no entries.
    """
    run = current_run()
    cache = _cache(run, cluster, namespace, kind, configuration)
    with RecordedEvent(run, "entries expired at once", cache.pod) as event:
        before = _ask(cache.expired)
        entries = _ask(lambda: cache.expire_all(_milliseconds(after_seconds)))
        if not entries:
            raise _empty(cache)
        time.sleep(float(after_seconds) + float(refill_seconds))
        expired = _ask(cache.expired) - before
        event.add_evidence(
            f"{entries} entries got {after_seconds:g} s; by the server's own count {expired} keys expired"
        )
    return {"entries": entries, "expired": expired}


def empty_cache(
    cluster: str,
    refill_seconds: float = 5,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, int]:
    """Empty a cache at once, as if it had just been started; then give readers time to fill it.

    refill_seconds: how long the fault is taken to last after that. kind: the cluster's kind, if it differs from that of
    the current run. Returns the number of keys that were removed (keys). Raises ActivityFailed if the cluster is not a
    Redis, or was empty.
    """
    run = current_run()
    cache = _cache(run, cluster, namespace, kind, configuration)
    with RecordedEvent(run, "cache emptied", cache.pod) as event:
        keys = _ask(cache.empty)
        if not keys:
            raise _empty(cache)
        event.add_evidence(f"{keys} keys were removed")
        time.sleep(float(refill_seconds))
    return {"keys": keys}


def _cache(run: RunContext, name: str, namespace: str, kind: str, configuration: Configuration | None) -> Cache:
    redis_cluster = lookup_cluster(run, name, namespace, kind, configuration)
    if redis_cluster.engine.ENGINE != REDIS:
        raise ActivityFailed(f"A {redis_cluster.kind} is not a cache. Hint: name a RedisCluster.")
    return Cache(redis_cluster.server, redis_cluster.namespace, str(redis_cluster.body()["status"].get("primary")))


def _empty(cache: Cache) -> ActivityFailed:
    return ActivityFailed(f"{cache.pod} has no entries. Hint: start readers first, and give them time to read.")


def _ask(what: Any) -> Any:
    try:
        return what()
    except ExecFailed as error:
        raise ActivityFailed(f"The cache refused: {error}") from error


def _milliseconds(seconds: float) -> int:
    """Convert seconds to milliseconds, at least 1: with 0 an entry is deleted, and does not expire."""
    return max(1, round(1000 * float(seconds)))
