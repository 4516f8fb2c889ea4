"""A Fault for the kind tests: create it, query it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caplab.contract.names import API_VERSION
from support.kind.kind_lab import Lab, wait_until


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
    """Make a kill of so many members, however few are left."""
    target = {"kind": kind, "name": cluster, "role": role, "count": count, "maxMembers": count}
    spec: dict[str, Any] = {"target": target, "kill": kill, "seed": seed}
    if seconds is not None:
        spec["durationSeconds"] = seconds
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "Fault", "metadata": metadata, "spec": spec}


def fault_on(
    namespace: str, name: str, target: Mapping[str, Any], seconds: int, **what: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a Fault on any target; what is one of kill, freeze and partition."""
    metadata = {"name": name, "namespace": namespace}
    spec = {"target": dict(target), "durationSeconds": seconds, **{kind: dict(how) for kind, how in what.items()}}
    return {"apiVersion": API_VERSION, "kind": "Fault", "metadata": metadata, "spec": spec}


def await_phase(lab: Lab, namespace: str, name: str, *phases: str, within_seconds: float = 5) -> dict[str, Any]:
    """Wait until the Fault is in one of the phases. Returns its status."""
    wait_until(f"{name} is {' or '.join(phases)}", lambda: phase_is(lab, namespace, *phases, name=name), within_seconds)
    return fault_status(lab, namespace, name)


def target_of(status: Mapping[str, Any], pod: str) -> dict[str, Any]:
    """Return the newest entry of a pod in a Fault's status."""
    entries = [entry for entry in status["targets"] if entry["pod"] == pod]
    replaced = {entry.get("replaces") for entry in entries}
    (newest,) = [entry for entry in entries if entry["uid"] not in replaced]
    return dict(newest)


def fault_status(lab: Lab, namespace: str, name: str = "f") -> dict[str, Any]:
    status: dict[str, Any] = lab.get("fault", "-n", namespace, name).get("status", {})
    return status


def phase_is(lab: Lab, namespace: str, *phases: str, name: str = "f") -> bool:
    return fault_status(lab, namespace, name).get("phase") in phases
