"""The contents of a Fault object, in words and figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from caplab.contract.objects import Fault, FaultSpec, FaultStatus, Metadata, Target, TargetStatus
from caplab.contract.phases import ACTIVE, FAULT_OVER, HEALED, HEALING, PENDING
from caplab.contract.records import BodyError

GRACE_SECONDS = 0.5  # past status.until, what an agent left behind ends by itself

UNREADABLE = "Unreadable"  # in place of a phase

Lost = Mapping[str, Any]  # a lost node, in the form of caplab_cluster.node_loss.store.NodeLoss.to_json


@dataclass(frozen=True, slots=True, kw_only=True)
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


def read_fault(body: Mapping[str, Any]) -> Fault:
    """Read a Fault object. One that cannot be read is shown with the reason, as a fault that no agent answers for."""
    try:
        return Fault.from_body(body)
    except BodyError as error:
        return Fault(
            metadata=Metadata.from_body(body["metadata"], "metadata"),
            spec=FaultSpec(target=Target()),
            status=FaultStatus(phase=UNREADABLE, message=str(error), targets=(TargetStatus(uid="unknown"),)),
        )


def row_of(fault: Fault, now: datetime) -> Row:
    """Build the row of a fault."""
    targets = target_entries(fault)
    injected = [entry.injected_at for entry in targets if entry.injected_at]
    began = map(moment, injected or [fault.metadata.creation_timestamp or ""])
    since = min((at for at in began if at), default=None)
    until = moment(fault.status_or_empty.until)
    return Row(
        namespace=fault.metadata.namespace or "",
        name=fault.metadata.name,
        kind=kind_of(fault),
        detail=_detail(fault),
        target=target_words(fault.spec.target),
        pods=tuple(entry.pod or entry.uid for entry in targets),
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
    """Return which of FAULT_KINDS it is; 'fault' if it is none of them."""
    return next(iter(fault.spec.kinds), "fault")


def phase_of(fault: Fault) -> str:
    """Return its phase; Pending while its status is empty, Healing while its object is being deleted."""
    phase = fault.status_or_empty.phase or PENDING
    return HEALING if fault.metadata.is_being_deleted and phase not in FAULT_OVER else phase


def is_live(fault: Fault) -> bool:
    """Return whether it may still hold something."""
    return phase_of(fault) not in FAULT_OVER


def target_entries(fault: Fault) -> list[TargetStatus]:
    """Return the entries of its targets."""
    return [entry for entry in fault.targets if entry.is_target]


def peer_entries(fault: Fault) -> list[TargetStatus]:
    """Return the entries of the far ends of a partition: they drop packets too."""
    return [entry for entry in fault.targets if not entry.is_target]


def is_entry_proven(entry: TargetStatus, fault: Fault) -> bool:
    """Return whether the evidence shows the fault live on a pod: packets of a partition may drop at either end."""
    return bool(entry.proven) or any(other.proven for other in peer_entries(fault))


def is_proven(fault: Fault) -> bool:
    """Return whether the evidence shows it for every pod that was hit."""
    targets = target_entries(fault)
    return bool(targets) and all(is_entry_proven(entry, fault) for entry in targets)


def unanswered(fault: Fault) -> list[TargetStatus]:
    """Return the entries whose end no agent has reported."""
    return [entry for entry in fault.targets if not entry.has_ended]


def ends_by_itself(fault: Fault) -> datetime | None:
    """Return when everything has ended even without agents; None if it was not resolved, or that cannot be told."""
    until = moment(fault.status_or_empty.until)
    try:
        return until.astimezone(UTC) + timedelta(seconds=GRACE_SECONDS) if until else None
    except OverflowError:  # at either end of the calendar
        return None


def target_words(target: Target) -> str:
    """Describe a spec.target: 'primary of pg', 'node caplab-worker'."""
    of = f" of {target.name}" if target.name else ""
    if target.role:
        count = target.count or 1
        return f"{target.role if count == 1 else f'{count} of role {target.role}'}{of}"
    for place in ("zone", "node"):
        if name := getattr(target, place):
            return f"{place} {name}{of}"
    return f"{', '.join(target.members or ())}{of}"


def moment(stamp: str | None) -> datetime | None:
    """Parse an RFC 3339 time; None if there is none, or it cannot be read."""
    try:
        stamp_time = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return stamp_time if stamp_time.tzinfo else stamp_time.replace(tzinfo=UTC)


def _detail(fault: Fault) -> str:
    partition = fault.spec.partition
    if not partition:
        return fault.status_or_empty.message or "" if phase_of(fault) == UNREADABLE else ""
    direction = "" if partition.direction == "both" else f", {partition.direction}"
    return f"from {partition.source}{direction}{', with DNS' if partition.dns == 'Cut' else ''}"
