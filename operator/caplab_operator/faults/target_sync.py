"""Target sync: a live fault follows its targets. Replacement pods are hit too, and cuts use the current addresses.

Pure: computed from the entries of status.targets and the inventory as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from caplab.contract.objects import Fault, FaultStatus, Target, TargetStatus
from caplab.contract.phases import FAILED, FAULT_LIVE, HEALED

from . import lifecycle
from .cuts import ends
from .inventory import Inventory, Partition, Pod, partition_of
from .resolving import MAX_ADDRESSES, MAX_ENTRIES, entry_of, entry_of_end
from .targets import excess, in_zones, is_in_place

# An entry that its agent reaches only when the time is over becomes Failed.
_LATEST_BEGIN = timedelta(seconds=1)

Entries = Sequence[TargetStatus]


def is_live(fault: Fault, now: datetime) -> bool:
    """Whether a Fault's targets need syncing: it is resolved, not over, and lasts."""
    status = fault.status_or_empty
    is_on = status.phase in FAULT_LIVE and not fault.metadata.is_being_deleted and bool(fault.targets)
    return is_on and fault.spec.lasts and lifecycle.time_left(status, now) > timedelta(0)


def synced(fault: Fault, inventory: Inventory, now: datetime) -> FaultStatus | None:
    """Return the status to write for a live fault; None if its entries are as they should be."""
    status, target, existing = fault.status_or_empty, fault.spec.target, fault.targets
    near = inventory.of(target)
    partition = partition_of(fault.spec)
    wanted = _cut(target, existing, partition, near) if partition else _held(target, existing, near)
    entries = _kept(existing, wanted, near)
    if lifecycle.time_left(status, now) > _LATEST_BEGIN:
        entries += _begun(existing, wanted, near)
    entries, left_out = _bounded(entries)
    if entries == [entry.operator_part() for entry in existing]:
        return None
    return lifecycle.with_entries(status, entries, **({"message": left_out} if left_out else {}))


def _held(target: Target, existing: Entries, inventory: Inventory) -> dict[str, TargetStatus]:
    """Return by uid the pods that a fault without far ends holds: those with the names of its targets."""
    names = _names_of_targets(existing)
    return {pod.uid: entry_of(pod) for pod in inventory.pods if pod.name in names and is_in_place(target, pod)}


def _cut(target: Target, existing: Entries, partition: Partition, inventory: Inventory) -> dict[str, TargetStatus]:
    """Return by uid the ends of a partition in the current inventory."""
    zones: frozenset[str] = frozenset()
    if partition.is_group:
        # The zones as resolved, not those of the current pods: a zone stays cut off while its pods are replaced.
        zones = frozenset(entry.zone or "" for entry in existing if entry.is_target)
    targets = _targets(target, zones, existing, inventory)
    return {end.pod.uid: entry_of_end(end) for end in ends(partition, targets, zones, inventory)}


def _targets(target: Target, zones: frozenset[str], existing: Entries, inventory: Inventory) -> list[Pod]:
    """Return the pods of the targets' names; for zones or a node all pods there, unless they are too many."""
    names = _names_of_targets(existing)
    if zones:
        fitting = in_zones(zones, inventory.pods)
    elif target.zone or target.node:
        fitting = [pod for pod in inventory.pods if is_in_place(target, pod)]
    else:
        return [pod for pod in inventory.pods if pod.name in names]
    return [pod for pod in fitting if pod.name in names] if excess(target, fitting, inventory.pods) else fitting


def _kept(existing: Entries, wanted: Mapping[str, TargetStatus], inventory: Inventory) -> list[TargetStatus]:
    """Return the existing entries with what they must drop now; none is ever removed."""
    there = {pod.uid for pod in inventory.pods}
    return [_now(entry, wanted.get(entry.uid), entry.uid in there) for entry in existing]


def _now(entry: TargetStatus, wanted: TargetStatus | None, is_there: bool) -> TargetStatus:
    mine = entry.operator_part()
    if mine.drops_from is None or not is_there or entry.has_ended:
        return mine
    if wanted is None:  # the other side is empty
        return replace(mine, drops_from=(), drops_to=())
    return replace(mine, end=wanted.end, drops_from=wanted.drops_from, drops_to=wanted.drops_to)


def _begun(existing: Entries, wanted: Mapping[str, TargetStatus], inventory: Inventory) -> list[TargetStatus]:
    """Return new entries, each with the pod that it replaces. A pod whose predecessor has ended gets none.

    Agents wait until a replacement starts. The entry of any other new pod comes when it is up.
    """
    uids, up = {entry.uid for entry in existing}, {pod.uid for pod in inventory.pods if pod.is_up}
    replaced = {entry.replaces for entry in existing}
    last = {entry.pod: entry for entry in existing if entry.uid not in replaced}
    begun = []
    for uid, entry in wanted.items():
        before = last.get(entry.pod)
        if uid in uids or (before and before.state in (HEALED, FAILED)):
            continue
        if before:
            begun.append(replace(entry, replaces=before.uid))
        elif uid in up:
            begun.append(entry)
    return begun


def _bounded(entries: Sequence[TargetStatus]) -> tuple[list[TargetStatus], str]:
    """Return as many entries and addresses as the kind's schema allows, and a message if some are left out."""
    fitting = [
        replace(
            entry,
            drops_from=entry.drops_from and entry.drops_from[:MAX_ADDRESSES],
            drops_to=entry.drops_to and entry.drops_to[:MAX_ADDRESSES],
        )
        for entry in entries[:MAX_ENTRIES]
    ]
    if fitting == list(entries):
        return fitting, ""
    return fitting, (
        f"not every pod is covered: the fault has grown to more than {MAX_ENTRIES} pods, or {MAX_ADDRESSES} addresses"
        " a pod. Hint: delete it, and aim a new one at one cluster."
    )


def _names_of_targets(existing: Iterable[TargetStatus]) -> set[str]:
    return {entry.pod or "" for entry in existing if entry.is_target}
