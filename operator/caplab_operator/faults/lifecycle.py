"""A fault's lifecycle: its phase, and what the operator does next about it. Pure, from the object as last seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from caplab.contract.bounds import MESSAGE_CHARACTERS
from caplab.contract.names import FINALIZER
from caplab.contract.objects import OPERATOR_FIELDS
from caplab.contract.phases import ACTIVE, FAILED, FAULT_OVER, GONE, HEALED, HEALING, PENDING, TARGET_ENDED

Body = Mapping[str, Any]
Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ResolveTargets:
    """Choose the targets, and write them into the status for the agents."""


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Write this status."""

    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Remove the finalizer: no pod is under this fault any more."""


Action = ResolveTargets | UpdateStatus | RemoveFinalizer | None


def decide(body: Body, now: datetime, lost_nodes: Collection[str] = ()) -> Action:
    """Return the next action for a Fault; None if there is nothing to do until something changes.

    A target on one of lost_nodes has ended: it has no agent to report that, and nothing is left to heal.
    """
    status, going = body.get("status") or {}, is_being_deleted(body)
    held = has_finalizer(body)
    targets = status.get("targets") or []
    if "phase" not in status:
        if going:
            return RemoveFinalizer() if held else None
        return ResolveTargets()
    phase = status["phase"]
    if targets:
        phase = phase_of(targets, going or time_left(status, now) <= timedelta(0), going, lost_nodes, phase)
    if phase != status["phase"]:
        return UpdateStatus(with_entries(status, [operator_fields(target) for target in targets], phase=phase))
    if held and (phase in FAULT_OVER or not targets):
        return RemoveFinalizer()
    return None


def is_being_deleted(body: Body) -> bool:
    """Whether a Fault is being deleted."""
    return "deletionTimestamp" in body["metadata"]


def has_finalizer(body: Body) -> bool:
    """Whether a Fault still has the lab's finalizer."""
    return FINALIZER in (body["metadata"].get("finalizers") or ())


def time_left(status: Mapping[str, Any], now: datetime) -> timedelta:
    """Return the time until a resolved fault ends at the latest; zero if its end can't be read."""
    try:
        return datetime.fromisoformat(status["until"]) - now
    except (KeyError, TypeError, ValueError):
        return timedelta(0)


def unhealed_nodes(body: Body) -> list[str]:
    """Return the nodes of targets that have not ended, of a fault that is being deleted: they may be gone."""
    if not is_being_deleted(body):
        return []
    targets = (body.get("status") or {}).get("targets") or []
    return [str(target["node"]) for target in targets if target.get("state") not in TARGET_ENDED]


def phase_of(targets: Entries, over: bool, going: bool, lost_nodes: Collection[str], before: str) -> str:
    """Derive the phase (Pending, Active, Healing, Healed, Failed) from what the agents wrote.

    over: nothing more is to be injected. before: the phase so far. A fault whose pods are all gone goes on until it is
    over: it waits for the pods that replace them.
    """
    states = [
        HEALED if target.get("node") in lost_nodes and target.get("state") not in TARGET_ENDED else target.get("state")
        for target in targets
    ]
    if all(state in TARGET_ENDED for state in states) and (over or not _awaits_replacement(targets)):
        return FAILED if FAILED in states else HEALED
    if going or HEALED in states:
        return HEALING
    # A replacement under a fault that is live does not make it Pending again.
    return ACTIVE if before == ACTIVE or all(states) else PENDING


def _awaits_replacement(targets: Entries) -> bool:
    replaced = {target.get("replaces") for target in targets}
    return any(target.get("state") == GONE and target["uid"] not in replaced for target in targets)


def resolved(targets: Entries, until: str) -> dict[str, Any]:
    """Build the status that starts the agents' work."""
    return {"phase": PENDING, "until": until, "targets": list(targets)}


def refused(why: str) -> dict[str, Any]:
    """Build the status of a fault that hits nothing."""
    return {"phase": FAILED, "message": why[:MESSAGE_CHARACTERS]}


def operator_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operator's part of an entry of status.targets."""
    return {name: entry[name] for name in OPERATOR_FIELDS if name in entry}


def with_entries(status: Mapping[str, Any], entries: Entries, **changes: str) -> dict[str, Any]:
    """Build the operator's part of a status with these entries and changes: an apply names all fields that it owns."""
    kept = {name: status[name] for name in ("phase", "until", "message") if name in status}
    return {**kept, **changes, "targets": list(entries)}
