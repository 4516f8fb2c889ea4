"""The controllers of the engines' clusters, and the interface of their handlers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from caplab.contract.engines import CASSANDRA, POSTGRES, REDIS, complete

from ..api import Api
from ..engines.postgres.exporter import EXPORTER as POSTGRES_EXPORTER
from ..engines.postgres.spec import parse as parse_postgres
from ..engines.redis.exporter import EXPORTER as REDIS_EXPORTER
from ..engines.redis.spec import parse as parse_redis
from ..faults.targets import Roles
from .cassandra import CassandraClusters
from .deaths import Decide
from .exporters import Exporting
from .postgres.clusters import PostgresClusters
from .postgres.deaths import decide as decide_postgres
from .redis.clusters import RedisClusters
from .redis.deaths import decide as decide_redis

Body = Mapping[str, Any]

# What a primary's proven death leads to, by the engine's name.
DECIDERS: Mapping[str, Decide] = {POSTGRES.name: decide_postgres, REDIS.name: decide_redis}


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
class ClusterController:
    """What reconciles an engine's clusters.

    follow, if there is one, runs beside the rounds as long as a cluster exists. exporting: None if members export
    metrics themselves.
    """

    handlers: Handlers
    follow: Callable[[Api, Body], Coroutine[Any, Any, None]] | None = None
    exporting: Exporting | None = None


def controllers() -> dict[str, ClusterController]:
    """Build the controller of each engine of the contract's table, by the kind of its clusters."""
    cassandra, postgres, redis = CassandraClusters(), PostgresClusters(), RedisClusters()
    registry = {
        CASSANDRA: ClusterController(cassandra, cassandra.follow),
        POSTGRES: ClusterController(postgres, postgres.follow, Exporting(parse_postgres, POSTGRES_EXPORTER)),
        REDIS: ClusterController(redis, redis.follow, Exporting(parse_redis, REDIS_EXPORTER)),
    }
    return {engine.kind: controller for engine, controller in complete(__name__, registry).items()}
