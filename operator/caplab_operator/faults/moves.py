"""How a fault stands, and what the operator does next about it: pure, from the object as last heard of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Held while a member may still be under the fault: it goes when every target has ended.
FINALIZER = "caplab.dev/heal"
ENDED = frozenset({"Healed", "Failed"})
_OWN = ("uid", "pod", "node", "zone")  # of an entry of status.targets; the rest is the agent's


@dataclass(frozen=True, slots=True)
class Resolve:
    """Choose the members, and write them down for the agents."""


@dataclass(frozen=True, slots=True)
class Say:
    """Write this status."""

    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """Take the finalizer away: nobody is under this fault any more."""


Move = Resolve | Say | Release | None


def decide(body: Mapping[str, Any], lost_nodes: Collection[str] = ()) -> Move:
    """The next move for a Fault; None: nothing to do until something changes.

    A target on one of lost_nodes has ended: there is no agent to say so, and nothing left to heal.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    going, held = "deletionTimestamp" in metadata, FINALIZER in (metadata.get("finalizers") or ())
    targets = status.get("targets") or []
    if "phase" not in status:
        if going:
            return Release() if held else None
        return Resolve()
    phase = phase_of(targets, going, lost_nodes) if targets else status["phase"]
    if phase != status["phase"]:
        return Say({**_kept(status, targets), "phase": phase})
    if held and (phase in ENDED or not targets):
        return Release()
    return None


def unanswered(body: Mapping[str, Any]) -> list[str]:
    """The nodes of targets that have not ended, of a fault that is being deleted: are they still there?"""
    if "deletionTimestamp" not in body["metadata"]:
        return []
    targets = (body.get("status") or {}).get("targets") or []
    return [str(target["node"]) for target in targets if target.get("state") not in ENDED]


def phase_of(targets: Sequence[Mapping[str, Any]], going: bool, lost_nodes: Collection[str]) -> str:
    """Pending, Active, Healing, Healed or Failed, from what the agents wrote."""
    states = [
        "Healed" if target.get("node") in lost_nodes and target.get("state") not in ENDED else target.get("state")
        for target in targets
    ]
    if all(state in ENDED for state in states):
        return "Failed" if "Failed" in states else "Healed"
    if going or "Healed" in states:
        return "Healing"
    return "Active" if all(states) else "Pending"


def resolved(targets: Sequence[Mapping[str, Any]], until: str) -> dict[str, Any]:
    """The status that sets the agents to work."""
    return {"phase": "Pending", "until": until, "targets": list(targets)}


def refused(why: str) -> dict[str, Any]:
    """The status of a fault that hits nobody."""
    return {"phase": "Failed", "message": why}


def _kept(status: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The operator's own fields as they are: whoever applies a status names all that is his."""
    own = {name: status[name] for name in ("until", "message") if name in status}
    return {**own, "targets": [{name: target[name] for name in _OWN if name in target} for target in targets]}
