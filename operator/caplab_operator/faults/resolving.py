"""Resolving a Fault's spec to the entries of status.targets at a moment: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from caplab.contract import bounds
from caplab.contract.objects import TARGET, FaultSpec, TargetStatus

from .cuts import End, ends
from .inventory import Inventory, Partition, Pod, partition_of
from .targets import NoTarget, Roles, choose, excess, in_zones, zones_of

MAX_ENTRIES, MAX_ADDRESSES = bounds.TARGETS, bounds.ADDRESSES


def resolve(spec: FaultSpec, inventory: Inventory, roles: Roles | None = None) -> list[TargetStatus]:
    """Return an entry for each pod that has a part in the fault. Raises NoTarget if it can't be carried out."""
    target, partition = spec.target, partition_of(spec)
    near = inventory.of(target)
    chosen = choose(target, spec.seed, near.pods, roles)
    zones: frozenset[str] = frozenset()
    if partition and partition.is_group:
        zones = zones_of(chosen)
        chosen = in_zones(zones, near.pods)
    if too_many := excess(target, chosen, near.pods):
        raise NoTarget(too_many)
    entries = _cut(partition, chosen, zones, near) if partition else [entry_of(pod) for pod in chosen]
    if len(entries) > MAX_ENTRIES:
        raise NoTarget(
            f"{len(entries)} pods would have a part in this fault, and at most {MAX_ENTRIES} may."
            " Hint: name one cluster (target.kind, target.name)."
        )
    return entries


def entry_of(pod: Pod, end: str = TARGET) -> TargetStatus:
    """Build the operator's part of a pod's entry, for a fault that needs no addresses."""
    return TargetStatus(uid=pod.uid, pod=pod.name, node=pod.node, zone=pod.zone, cluster=pod.cluster, end=end)


def entry_of_end(end: End) -> TargetStatus:
    """Build the entry of a partition's end."""
    return replace(entry_of(end.pod, end.end), drops_from=tuple(end.drops_from), drops_to=tuple(end.drops_to))


def _cut(
    partition: Partition, chosen: Sequence[Pod], zones: frozenset[str], inventory: Inventory
) -> list[TargetStatus]:
    _check_control_plane(partition, chosen, inventory)
    carriers = ends(partition, chosen, zones, inventory)
    if not any(end.end == TARGET for end in carriers):
        names = ", ".join(pod.name for pod in chosen)
        raise NoTarget(f"{names}: {_NOBODY[partition.source]}")
    if too_many := [end for end in carriers if max(len(end.drops_from), len(end.drops_to)) > MAX_ADDRESSES]:
        raise NoTarget(
            f"{too_many[0].pod.name} would have to drop the packets of more than {MAX_ADDRESSES} addresses."
            " Hint: name one cluster (target.kind, target.name), or remove clients from the namespace."
        )
    # A far end that is just starting gets its entry when it is up.
    return [entry_of_end(end) for end in carriers if end.end == TARGET or end.pod.is_up]


_NOBODY = {
    "peers": "the cluster has no other member to be cut off from. Hint: add replicas, or change partition.from.",
    "controlPlane": "no address of the control plane is known. Hint: check the Service default/kubernetes.",
    "clients": "there is no prober, and no client in the namespace, to be cut off from. Hint: install the probers.",
    "group": "there is nothing outside these zones to be cut off from. Hint: change partition.from.",
}


def _check_control_plane(partition: Partition, chosen: Sequence[Pod], inventory: Inventory) -> None:
    """Raise NoTarget if what is to be cut off is not known, or shares an address with a target's node."""
    if partition.dns and not inventory.dns:
        raise NoTarget("no address of the DNS service kube-system/kube-dns is known. Hint: set partition.dns to Keep.")
    if partition.source not in ("controlPlane", "group"):
        return
    services = inventory.control_plane | (inventory.dns if partition.dns else frozenset())
    for pod in chosen:
        if shared := services & pod.node_addresses:
            raise NoTarget(
                f"{pod.name} is on {pod.node}, whose own address {min(shared)} is the control plane's: cutting"
                " it off would block kubelet's probes too. Hint: choose a target on another node."
            )
