"""Inventory of what a fault can be aimed at, and what a partition can cut it off from: plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from caplab.contract.engines import name_for
from caplab.contract.names import MEMBER
from caplab.contract.objects import FaultSpec, Target

# The parts of the inventory that a fault may need beside the pods that it is aimed at.
OUTSIDERS, CONTROL_PLANE, DNS = "outsiders", "control plane", "dns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod on a node. addresses is empty while it has none; engine, cluster and part are '' if it has no cluster."""

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
        """Whether it is a database of its cluster, not a Sentinel."""
        return self.part == MEMBER

    @property
    def is_up(self) -> bool:
        """Whether its network is set up: before that there is nothing to put rules into."""
        return bool(self.addresses and self.node_addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything that may be on a side of a fault, as far as it was read; pods without a node are left out.

    pods are members and Sentinels of the Fault's namespace, clients its pods that belong to no cluster. A prober's zone
    is its vantage.
    """

    pods: tuple[Pod, ...] = ()
    clients: tuple[Pod, ...] = ()
    probers: tuple[Pod, ...] = ()
    operator: frozenset[str] = frozenset()
    control_plane: frozenset[str] = frozenset()
    dns: frozenset[str] = frozenset()

    def of(self, target: Target) -> Inventory:
        """Return the inventory with only the pods of the target's cluster, if it names one."""
        if target.name is None:
            return self
        cluster = name_for(target.kind or ""), target.name
        return replace(self, pods=tuple(pod for pod in self.pods if (pod.engine, pod.cluster) == cluster))


@dataclass(frozen=True, slots=True)
class Partition:
    """A Fault's spec.partition: what the targets are cut off from, in which direction, and whether DNS is cut too."""

    source: str  # peers, controlPlane, clients, group
    direction: str = "both"  # in: the targets do not hear the others; out: the others do not hear the targets
    dns: bool = False

    @property
    def is_group(self) -> bool:
        """Whether whole zones are the targets' side."""
        return self.source == "group"

    @property
    def needs(self) -> frozenset[str]:
        """The parts of the inventory that it needs."""
        outsiders = {OUTSIDERS} if self.source in ("clients", "group") else set()
        control_plane = {CONTROL_PLANE} if self.source in ("controlPlane", "group") else set()
        return frozenset(outsiders | control_plane | ({DNS} if self.dns else set()))


def partition_of(spec: FaultSpec) -> Partition | None:
    """Return the partition of a Fault's spec; None if it has none."""
    cut = spec.partition
    return Partition(cut.source, cut.direction, cut.dns == "Cut") if cut else None


def needs_of(specs: Iterable[FaultSpec]) -> frozenset[str]:
    """Return the parts of the inventory that all these faults need."""
    partitions = [partition_of(spec) for spec in specs]
    return frozenset(need for partition in partitions if partition for need in partition.needs)
