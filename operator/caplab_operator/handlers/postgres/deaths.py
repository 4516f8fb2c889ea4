"""What a primary's proven death leads to: its lock is released, and another member takes it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import Death
from caplab.contract.names import CLUSTER_LABEL
from caplab.kube.errors import ApiError, Refused

from ...api import Api
from ...engines.postgres import manifests, observe
from ...engines.postgres.failover import release
from ..pods import members_beside

_TRIES = 3  # a patch fails if anything about the lock has changed since it was read
_ASK_SECONDS = 0.5  # for a silent member; the others answer within milliseconds
_MOVED_SECONDS, _LOOK_SECONDS = 2.0, 0.02

Body = Mapping[str, Any]


def decide(api: Api, pod: Body, death: Death, pods: Sequence[Body]) -> str:
    """Release the lock of a dead primary, and wait until another member has it. Returns what came of it.

    pods: of all clusters' members, as they were listed last.
    """
    namespace, cluster = meta.namespace_of(pod), meta.labels_of(pod)[CLUSTER_LABEL]
    scope = manifests.scope(cluster)
    others: list[str] | None = None
    for _ in range(_TRIES):
        lock = api.get("v1", "Endpoints", namespace, scope) or {"metadata": {}}
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
        return f"its lock was released; {_await_leader(api, namespace, scope)}"
    return f"its lock could not be released: {reason}"


def _living_others(api: Api, pod: Body, pods: Sequence[Body]) -> list[str]:
    return observe.listening(
        [member for member in members_beside(api, pod, pods) if member.name != meta.name_of(pod)], _ASK_SECONDS
    )


def _await_leader(api: Api, namespace: str, scope: str) -> str:
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _MOVED_SECONDS:
        lock = api.get("v1", "Endpoints", namespace, scope)
        if lock and (leader := meta.annotations_of(lock).get(release.LEADER)):
            return f"{leader} took it {waited:.3f} s later"
        time.sleep(_LOOK_SECONDS)
    return f"nobody took it for {_MOVED_SECONDS:g} s"
