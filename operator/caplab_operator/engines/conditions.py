"""Conditions and phase: the parts of a status that are the same for all engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from caplab.contract import meta
from caplab.contract.bounds import MESSAGE_CHARACTERS, ROLLOUT_CHARACTERS
from caplab.contract.phases import CREATING, DEGRADED, DOWN, READY

Status = dict[str, Any]
ConditionState = tuple[str, str, str]  # status, reason, message


def condition(name: str, state: ConditionState, generation: int, before: Mapping[str, Any], now: str) -> Status:
    """Build a condition, which keeps its time while its status stays; before is the cluster's status so far."""
    status, reason, message = state
    old = meta.conditions_of(before).get(name, {})
    since = old["lastTransitionTime"] if old.get("status") == status else now
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message[:MESSAGE_CHARACTERS],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def settings_applied(refusals: Mapping[str, str], silence: str, drifts: Mapping[str, Iterable[str]]) -> ConditionState:
    """Build the condition SettingsApplied from refusals in the engine's own words, and from drifts by member.

    silence: the message if no member reports its settings; '' if one does.
    """
    if refusals:
        return "False", "Refused", "; ".join(f"{name}: {text}" for name, text in sorted(refusals.items()))
    if silence:
        return "Unknown", "NoAnswer", silence
    if drifts:
        differing = "; ".join(f"{name}: {', '.join(sorted(changes))}" for name, changes in sorted(drifts.items()))
        return "False", "NotYet", f"different from the spec: {differing}"
    return "True", "Observed", "all members that answer have the spec's settings"


def rollout_field(what: str) -> Status:
    """Return the status field with the progress of the members' change; none if nothing changes."""
    return {"rollout": what[:ROLLOUT_CHARACTERS]} if what else {}


def phase(ready: bool, primary: str | None, before: Mapping[str, Any]) -> str:
    """Return the phase: Creating until first Ready; then Ready, Degraded (there is a primary) or Down."""
    if ready:
        return READY
    if never_ready(before):
        return CREATING
    return DEGRADED if primary else DOWN


def never_ready(status: Mapping[str, Any]) -> bool:
    """Whether a cluster with that status has never been Ready."""
    return status.get("phase") in (None, CREATING)
