"""A RedisCluster's status: a pure function of the spec, of what was seen, and of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..conditions import Said, Status, condition, phase, rollout_field, settings_applied
from ..failovers import explained, faults, primary_gap
from . import health, mending
from .configuration import persistence_of
from .observe import Seen
from .spec import RedisSpec


@dataclass(frozen=True, slots=True)
class Done:
    """What the operator did."""

    refusals: Mapping[str, str] = field(default_factory=dict)  # of settings, in Redis' own words, by pod
    rollout: str = ""  # what a rolling restart or a change of size is at
    handed_over: str | None = None  # the last member whom it had hand over


def build(
    spec: RedisSpec,
    seen: Seen,
    primary: str | None,
    before: Mapping[str, Any],
    now: str,
    hit: Mapping[str, str],
    done: Done,
) -> Status:
    """The status to be written; before is the status so far, now an RFC 3339 time.

    hit names the fault that a member is or was under: what a failover from it is put down to.
    """
    amiss, applied = health.trouble(spec, seen, primary), _settings_applied(spec, seen, done)
    members, sentinels = health.members(seen, primary), health.sentinels(spec, seen, primary)
    ready = ("False", *amiss) if amiss else ("True", "AllReady", f"{len(members)} members, {len(sentinels)} Sentinels")
    if not amiss and applied[0] != "True":
        ready = ("False", "SettingsNotApplied", "not all of the spec's settings are in force")
    conditions = before.get("conditions") or []
    status: Status = {
        "observedGeneration": spec.generation,
        "phase": phase(ready[0] == "True", primary, before),
        "readyMembers": sum(row["ready"] for row in members),
        "readySentinels": sum(row["ready"] for row in sentinels),
        "members": members,
        "sentinels": sentinels,
        "conditions": [
            condition("Ready", ready, spec.generation, conditions, now),
            condition("SettingsApplied", applied, spec.generation, conditions, now),
        ],
        **rollout_field(done.rollout),
    }
    if primary:
        status |= {"primary": primary, "epoch": seen.said[primary].replication_id}
    if kinds := {persistence_of(member.settings) for member in seen.said.values()}:
        status["persistence"] = kinds.pop() if len(kinds) == 1 else "other"
    gap = primary_gap(primary, before, now)
    if gap:
        status["primaryGap"] = gap
    if failover := _last_failover(primary, before, gap, now, hit, done):
        status["lastFailover"] = failover
    return status


def _settings_applied(spec: RedisSpec, seen: Seen, done: Done) -> Said:
    silence = "" if seen.said or seen.told else "neither a member nor a Sentinel answers"
    drifts = {**mending.members_drift(spec, seen), **mending.sentinels_drift(spec, seen)}
    return settings_applied(done.refusals, silence, drifts)


def _last_failover(
    primary: str | None,
    before: Mapping[str, Any],
    gap: Mapping[str, Any] | None,
    now: str,
    hit: Mapping[str, str],
    done: Done,
) -> Status | None:
    """Redis keeps no history: a failover is that the primary is another than before."""
    known: Status | None = before.get("lastFailover")
    ended = gap if gap and gap.get("until") == now else None  # an earlier gap is another failover's
    old = before.get("primary") or (ended or {}).get("member")
    if primary is None or old is None or primary == old:
        return known
    causes = faults(hit)
    if done.handed_over:
        causes[done.handed_over] = "handed over by the operator"
    found = explained({"at": now, "from": old, "to": primary}, known or {}, ended, causes)
    return {"seconds": 0.0, **found}
