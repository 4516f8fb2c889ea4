"""Target sync: a live fault follows its targets. Replacement pods are hit too, and cuts use the current addresses.

Pure: computed from the entries of status.targets and the inventory as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from caplab.contract.objects import Target
from caplab.contract.phases import FAILED, FAULT_LIVE, HEALED, TARGET_ENDED

from . import lifecycle
from .cuts import TARGET, ends
from .inventory import Inventory, Partition, Pod, partition_of
from .resolving import MOST_ADDRESSES, MOST_ENTRIES, Entry, entry_of, entry_of_end
from .targets import excess, in_zones, is_in_place

# An entry that its agent reaches only when the time is over becomes Failed.
_LATEST_BEGIN = timedelta(seconds=1)

Body = Mapping[str, Any]
Entries = Sequence[Mapping[str, Any]]


def is_live(body: Body, now: datetime) -> bool:
    """Whether a Fault's targets need syncing: it is resolved, not over, and lasts (not so a kill without keepDown)."""
    status, kill = body.get("status") or {}, body["spec"].get("kill")
    strikes_once = kill is not None and not kill.get("keepDown", True)
    is_on = status.get("phase") in FAULT_LIVE and not lifecycle.is_being_deleted(body) and bool(status.get("targets"))
    return is_on and not strikes_once and lifecycle.time_left(status, now) > timedelta(0)


def synced(body: Body, inventory: Inventory, now: datetime) -> dict[str, Any] | None:
    """Return the status to write for a live fault; None if its entries are as they should be."""
    status, target = body["status"], Target.from_body(body["spec"]["target"], "spec.target")
    existing: Entries = status["targets"]
    near = inventory.of(target)
    partition = partition_of(body["spec"])
    wanted = _cut(target, existing, partition, near) if partition else _held(target, existing, near)
    entries = _kept(existing, wanted, near)
    if lifecycle.time_left(status, now) > _LATEST_BEGIN:
        entries += _begun(existing, wanted, near)
    entries, left_out = _bounded(entries)
    if entries == [lifecycle.operator_fields(entry) for entry in existing]:
        return None
    return lifecycle.with_entries(status, entries, **({"message": left_out} if left_out else {}))


def _held(target: Target, existing: Entries, inventory: Inventory) -> dict[str, Entry]:
    """Return by uid the pods that a kill or a freeze holds: those with the names of its targets."""
    names = _names_of_targets(existing)
    return {pod.uid: entry_of(pod) for pod in inventory.pods if pod.name in names and is_in_place(target, pod)}


def _cut(target: Target, existing: Entries, partition: Partition, inventory: Inventory) -> dict[str, Entry]:
    """Return by uid the ends of a partition in the current inventory."""
    zones: frozenset[str] = frozenset()
    if partition.is_group:
        # The zones as resolved, not those of the current pods: a zone stays cut off while its pods are replaced.
        zones = frozenset(entry["zone"] for entry in existing if _is_target(entry))
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


def _kept(existing: Entries, wanted: Mapping[str, Entry], inventory: Inventory) -> list[Entry]:
    """Return the existing entries with what they must drop now; none is ever removed."""
    there = {pod.uid for pod in inventory.pods}
    return [_now(entry, wanted.get(entry["uid"]), entry["uid"] in there) for entry in existing]


def _now(entry: Mapping[str, Any], wanted: Entry | None, is_there: bool) -> Entry:
    mine = lifecycle.operator_fields(entry)
    if "dropsFrom" not in mine or not is_there or entry.get("state") in TARGET_ENDED:
        return mine
    fresh = wanted or {"dropsFrom": [], "dropsTo": []}  # the other side is empty
    return mine | {name: fresh[name] for name in ("end", "dropsFrom", "dropsTo") if name in fresh}


def _begun(existing: Entries, wanted: Mapping[str, Entry], inventory: Inventory) -> list[Entry]:
    """Return new entries, each with the pod that it replaces. A pod whose predecessor has ended gets none.

    Agents wait until a replacement starts. The entry of any other new pod comes when it is up.
    """
    uids, up = {entry["uid"] for entry in existing}, {pod.uid for pod in inventory.pods if pod.is_up}
    replaced = {entry.get("replaces") for entry in existing}
    last = {entry["pod"]: entry for entry in existing if entry["uid"] not in replaced}
    begun = []
    for uid, entry in wanted.items():
        before = last.get(entry["pod"])
        if uid in uids or (before and before.get("state") in (HEALED, FAILED)):
            continue
        if before:
            begun.append(entry | {"replaces": before["uid"]})
        elif uid in up:
            begun.append(entry)
    return begun


def _bounded(entries: Sequence[Entry]) -> tuple[list[Entry], str]:
    """Return as many entries and addresses as the kind's schema allows, and a message if some are left out."""
    fitting = [
        entry | {name: entry[name][:MOST_ADDRESSES] for name in ("dropsFrom", "dropsTo") if name in entry}
        for entry in entries[:MOST_ENTRIES]
    ]
    if fitting == list(entries):
        return fitting, ""
    return fitting, (
        f"not every pod is covered: the fault has grown to more than {MOST_ENTRIES} pods, or {MOST_ADDRESSES} addresses"
        " a pod. Hint: delete it, and aim a new one at one cluster."
    )


def _is_target(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("end", TARGET) == TARGET)


def _names_of_targets(existing: Iterable[Mapping[str, Any]]) -> set[str]:
    return {entry["pod"] for entry in existing if _is_target(entry)}
