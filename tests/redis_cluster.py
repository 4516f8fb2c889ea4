"""A RedisCluster as the kind tests make it, ask it and wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kind_lab import Lab, await_that

READY_SECONDS = 90.0
KIND = "RedisCluster"


def redis(namespace: str, name: str = "rd", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "caplab.dev/v1alpha1",
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def status(lab: Lab, namespace: str, name: str = "rd") -> dict[str, Any]:
    found: dict[str, Any] = lab.get("rediscluster", "-n", namespace, name).get("status", {})
    return found


def ask(lab: Lab, namespace: str, pod: str, *command: str) -> list[str]:
    """What a member, or a Sentinel, answers its operator; one element a line."""
    answer = lab.inside(namespace, pod, "lab-redis-cli", *command)
    assert answer.ok, answer.err
    return answer.out.splitlines()


def watched(lab: Lab, namespace: str, sentinel: str) -> dict[str, str]:
    """What a Sentinel says of the primary and of how it watches it."""
    said = ask(lab, namespace, sentinel, "sentinel", "master", "caplab")
    return dict(zip(said[::2], said[1::2], strict=True))


def setting(lab: Lab, namespace: str, pod: str, name: str) -> str:
    found = ask(lab, namespace, pod, "config", "get", name)
    return found[1] if len(found) > 1 else ""


def await_status(lab: Lab, namespace: str, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    await_that(what, lambda: holds(status(lab, namespace)), READY_SECONDS)
    return status(lab, namespace)


def is_ready(members: int, sentinels: int = 3) -> Callable[[dict[str, Any]], bool]:
    return lambda found: (
        found.get("phase") == "Ready"
        and (found.get("readyMembers"), found.get("readySentinels")) == (members, sentinels)
    )


def await_ready(lab: Lab, namespace: str, members: int = 3, sentinels: int = 3) -> dict[str, Any]:
    """Ready by the latest spec."""
    generation = lab.get("rediscluster", "-n", namespace, "rd")["metadata"]["generation"]
    return await_status(
        lab,
        namespace,
        f"{members} members and {sentinels} Sentinels Ready",
        lambda found: (
            is_ready(members, sentinels)(found)
            and found.get("observedGeneration") == generation
            and "rollout" not in found
        ),
    )
