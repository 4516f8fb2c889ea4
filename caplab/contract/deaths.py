"""The proven death of a member: a condition of its pod, which its node's agent sets and the operator acts on.

The proof is that the cgroup of one container is empty: no process of it is left that could acknowledge anything. It
names that container, so that it says nothing of the one that the kubelet starts next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import meta
from .names import FENCE_ANNOTATION, PREFIX

Body = Mapping[str, Any]

CONDITION = f"{PREFIX}Died"
CONTAINER_ID = re.compile(r"containerd://([0-9a-f]{64})")
_FENCE = re.compile(r"([0-9a-f]{64}) (\d{1,19})")
_PROOF = re.compile(r"([0-9a-f]{64}) (\d{1,19}) (held|free)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """container_id: whose cgroup is empty. unix_ns: since when at the latest, by the clock of its node.

    held: the next container of the pod waits at its start gate until it is decided who leads.
    """

    container_id: str
    unix_ns: int
    held: bool

    def to_condition(self) -> dict[str, str]:
        """Return the condition of the pod's status."""
        moment = datetime.fromtimestamp(self.unix_ns / 1e9, UTC)
        return {
            "type": CONDITION,
            "status": "True",
            "reason": "CgroupEmpty",
            "message": f"{self.container_id} {self.unix_ns} {'held' if self.held else 'free'}",
            "lastTransitionTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        }

    @classmethod
    def of(cls, pod: Body) -> Death | None:
        """Return the last proven death of a pod's member; None if there is none, or it can't be read."""
        condition = meta.conditions_of(pod.get("status") or {}).get(CONDITION) or {}
        proof = _PROOF.fullmatch(str(condition.get("message", "")))
        if condition.get("status") != "True" or not proof:
            return None
        return cls(container_id=proof[1], unix_ns=int(proof[2]), held=proof[3] == "held")


@dataclass(frozen=True, slots=True)
class Fence:
    """What the operator asks a node's agent for: that this container of a pod ends. unix_ns: when it asked."""

    container_id: str
    unix_ns: int

    def to_annotation(self) -> dict[str, str]:
        """Return the annotation of the pod."""
        return {FENCE_ANNOTATION: f"{self.container_id} {self.unix_ns}"}

    @classmethod
    def of(cls, pod: Body) -> Fence | None:
        """Return the last fence that a pod's member was asked for; None if there is none, or it can't be read."""
        asked = _FENCE.fullmatch(str(meta.annotations_of(pod).get(FENCE_ANNOTATION, "")))
        return cls(asked[1], int(asked[2])) if asked else None


def container_id_of(pod: Body, container: str) -> str:
    """Return the id of a pod's container as its status has it, '' if none has started."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    found = next((str(status.get("containerID")) for status in statuses if status.get("name") == container), "")
    match = CONTAINER_ID.fullmatch(found)
    return match[1] if match else ""
