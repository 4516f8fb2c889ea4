"""The directives of redis.conf that a RedisCluster's `parameters` may name, as `CONFIG GET` of Redis 8 returns them."""

from __future__ import annotations

import re

# With Redis' own values: one that is no longer named goes back to it, on running members too.
DEFAULTS: dict[str, str] = {
    "active-defrag-cycle-max": "25",
    "active-defrag-cycle-min": "1",
    "active-expire-effort": "1",
    "activedefrag": "no",
    "activerehashing": "yes",
    "aof-load-truncated": "yes",
    "aof-use-rdb-preamble": "yes",
    "auto-aof-rewrite-min-size": "67108864",
    "auto-aof-rewrite-percentage": "100",
    "busy-reply-threshold": "5000",
    "client-query-buffer-limit": "1073741824",
    "databases": "16",
    "dynamic-hz": "yes",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "64",
    "hz": "10",
    "io-threads": "1",
    "latency-monitor-threshold": "0",
    "latency-tracking": "yes",
    "lazyfree-lazy-eviction": "no",
    "lazyfree-lazy-expire": "no",
    "lazyfree-lazy-server-del": "no",
    "lazyfree-lazy-user-del": "no",
    "lfu-decay-time": "1",
    "lfu-log-factor": "10",
    "list-compress-depth": "0",
    "list-max-listpack-size": "-2",
    "loglevel": "notice",
    "maxclients": "10000",
    "maxmemory-clients": "0",
    "maxmemory-eviction-tenacity": "10",
    "maxmemory-samples": "5",
    "no-appendfsync-on-rewrite": "no",
    "notify-keyspace-events": "",
    "proto-max-bulk-len": "536870912",
    "rdbchecksum": "yes",
    "rdbcompression": "yes",
    "repl-backlog-size": "1048576",
    "repl-backlog-ttl": "3600",
    "repl-disable-tcp-nodelay": "no",
    "repl-diskless-load": "disabled",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "5",
    "repl-diskless-sync-max-replicas": "0",
    "repl-ping-replica-period": "10",
    "repl-timeout": "60",
    "replica-lazy-flush": "no",
    "replica-priority": "100",
    "replica-serve-stale-data": "yes",
    "set-max-intset-entries": "512",
    "set-max-listpack-entries": "128",
    "shutdown-timeout": "10",
    "slowlog-log-slower-than": "10000",
    "slowlog-max-len": "128",
    "stop-writes-on-bgsave-error": "yes",
    "tcp-backlog": "511",
    "tcp-keepalive": "300",
    "timeout": "0",
    "zset-max-listpack-entries": "128",
    "zset-max-listpack-value": "64",
}

# Redis refuses to change these while it runs.
IMMUTABLE = frozenset({"databases", "io-threads", "rdbchecksum", "tcp-backlog"})

_BYTES = frozenset({
    "auto-aof-rewrite-min-size", "client-query-buffer-limit", "maxmemory-clients", "proto-max-bulk-len",
    "repl-backlog-size",
})  # fmt: skip
_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30,
}  # fmt: skip
_EVERY_EVENT = "g$lshzxetd"  # what the letter A of notify-keyspace-events stands for


def canonical(name: str, value: str) -> str:
    """A value in one of its spellings: two that Redis takes for the same become the same."""
    if name == "notify-keyspace-events":
        return "".join(sorted(set(value.replace("A", _EVERY_EVENT))))
    plain = value.lower()
    if name in _BYTES and (size := re.fullmatch(r"(\d+)([a-z]*)", plain)) and size[2] in _UNITS:
        return str(int(size[1]) * _UNITS[size[2]])
    return plain
