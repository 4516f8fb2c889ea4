"""A RedisCluster for the kind tests: create it, query it, wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.kind.cluster_object import ClusterObject, body
from support.kind.kind_lab import Lab

KIND = "RedisCluster"


def redis(namespace: str, name: str = "rd", **spec: Any) -> dict[str, Any]:
    return body(KIND, namespace, name, spec)


def status(lab: Lab, namespace: str, name: str = "rd") -> dict[str, Any]:
    return ClusterObject(lab=lab, kind=KIND, namespace=namespace, name=name).status()


def ask(lab: Lab, namespace: str, pod: str, *command: str) -> list[str]:
    """Ask a member or a Sentinel, as its operator user. Returns a line for each element."""
    answer = lab.inside(namespace, pod, "lab-redis-cli", *command)
    assert answer.ok, answer.err
    return answer.out.splitlines()


def watched(lab: Lab, namespace: str, sentinel: str) -> dict[str, str]:
    """Return what a Sentinel says about the primary and how it watches it."""
    words = ask(lab, namespace, sentinel, "sentinel", "master", "caplab")
    return dict(zip(words[::2], words[1::2], strict=True))


def setting(lab: Lab, namespace: str, pod: str, name: str) -> str:
    words = ask(lab, namespace, pod, "config", "get", name)
    return words[1] if len(words) > 1 else ""


def await_status(lab: Lab, namespace: str, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return ClusterObject(lab=lab, kind=KIND, namespace=namespace, name="rd").await_status(what, holds)


def await_ready(lab: Lab, namespace: str, members: int = 3, sentinels: int = 3) -> dict[str, Any]:
    """Wait until it is Ready by the latest spec."""
    ClusterObject(lab=lab, kind=KIND, namespace=namespace, name="rd").await_ready(members)
    return await_status(
        lab, namespace, f"{sentinels} Sentinels are ready", lambda status: status.get("readySentinels") == sentinels
    )
