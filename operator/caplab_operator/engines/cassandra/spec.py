"""The spec of a CassandraCluster object, parsed and validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from caplab.contract.engines import CASSANDRA, Engine
from caplab.model.sizes import size_bytes

from ..cluster import Cluster, common_fields


@dataclass(frozen=True, slots=True)
class HintedHandoff:
    """Settings of the writes that are kept for a member that is down."""

    enabled: bool
    window_seconds: int
    flush_period_milliseconds: int


@dataclass(frozen=True, slots=True)
class Gossip:
    """Waiting times of a member that starts, joins or leaves."""

    settle_milliseconds: int
    settle_interval_milliseconds: int
    ring_delay_milliseconds: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time-outs of a coordinator that waits for other members."""

    read_milliseconds: int
    write_milliseconds: int
    cas_milliseconds: int


@dataclass(frozen=True, slots=True)
class Operations:
    """The last requested operations: a name each, '' if never requested."""

    repair: str
    restart: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraSpec(Cluster):
    """The spec of a CassandraCluster."""

    ENGINE: ClassVar[Engine] = CASSANDRA

    replication_factor: int
    heap_bytes: int
    phi_convict_threshold: int
    commitlog_sync: str  # periodic, group, batch
    commitlog_sync_period_milliseconds: int
    paxos_variant: str  # v1, v2
    hinted_handoff: HintedHandoff
    gossip: Gossip
    timeouts: Timeouts
    operations: Operations


def parse(body: Mapping[str, Any]) -> CassandraSpec:
    """Parse a CassandraCluster object as the API server returns it."""
    spec = body["spec"]
    hints, gossip, timeouts, operations = (spec[name] for name in ("hintedHandoff", "gossip", "timeouts", "operations"))
    return CassandraSpec(
        **common_fields(body),
        replication_factor=spec["replicationFactor"],
        heap_bytes=size_bytes(spec["heap"]),
        phi_convict_threshold=spec["phiConvictThreshold"],
        commitlog_sync=spec["commitlogSync"],
        commitlog_sync_period_milliseconds=spec["commitlogSyncPeriodMilliseconds"],
        paxos_variant=spec["paxosVariant"],
        hinted_handoff=HintedHandoff(hints["enabled"], hints["windowSeconds"], hints["flushPeriodMilliseconds"]),
        gossip=Gossip(
            gossip["settleMilliseconds"], gossip["settleIntervalMilliseconds"], gossip["ringDelayMilliseconds"]
        ),
        timeouts=Timeouts(timeouts["readMilliseconds"], timeouts["writeMilliseconds"], timeouts["casMilliseconds"]),
        operations=Operations(operations["repair"], operations["restart"]),
    )
