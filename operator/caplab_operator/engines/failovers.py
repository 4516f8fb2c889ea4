"""The time without a primary as the operator's rounds saw it, and what a failover is put down to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .conditions import Status


def primary_gap(primary: str | None, before: Mapping[str, Any], now: str) -> Status | None:
    """The last time without a primary: since, until, and who was primary before."""
    gap: Status | None = before.get("primaryGap")
    if primary is None and (lost := before.get("primary")):
        return {"member": lost, "since": now}
    if primary is not None and gap and "until" not in gap:
        return {**gap, "until": now}
    return gap


def explained(
    failover: Mapping[str, Any], previous: Mapping[str, Any], gap: Mapping[str, Any] | None, causes: Mapping[str, str]
) -> Status:
    """The failover with its cause, and for how long there was no primary; once found they stay.

    previous is the failover in the status so far; causes tell what happened to a member.
    """
    # Who tells of the first failover may not know the first primary: then it is who was there before the gap.
    old = str(failover.get("from") or (gap or {}).get("member") or "")
    result: Status = {**failover, "cause": causes.get(old, "no fault of the lab")}
    if old:
        result["from"] = old
    if gap and "until" in gap and gap["member"] == old:
        seconds = datetime.fromisoformat(gap["until"]) - datetime.fromisoformat(gap["since"])
        result["seconds"] = seconds.total_seconds()
    if (previous.get("at"), previous.get("to")) == (failover["at"], failover["to"]):
        result |= {name: previous[name] for name in ("from", "cause", "seconds") if name in previous}
    return result


def faults(active_faults: Mapping[str, str]) -> dict[str, str]:
    """Causes: of each member the fault that it is or was under, by its name."""
    return {member: f"fault {name}" for member, name in active_faults.items()}
