"""Redis' exporter (Debian's prometheus-redis-exporter): the figures of INFO, once a second."""

from __future__ import annotations

from ..exporter import LOGIN, Exporter

EXPORTER = Exporter(
    command=(
        "prometheus-redis-exporter",
        "-redis.addr=",  # only those that a request names
        "-connection-timeout=1s",
        "-config-command=-",  # the login may not use it
        "-exclude-latency-histogram-metrics",  # a series for each bucket of each command
        "-redis-only-metrics",
    ),
    files=lambda password: {"user": LOGIN, "password": password},
    variables={"REDIS_USER": "user", "REDIS_PASSWORD": "password"},
)
