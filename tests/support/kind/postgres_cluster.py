"""A PostgresCluster for the kind tests: create it, query it, wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.kind.cluster_object import ClusterObject, body
from support.kind.kind_lab import Lab


def postgres(namespace: str, name: str = "pg", **spec: Any) -> dict[str, Any]:
    return body("PostgresCluster", namespace, name, spec)


def status(lab: Lab, namespace: str, name: str = "pg") -> dict[str, Any]:
    return ClusterObject(lab=lab, kind="PostgresCluster", namespace=namespace, name=name).status()


def sql(lab: Lab, namespace: str, member: str, statement: str) -> str:
    answer = lab.inside(namespace, member, "psql", "-h", "/tmp", "-U", "postgres", "-d", "caplab", "-AtXc", statement)
    assert answer.ok, answer.err
    return answer.out.strip()


def await_status(lab: Lab, namespace: str, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return ClusterObject(lab=lab, kind="PostgresCluster", namespace=namespace, name="pg").await_status(what, holds)


def is_ready(members: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: status.get("phase") == "Ready" and status.get("readyMembers") == members
