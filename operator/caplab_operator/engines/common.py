"""Conditions that every cluster's status has beside its engine's own: whether it can be applied, and can start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta

from .conditions import ConditionState, Status, condition, never_ready

CONFLICT, STARTABLE = "Conflict", "Startable"
NO_CONFLICT: ConditionState = ("False", "NoConflict", "every object of the cluster is its own")
CAN_START: ConditionState = ("True", "NothingInTheWay", "nothing keeps a member from starting")
_READY = "Ready"


@dataclass(frozen=True, slots=True)
class CommonConditions:
    """The common conditions of a cluster: whether its objects conflict, and whether its members can start."""

    conflict: ConditionState = NO_CONFLICT
    startable: ConditionState = CAN_START

    @property
    def obstacles(self) -> list[str]:
        """The messages of the conditions that are not as they should be."""
        pairs = ((self.conflict, NO_CONFLICT), (self.startable, CAN_START))
        return [state[2] for state, fine in pairs if state != fine]

    @property
    def is_conflict(self) -> bool:
        """Whether an object that the cluster needs is somebody else's."""
        return self.conflict[0] == "True"


def complete(
    status: Mapping[str, Any], common: CommonConditions, generation: int, before: Mapping[str, Any], now: str
) -> Status:
    """Add the common conditions to a status; before is the status so far. A cluster in conflict is not Ready."""
    own = {CONFLICT: common.conflict, STARTABLE: common.startable}
    conditions = [entry for name, entry in meta.conditions_of(status).items() if name not in own]
    conditions += [condition(name, state, generation, before, now) for name, state in own.items()]
    complete_status = {**status, "conditions": conditions}
    if common.is_conflict and status.get("phase") == "Ready":
        complete_status["phase"] = _not_ready(before, "Degraded")
    return complete_status


def in_conflict(before: Mapping[str, Any], generation: int, now: str) -> Status:
    """Build the status of a cluster that is not observed, since its objects are not its own: it is not Ready."""
    state = ("False", "Conflict", "the cluster is not applied: the condition Conflict says why")
    return {
        **_with_ready(before, state, generation, now),
        "observedGeneration": generation,
        "phase": _not_ready(before, "Degraded"),
    }


def unobserved(before: Mapping[str, Any], why: str, generation: int, now: str) -> Status:
    """Build the status of a cluster that could not be observed: whether it is Ready is not known."""
    state = ("Unknown", "NotObserved", f"the cluster could not be observed: {why}")
    return {**_with_ready(before, state, generation, now), "phase": _not_ready(before, "Unknown")}


def _with_ready(before: Mapping[str, Any], state: ConditionState, generation: int, now: str) -> Status:
    others = [entry for name, entry in meta.conditions_of(before).items() if name != _READY]
    return {**before, "conditions": [condition(_READY, state, generation, before, now), *others]}


def _not_ready(before: Mapping[str, Any], otherwise: str) -> str:
    return "Creating" if never_ready(before) else otherwise
