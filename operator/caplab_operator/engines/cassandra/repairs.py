"""Repair of all keys, member after member, once for each new text in the spec that requests one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .ring import Ring, RingMember
from .spec import CassandraSpec
from .steps import Send, Step, Wait

_REPAIR = "repair"
_PROBLEM_CHARACTERS = 500  # the kind's schema allows no more


@dataclass(frozen=True, slots=True)
class Repair:
    """Progress of the repair that was requested last."""

    request: str
    done: tuple[str, ...] = ()  # members
    at: str = ""  # RFC 3339: when all members were done
    problem: str = ""  # why it stopped

    @property
    def is_due(self) -> bool:
        """Whether it is unfinished."""
        return not self.at and not self.problem

    def as_status(self) -> dict[str, Any]:
        """Return it as a field of the cluster's status."""
        status: dict[str, Any] = {"request": self.request, "done": list(self.done)}
        status |= {name: text for name, text in (("at", self.at), ("problem", self.problem)) if text}
        return status


def repair_of(spec: CassandraSpec, ring: Ring, before: Mapping[str, Any], now: str) -> Repair | None:
    """Return the repair's progress; None if none was ever requested. before is the status so far.

    A request that failed is not tried again: another text requests a new repair.
    """
    previous = before.get("repair") or {}
    repair = Repair(
        previous.get("request", ""),
        tuple(previous.get("done") or ()),
        previous.get("at", ""),
        previous.get("problem", ""),
    )
    request = spec.operations.repair
    if not request:
        return repair if previous else None
    if repair.request != request:
        repair = Repair(request)
    return _looked_at(spec, ring, repair, now) if repair.is_due else repair


def _looked_at(spec: CassandraSpec, ring: Ring, repair: Repair, now: str) -> Repair:
    works = {row.name: row.member.work for row in ring.rows if row.member and _is_this(row, repair.request)}
    done = (*repair.done, *(name for name, work in works.items() if work.state == "done" and name not in repair.done))
    failed = [f"{name}: {work.problem}" for name, work in works.items() if work.state == "failed" and name not in done]
    is_all = len(ring.rows) == spec.replicas and all(row.name in done for row in ring.rows)
    return Repair(repair.request, done, now if is_all else "", failed[0][:_PROBLEM_CHARACTERS] if failed else "")


def next_step(ring: Ring, repair: Repair | None) -> Step | None:
    """Return the next member's part; None if none is due. All members are up."""
    if repair is None or not repair.is_due:
        return None
    for row in ring.rows:
        if row.member and row.member.work.state == "running":
            return Wait(f"{so_far(repair)}: {row.name} is running a {row.member.work.kind}", is_maintenance=True)
    for row in ring.rows:
        if row.name not in repair.done:
            return Send(
                pod=row.pod,
                path="/repair",
                query={"id": repair.request},
                why=f"{so_far(repair)}: {row.name} begins",
                is_maintenance=True,
            )
    return None


def so_far(repair: Repair) -> str:
    """Describe a repair's progress for the status."""
    return f"repair {repair.request}: {len(repair.done)} members done"


def _is_this(row: RingMember, request: str) -> bool:
    return row.member is not None and (row.member.work.kind, row.member.work.id) == (_REPAIR, request)
