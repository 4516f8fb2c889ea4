"""A Fault's spec from an action's arguments: pure. The API server refuses arguments that do not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract.objects import Target

Spec = dict[str, Any]


def target_of(
    kind: str,
    cluster: str,
    role: str,
    count: int,
    members: Sequence[str] | None,
    zone: str,
    node: str,
    max_members: int,
) -> Spec:
    """Build spec.target from what is named; the primary if nothing else says what to hit."""
    if not (role or members or zone or node):
        role = "primary"
    return Target(
        kind=kind or None,
        name=cluster or None,
        role=role or None,
        count=int(count) if role else None,
        members=tuple(members) if members else None,
        zone=zone or None,
        node=node or None,
        max_members=int(max_members) if max_members else None,
    ).to_body()


def spec_of(fault: Mapping[str, Any], target: Spec, seconds: int, seed: int) -> Spec:
    """Build a whole spec. fault: what happens, such as {'freeze': {}}."""
    return {"target": target, **fault, "durationSeconds": int(seconds), "seed": int(seed)}


def prefix_of(spec: Mapping[str, Any]) -> str:
    """Return the prefix of its object's name: action and target, such as kill-primary or freeze-zone."""
    (what,) = spec.keys() - {"target", "durationSeconds", "seed"}
    target = spec["target"]
    whom = target.get("role") or next(way for way in ("members", "zone", "node") if way in target)
    return f"{what}-{whom}"
