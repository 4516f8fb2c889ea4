"""A fault's lifecycle: its phase, and what the operator does next about it. Pure, from the object as last seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from caplab.contract.bounds import MESSAGE_CHARACTERS
from caplab.contract.objects import Fault, FaultStatus, TargetStatus
from caplab.contract.phases import ACTIVE, FAILED, FAULT_OVER, GONE, HEALED, HEALING, PENDING, TARGET_ENDED

Entries = Sequence[TargetStatus]


@dataclass(frozen=True, slots=True)
class ResolveTargets:
    """Choose the targets, and write them into the status for the agents."""


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Write this status."""

    status: FaultStatus


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Remove the finalizer: no pod is under this fault any more."""


Action = ResolveTargets | UpdateStatus | RemoveFinalizer | None


def decide(fault: Fault, now: datetime, lost_nodes: Collection[str] = ()) -> Action:
    """Return the next action for a Fault; None if there is nothing to do until something changes.

    A target on one of lost_nodes has ended: it has no agent to report that, and nothing is left to heal.
    """
    status, going = fault.status_or_empty, fault.metadata.is_being_deleted
    if status.phase is None:
        if going:
            return RemoveFinalizer() if fault.has_finalizer else None
        return ResolveTargets()
    phase = status.phase
    if fault.targets:
        over = going or time_left(status, now) <= timedelta(0)
        phase = phase_of(fault.targets, over, going, lost_nodes, phase)
    if phase != status.phase:
        return UpdateStatus(with_entries(status, fault.targets, phase=phase))
    if fault.has_finalizer and (phase in FAULT_OVER or not fault.targets):
        return RemoveFinalizer()
    return None


def time_left(status: FaultStatus, now: datetime) -> timedelta:
    """Return the time until a resolved fault ends at the latest; zero if its end can't be read."""
    try:
        return datetime.fromisoformat(status.until or "") - now
    except (TypeError, ValueError):
        return timedelta(0)


def unhealed_nodes(fault: Fault) -> list[str]:
    """Return the nodes of targets that have not ended, of a fault that is being deleted: they may be gone."""
    if not fault.metadata.is_being_deleted:
        return []
    return [str(target.node) for target in fault.targets if not target.has_ended]


def phase_of(targets: Entries, over: bool, going: bool, lost_nodes: Collection[str], before: str) -> str:
    """Derive the phase (Pending, Active, Healing, Healed, Failed) from what the agents wrote.

    over: nothing more is to be injected. before: the phase so far. A fault whose pods are all gone goes on until it is
    over: it waits for the pods that replace them.
    """
    states = [HEALED if target.node in lost_nodes and not target.has_ended else target.state for target in targets]
    if all(state in TARGET_ENDED for state in states) and (over or not _awaits_replacement(targets)):
        return FAILED if FAILED in states else HEALED
    if going or HEALED in states:
        return HEALING
    # A replacement under a fault that is live does not make it Pending again.
    return ACTIVE if before == ACTIVE or all(states) else PENDING


def _awaits_replacement(targets: Entries) -> bool:
    replaced = {target.replaces for target in targets}
    return any(target.state == GONE and target.uid not in replaced for target in targets)


def resolved(targets: Entries, until: str) -> FaultStatus:
    """Build the status that starts the agents' work."""
    return FaultStatus(phase=PENDING, until=until, targets=tuple(targets))


def refused(why: str) -> FaultStatus:
    """Build the status of a fault that hits nothing."""
    return FaultStatus(phase=FAILED, message=why[:MESSAGE_CHARACTERS])


def with_entries(status: FaultStatus, entries: Iterable[TargetStatus], **changes: str) -> FaultStatus:
    """Build the operator's part of a status with these entries and changes: an apply names all fields that it owns."""
    return replace(status, targets=tuple(entry.operator_part() for entry in entries), **changes)
