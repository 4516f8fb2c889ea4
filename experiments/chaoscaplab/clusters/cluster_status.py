"""The state of a cluster of any engine, by its object and by the answers of its members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from caplab.contract import meta
from caplab.contract.names import CLUSTER_LABEL, FAST_PATH_LABEL, MEMBER, PART_LABEL
from caplab.contract.phases import READY
from caplab.kube.client import Body
from caplab.model.fields import Json

from ..server import Server

Answer = TypeVar("Answer")


def selector(cluster: str) -> str:
    """Return the label selector of a cluster's members: of no other pods that belong to it."""
    return f"{CLUSTER_LABEL}={cluster},{PART_LABEL}={MEMBER}"


def not_ready(body: Body) -> str:
    """Return how a cluster falls short of Ready, by its own status; '' if it does not: pure."""
    status, spec = body.get("status") or {}, body["spec"]
    if status.get("observedGeneration") != meta.generation_of(body):
        return "the operator has not seen its latest spec"
    if status.get("phase") != READY or status.get("readyMembers") != spec["replicas"]:
        ready = meta.conditions_of(status).get("Ready", {})
        return f"it is {status.get('phase', 'new')}: {ready.get('message', 'no reason is known yet')}"
    return ""


def differing(requested: Mapping[str, Json], in_force: Mapping[str, Json]) -> list[str]:
    """Return a sentence for each setting that is not in force as requested: pure."""
    return [
        f"{name} is {in_force.get(name)!r}, not {value!r}"
        for name, value in requested.items()
        if in_force.get(name) != value
    ]


def agreed(answers: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """Merge answers: the value that all give for a name, or if they differ, the value of each by pod. Pure."""
    settings: dict[str, Json] = {}
    for name in sorted({name for answer in answers.values() for name in answer}):
        values = {pod: answer.get(name) for pod, answer in answers.items()}
        first, *others = values.values()
        settings[name] = first if all(other == first for other in others) else values
    return settings


def replicas(body: Body) -> list[str]:
    """Return all members except the primary: pure."""
    status = body["status"]
    return [member["name"] for member in status["members"] if member["name"] != status.get("primary")]


def fast_path(server: Server, namespace: str, cluster: str) -> dict[str, Json]:
    """Return whether each member's death is decided at once, and for how long its next container waits for that."""
    holds = {meta.labels_of(pod).get(FAST_PATH_LABEL, "") for pod in server.pods(namespace, selector(cluster))}
    seconds = holds.pop() if len(holds) == 1 else ""
    return {"fastPath": True, "startHoldSeconds": int(seconds)} if seconds.isdecimal() else {"fastPath": False}


def ask_each(pods: Sequence[str], ask: Callable[[str], Answer]) -> dict[str, Answer]:
    """Ask all pods at once. Returns each pod's answer."""
    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        return dict(zip(pods, pool.map(ask, pods), strict=True))
