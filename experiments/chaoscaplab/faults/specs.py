"""A Fault's spec from an action's arguments: pure. The API server refuses arguments that do not fit together."""

from __future__ import annotations

from collections.abc import Sequence

from caplab.contract.objects import FaultSpec, Target


def target_of(
    kind: str,
    cluster: str,
    role: str,
    count: int,
    members: Sequence[str] | None,
    zone: str,
    node: str,
    max_members: int,
) -> Target:
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
    )


def prefix_of(spec: FaultSpec) -> str:
    """Return the prefix of its object's name: kind and target, such as kill-primary or freeze-zone."""
    target = spec.target
    whom = target.role or next(way for way in ("members", "zone", "node") if getattr(target, way) is not None)
    return f"{spec.kinds[0]}-{whom}"
