"""The settings of Redis and of Sentinel for a cluster: what they start with, and what can change while they run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ..parameters import taken
from .directives import DEFAULTS, IMMUTABLE, canonical
from .spec import RedisSpec

MASTER = "caplab"  # what Sentinels call the primary
# What Sentinels learn of replicas they learn from INFO, asked every ten seconds otherwise; and one whose pod was
# replaced they would look for again after fifteen.
_PERIODS = {"info-period": "1000", "min-link-reconnect-period": "1000"}
PERIODS = frozenset({*_PERIODS, "ping-period"})  # set by SENTINEL DEBUG, since no file holds them
_PARALLEL_SYNCS = 2

# The lab's own, for short runs on a small machine: a dead peer is noticed within 5 s, a rejoining one
# finds its backlog still there, and nobody waits for company before a full sync.
_OWN: dict[str, str] = {
    "repl-ping-replica-period": "1",
    "repl-timeout": "5",
    "repl-diskless-sync-delay": "0",
    "repl-backlog-size": str(16 * 2**20),
    "tcp-keepalive": "5",
    "shutdown-timeout": "0",
}
# While it rewrites its file, Redis must sync too.
_SYNCED = {"appendonly": "yes", "no-appendfsync-on-rewrite": "no", "save": ""}
_PERSISTENCE: dict[str, dict[str, str]] = {
    # Without snapshots: the append-only file is all that a restart may find.
    "none": {"appendonly": "no", "save": ""},
    "everysec": {**_SYNCED, "appendfsync": "everysec"},
    "always": {**_SYNCED, "appendfsync": "always"},
}
# What replication and Sentinels stand on, and no start file names since it is Redis' own value.
_FIXED = {"replica-read-only": "yes", "replica-announced": "yes"}
# A process that may open few files has fewer, and can't be told otherwise: held to only where it is asked for.
_NOT_HELD = "maxclients"
# Sentinel would choose such a replica for primary last, and with 0 never.
_NEVER_PRIMARY = {"replica-priority": "0"}


def named_directives(spec: RedisSpec) -> dict[str, str]:
    """The directives that differ from Redis' own values, or may."""
    return {
        **_PERSISTENCE[spec.persistence],
        "min-replicas-to-write": str(spec.min_replicas_to_write),
        "min-replicas-max-lag": str(spec.min_replicas_max_lag_seconds),
        "maxmemory": str(spec.max_memory_bytes),
        "maxmemory-policy": spec.eviction_policy,
        **_OWN,
        **taken(spec.ENGINE, spec.parameters),
    }


def directives(spec: RedisSpec, leaving: bool = False) -> dict[str, str]:
    """All directives that a member is held to; one that is leaving must not become primary any more."""
    held = {name: value for name, value in DEFAULTS.items() if name != _NOT_HELD}
    return {**held, **_FIXED, **named_directives(spec), **(_NEVER_PRIMARY if leaving else {})}


def drift(wanted: Mapping[str, str], actual: Mapping[str, str]) -> dict[str, str]:
    """What has to be set so that a member that answered `actual` does what is wanted; {} where it does."""
    return {
        name: value
        for name, value in wanted.items()
        # A Redis that does not know a directive does what its absence means.
        if canonical(name, actual.get(name, DEFAULTS.get(name, ""))) != canonical(name, value)
    }


def live(changes: Mapping[str, str]) -> dict[str, str]:
    """Those of the changes that a running Redis takes; the others take a restart."""
    return {name: value for name, value in changes.items() if name not in IMMUTABLE}


def restart_digest(spec: RedisSpec) -> str:
    """Changes if and only if a setting changes that takes a restart."""
    settings = {name: canonical(name, value) for name, value in directives(spec).items() if name in IMMUTABLE}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def persistence_settings() -> Mapping[str, Mapping[str, str]]:
    """The directives that each persistence stands on."""
    return _PERSISTENCE


def sentinel_settings(spec: RedisSpec) -> dict[str, str]:
    """What every Sentinel is held to, by the names that SENTINEL SET has for them."""
    return {**_timing(spec), "quorum": str(spec.quorum)}


def sentinel_periods(spec: RedisSpec) -> dict[str, str]:
    """How often every Sentinel asks, by the names of SENTINEL DEBUG, in milliseconds.

    A Sentinel that has just ended a failover sends the new primary its first PING after one period, and takes it for
    down where no answer came within down-after. With Sentinel's own period, a second, and a down-after of a second,
    2 of 7 failovers were followed by another one at once (docs/evidence/failover-redis.md).
    """
    return {**_PERIODS, "ping-period": str(min(250, spec.failover.down_after_milliseconds // 4))}


def _timing(spec: RedisSpec) -> dict[str, str]:
    return {
        "down-after-milliseconds": str(spec.failover.down_after_milliseconds),
        "failover-timeout": str(spec.failover.failover_timeout_milliseconds),
        "parallel-syncs": str(_PARALLEL_SYNCS),
    }


def redis_conf(spec: RedisSpec) -> str:
    """What every member's redis.conf begins with; its start script adds users, names and whom it follows."""
    # The default user is off: this is no open door, and without it only the pod itself could connect.
    fixed = {"port": "6379", "protected-mode": "no"}
    lines = {**fixed, **named_directives(spec)}
    return "".join(f"{name} {value}\n" if value else f'{name} ""\n' for name, value in lines.items())


def timing_conf(spec: RedisSpec) -> str:
    """The lines of sentinel.conf that come after `sentinel monitor`, without which Sentinel refuses them."""
    return "".join(f"sentinel {name} {MASTER} {value}\n" for name, value in _timing(spec).items())
