"""The engines that a prober knows. Another one is a folder here, and its line in ENGINES."""

from __future__ import annotations

from ..links import Engine
from .cassandra.client import ENGINE as CASSANDRA
from .postgres.client import ENGINE as POSTGRES
from .redis.client import ENGINE as REDIS

ENGINES: tuple[Engine, ...] = (POSTGRES, REDIS, CASSANDRA)


def engine_of(kind: str) -> Engine:
    """The engine of a kind of cluster; ValueError for one that has none."""
    for engine in ENGINES:
        if engine.kind == kind:
            return engine
    raise ValueError(f"target.kind is {kind!r}. Mend: use one of {', '.join(engine.kind for engine in ENGINES)}.")
