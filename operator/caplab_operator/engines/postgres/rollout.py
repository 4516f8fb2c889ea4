"""The next step of a rolling restart or of a change of size. Pure.

Members are restarted one by one, replicas first, each streaming again before the next; then there is one switchover.
A primary that is removed when the cluster shrinks first hands over to a member that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..pods import Pod, ordinal
from ..rolling import Deployed, Resize, Restart, Wait, last_of, wanted_replicas
from . import health
from .observe import ObservedPostgres
from .patroni import parameters
from .settings import Gap
from .spec import PostgresSpec

# A standby can't have less of these than its primary: it would not start (Postgres' manual, 26.4.3).
_NO_LESS_THAN_THE_PRIMARY = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)


@dataclass(frozen=True, slots=True)
class RestartPostgres:
    """Have Patroni restart just this member's Postgres."""

    pod: Pod
    why: str


@dataclass(frozen=True, slots=True)
class Switchover:
    """Have Patroni make this replica the primary."""

    primary: Pod
    candidate: str
    why: str


Step = Restart | RestartPostgres | Switchover | Resize | Wait


def next_step(
    spec: PostgresSpec, observed: ObservedPostgres, deployed: Deployed, gaps: Mapping[str, Gap]
) -> Step | None:
    """Return the next step; None if nothing has to change. gaps are each member's deviations from the spec."""
    if not deployed.is_current:
        return Wait("the members' StatefulSet does not match the spec yet")
    if deployed.replicas != spec.replicas:
        return _resize(spec, observed, deployed)
    outdated = [pod for pod in observed.pods if pod.revision != deployed.revision]
    waiting = [pod for pod in observed.pods if pod.name in gaps and gaps[pod.name].waits and pod not in outdated]
    return _renew(spec, observed, outdated, waiting, gaps) if outdated or waiting else None


def _renew(
    spec: PostgresSpec,
    observed: ObservedPostgres,
    outdated: Sequence[Pod],
    waiting: Sequence[Pod],
    gaps: Mapping[str, Gap],
) -> Step:
    """Restart pods of an earlier template, and members with settings that take effect only at their next start."""
    why = f"{len(outdated) + len(waiting)} of {spec.replicas} members to restart"
    primary = health.primary_of(observed)
    # Restarting one that does not even run costs nothing, and the others may be waiting for it.
    if stuck := [pod for pod in outdated if not pod.ready and not pod.terminating and pod.name != primary]:
        return Restart(last_of(stuck), why)
    if problem := health.trouble(spec, observed):
        return Wait(f"{why}: {problem[1]}")
    if replicas := [pod for pod in outdated if pod.name != primary]:
        return Restart(last_of(replicas), why)
    lowered = _lowered(spec, observed, primary)
    # A replica with a value that the primary must lower first is restarted after it.
    if replicas := [pod for pod in waiting if pod.name != primary and not lowered >= gaps[pod.name].waits.keys()]:
        return RestartPostgres(last_of(replicas), why)
    return _renew_primary(spec, observed, outdated, waiting, lowered, why)


def _renew_primary(
    spec: PostgresSpec,
    observed: ObservedPostgres,
    outdated: Sequence[Pod],
    waiting: Sequence[Pod],
    lowered: set[str],
    why: str,
) -> Step:
    """Restart the primary, or have it hand over: the replicas are as far as they can be."""
    primary = health.primary_of(observed)
    if spec.replicas == 1 and outdated:
        return Restart(outdated[0], why)
    if not outdated and (spec.replicas == 1 or lowered):
        # A new primary would have the old values too, for as long as this one has them.
        if former := [pod for pod in waiting if pod.name == primary]:
            return RestartPostgres(former[0], why)
        return Wait(f"{why}: replicas can't have lower values than the primary: {', '.join(sorted(lowered))}")
    return _switchover(spec, observed, range(spec.replicas), why)


def _lowered(spec: PostgresSpec, observed: ObservedPostgres, primary: str | None) -> set[str]:
    """Return parameters that the spec lowers below the primary's value, so that no standby may have it yet."""
    reading, wanted = observed.readings.get(primary or ""), parameters(spec)
    if reading is None:
        return set()
    return {
        name
        for name in _NO_LESS_THAN_THE_PRIMARY
        if name in wanted and name in reading.settings and _whole(reading.settings[name].value) > _whole(wanted[name])
    }


def _whole(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0


def _switchover(spec: PostgresSpec, observed: ObservedPostgres, ordinals: Iterable[int], why: str) -> Step:
    """Hand over to the replica of these ordinals with the least lag, among those that lose nothing."""
    among = set(ordinals)
    lags = {name: lag for name, lag in health.standbys(spec, observed).items() if ordinal(name) in among}
    primary = next((pod for pod in observed.pods if pod.name == health.primary_of(observed)), None)
    if primary is None or not lags:
        return Wait(f"{why}: no replica can take over")
    return Switchover(primary, min(sorted(lags), key=lambda name: lags[name]), f"{why}: the primary hands over")


def _resize(spec: PostgresSpec, observed: ObservedPostgres, deployed: Deployed) -> Step:
    why, primary = f"from {deployed.replicas} members to {spec.replicas}", health.primary_of(observed)
    if wanted_replicas(spec, primary, deployed.replicas) == spec.replicas:
        return Resize(spec.replicas, why)
    if primary is None:
        return Wait(f"{why}: there is no primary")
    if deployed.replicas > ordinal(primary) + 1:
        return Resize(ordinal(primary) + 1, why)
    stays = _switchover(spec, observed, range(spec.replicas), why)
    # If only a member that is removed too can take over, it is primary in between: another becomes its standby then.
    return stays if isinstance(stays, Switchover) else _switchover(spec, observed, range(deployed.replicas), why)
