"""A RedisCluster's status: a pure function of the spec, of the observation, and of the round's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..conditions import ConditionState, Status, condition, phase, rollout_field
from ..failovers import explained, faults, primary_gap
from . import durability, health, settings
from .observe import ObservedRedis
from .spec import RedisSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """Result of a round, for the status."""

    refusals: Mapping[str, str] = field(default_factory=dict)  # of settings, in Redis' own words, by pod
    rollout: str = ""  # progress of a rolling restart or of a change of size
    handed_over: str | None = None  # the last member that the operator had hand over
    users: Mapping[str, Sequence[str]] = field(default_factory=dict)  # those that somebody had changed, by pod
    outdated: Sequence[str] = ()  # members whose pods are from an earlier spec


def build(
    spec: RedisSpec,
    observed: ObservedRedis,
    primary: str | None,
    before: Mapping[str, Any],
    now: str,
    active_faults: Mapping[str, str],
    done: RoundResult,
) -> Status:
    """Build the status to write; before is the status so far, now an RFC 3339 time.

    active_faults names by member the fault that it is or was under, which is the cause of a failover from it.
    """
    durable = durability.applied(spec, observed)
    applied = settings.applied(spec, observed, done.refusals, done.users, done.outdated)
    members, sentinels = health.members(observed, primary), health.sentinels(spec, observed, primary)
    all_well = f"{len(members)} members, {len(sentinels)} Sentinels, clients can log in to each"
    ready = _ready(health.trouble(spec, observed, primary), durable, applied, all_well)
    status: Status = {
        "observedGeneration": spec.generation,
        "phase": phase(ready[0] == "True", primary, before),
        "readyMembers": sum(row["ready"] for row in members),
        "readySentinels": sum(row["ready"] for row in sentinels),
        "members": members,
        "sentinels": sentinels,
        "conditions": [
            condition("Ready", ready, spec.generation, before, now),
            condition("DurabilityApplied", durable, spec.generation, before, now),
            condition("SettingsApplied", applied, spec.generation, before, now),
        ],
        "persistence": durability.persistence(spec, observed),
        **rollout_field(done.rollout),
    }
    if primary:
        status |= {"primary": primary, "epoch": observed.members[primary].replication_id}
    handed_over = {done.handed_over: "handed over by the operator"} if done.handed_over else {}
    gap = primary_gap(primary, before, now)
    if gap:
        status["primaryGap"] = gap
    if failover := _last_failover(
        primary, before, gap, now, {**faults(active_faults), **_ended(observed, before), **handed_over}
    ):
        status["lastFailover"] = failover
    return status


def _ready(
    problem: tuple[str, str] | None, durable: ConditionState, applied: ConditionState, all_well: str
) -> ConditionState:
    if problem:
        return "False", *problem
    if durable[0] != "True":
        return "False", "DurabilityNotApplied", durable[2]
    if applied[0] != "True":
        return "False", "SettingsNotApplied", applied[2]
    return "True", "AllReady", all_well


def _ended(observed: ObservedRedis, before: Mapping[str, Any]) -> dict[str, str]:
    """Return members whose pods are or were being deleted, as causes: a primary among them handed over first."""
    ended = {pod.name for pod in observed.place.members if pod.terminating}
    ended |= {row["name"] for row in before.get("members") or [] if row.get("state") == "leaving"}
    return dict.fromkeys(ended, "its pod was deleted")


def _last_failover(
    primary: str | None,
    before: Mapping[str, Any],
    gap: Mapping[str, Any] | None,
    now: str,
    causes: Mapping[str, str],
) -> Status | None:
    """Return the last failover: Redis keeps no history, so it is the last change of the primary."""
    previous: Status | None = before.get("lastFailover")
    ended = gap if gap and gap.get("until") == now else None  # an earlier gap is another failover's
    old = before.get("primary") or (ended or {}).get("member")
    if primary is None or old is None or primary == old:
        return previous
    failover = explained({"at": now, "from": old, "to": primary}, previous or {}, ended, causes)
    return {"seconds": 0.0, **failover}
