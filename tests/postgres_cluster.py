"""A PostgresCluster as the kind tests make it, ask it and wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kind_lab import Lab, await_that

READY_SECONDS = 90.0


def postgres(namespace: str, name: str = "pg", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "caplab.dev/v1alpha1",
        "kind": "PostgresCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def status(lab: Lab, namespace: str, name: str = "pg") -> dict[str, Any]:
    found: dict[str, Any] = lab.get("postgrescluster", "-n", namespace, name).get("status", {})
    return found


def sql(lab: Lab, namespace: str, member: str, statement: str) -> str:
    answer = lab.inside(namespace, member, "psql", "-h", "/tmp", "-U", "postgres", "-d", "caplab", "-AtXc", statement)
    assert answer.ok, answer.err
    return answer.out.strip()


def await_status(lab: Lab, namespace: str, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    await_that(what, lambda: holds(status(lab, namespace)), READY_SECONDS)
    return status(lab, namespace)


def is_ready(members: int) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found.get("phase") == "Ready" and found.get("readyMembers") == members
