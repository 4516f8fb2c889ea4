"""What a fault can be aimed at, and what a partition can cut it off from: values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

MEMBER, SENTINEL = "member", "sentinel"  # parts of a cluster

# What more of the inventory a fault needs than the pods that it is aimed at.
OUTSIDERS, CONTROL_PLANE, DNS = "outsiders", "control plane", "dns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod on a node; addresses are empty while it has none, engine, cluster and part where it is of no cluster."""

    uid: str
    name: str
    node: str
    zone: str = ""
    addresses: frozenset[str] = frozenset()
    node_addresses: frozenset[str] = frozenset()
    engine: str = ""
    cluster: str = ""
    part: str = ""

    @property
    def is_member(self) -> bool:
        """Whether it is a database of its cluster, and does not just watch one."""
        return self.part == MEMBER

    @property
    def is_up(self) -> bool:
        """Whether its network is made: before that there is nothing to put rules into."""
        return bool(self.addresses and self.node_addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everybody who may be on a side of a fault, as far as it was asked for; pods on no node are not in it.

    pods are members and Sentinels of the Fault's namespace, clients its pods that belong to no cluster. A prober's zone
    is its vantage.
    """

    pods: tuple[Pod, ...] = ()
    clients: tuple[Pod, ...] = ()
    probers: tuple[Pod, ...] = ()
    operator: frozenset[str] = frozenset()
    control_plane: frozenset[str] = frozenset()
    dns: frozenset[str] = frozenset()

    def of(self, target: Mapping[str, Any]) -> Inventory:
        """The inventory with the pods of the target's cluster only, where it names one."""
        if "name" not in target:
            return self
        cluster = engine_of(target["kind"]), target["name"]
        return replace(self, pods=tuple(pod for pod in self.pods if (pod.engine, pod.cluster) == cluster))


def engine_of(kind: str) -> str:
    """The engine of a kind of clusters, as its pods' label names it: postgres of PostgresCluster."""
    return kind.removesuffix("Cluster").lower()


@dataclass(frozen=True, slots=True)
class Partition:
    """A Fault's spec.partition: whom the targets are cut off from, which way is cut, and whether DNS goes too."""

    source: str  # peers, controlPlane, clients, group
    direction: str = "both"  # in: the targets do not hear the others; out: the others do not hear the targets
    dns: bool = False

    @property
    def is_group(self) -> bool:
        """Whether whole zones are the targets' side."""
        return self.source == "group"

    @property
    def needs(self) -> frozenset[str]:
        """What has to be known of the inventory."""
        outsiders = {OUTSIDERS} if self.source in ("clients", "group") else set()
        control_plane = {CONTROL_PLANE} if self.source in ("controlPlane", "group") else set()
        return frozenset(outsiders | control_plane | ({DNS} if self.dns else set()))


def partition_of(spec: Mapping[str, Any]) -> Partition | None:
    """The partition that a Fault's spec asks for, if it does."""
    partition = spec.get("partition")
    if partition is None:
        return None
    return Partition(partition["from"], partition.get("direction", "both"), partition.get("dns") == "Cut")


def needs_of(specs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """What has to be known of the inventory for all these faults."""
    partitions = [partition_of(spec) for spec in specs]
    return frozenset(need for partition in partitions if partition for need in partition.needs)
