"""What is said of the spec's settings: what differs and where, what was refused, what waits for a restart: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..conditions import Said
from ..parameters import not_taken
from . import durability, mending
from .configuration import live
from .observe import Seen
from .spec import RedisSpec


def applied(
    spec: RedisSpec,
    seen: Seen,
    refusals: Mapping[str, str],
    users: Mapping[str, Sequence[str]],
    outdated: Sequence[str],
) -> Said:
    """Whether all are in force.

    refusals are in Redis' own words, by pod; users are those that somebody changed, by pod; outdated are the members
    whose pods are not of the spec as it is.
    """
    refused = [
        *(f"parameter {name}: {why}" for name, why in sorted(not_taken(spec.ENGINE, spec.parameters).items())),
        *(f"{name}: {text}" for name, text in sorted(refusals.items())),
    ]
    differing = [
        *_differing(spec, seen),
        *(f"{name}: users {', '.join(names)}" for name, names in sorted(users.items())),
    ]
    waiting = _waiting(spec, seen, outdated)
    silent = [*durability.silent_members(spec, seen), *_silent_sentinels(spec, seen)]
    said = (
        ("False", "Refused", "refused: ", refused),
        ("False", "NotYet", "not the spec's: ", differing),
        ("False", "WaitsForRestart", "waits for a restart: ", waiting),
        ("Unknown", "NoAnswer", "no answer: ", [", ".join(silent)] if silent else []),
    )
    if texts := [f"{lead}{'; '.join(parts)}" for _, _, lead, parts in said if parts]:
        status, reason = next((status, reason) for status, reason, _, parts in said if parts)
        return status, reason, ". ".join(texts)
    return "True", "Observed", "every member and every Sentinel has the spec's settings"


def _differing(spec: RedisSpec, seen: Seen) -> list[str]:
    """What can be set while they run."""
    found = {name: member.settings for name, member in seen.said.items()}
    found |= {name: {**one.settings, **one.periods} for name, one in seen.told.items()}
    drifts = {
        **{name: live(changes) for name, changes in mending.members_drift(spec, seen).items()},
        **mending.sentinels_drift(spec, seen),
    }
    return [f"{name}: {_told(changes, found[name])}" for name, changes in sorted(drifts.items()) if changes]


def _told(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} is {found.get(name) or 'empty'}, not {value or 'empty'}" for name, value in wanted.items()
    )


def _waiting(spec: RedisSpec, seen: Seen, outdated: Sequence[str]) -> list[str]:
    drifts = mending.members_drift(spec, seen)
    waiting = []
    for name in sorted({*drifts, *outdated}):
        changes = drifts.get(name, {})
        names = sorted(changes.keys() - live(changes).keys())
        if names or name in outdated:
            waiting.append(f"{name} ({', '.join(names)})" if names else name)
    return waiting


def _silent_sentinels(spec: RedisSpec, seen: Seen) -> list[str]:
    """Sentinels that are there and do not answer; one that is not there has no settings."""
    return sorted({pod.name for pod in seen.place.sentinels} - seen.told.keys())
