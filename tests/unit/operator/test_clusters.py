"""What the common layer adds to an engine's own status, and when it writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from caplab_operator.engines.common import CAN_START, NO_CONFLICT, CommonConditions, complete
from caplab_operator.handlers import clusters

BODY: dict[str, Any] = {"kind": "RedisCluster", "metadata": {"name": "rd", "namespace": "demo", "generation": 7}}
READY = {"phase": "Ready", "conditions": [{"type": "Ready", "status": "True"}]}
FOREIGN = CommonConditions(conflict=("True", "ForeignObject", "Service rd-any is not this cluster's"))
FIRST, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"


def conditions(status: Mapping[str, Any]) -> dict[str, Any]:
    return {condition["type"]: condition for condition in status["conditions"]}


def test_an_engines_conditions_stay_and_the_common_ones_come_after_them() -> None:
    status = complete(READY, CommonConditions(), 7, {}, FIRST)
    assert [condition["type"] for condition in status["conditions"]] == ["Ready", "Conflict", "Startable"]
    assert status["phase"] == "Ready"
    assert conditions(status)["Conflict"]["message"] == NO_CONFLICT[2]
    assert conditions(status)["Startable"]["message"] == CAN_START[2]
    assert conditions(status)["Startable"]["observedGeneration"] == 7


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = complete(READY, CommonConditions(), 7, {}, FIRST)
    second = complete(READY, FOREIGN, 7, first, LATER)
    assert conditions(second)["Startable"]["lastTransitionTime"] == FIRST
    assert conditions(second)["Conflict"]["lastTransitionTime"] == LATER


@pytest.mark.parametrize(("before", "phase"), [({}, "Creating"), ({"phase": "Ready"}, "Degraded")])
def test_a_cluster_in_conflict_is_not_ready(before: Mapping[str, Any], phase: str) -> None:
    status = complete(READY, FOREIGN, 7, before, FIRST)
    assert status["phase"] == phase
    assert conditions(status)["Conflict"]["message"] == FOREIGN.conflict[2]


class Handlers:
    def __init__(self) -> None:
        self.status: dict[str, Any] = dict(READY)

    def reconcile(self, *_: Any) -> None: ...

    def roles(self, *_: Any) -> Any: ...

    def run_round(self, *_: Any) -> Mapping[str, Any]:
        return self.status


class Api:
    def __init__(self) -> None:
        self.written: list[Mapping[str, Any]] = []

    def apply_status(self, _body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        self.written.append(status)


def test_a_status_is_written_when_it_changed_and_only_then() -> None:
    api: Any = Api()
    handlers = Handlers()
    first = clusters.look(api, handlers, BODY, {}, {})
    assert api.written == [first]
    assert clusters.look(api, handlers, BODY, first, {}) == first
    assert api.written == [first]
    handlers.status = {**READY, "readyMembers": 2}
    assert clusters.look(api, handlers, BODY, first, {})["readyMembers"] == 2
    assert len(api.written) == 2
