"""A PostgresCluster's status: a pure function of the spec, of what was seen, and of what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..conditions import Said, Status, condition, phase, rollout_field
from ..failovers import explained, faults, primary_gap
from . import durability, health, settings
from .observe import Seen
from .settings import Gap
from .spec import PostgresSpec


@dataclass(frozen=True, slots=True)
class Done:
    """What the operator did, and found out beside its look."""

    gaps: Mapping[str, Gap] = field(default_factory=dict)  # from the spec's settings, by member
    logins: Mapping[str, str] = field(default_factory=dict)  # why a client can't log in, '' where it can, by member
    rollout: str = ""  # what a rolling restart or a change of size is at
    causes: Mapping[str, str] = field(default_factory=dict)  # why a member may have ceased to be primary


def build(
    spec: PostgresSpec, seen: Seen, before: Mapping[str, Any], now: str, hit: Mapping[str, str], done: Done
) -> Status:
    """The status to be written; before is the status so far, now an RFC 3339 time.

    hit names the fault that a member is or was under: what a failover from it is put down to.
    """
    primary, members = health.primary_of(seen), health.members(seen)
    in_force, durable = durability.said(spec, seen, primary)
    applied = settings.said(spec, seen, done.gaps)
    ready = _ready(spec, seen, durable, applied, done)
    conditions = before.get("conditions") or []
    named = (("Ready", ready), ("DurabilityApplied", durable), ("SettingsApplied", applied))
    status: Status = {
        "observedGeneration": spec.generation,
        "phase": phase(ready[0] == "True", primary, before),
        "readyMembers": sum(member["ready"] for member in members),
        "members": members,
        "conditions": [condition(name, what, spec.generation, conditions, now) for name, what in named],
        **rollout_field(done.rollout),
    }
    if primary:
        status["primary"] = primary
        if "timeline" in seen.answers[primary]:
            status["epoch"] = seen.answers[primary]["timeline"]
    if in_force:
        status["durability"] = in_force
    if gap := primary_gap(primary, before, now):
        status["primaryGap"] = gap
    if failover := _last_failover(seen.history):
        causes = {**done.causes, **faults(hit)}
        status["lastFailover"] = explained(failover, before.get("lastFailover") or {}, gap, causes)
    return status


def _ready(spec: PostgresSpec, seen: Seen, durable: Said, applied: Said, done: Done) -> Said:
    if amiss := health.trouble(spec, seen) or health.locked_out(seen, done.logins):
        return "False", *amiss
    if durable[0] != "True":
        return "False", "DurabilityNotApplied", durable[2]
    if applied[0] != "True":
        return "False", "SettingsNotApplied", "not all of the spec's settings are in force"
    if done.rollout:
        return "False", "MembersChange", done.rollout
    return "True", "AllReady", f"{len(seen.pods)} of {spec.replicas} members ready"


def _last_failover(history: Sequence[Sequence[Any]]) -> Status | None:
    """Patroni's history has a row a timeline that ended: [timeline, lsn, reason, time, new leader]."""
    rows = [row for row in history if len(row) >= 5 and row[4]]
    if not rows:
        return None
    failover: Status = {"at": str(rows[-1][3]), "to": str(rows[-1][4])}
    if len(rows) > 1:
        failover["from"] = str(rows[-2][4])
    return failover
