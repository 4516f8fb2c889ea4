"""A Fault as the kind tests make it and ask it."""

from __future__ import annotations

from typing import Any

from kind_lab import Lab


def fault(
    namespace: str,
    name: str = "f",
    seconds: int | None = 8,
    role: str = "primary",
    kind: str = "PostgresCluster",
    cluster: str = "pg",
    count: int = 1,
    seed: int = 0,
    **kill: Any,
) -> dict[str, Any]:
    target = {"kind": kind, "name": cluster, "role": role, "count": count}
    spec: dict[str, Any] = {"target": target, "kill": kill, "seed": seed}
    if seconds is not None:
        spec["durationSeconds"] = seconds
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "caplab.dev/v1alpha1", "kind": "Fault", "metadata": metadata, "spec": spec}


def fault_status(lab: Lab, namespace: str, name: str = "f") -> dict[str, Any]:
    found: dict[str, Any] = lab.get("fault", "-n", namespace, name).get("status", {})
    return found


def phase_is(lab: Lab, namespace: str, *phases: str, name: str = "f") -> bool:
    return fault_status(lab, namespace, name).get("phase") in phases
