"""The next step of a rolling restart or of a change of size. Pure.

Members are restarted one by one, replicas first. A primary that must restart or be removed hands over first.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..pods import Pod, ordinal
from ..rolling import Deployed, Resize, Restart, Wait, deployed_from, last_of, wanted_replicas
from . import health
from .observe import ObservedRedis
from .primary import FAILING_OVER, named_by, pod_named
from .spec import RedisSpec

__all__ = [
    "Deployed",
    "Resize",
    "Restart",
    "Step",
    "Switchover",
    "Wait",
    "deployed_from",
    "next_step",
    "wanted_replicas",
]


@dataclass(frozen=True, slots=True)
class Switchover:
    """Have this Sentinel make another member primary."""

    sentinel: Pod
    why: str


Step = Restart | Switchover | Resize | Wait


def next_step(spec: RedisSpec, observed: ObservedRedis, primary: str | None, deployed: Deployed) -> Step | None:
    """Return the next step; None if nothing has to change."""
    if not deployed.is_current:
        return Wait("the members' StatefulSet does not match the spec yet")
    if deployed.replicas != spec.replicas:
        return _resize(spec, observed, primary, deployed)
    return _restart(spec, observed, primary, outdated(observed, deployed))


def outdated(observed: ObservedRedis, deployed: Deployed) -> list[Pod]:
    """Return members whose pods were made from an earlier spec; none until the StatefulSet is of the current one."""
    return [pod for pod in observed.place.members if pod.revision != deployed.revision] if deployed.is_current else []


def _restart(spec: RedisSpec, observed: ObservedRedis, primary: str | None, due: list[Pod]) -> Step | None:
    if not due:
        return None
    why = f"{len(due)} of {spec.replicas} members to restart"
    # Restarting one that does not even run costs nothing, and the others may be waiting for it.
    if stuck := [pod for pod in due if not pod.ready and not pod.terminating]:
        return Restart(last_of(stuck), why)
    if problem := health.trouble(spec, observed, primary):
        return Wait(f"{why}: {problem[1]}")
    if replicas := [pod for pod in due if pod.name != primary]:
        return Restart(last_of(replicas), why)
    if spec.replicas == 1:
        return Restart(due[0], why)
    return Switchover(observed.place.sentinels[0], f"{why}: the primary hands over")


def _resize(spec: RedisSpec, observed: ObservedRedis, primary: str | None, deployed: Deployed) -> Step:
    why = f"from {deployed.replicas} members to {spec.replicas}"
    if wanted_replicas(spec, primary, deployed.replicas) == spec.replicas:
        return Resize(spec.replicas, why)
    if primary is None:
        return Wait(f"{why}: there is no primary")
    # A Sentinel's choice can only be restricted: members to be removed have priority 0 (settings_drift.py).
    going = {pod.name for pod in observed.place.members if ordinal(pod.name) >= spec.replicas} - {primary}
    for pod in observed.place.sentinels:
        if _would_spare(observed, pod, primary, going):
            return Switchover(pod, f"{why}: the primary hands over")
    return Wait(f"{why}: no Sentinel knows yet which members must not become primary")


def _would_spare(observed: ObservedRedis, pod: Pod, primary: str, going: set[str]) -> bool:
    """Whether a Sentinel would choose a member that stays."""
    sentinel = observed.sentinels.get(pod.name)
    if sentinel is None or FAILING_OVER in sentinel.flags or named_by(observed, sentinel) != primary:
        return False
    barred = {pod_named(observed.place.members, replica.host) for replica in sentinel.replicas if replica.priority == 0}
    return going <= barred
