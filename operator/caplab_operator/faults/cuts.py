"""A partition as pure data: its sides, which side does not hear which, and the packets that each pod drops for that.

Only members and Sentinels carry rules. Between two of them a packet is dropped at both ends: a connection
through a Service is translated on the node, so only the far end sees the address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from caplab.contract.objects import OTHER, TARGET

from .inventory import Inventory, Partition, Pod


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a cut: the pods that carry rules, and the addresses of everything else on it."""

    pods: tuple[Pod, ...]
    bare: frozenset[str] = frozenset()

    @property
    def addresses(self) -> frozenset[str]:
        """All addresses on this side."""
        return self.bare | addresses_of(self.pods)

    def __bool__(self) -> bool:
        return bool(self.pods or self.bare)


Cut = tuple[Side, Side]  # the targets' side, and the side that is cut off from it


@dataclass(frozen=True, slots=True)
class End:
    """A pod that carries rules; addresses in order."""

    pod: Pod
    end: str
    drops_from: tuple[str, ...]
    drops_to: tuple[str, ...]


def ends(partition: Partition, targets: Sequence[Pod], zones: frozenset[str], inventory: Inventory) -> list[End]:
    """Return every pod that carries rules, targets first, then by name. A target with nothing to cut off has none.

    zones are those of a group; targets are then all pods of the inventory in them. The inventory must hold what
    partition.needs names.
    """
    drops: dict[Pod, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for near, far in cuts(partition, targets, zones, inventory):
        _drop(
            drops, near, far, near_drops_from=partition.direction != "out", far_drops_from=partition.direction != "in"
        )
    aimed_at = set(targets)
    carriers = [_end(pod, TARGET if pod in aimed_at else OTHER, *lists) for pod, lists in drops.items()]
    return sorted(carriers, key=lambda end: (end.end == OTHER, end.pod.name))


def cuts(partition: Partition, targets: Sequence[Pod], zones: frozenset[str], inventory: Inventory) -> list[Cut]:
    """Return the pairs of sides that a partition means, without those that have an empty side."""
    near = Side(tuple(targets))
    control_plane = Side((), inventory.control_plane | (inventory.dns if partition.dns else frozenset()))
    match partition.source:
        case "peers":
            pairs = list(_from_peers(targets, inventory))
        case "controlPlane":
            pairs = [(near, control_plane)]
        case "clients":
            pairs = [(near, Side((), addresses_of((*inventory.clients, *inventory.probers))))]
        case "group":
            pairs = [_group(targets, zones, inventory), (near, control_plane)]
        case unknown:
            raise ValueError(f"partition.from {unknown} is not one of peers, controlPlane, clients and group")
    return [(side, other) for side, other in pairs if side and other]


def addresses_of(pods: Iterable[Pod]) -> frozenset[str]:
    """Return all addresses of the pods."""
    return frozenset(address for pod in pods for address in pod.addresses)


def _from_peers(targets: Collection[Pod], inventory: Inventory) -> Iterator[Cut]:
    """Yield a cut for each cluster. Its targets are one side, and hear each other."""
    for cluster in sorted({(pod.engine, pod.cluster) for pod in targets}):
        own = [pod for pod in inventory.pods if (pod.engine, pod.cluster) == cluster]
        others = tuple(pod for pod in own if pod.is_member and pod not in targets)
        yield Side(tuple(pod for pod in own if pod in targets)), Side(others)


def _group(targets: Sequence[Pod], zones: frozenset[str], inventory: Inventory) -> Cut:
    outsiders = (*inventory.clients, *inventory.probers)
    inside = addresses_of(pod for pod in outsiders if pod.zone in zones)
    outside = addresses_of(pod for pod in outsiders if pod.zone not in zones) | inventory.operator
    others = tuple(pod for pod in inventory.pods if pod.zone not in zones)
    return Side(tuple(targets), inside), Side(others, outside)


def _drop(
    drops: dict[Pod, tuple[set[str], set[str]]], near: Side, far: Side, *, near_drops_from: bool, far_drops_from: bool
) -> None:
    """Add to each pod of two sides what it drops."""
    for side, other, drop_from, drop_to in (
        (near, far, near_drops_from, far_drops_from),
        (far, near, far_drops_from, near_drops_from),
    ):
        for pod in side.pods:
            drops_from, drops_to = drops[pod]
            if drop_from:
                drops_from |= other.addresses
            if drop_to:
                drops_to |= other.addresses


def _end(pod: Pod, end: str, drops_from: set[str], drops_to: set[str]) -> End:
    # A pod that drops its node's address fails kubelet's probes: the partition would become a kill.
    own = pod.addresses | pod.node_addresses
    return End(pod, end, tuple(sorted(drops_from - own)), tuple(sorted(drops_to - own)))
