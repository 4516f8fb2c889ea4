"""A repair of all keys, member after member, once for each text that asks for one: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .ring import Ring, Row
from .spec import CassandraSpec
from .steps import Step, Tell, Wait

_REPAIR = "repair"
_PROBLEM_CHARACTERS = 500  # the kind's schema allows no more


@dataclass(frozen=True, slots=True)
class Repair:
    """How the repair that was asked for last stands."""

    request: str
    done: tuple[str, ...] = ()  # members
    at: str = ""  # RFC 3339: when all had done their part
    problem: str = ""  # why it goes no further

    @property
    def is_due(self) -> bool:
        """Whether there is still something to do for it."""
        return not self.at and not self.problem

    def as_status(self) -> dict[str, Any]:
        """As the cluster's status has it."""
        found: dict[str, Any] = {"request": self.request, "done": list(self.done)}
        found |= {name: text for name, text in (("at", self.at), ("problem", self.problem)) if text}
        return found


def repair_of(spec: CassandraSpec, ring: Ring, before: Mapping[str, Any], now: str) -> Repair | None:
    """The repair so far, with what is seen now; None where none was ever asked for. before is the status so far.

    A request that failed is not tried again: another text asks once more.
    """
    known = before.get("repair") or {}
    found = Repair(
        known.get("request", ""), tuple(known.get("done") or ()), known.get("at", ""), known.get("problem", "")
    )
    request = spec.operations.repair
    if not request:
        return found if known else None
    if found.request != request:
        found = Repair(request)
    return _looked_at(spec, ring, found, now) if found.is_due else found


def _looked_at(spec: CassandraSpec, ring: Ring, known: Repair, now: str) -> Repair:
    works = {row.name: row.said.work for row in ring.rows if row.said and _is_this(row, known.request)}
    done = (*known.done, *(name for name, work in works.items() if work.state == "done" and name not in known.done))
    failed = [f"{name}: {work.problem}" for name, work in works.items() if work.state == "failed" and name not in done]
    is_all = len(ring.rows) == spec.replicas and all(row.name in done for row in ring.rows)
    return Repair(known.request, done, now if is_all else "", failed[0][:_PROBLEM_CHARACTERS] if failed else "")


def next_step(ring: Ring, repair: Repair | None) -> Step | None:
    """The next member's part; None: none is due. All members are up."""
    if repair is None or not repair.is_due:
        return None
    for row in ring.rows:
        if row.said and row.said.work.state == "running":
            return Wait(f"{so_far(repair)}: {row.name} is at a {row.said.work.kind}", upkeep=True)
    for row in ring.rows:
        if row.name not in repair.done:
            return Tell(row.pod, "/repair", {"id": repair.request}, f"{so_far(repair)}: {row.name} begins", upkeep=True)
    return None


def so_far(repair: Repair) -> str:
    """What a status says while it is under way."""
    return f"repair {repair.request}: {len(repair.done)} members done"


def _is_this(row: Row, request: str) -> bool:
    return row.said is not None and (row.said.work.kind, row.said.work.id) == (_REPAIR, request)
