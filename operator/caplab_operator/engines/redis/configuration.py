"""Settings of Redis and Sentinel for a cluster: those that they start with, and those that can change later."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from ..parameters import table, taken
from .spec import RedisSpec

# No spec may name these directives, since durability or the choice of the primary depends on them. If somebody changes
# them, they are set back to Redis' own values.
_HELD_TOO = frozenset({"activedefrag", "no-appendfsync-on-rewrite", "replica-priority"})
_HELD = {name: parameter for name, parameter in table("redis").items() if not parameter.refused or name in _HELD_TOO}
# Redis' own values: a directive that is no longer named goes back to it, on running members too.
DEFAULTS: dict[str, str] = {name: parameter.default for name, parameter in _HELD.items()}
# Redis refuses to change these while it runs.
IMMUTABLE = frozenset(name for name, parameter in _HELD.items() if not parameter.live)

_BYTES = frozenset(name for name, parameter in _HELD.items() if parameter.kind == "size")
_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30,
}  # fmt: skip
_EVERY_EVENT = "g$lshzxetd"  # what the letter A of notify-keyspace-events stands for

MASTER = "caplab"  # the Sentinels' name for the primary
# Sentinels learn of replicas from INFO, which by default they ask for every ten seconds; and they would reconnect to
# a replaced pod only after fifteen.
_PERIODS = {"info-period": "1000", "min-link-reconnect-period": "1000"}
PERIODS = frozenset({*_PERIODS, "ping-period"})  # set by SENTINEL DEBUG, since no file holds them
_PARALLEL_SYNCS = 2

# The lab's own, for short runs on a small machine: a dead peer is noticed within 5 s, a rejoining one
# finds its backlog still there, and a full sync does not wait for further replicas.
_OWN: dict[str, str] = {
    "repl-ping-replica-period": "1",
    "repl-timeout": "5",
    "repl-diskless-sync-delay": "0",
    "repl-backlog-size": str(16 * 2**20),
    "tcp-keepalive": "5",
    "shutdown-timeout": "0",
}
# Redis must sync even while it rewrites its file.
_SYNCED = {"appendonly": "yes", "no-appendfsync-on-rewrite": "no", "save": ""}
_PERSISTENCE: dict[str, dict[str, str]] = {
    # Without snapshots: the append-only file is all that a restart may find.
    "none": {"appendonly": "no", "save": ""},
    "everysec": {**_SYNCED, "appendfsync": "everysec"},
    "always": {**_SYNCED, "appendfsync": "always"},
}
# Replication and Sentinels depend on these. No start file names them, since they are Redis' own values.
_FIXED = {"replica-read-only": "yes", "replica-announced": "yes"}
# A process that may open few files has fewer, and can't be changed: enforced only if the spec names it.
_NOT_HELD = "maxclients"
# Sentinel never chooses a replica with priority 0 for primary.
_NEVER_PRIMARY = {"replica-priority": "0"}


def named_directives(spec: RedisSpec) -> dict[str, str]:
    """Return the directives that differ from Redis' own values, or may."""
    return {
        **_PERSISTENCE[spec.persistence],
        "min-replicas-to-write": str(spec.min_replicas_to_write),
        "min-replicas-max-lag": str(spec.min_replicas_max_lag_seconds),
        "maxmemory": str(spec.max_memory_bytes),
        "maxmemory-policy": spec.eviction_policy,
        **_OWN,
        **taken(spec.ENGINE.name, spec.parameters),
    }


def directives(spec: RedisSpec, leaving: bool = False) -> dict[str, str]:
    """Return all directives that are enforced on a member; one that is leaving must not become primary any more."""
    held = {name: value for name, value in DEFAULTS.items() if name != _NOT_HELD}
    return {**held, **_FIXED, **named_directives(spec), **(_NEVER_PRIMARY if leaving else {})}


def canonical(name: str, value: str) -> str:
    """Normalize a value's spelling: two spellings that mean the same to Redis become the same."""
    if name == "notify-keyspace-events":
        return "".join(sorted(set(value.replace("A", _EVERY_EVENT))))
    plain = value.lower()
    if name in _BYTES and (size := re.fullmatch(r"(\d+)([a-z]*)", plain)) and size[2] in _UNITS:
        return str(int(size[1]) * _UNITS[size[2]])
    return plain


def drift(wanted: Mapping[str, str], actual: Mapping[str, str]) -> dict[str, str]:
    """Return the directives to set so that a member with `actual` has the wanted ones; {} if it has them."""
    return {
        name: value
        for name, value in wanted.items()
        # A Redis that does not know a directive has its default.
        if canonical(name, actual.get(name, DEFAULTS.get(name, ""))) != canonical(name, value)
    }


def live(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the changes that a running Redis takes; the others need a restart."""
    return {name: value for name, value in changes.items() if name not in IMMUTABLE}


def restart_digest(spec: RedisSpec) -> str:
    """Return a digest that changes if and only if a setting changes that needs a restart."""
    settings = {name: canonical(name, value) for name, value in directives(spec).items() if name in IMMUTABLE}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def persistence_settings() -> Mapping[str, Mapping[str, str]]:
    """Return the directives of each persistence."""
    return _PERSISTENCE


def sentinel_settings(spec: RedisSpec) -> dict[str, str]:
    """Return the settings enforced on every Sentinel, by their names in SENTINEL SET."""
    return {**_timing(spec), "quorum": str(spec.quorum)}


def sentinel_periods(spec: RedisSpec) -> dict[str, str]:
    """Return the periods of every Sentinel's queries in milliseconds, by their names in SENTINEL DEBUG.

    A Sentinel that has just ended a failover sends the new primary its first PING after one period, and considers it
    down if no answer came within down-after. With Sentinel's default period, a second, and a down-after of a second,
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
    """Build the redis.conf that all members share; the start script adds users, names and the primary to follow."""
    # The default user is off, so this opens nothing; with protected mode only the pod itself could connect.
    fixed = {"port": "6379", "protected-mode": "no"}
    lines = {**fixed, **named_directives(spec)}
    return "".join(f"{name} {value}\n" if value else f'{name} ""\n' for name, value in lines.items())


def timing_conf(spec: RedisSpec) -> str:
    """Build the lines of sentinel.conf that must come after `sentinel monitor`."""
    return "".join(f"sentinel {name} {MASTER} {value}\n" for name, value in _timing(spec).items())
