"""How a cluster stands, whatever its engine: by its object, and by what its members say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from caplab.model.fields import Json

from ..server import Body

Answer = TypeVar("Answer")


def selector(cluster: str) -> str:
    """The pods of a cluster's members, and of nothing else that belongs to it."""
    return f"caplab.dev/cluster={cluster},caplab.dev/part=member"


def not_ready(body: Body) -> str:
    """How a cluster falls short of Ready by its own status; '' where it does not: pure."""
    status, spec = body.get("status") or {}, body["spec"]
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return "the operator has not seen its latest spec"
    if status.get("phase") != "Ready" or status.get("readyMembers") != spec["replicas"]:
        conditions = {condition["type"]: condition["message"] for condition in status.get("conditions", [])}
        return f"it is {status.get('phase', 'new')}: {conditions.get('Ready', 'nothing is known yet')}"
    return ""


def differing(requested: Mapping[str, Json], in_force: Mapping[str, Json]) -> list[str]:
    """A sentence for each setting that is not in force as it was asked for: pure."""
    return [
        f"{name} is {in_force.get(name)!r} and not {value!r}"
        for name, value in requested.items()
        if in_force.get(name) != value
    ]


def agreed(answers: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """What all say; of what they do not agree on, what each of them says: pure."""
    settings: dict[str, Json] = {}
    for name in sorted({name for answer in answers.values() for name in answer}):
        values = {pod: answer.get(name) for pod, answer in answers.items()}
        first, *others = values.values()
        settings[name] = first if all(other == first for other in others) else values
    return settings


def replicas(body: Body) -> list[str]:
    """All members but the primary: pure."""
    status = body["status"]
    return [member["name"] for member in status["members"] if member["name"] != status.get("primary")]


def ask_each(pods: Sequence[str], ask: Callable[[str], Answer]) -> dict[str, Answer]:
    """What each pod answers, all asked at once."""
    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        return dict(zip(pods, pool.map(ask, pods), strict=True))
