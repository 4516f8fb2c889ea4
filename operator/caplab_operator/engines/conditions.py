"""Conditions and phase: what every cluster's status says in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Status = dict[str, Any]
Said = tuple[str, str, str]  # status, reason, message
_MESSAGE_CHARACTERS = 1000  # the kinds' schemas allow no more


def condition(name: str, said: Said, generation: int, before: Sequence[Mapping[str, Any]], now: str) -> Status:
    """A condition keeps its time while its status stays; before are the conditions so far."""
    status, reason, message = said
    old: Mapping[str, Any] = next((c for c in before if c["type"] == name), {})
    since = old["lastTransitionTime"] if old.get("status") == status else now
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message[:_MESSAGE_CHARACTERS],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def phase(ready: bool, primary: str | None, before: Mapping[str, Any]) -> str:
    """Creating until first Ready; then Ready, Degraded (a primary, and something amiss) or Down."""
    if ready:
        return "Ready"
    if never_ready(before):
        return "Creating"
    return "Degraded" if primary else "Down"


def never_ready(status: Mapping[str, Any]) -> bool:
    """Whether a cluster of that status has not been Ready yet."""
    return status.get("phase") in (None, "Creating")
