"""A CassandraCluster's status: a pure function of the spec, of the observation, and of the round's result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..conditions import ConditionState, Status, condition, phase, rollout_field, settings_applied
from ..parameters import not_taken
from ..pods import ordinal
from . import durability, health, settings_drift
from .observe import ObservedCassandra
from .repairs import Repair
from .ring import Ring, RingMember
from .spec import CassandraSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """Result of a round, for the status: what was done, and what is under way."""

    refusals: Mapping[str, str] = field(default_factory=dict)  # of settings, in the members' own words, by name
    rollout: str = ""
    is_settled: bool = True  # nothing is under way that changes the members
    repair: Repair | None = None
    outdated: tuple[str, ...] = ()  # pods still to be replaced


def build(
    spec: CassandraSpec, observed: ObservedCassandra, ring: Ring, before: Mapping[str, Any], now: str, done: RoundResult
) -> Status:
    """Build the status to write; before is the status so far, now an RFC 3339 time."""
    applied = _settings_applied(spec, observed, done)
    durable = durability.applied(spec, observed)
    ready = _ready(spec, ring, durable, applied, done)
    rows = sorted((*ring.rows, *ring.absent), key=lambda row: ordinal(row.name))
    serving = next((row.name for row in ring.rows if row.member and row.member.native), None)
    status: Status = {
        "observedGeneration": spec.generation,
        "phase": phase(ready[0] == "True", serving, before),
        "readyMembers": sum(row.is_ready for row in ring.rows),
        "states": " ".join(row.state or "?" for row in rows),
        "members": [_member(ring, row) for row in rows],
        "conditions": [
            condition("Ready", ready, spec.generation, before, now),
            condition("DurabilityApplied", durable, spec.generation, before, now),
            condition("SettingsApplied", applied, spec.generation, before, now),
        ],
        **rollout_field(done.rollout),
    }
    if done.repair:
        status["repair"] = done.repair.as_status()
    return status


def _member(ring: Ring, row: RingMember) -> Status:
    member: Status = {
        "name": row.name,
        "zone": row.pod.zone,
        "state": row.state,
        "ready": row.is_ready,
        "hostId": row.host_id,
        "address": row.address,
        "seenUpBy": row.up_by,
        "seenDownBy": row.down_by,
    }
    shares = [view.owns[row.address] for view in ring.views.values() if row.address in view.owns]
    if shares:
        member["owns"] = round(100 * shares[0], 1)
    return member


def _ready(
    spec: CassandraSpec, ring: Ring, durable: ConditionState, applied: ConditionState, done: RoundResult
) -> ConditionState:
    if problem := health.trouble(spec, ring):
        return "False", *problem
    if durable[0] != "True":
        return "False", "DurabilityNotApplied", durable[2]
    if not done.is_settled:
        return "False", "MembersChange", done.rollout
    if applied[0] != "True":
        return "False", "SettingsNotApplied", applied[2]
    return "True", "AllReady", f"{len(ring.rows)} members, each seen up by all others"


def _settings_applied(spec: CassandraSpec, observed: ObservedCassandra, done: RoundResult) -> ConditionState:
    silence = "" if any(member.settings for member in observed.members.values()) else "no member reports its settings"
    forbidden = {f"parameter {name}": why for name, why in not_taken(spec.ENGINE.name, spec.parameters).items()}
    return settings_applied(
        {**forbidden, **done.refusals}, silence, settings_drift.not_applied(spec, observed, done.outdated)
    )
