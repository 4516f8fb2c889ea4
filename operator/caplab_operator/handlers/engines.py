"""The engines, and the interface of their handlers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from caplab.contract.names import CASSANDRA_CLUSTER, PLURALS, POSTGRES_CLUSTER, REDIS_CLUSTER

from ..api import Api
from ..engines.postgres.exporter import EXPORTER as POSTGRES_EXPORTER
from ..engines.postgres.spec import parse as parse_postgres
from ..engines.redis.exporter import EXPORTER as REDIS_EXPORTER
from ..engines.redis.spec import parse as parse_redis
from ..faults.targets import Roles
from .cassandra import CassandraClusters
from .exporters import Exporting
from .postgres.clusters import PostgresClusters
from .redis.clusters import RedisClusters

Body = Mapping[str, Any]


class Handlers(Protocol):
    """Handlers for clusters of a kind; all of them block."""

    def reconcile(self, api: Api, body: Body) -> None:
        """Apply the cluster's objects as its spec asks for."""

    def run_round(self, api: Api, body: Body, before: Body, active_faults: Mapping[str, str]) -> Body:
        """Observe a running cluster, correct it, and return its status, which the common layer completes and writes.

        active_faults names the fault of each member that is under one.
        """

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], Sequence[Body]]) -> Roles:
        """Read from the engine's own authority which member is primary, or which are up, at this moment.

        listed waits for the pods of the namespace's clusters, which are being read meanwhile.
        """


@dataclass(frozen=True, slots=True)
class Engine:
    """A kind of clusters. follow, if there is one, runs beside the rounds as long as a cluster exists.

    exporting: None if members export metrics themselves.
    """

    kind: str
    plural: str
    handlers: Handlers
    follow: Callable[[Api, Body], Coroutine[Any, Any, None]] | None = None
    exporting: Exporting | None = None


def engines() -> list[Engine]:
    """Build the list of engines."""
    cassandra, postgres, redis = CassandraClusters(), PostgresClusters(), RedisClusters()
    of_postgres, of_redis = Exporting(parse_postgres, POSTGRES_EXPORTER), Exporting(parse_redis, REDIS_EXPORTER)
    return [
        Engine(CASSANDRA_CLUSTER, PLURALS[CASSANDRA_CLUSTER], cassandra, cassandra.follow),
        Engine(POSTGRES_CLUSTER, PLURALS[POSTGRES_CLUSTER], postgres, postgres.follow, of_postgres),
        Engine(REDIS_CLUSTER, PLURALS[REDIS_CLUSTER], redis, redis.follow, of_redis),
    ]
