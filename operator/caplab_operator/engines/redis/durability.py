"""Durability: what each member would recover at a restart, by its own settings and its own report. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..conditions import ConditionState
from .configuration import directives, persistence_settings
from .observe import Member, ObservedRedis
from .spec import RedisSpec

UNKNOWN, OTHER = "unknown", "other"
_ACKNOWLEDGED = ("min-replicas-to-write", "min-replicas-max-lag")


def persistence(spec: RedisSpec, observed: ObservedRedis) -> str:
    """Return the persistence of all members: other if they differ or mix settings, unknown while one is silent."""
    if silent_members(spec, observed):
        return UNKNOWN
    kinds = {persistence_of(member) for member in observed.members.values()}
    return kinds.pop() if len(kinds) == 1 else OTHER


def persistence_of(member: Member) -> str:
    """Return the persistence that a member's settings amount to, if its append-only file is complete."""
    for name, settings in persistence_settings().items():
        if all(member.settings.get(directive) == value for directive, value in settings.items()):
            return OTHER if member.append_only_trouble and name != "none" else name
    return OTHER


def silent_members(spec: RedisSpec, observed: ObservedRedis) -> list[str]:
    """Return the members, existing or missing, that do not report their settings."""
    there = {pod.name for pod in observed.place.members} | {f"{spec.name}-{number}" for number in range(spec.replicas)}
    return sorted(there - {name for name, member in observed.members.items() if member.settings})


def applied(spec: RedisSpec, observed: ObservedRedis) -> ConditionState:
    """Build the condition DurabilityApplied: whether every member keeps what the spec promises, else what differs."""
    wrong = [
        f"{name}: {'; '.join(lacks)}"
        for name, member in sorted(observed.members.items())
        if (lacks := _lacks(spec, member))
    ]
    silent = silent_members(spec, observed)
    unknown = f"what {', '.join(silent)} keeps is unknown: no answer"
    if wrong:
        return "False", "NotInForce", "; ".join([*wrong, *([unknown] if silent else [])])
    if silent:
        return "Unknown", "NoAnswer", unknown
    return "True", "Observed", f"every member's own settings amount to {spec.persistence}{_floor(spec)}"


def _floor(spec: RedisSpec) -> str:
    wanted = spec.min_replicas_to_write
    return f", and a primary with fewer than {wanted} connected replicas refuses writes" if wanted else ""


def _lacks(spec: RedisSpec, member: Member) -> Sequence[str]:
    if not member.settings:
        return ()
    wanted = {**persistence_settings()[spec.persistence], **{name: directives(spec)[name] for name in _ACKNOWLEDGED}}
    lacks = [
        f"{name} is {member.settings.get(name, '') or 'empty'}, not {value or 'empty'}"
        for name, value in wanted.items()
        if member.settings.get(name) != value
    ]
    if not lacks and spec.persistence != "none" and member.append_only_trouble:
        return (f"its append-only file may not restore all data: {member.append_only_trouble}",)
    return lacks
