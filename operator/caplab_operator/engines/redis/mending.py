"""What has to be done to members and Sentinels so that they do what the spec says: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..pods import Pod, ordinal
from . import health
from .configuration import MASTER, PERIODS, directives, drift, live, sentinel_periods, sentinel_settings
from .observe import Seen
from .primary import FAILING_OVER, named_by
from .spec import RedisSpec
from .users import Command, changed

Changes = Mapping[str, str]


def members_drift(spec: RedisSpec, seen: Seen) -> dict[str, Changes]:
    """Settings that differ from the spec's, by member; of those that answered."""
    return {
        name: changes
        for name, member in seen.said.items()
        if (changes := drift(directives(spec, leaving=ordinal(name) >= spec.replicas), member.settings))
    }


def sentinels_drift(spec: RedisSpec, seen: Seen) -> dict[str, Changes]:
    """Settings that differ from the spec's, by Sentinel; of those that answered."""
    wanted = {**sentinel_settings(spec), **sentinel_periods(spec)}
    found = {name: {**sentinel.settings, **sentinel.periods} for name, sentinel in seen.told.items()}
    return {name: changes for name, settings in found.items() if (changes := _differing(wanted, settings))}


def _differing(wanted: Changes, found: Changes) -> Changes:
    return {name: value for name, value in wanted.items() if found.get(name) != value}


def member_commands(changes: Changes) -> list[Command]:
    """One each: a value that Redis refuses holds up no other."""
    return [("CONFIG", "SET", name, value) for name, value in live(changes).items()]


def sentinel_commands(changes: Changes) -> list[Command]:
    """One each."""
    return [
        ("SENTINEL", "DEBUG", name, value) if name in PERIODS else ("SENTINEL", "SET", MASTER, name, value)
        for name, value in changes.items()
    ]


def users_drift(seen: Seen, known: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Users that somebody changed, by member or Sentinel; known is what they were set to, by run id.

    A process that is not in known has the users of its own start script, or nobody has looked yet: no drift.
    """
    return {
        name: names
        for name, one in seen.access.items()
        if one.run_id in known and (names := changed(known[one.run_id], one.users))
    }


def to_reset(spec: RedisSpec, seen: Seen, primary: str | None) -> Pod | None:
    """A Sentinel that has to forget replicas or Sentinels that are no more; None: none, or not now.

    Until it has heard of everybody again it can't decide with the others, so: one at a time, and only
    while all is well otherwise.
    """
    rows = health.members(seen, primary)
    if primary is None or len(rows) != spec.replicas or not all(row["ready"] for row in rows):
        return None
    pods = {pod.name: pod for pod in seen.place.sentinels if not pod.leaving}
    if len(pods) != spec.sentinels or pods.keys() != seen.told.keys():
        return None
    if any(FAILING_OVER in one.flags or named_by(seen, one) != primary for one in seen.told.values()):
        return None
    counts = {name: health.beyond(spec, one) for name, one in seen.told.items()}
    if any(min(count) < 0 for count in counts.values()):
        return None
    return next((pods[name] for name, count in sorted(counts.items()) if max(count) > 0), None)
