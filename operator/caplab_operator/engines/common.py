"""What every cluster's status says beside its engine's own words: whether it can be applied and can start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .conditions import Said, Status, condition, never_ready

CONFLICT, STARTABLE = "Conflict", "Startable"
NO_CONFLICT: Said = ("False", "NoConflict", "every object of the cluster is its own")
CAN_START: Said = ("True", "NothingInTheWay", "nothing keeps a member from starting")


@dataclass(frozen=True, slots=True)
class Common:
    """What the operator's common layer found out about a cluster."""

    conflict: Said = NO_CONFLICT
    startable: Said = CAN_START


def complete(status: Mapping[str, Any], common: Common, generation: int, before: Mapping[str, Any], now: str) -> Status:
    """The status with the common conditions; before is the status so far. A cluster in conflict is not Ready."""
    so_far, own = before.get("conditions") or [], status.get("conditions") or []
    named = ((CONFLICT, common.conflict), (STARTABLE, common.startable))
    conditions = [one for one in own if one["type"] not in (CONFLICT, STARTABLE)]
    conditions += [condition(name, said, generation, so_far, now) for name, said in named]
    complete_status = {**status, "conditions": conditions}
    if common.conflict[0] == "True" and status.get("phase") == "Ready":
        complete_status["phase"] = "Creating" if never_ready(before) else "Degraded"
    return complete_status
