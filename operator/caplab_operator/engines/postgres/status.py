"""A PostgresCluster's status: a pure function of the spec and of what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..conditions import Status, condition, phase
from ..failovers import explained, faults, primary_gap
from .observe import Seen
from .patroni import durability_of
from .spec import PostgresSpec

_STREAMING = ("running", "streaming")
_STANDBY_ROLE = {"quorum": "quorum_standby", "sync": "sync_standby"}  # in Patroni's topology


def build(
    spec: PostgresSpec, seen: Seen, before: Mapping[str, Any], now: str, hit: Mapping[str, str] | None = None
) -> Status:
    """The status to be written; before is the status so far, now an RFC 3339 time.

    hit names the fault that a member is or was under: what a failover from it is put down to.
    """
    members = _members(seen)
    ready = sum(member["ready"] for member in members)
    primary = _primary(seen)
    status: Status = {
        "observedGeneration": spec.generation,
        "phase": phase(_is_ready(spec, seen, members, primary), primary, before),
        "readyMembers": ready,
        "members": members,
        "conditions": _conditions(spec, seen, members, primary, before.get("conditions") or [], now),
    }
    if primary:
        status["primary"] = primary
        status["epoch"] = seen.answers[primary]["timeline"]
    if seen.config is not None:
        status["durability"] = durability_of(seen.config)
    if gap := primary_gap(primary, before, now):
        status["primaryGap"] = gap
    if failover := _last_failover(seen.history):
        status["lastFailover"] = explained(failover, before.get("lastFailover") or {}, gap, faults(hit or {}))
    return status


def _primary(seen: Seen) -> str | None:
    """The holder of the leader object, if it says itself that it is a running primary."""
    answer = seen.answers.get(seen.leader or "")
    if answer and answer.get("role") in ("primary", "master") and answer.get("state") == "running":
        return seen.leader
    return None


def _members(seen: Seen) -> list[Status]:
    """Every member as it and the cluster's topology describe it."""
    told = {member["name"]: member for member in (seen.topology or {}).get("members", [])}
    members = []
    for pod in sorted(seen.pods, key=lambda pod: pod.name):
        answer, row = seen.answers.get(pod.name), told.get(pod.name, {})
        is_leader = _primary(seen) == pod.name
        state = str(row.get("state") or answer.get("state") or "unknown") if answer else "silent"
        member: Status = {
            "name": pod.name,
            "zone": pod.zone,
            "role": "primary" if is_leader else "replica",
            "state": state,
            "ready": is_leader or (answer is not None and state in _STREAMING),
        }
        if isinstance(row.get("lag"), int):
            member["lagBytes"] = row["lag"]
        members.append(member)
    return members


def _is_ready(spec: PostgresSpec, seen: Seen, members: Sequence[Status], primary: str | None) -> bool:
    complete = len(members) == spec.replicas and all(member["ready"] for member in members)
    return primary is not None and complete and _has_standby(spec, seen)


def _has_standby(spec: PostgresSpec, seen: Seen) -> bool:
    """Whether a standby counts for commits, where they need one: without it writes block, and nobody may take over."""
    role = _STANDBY_ROLE.get(spec.durability)
    return role is None or any(member.get("role") == role for member in (seen.topology or {}).get("members", []))


def _conditions(
    spec: PostgresSpec,
    seen: Seen,
    members: Sequence[Status],
    primary: str | None,
    before: Sequence[Mapping[str, Any]],
    now: str,
) -> list[Status]:
    waiting = [member["name"] for member in members if not member["ready"]]
    missing = spec.replicas - len(members)
    if primary is None:
        ready = ("False", "NoPrimary", "no member holds the leader lock and runs as primary")
    elif waiting or missing > 0:
        ready = ("False", "MembersNotReady", f"not ready: {', '.join(waiting) or f'{missing} not started'}")
    elif not _has_standby(spec, seen):
        ready = ("False", "NoSynchronousStandby", "no standby counts for commits yet: writes block")
    else:
        ready = ("True", "AllReady", f"{len(members)} of {spec.replicas} members ready")
    found = durability_of(seen.config) if seen.config is not None else "unknown"
    applied = ("True" if found == spec.durability else "False", "Observed", f"the running cluster is {found}")
    if seen.config is None:
        applied = ("Unknown", "NoAnswer", "no member answers")
    return [
        condition("Ready", ready, spec.generation, before, now),
        condition("DurabilityApplied", applied, spec.generation, before, now),
    ]


def _last_failover(history: Sequence[Sequence[Any]]) -> Status | None:
    """Patroni's history has a row a timeline that ended: [timeline, lsn, reason, time, new leader]."""
    rows = [row for row in history if len(row) >= 5 and row[4]]
    if not rows:
        return None
    failover: Status = {"at": str(rows[-1][3]), "to": str(rows[-1][4])}
    if len(rows) > 1:
        failover["from"] = str(rows[-2][4])
    return failover
