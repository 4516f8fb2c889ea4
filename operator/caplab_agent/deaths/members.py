"""The members of this node whose death is to be decided at once, as their pods say: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import container_id_of
from caplab.contract.names import DECIDED_ANNOTATION, ENGINE_LABEL, FAST_PATH_LABEL, HOLD_ANNOTATION

from ..faults import is_uid

Body = Mapping[str, Any]
_LONGEST_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member's container; hold_seconds: for how long at most the next one waits."""

    namespace: str
    pod: str
    pod_uid: str
    container_id: str
    hold_seconds: int

    @property
    def hold(self) -> str:
        """The name of its hold of the start gate."""
        return f"death-{self.container_id[:12]}"


def to_watch(pods: Iterable[Body]) -> list[Member]:
    """Return the running members whose death is decided at once: which of them leads, only the operator knows."""
    return [member for pod in pods if (member := _member(pod))]


def decided(pods: Iterable[Body]) -> set[tuple[str, str]]:
    """Return of which containers' death it is decided who leads: the pod's uid and the container's id."""
    return _noted(pods, DECIDED_ANNOTATION)


def held_longer(pods: Iterable[Body]) -> set[tuple[str, str]]:
    """Return after which containers' death the next one waits for longer: the pod's uid and the container's id."""
    return _noted(pods, HOLD_ANNOTATION)


def _noted(pods: Iterable[Body], annotation: str) -> set[tuple[str, str]]:
    notes = ((meta.uid_of(pod), meta.annotations_of(pod).get(annotation, "")) for pod in pods)
    return {(uid, container) for uid, container in notes if container}


def _member(pod: Body) -> Member | None:
    labels = meta.labels_of(pod)
    seconds, container = labels.get(FAST_PATH_LABEL, ""), container_id_of(pod, labels.get(ENGINE_LABEL, ""))
    if not container or not is_uid(meta.uid_of(pod)) or not (seconds.isascii() and seconds.isdigit()):
        return None
    return Member(
        namespace=meta.namespace_of(pod),
        pod=meta.name_of(pod),
        pod_uid=meta.uid_of(pod),
        container_id=container,
        hold_seconds=min(int(seconds), _LONGEST_SECONDS),
    )
