"""The condition SettingsApplied: what differs and where, what was refused, and what waits for a restart. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..conditions import ConditionState
from ..parameters import not_taken
from . import durability, settings_drift
from .configuration import live
from .observe import ObservedRedis
from .spec import RedisSpec


def applied(
    spec: RedisSpec,
    observed: ObservedRedis,
    refusals: Mapping[str, str],
    users: Mapping[str, Sequence[str]],
    outdated: Sequence[str],
) -> ConditionState:
    """Build the condition SettingsApplied.

    refusals are in Redis' own words, by pod; users are those that somebody changed, by pod; outdated are the members
    whose pods are not from the current spec.
    """
    refused = [
        *(f"parameter {name}: {why}" for name, why in sorted(not_taken(spec.ENGINE.name, spec.parameters).items())),
        *(f"{name}: {text}" for name, text in sorted(refusals.items())),
    ]
    differing = [
        *_differing(spec, observed),
        *(f"{name}: users {', '.join(names)}" for name, names in sorted(users.items())),
    ]
    waiting = _waiting(spec, observed, outdated)
    silent = [*durability.silent_members(spec, observed), *_silent_sentinels(spec, observed)]
    findings = (
        ("False", "Refused", "refused: ", refused),
        ("False", "NotYet", "different from the spec: ", differing),
        ("False", "WaitsForRestart", "waits for a restart: ", waiting),
        ("Unknown", "NoAnswer", "no answer: ", [", ".join(silent)] if silent else []),
    )
    if texts := [f"{lead}{'; '.join(parts)}" for _, _, lead, parts in findings if parts]:
        status, reason = next((status, reason) for status, reason, _, parts in findings if parts)
        return status, reason, ". ".join(texts)
    return "True", "Observed", "every member and every Sentinel has the spec's settings"


def _differing(spec: RedisSpec, observed: ObservedRedis) -> list[str]:
    """Describe the differing settings that can be changed while members run."""
    actual = {name: member.settings for name, member in observed.members.items()}
    actual |= {name: {**sentinel.settings, **sentinel.periods} for name, sentinel in observed.sentinels.items()}
    drifts = {
        **{name: live(changes) for name, changes in settings_drift.members_drift(spec, observed).items()},
        **settings_drift.sentinels_drift(spec, observed),
    }
    return [f"{name}: {_described(changes, actual[name])}" for name, changes in sorted(drifts.items()) if changes]


def _described(wanted: Mapping[str, str], actual: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} is {actual.get(name) or 'empty'}, not {value or 'empty'}" for name, value in wanted.items()
    )


def _waiting(spec: RedisSpec, observed: ObservedRedis, outdated: Sequence[str]) -> list[str]:
    drifts = settings_drift.members_drift(spec, observed)
    waiting = []
    for name in sorted({*drifts, *outdated}):
        changes = drifts.get(name, {})
        names = sorted(changes.keys() - live(changes).keys())
        if names or name in outdated:
            waiting.append(f"{name} ({', '.join(names)})" if names else name)
    return waiting


def _silent_sentinels(spec: RedisSpec, observed: ObservedRedis) -> list[str]:
    """Return the existing Sentinels that do not answer; a missing one has no settings."""
    return sorted({pod.name for pod in observed.place.sentinels} - observed.sentinels.keys())
