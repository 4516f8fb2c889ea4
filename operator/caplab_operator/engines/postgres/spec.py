"""What a PostgresCluster object asks for, parsed at the border.

Defaults and limits are the API server's (the CRD's schema): what arrives here is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failover:
    """Patroni's timing: seconds and bytes, in Patroni's own meaning."""

    ttl_seconds: int
    loop_wait_seconds: int
    retry_timeout_seconds: int
    primary_start_timeout_seconds: int
    maximum_lag_on_failover_bytes: int
    failsafe_mode: bool


@dataclass(frozen=True, slots=True)
class PostgresSpec:
    """One cluster as asked for."""

    name: str
    namespace: str
    uid: str
    generation: int
    replicas: int
    durability: str  # async, quorum, sync
    failover: Failover
    storage_size: str
    keep_volumes: bool
    memory_request: str
    cpu_request: str
    parameters: Mapping[str, str]


def parse(body: Mapping[str, Any]) -> PostgresSpec:
    """A PostgresCluster object as the API server returns it."""
    metadata, spec = body["metadata"], body["spec"]
    failover, storage, resources = spec["failover"], spec["storage"], spec["resources"]
    return PostgresSpec(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        replicas=spec["replicas"],
        durability=spec["durability"],
        failover=Failover(
            failover["ttlSeconds"],
            failover["loopWaitSeconds"],
            failover["retryTimeoutSeconds"],
            failover["primaryStartTimeoutSeconds"],
            failover["maximumLagOnFailoverBytes"],
            failover["failsafeMode"],
        ),
        storage_size=storage["size"],
        keep_volumes=storage["onDeletion"] == "Retain",
        memory_request=resources["memoryRequest"],
        cpu_request=resources["cpuRequest"],
        parameters=spec["parameters"],
    )
