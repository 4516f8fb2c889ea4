"""Settings drift: the commands that bring members and Sentinels back to the spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..pods import Pod, ordinal
from . import health
from .configuration import MASTER, PERIODS, directives, drift, live, sentinel_periods, sentinel_settings
from .observe import ObservedRedis
from .primary import FAILING_OVER, named_by
from .spec import RedisSpec
from .users import Command, changed

Changes = Mapping[str, str]


def members_drift(spec: RedisSpec, observed: ObservedRedis) -> dict[str, Changes]:
    """Return the settings that differ from the spec's, by member, of the members that answered."""
    return {
        name: changes
        for name, member in observed.members.items()
        if (changes := drift(directives(spec, leaving=ordinal(name) >= spec.replicas), member.settings))
    }


def sentinels_drift(spec: RedisSpec, observed: ObservedRedis) -> dict[str, Changes]:
    """Return the settings that differ from the spec's, by Sentinel, of the Sentinels that answered."""
    wanted = {**sentinel_settings(spec), **sentinel_periods(spec)}
    settings_by_name = {
        name: {**sentinel.settings, **sentinel.periods} for name, sentinel in observed.sentinels.items()
    }
    return {name: changes for name, settings in settings_by_name.items() if (changes := _differing(wanted, settings))}


def _differing(wanted: Changes, actual: Changes) -> Changes:
    return {name: value for name, value in wanted.items() if actual.get(name) != value}


def member_commands(changes: Changes) -> list[Command]:
    """Build one command for each change: a value that Redis refuses does not block the others."""
    return [("CONFIG", "SET", name, value) for name, value in live(changes).items()]


def sentinel_commands(changes: Changes) -> list[Command]:
    """Build one command for each change."""
    return [
        ("SENTINEL", "DEBUG", name, value) if name in PERIODS else ("SENTINEL", "SET", MASTER, name, value)
        for name, value in changes.items()
    ]


def users_drift(observed: ObservedRedis, expected: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return users that somebody changed, by member or Sentinel; expected is what they were set to, by run id.

    A process that is not in expected has the users of its start script, or was not observed yet: no drift.
    """
    return {
        name: names
        for name, access in observed.access.items()
        if access.run_id in expected and (names := changed(expected[access.run_id], access.users))
    }


def to_reset(spec: RedisSpec, observed: ObservedRedis, primary: str | None) -> Pod | None:
    """Return a Sentinel that has to forget former replicas or Sentinels; None if there is none, or not now.

    Until it has discovered all others again it can't vote, so this is done to one at a time, and only
    while everything else is healthy.
    """
    rows = health.members(observed, primary)
    if primary is None or len(rows) != spec.replicas or not all(row["ready"] for row in rows):
        return None
    pods = {pod.name: pod for pod in observed.place.sentinels if not pod.terminating}
    if len(pods) != spec.sentinels or pods.keys() != observed.sentinels.keys():
        return None
    if any(
        FAILING_OVER in sentinel.flags or named_by(observed, sentinel) != primary
        for sentinel in observed.sentinels.values()
    ):
        return None
    counts = {name: health.beyond(spec, sentinel) for name, sentinel in observed.sentinels.items()}
    if any(min(count) < 0 for count in counts.values()):
        return None
    return next((pods[name] for name, count in sorted(counts.items()) if max(count) > 0), None)
