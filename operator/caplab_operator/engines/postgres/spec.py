"""The spec of a PostgresCluster object, parsed and validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from caplab.contract.engines import POSTGRES, Engine

from ..cluster import Cluster, common_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """Patroni's failover settings, in seconds and bytes, as Patroni defines them."""

    ttl_seconds: int
    loop_wait_seconds: int
    retry_timeout_seconds: int
    primary_start_timeout_seconds: int
    maximum_lag_on_failover_bytes: int
    failsafe_mode: bool
    fast_path: bool
    fencing: str  # none, agent

    @property
    def fences(self) -> bool:
        """Whether a primary that renews its lock no longer is killed; its proven death is what replaces it."""
        return self.fast_path and self.fencing == "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSpec(Cluster):
    """The spec of a PostgresCluster."""

    ENGINE: ClassVar[Engine] = POSTGRES

    durability: str  # async, quorum, sync
    failover: Failover


def parse(body: Mapping[str, Any]) -> PostgresSpec:
    """Parse a PostgresCluster object as the API server returns it."""
    spec, failover = body["spec"], body["spec"]["failover"]
    return PostgresSpec(
        **common_fields(body),
        durability=spec["durability"],
        failover=Failover(
            ttl_seconds=failover["ttlSeconds"],
            loop_wait_seconds=failover["loopWaitSeconds"],
            retry_timeout_seconds=failover["retryTimeoutSeconds"],
            primary_start_timeout_seconds=failover["primaryStartTimeoutSeconds"],
            maximum_lag_on_failover_bytes=failover["maximumLagOnFailoverBytes"],
            failsafe_mode=failover["failsafeMode"],
            fast_path=failover["fastPath"],
            fencing=failover["fencing"],
        ),
    )
