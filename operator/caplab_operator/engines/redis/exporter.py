"""Redis' exporter (Debian's prometheus-redis-exporter): the figures of INFO, once a second."""

from __future__ import annotations

from caplab.contract import ports

from ..exporter import LOGIN, Exporter
from .manifests import REDIS_PORT

IMAGE_VARIABLE = "CAPLAB_IMAGE_REDIS_EXPORTER"

EXPORTER = Exporter(
    image_variable=IMAGE_VARIABLE,
    command=(
        "prometheus-redis-exporter",
        "-redis.addr=",  # only those that a request names
        "-connection-timeout=1s",
        "-config-command=-",  # the login may not use it
        "-exclude-latency-histogram-metrics",  # a series for each bucket of each command
        "-redis-only-metrics",
    ),
    port=ports.REDIS_EXPORTER,
    asks=REDIS_PORT,
    files=lambda password: {"user": LOGIN, "password": password},
    variables={"REDIS_USER": "user", "REDIS_PASSWORD": "password"},
)
