"""What a primary's proven death leads to: its lock is released, and another member takes it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import Death
from caplab.contract.names import CLUSTER_LABEL, HOLD_ANNOTATION
from caplab.kube.errors import ApiError, Refused

from ...api import Api
from ...engines.postgres import manifests, observe
from ...engines.postgres.failover import release
from ..pods import members_beside
from . import store

_TRIES = 3  # a patch fails if anything about the lock has changed since it was read
_ASK_SECONDS = 0.5  # for a silent member; the others answer within milliseconds
_MOVED_SECONDS, _LOOK_SECONDS = 2.0, 0.02
_NOTED_SECONDS, _NOTED_LOOK_SECONDS = 18.0, 0.1  # the agent holds a start gate for 20 s at most

Body = Mapping[str, Any]


def decide(api: Api, pod: Body, death: Death, pods: Sequence[Body]) -> str:
    """Release the lock of a dead primary, and wait until another member has it. Returns what came of it.

    pods: of all clusters' members, as they were listed last.
    """
    namespace, cluster = meta.namespace_of(pod), meta.labels_of(pod)[CLUSTER_LABEL]
    scope = manifests.scope(cluster)
    others: list[str] | None = None
    for _ in range(_TRIES):
        lock = store.read(api, namespace, cluster)
        if why := release.refusal(lock, pod, death):
            return f"its lock is not released: {why}"
        others = _living_others(api, pod, pods) if others is None else others
        if not others:  # the dead one may have writes that no other has: it starts again as the holder of its lock
            return "its lock is not released: no other member runs that could take it"
        try:
            api.patch("v1", "Endpoints", namespace, scope, release.patch(lock))
        except Refused as refused:
            reason: ApiError = refused
            continue
        timelines = _timelines(api, namespace, cluster)  # the new leader notes its own a second after it has the lock
        leader, outcome = _await_leader(api, namespace, cluster)
        if leader and _is_synchronous(api, namespace, cluster):
            api.annotate_pod(namespace, meta.name_of(pod), meta.uid_of(pod), {HOLD_ANNOTATION: death.container_id})
            outcome += f", {_await_timeline(api, namespace, cluster, timelines)}"
        return f"its lock was released; {outcome}"
    return f"its lock could not be released: {reason}"


def _living_others(api: Api, pod: Body, pods: Sequence[Body]) -> list[str]:
    return observe.listening(
        [member for member in members_beside(api, pod, pods) if member.name != meta.name_of(pod)], _ASK_SECONDS
    )


def _await_leader(api: Api, namespace: str, cluster: str) -> tuple[str, str]:
    """Return who has the lock, '' if nobody, and that in words."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _MOVED_SECONDS:
        lock = store.read(api, namespace, cluster)
        if leader := meta.annotations_of(lock).get(release.LEADER):
            return leader, f"{leader} took it {waited:.3f} s later"
        time.sleep(_LOOK_SECONDS)
    return "", f"nobody took it for {_MOVED_SECONDS:g} s"


def _is_synchronous(api: Api, namespace: str, cluster: str) -> bool:
    return bool(meta.annotations_of(store.read(api, namespace, cluster, store.SYNC)).get(release.LEADER))


def _timelines(api: Api, namespace: str, cluster: str) -> str:
    """Return the timelines that have ended, as Patroni notes them."""
    return meta.annotations_of(store.read(api, namespace, cluster, store.CONFIG)).get("history", "")


def _await_timeline(api: Api, namespace: str, cluster: str, before: str) -> str:
    """Wait until the new leader has noted its timeline: from then on the dead one can't lead again on its own.

    Until then it could, if the new leader died too: its crash recovery puts it ahead in the log, and Patroni compares
    places of different timelines.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _NOTED_SECONDS:
        if _timelines(api, namespace, cluster) != before:
            return f"and noted its timeline {waited:.3f} s after that"
        time.sleep(_NOTED_LOOK_SECONDS)
    return f"and has not noted its timeline for {_NOTED_SECONDS:g} s"
