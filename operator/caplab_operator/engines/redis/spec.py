"""The spec of a RedisCluster object, parsed and validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from caplab.contract.engines import REDIS, Engine
from caplab.model.sizes import size_bytes

from ..cluster import Cluster, common_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """Sentinel's timing, and what a restarted primary does while the Sentinels still name it primary."""

    down_after_milliseconds: int
    failover_timeout_milliseconds: int
    restarted_primary: str  # WaitForDecision, ComeBack
    fast_path: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSpec(Cluster):
    """The spec of a RedisCluster."""

    ENGINE: ClassVar[Engine] = REDIS

    sentinels: int
    persistence: str  # none, everysec, always
    min_replicas_to_write: int
    min_replicas_max_lag_seconds: int
    failover: Failover
    max_memory_bytes: int
    eviction_policy: str

    @property
    def quorum(self) -> int:
        """The number of Sentinels that must see the primary down: their majority."""
        return self.sentinels // 2 + 1


def parse(body: Mapping[str, Any]) -> RedisSpec:
    """Parse a RedisCluster object as the API server returns it."""
    spec, failover = body["spec"], body["spec"]["failover"]
    return RedisSpec(
        **common_fields(body),
        sentinels=spec["sentinels"],
        persistence=spec["persistence"],
        min_replicas_to_write=spec["minReplicasToWrite"],
        min_replicas_max_lag_seconds=spec["minReplicasMaxLagSeconds"],
        failover=Failover(
            down_after_milliseconds=failover["downAfterMilliseconds"],
            failover_timeout_milliseconds=failover["failoverTimeoutMilliseconds"],
            restarted_primary=failover["restartedPrimary"],
            fast_path=failover["fastPath"],
        ),
        max_memory_bytes=size_bytes(spec["maxMemory"]),
        eviction_policy=spec["evictionPolicy"],
    )
