"""The contents of a Fault object, in words and figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from caplab.contract.phases import ACTIVE, FAULT_OVER, HEALED, HEALING, PENDING, TARGET_ENDED

KINDS = ("kill", "freeze", "partition")
GRACE_SECONDS = 0.5  # past status.until, what an agent left behind ends by itself

Fault = Mapping[str, Any]
Entry = Mapping[str, Any]
Lost = Mapping[str, Any]  # a lost node, in the form of caplab_cluster.node_loss_store.NodeLoss.to_json


@dataclass(frozen=True, slots=True)
class Row:
    """One fault; namespace '' for a lost node, since_unix and left_seconds None if the object does not have them."""

    namespace: str
    name: str
    kind: str
    detail: str  # of a partition: from what, and in which direction
    target: str
    pods: tuple[str, ...]
    phase: str
    since_unix: float | None
    left_seconds: float | None
    proven: bool


def row_of(fault: Fault, now: datetime) -> Row:
    """Build the row of a Fault object."""
    status, metadata = fault.get("status") or {}, fault["metadata"]
    targets = target_entries(fault)
    began = [entry["injectedAt"] for entry in targets if "injectedAt" in entry] or [metadata.get("creationTimestamp")]
    since = min((at for at in map(moment, began) if at), default=None)
    until = moment(status.get("until"))
    return Row(
        namespace=metadata["namespace"],
        name=metadata["name"],
        kind=kind_of(fault),
        detail=_detail(fault),
        target=target_words(fault["spec"]["target"]),
        pods=tuple(str(entry.get("pod", entry["uid"])) for entry in targets),
        phase=phase_of(fault),
        since_unix=since.timestamp() if since else None,
        left_seconds=(until - now).total_seconds() if until and is_live(fault) else None,
        proven=is_proven(fault),
    )


def row_of_node(lost: Lost, now: datetime) -> Row:
    """Build the row of a lost node."""
    return Row(
        namespace="",
        name=lost["id"],
        kind=lost["kind"],
        detail="",
        target=f"node {lost['node']}",
        pods=(),
        phase=HEALED if lost["over"] else ACTIVE if lost["state"] else PENDING,
        since_unix=lost["injected_unix_ns"] / 1e9,
        left_seconds=None if lost["over"] else lost["due_unix_ns"] / 1e9 - now.timestamp(),
        proven=lost["proven"],
    )


def kind_of(fault: Fault) -> str:
    """Return which of KINDS it is; 'fault' if it is none of them."""
    return next((name for name in KINDS if name in fault["spec"]), "fault")


def phase_of(fault: Fault) -> str:
    """Return its phase; Pending while its status is empty, Healing while its object is being deleted."""
    phase = str((fault.get("status") or {}).get("phase", PENDING))
    return HEALING if "deletionTimestamp" in fault["metadata"] and phase not in FAULT_OVER else phase


def is_live(fault: Fault) -> bool:
    """Return whether it may still hold something."""
    return phase_of(fault) not in FAULT_OVER


def entries(fault: Fault) -> Sequence[Entry]:
    """Return an entry for each pod that carries a part of the fault."""
    return (fault.get("status") or {}).get("targets") or []


def target_entries(fault: Fault) -> list[Entry]:
    """Return the entries of its targets."""
    return [entry for entry in entries(fault) if entry.get("end", "target") == "target"]


def peer_entries(fault: Fault) -> list[Entry]:
    """Return the entries of the far ends of a partition: they drop packets too."""
    return [entry for entry in entries(fault) if entry.get("end", "target") != "target"]


def is_entry_proven(entry: Entry, fault: Fault) -> bool:
    """Return whether the evidence shows the fault live on a pod: packets of a partition may drop at either end."""
    return bool(entry.get("proven")) or any(other.get("proven") for other in peer_entries(fault))


def is_proven(fault: Fault) -> bool:
    """Return whether the evidence shows it for every pod that was hit."""
    targets = target_entries(fault)
    return bool(targets) and all(is_entry_proven(entry, fault) for entry in targets)


def unanswered(fault: Fault) -> list[Entry]:
    """Return the entries whose end no agent has reported."""
    return [entry for entry in entries(fault) if entry.get("state") not in TARGET_ENDED]


def ends_by_itself(fault: Fault) -> datetime | None:
    """Return when everything has ended even without agents; None if it was not resolved."""
    until = moment((fault.get("status") or {}).get("until"))
    return until + timedelta(seconds=GRACE_SECONDS) if until else None


def target_words(target: Mapping[str, Any]) -> str:
    """Describe a spec.target: 'primary of pg', 'node caplab-worker'."""
    of = f" of {target['name']}" if "name" in target else ""
    if "role" in target:
        count = target.get("count", 1)
        return f"{target['role'] if count == 1 else f'{count} of role ' + target['role']}{of}"
    for place in ("zone", "node"):
        if place in target:
            return f"{place} {target[place]}{of}"
    return f"{', '.join(target.get('members', ()))}{of}"


def moment(stamp: str | None) -> datetime | None:
    """Parse an RFC 3339 time; None if there is none, or it cannot be read."""
    try:
        stamp_time = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return stamp_time if stamp_time.tzinfo else stamp_time.replace(tzinfo=UTC)


def _detail(fault: Fault) -> str:
    partition = fault["spec"].get("partition")
    if not partition:
        return ""
    direction = partition.get("direction", "both")
    dns = ", with DNS" if partition.get("dns") == "Cut" else ""
    return f"from {partition.get('from')}{'' if direction == 'both' else f', {direction}'}{dns}"
