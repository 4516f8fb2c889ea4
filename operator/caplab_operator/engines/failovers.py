"""The time without a primary as the operator's rounds saw it, and the cause of a failover."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .conditions import Status


def primary_gap(primary: str | None, before: Mapping[str, Any], now: str) -> Status | None:
    """Return the last time without a primary: since, until, and the primary before it."""
    gap: Status | None = before.get("primaryGap")
    if primary is None and (lost := before.get("primary")):
        return {"member": lost, "since": now}
    if primary is not None and gap and "until" not in gap:
        return {**gap, "until": now}
    return gap


def explained(
    failover: Mapping[str, Any], previous: Mapping[str, Any], gap: Mapping[str, Any] | None, causes: Mapping[str, str]
) -> Status:
    """Add to a failover its cause, and how long there was no primary; once set they stay.

    previous is the failover in the status so far; causes say by member what happened to it.
    """
    # The first failover may be reported without the first primary: then it is the primary before the gap.
    old = str(failover.get("from") or (gap or {}).get("member") or "")
    result: Status = {**failover, "cause": causes.get(old, "not a fault of the lab")}
    if old:
        result["from"] = old
    if gap and "until" in gap and gap["member"] == old:
        seconds = datetime.fromisoformat(gap["until"]) - datetime.fromisoformat(gap["since"])
        result["seconds"] = seconds.total_seconds()
    if (previous.get("at"), previous.get("to")) == (failover["at"], failover["to"]):
        result |= {name: previous[name] for name in ("from", "cause", "seconds") if name in previous}
    return result


def faults(active_faults: Mapping[str, str]) -> dict[str, str]:
    """Return as causes, by member, the fault that it is or was under."""
    return {member: f"fault {name}" for member, name in active_faults.items()}
