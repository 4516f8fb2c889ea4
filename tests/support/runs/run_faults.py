"""Faults and lost nodes as a run sees them."""

from __future__ import annotations

from typing import Any

from caplab.contract.objects import Fault

UNTIL = "2026-11-21T12:00:10.000Z"


def entry(pod: str = "pg-0", **fields: Any) -> dict[str, Any]:
    return {"uid": f"uid of {pod}", "pod": pod, "node": "caplab-worker", "state": "Active", "injectedNs": 5, **fields}


def fault(
    *entries: dict[str, Any], phase: str = "Active", name: str = "f", what: dict[str, Any] | None = None
) -> Fault:
    return Fault.from_body(body_of(*entries, phase=phase, name=name, what=what))


def body_of(
    *entries: dict[str, Any], phase: str = "Active", name: str = "f", what: dict[str, Any] | None = None
) -> dict[str, Any]:
    target = {"kind": "PostgresCluster", "name": "pg", "role": "primary"}
    return {
        "metadata": {"namespace": "ns", "name": name, "uid": f"uid of {name}", "creationTimestamp": UNTIL},
        "spec": {"target": target, "durationSeconds": 10, **(what or {"kill": {}})},
        "status": {"phase": phase, "until": UNTIL, "targets": list(entries)},
    }


def lost_node(**fields: Any) -> dict[str, Any]:
    return {
        "id": "caplab-worker-1", "node": "caplab-worker", "kind": "pause-node", "seconds": 10, "boot_id": "boot",
        "injected_ns": 1_000, "injected_unix_ns": 10**18, "due_ns": 10**10, "due_unix_ns": 10**18 + 10**10,
        "state": "paused", "over": False, "healed_ns": None, "evidence": ["read back as paused"], "problem": "",
        "proven": True, **fields,
    }  # fmt: skip
