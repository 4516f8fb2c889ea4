"""A PostgresCluster's status: a pure function of the spec, of the observation, and of the round's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..conditions import ConditionState, Status, condition, phase, rollout_field
from ..failovers import explained, faults, primary_gap
from . import durability, health, settings
from .observe import ObservedPostgres
from .settings import Gap
from .spec import PostgresSpec


@dataclass(frozen=True, slots=True)
class RoundResult:
    """Result of a round, for the status: what was done, and found out beside the observation."""

    gaps: Mapping[str, Gap] = field(default_factory=dict)  # deviations from the spec's settings, by member
    logins: Mapping[str, str] = field(default_factory=dict)  # why a client can't log in, '' where it can, by member
    rollout: str = ""  # progress of a rolling restart or of a change of size
    causes: Mapping[str, str] = field(default_factory=dict)  # why a member may have ceased to be primary


def build(
    spec: PostgresSpec,
    observed: ObservedPostgres,
    before: Mapping[str, Any],
    now: str,
    active_faults: Mapping[str, str],
    done: RoundResult,
) -> Status:
    """Build the status to write; before is the status so far, now an RFC 3339 time.

    active_faults names by member the fault that it is or was under, which is the cause of a failover from it.
    """
    primary, members = health.primary_of(observed), health.members(observed)
    in_force, durable = durability.assess(spec, observed, primary)
    applied = settings.applied(spec, observed, done.gaps)
    ready = _ready(spec, observed, durable, applied, done)
    named = (("Ready", ready), ("DurabilityApplied", durable), ("SettingsApplied", applied))
    status: Status = {
        "observedGeneration": spec.generation,
        "phase": phase(ready[0] == "True", primary, before),
        "readyMembers": sum(member["ready"] for member in members),
        "members": members,
        "conditions": [condition(name, what, spec.generation, before, now) for name, what in named],
        **rollout_field(done.rollout),
    }
    if primary:
        status["primary"] = primary
        if "timeline" in observed.answers[primary]:
            status["epoch"] = observed.answers[primary]["timeline"]
    if in_force:
        status["durability"] = in_force
    if gap := primary_gap(primary, before, now):
        status["primaryGap"] = gap
    if failover := _last_failover(observed.history):
        causes = {**done.causes, **faults(active_faults)}
        status["lastFailover"] = explained(failover, before.get("lastFailover") or {}, gap, causes)
    return status


def _ready(
    spec: PostgresSpec, observed: ObservedPostgres, durable: ConditionState, applied: ConditionState, done: RoundResult
) -> ConditionState:
    if problem := health.trouble(spec, observed) or health.locked_out(observed, done.logins):
        return "False", *problem
    if durable[0] != "True":
        return "False", "DurabilityNotApplied", durable[2]
    if applied[0] != "True":
        return "False", "SettingsNotApplied", "not all of the spec's settings are in force"
    if done.rollout:
        return "False", "MembersChange", done.rollout
    return "True", "AllReady", f"{len(observed.pods)} of {spec.replicas} members ready"


def _last_failover(history: Sequence[Sequence[Any]]) -> Status | None:
    """Return the last failover from Patroni's history of ended timelines: [timeline, lsn, reason, time, new leader]."""
    rows = [row for row in history if len(row) >= 5 and row[4]]
    if not rows:
        return None
    failover: Status = {"at": str(rows[-1][3]), "to": str(rows[-1][4])}
    if len(rows) > 1:
        failover["from"] = str(rows[-2][4])
    return failover
