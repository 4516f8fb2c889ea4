"""How a fault stands, what the operator does next about it, and what is told of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from caplab_operator.faults.lifecycle import (
    Action,
    RemoveFinalizer,
    ResolveTargets,
    UpdateStatus,
    refused,
    resolved,
)
from support.operator.fault_bodies import active_faults, decide, entry_of, operator_part, phase_of, unhealed_nodes
from support.operator.fault_inventory import NOW, PG

from caplab.contract.names import FINALIZER
from caplab.contract.objects import FaultStatus, TargetStatus

LATER = NOW + timedelta(seconds=30)
UNTIL = (NOW + timedelta(seconds=20)).isoformat()


def fault(status: dict[str, Any] | None = None, going: bool = False, held: bool = True) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "f", "namespace": "n", "uid": "u", "creationTimestamp": "2026"}
    if going:
        metadata["deletionTimestamp"] = "now"
    if held:
        metadata["finalizers"] = [FINALIZER, "somebody.else/own"]
    return {"metadata": metadata, "spec": {"target": {}}, "status": status or {}}


def entry(number: int, state: str | None = None, **more: Any) -> dict[str, Any]:
    return entry_of(PG[number]) | more | ({"state": state} if state else {})


def next_move(body: dict[str, Any], *lost_nodes: str) -> Action:
    return decide(body, NOW, lost_nodes)


def update(**status: Any) -> UpdateStatus:
    return UpdateStatus(FaultStatus.from_body(status))


def phase(*states: str | None, before: str = "Pending", over: bool = False, going: bool = False) -> str:
    """Of a fault on so many pods; "2+Active" takes the place of the third."""
    entries = [
        entry(number, state.rpartition("+")[2]) | ({"replaces": f"u-pg-{state[0]}"} if "+" in state else {})
        if state
        else entry(number)
        for number, state in enumerate(states)
    ]
    return phase_of(entries, over or going, going, (), before)


def test_a_new_fault_is_resolved_once() -> None:
    assert next_move(fault(held=False)) == ResolveTargets()
    assert next_move(fault(resolved([TargetStatus.from_body(entry(0))], UNTIL).to_body())) is None


def test_the_phase_follows_the_agents() -> None:
    assert phase(None, "Active") == "Pending"
    assert phase("Active", "Active") == "Active"
    assert phase("Active", "Active", going=True) == phase("Active", "Healed") == "Healing"
    assert phase("Healed", "Healed") == "Healed"
    assert phase("Healed", "Failed") == "Failed"
    assert phase("Active", "Failed") == "Active"
    assert phase(None, going=True) == "Healing"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["Gone", "Active"], "Active"),
        (["Gone", None], "Pending"),
        (["Gone", "Active", "Healed"], "Healing"),
        (["Gone", "0+Healed"], "Healed"),
        (["Gone", "0+Gone", "1+Healed"], "Healed"),
        (["Gone", "0+Failed"], "Failed"),
    ],
)
def test_a_pod_that_is_gone_holds_nothing_and_keeps_nothing_from_ending(
    states: list[str | None], expected: str
) -> None:
    assert phase(*states) == expected


def test_a_fault_whose_pods_are_all_gone_waits_for_those_that_take_their_places_until_its_end() -> None:
    assert phase("Gone", "Gone", before="Active") == "Active"
    assert phase("Gone", "Healed", before="Active") == "Healing"
    assert phase("Gone", "Gone", over=True) == phase("Gone", "Gone", going=True) == "Healed"
    assert phase("Gone", "Failed", over=True) == "Failed"
    gone = {"phase": "Active", "until": UNTIL, "targets": [entry(0, "Gone")]}
    assert decide(fault(gone), NOW) is None
    assert decide(fault(gone), LATER) == update(phase="Healed", until=UNTIL, targets=[entry(0)])


def test_who_takes_a_place_does_not_make_a_live_fault_pending_again() -> None:
    replacement = {**entry(0), "uid": "new", "replaces": "u-pg-0"}
    entries = [entry(0, "Gone"), entry(1, "Active"), replacement]
    assert phase_of(entries, False, False, (), "Active") == "Active"
    assert phase_of(entries, False, False, (), "Pending") == "Pending"
    assert phase_of([*entries[:2], replacement | {"state": "Active"}], False, False, (), "Pending") == "Active"


def test_a_change_of_phase_keeps_what_is_the_operators_and_nothing_else() -> None:
    mine = entry(0, cluster="pg", end="other", replaces="u", dropsFrom=["10.0.0.1"], dropsTo=[])
    written = mine | {"state": "Active", "proven": True, "evidence": ["x"], "effectiveNs": 1}
    status = {"phase": "Pending", "until": UNTIL, "message": "m", "targets": [written]}
    assert next_move(fault(status)) == update(phase="Active", until=UNTIL, message="m", targets=[mine])
    assert operator_part(written) == mine


def test_the_finalizer_goes_when_every_target_has_ended_and_not_before() -> None:
    def at(*states: str | None) -> dict[str, Any]:
        return {"phase": "Healing", "targets": [entry(i, state) for i, state in enumerate(states)]}

    assert next_move(fault(at("Healed", "Active"), going=True)) is None
    assert next_move(fault(at("Healed", None), going=True)) is None
    assert next_move(fault(at("Healed", "Failed"), going=True)) == update(phase="Failed", targets=[entry(0), entry(1)])
    assert next_move(fault(at("Healed", "Gone"), going=True)) == update(phase="Healed", targets=[entry(0), entry(1)])
    assert next_move(fault({**at("Healed", "Healed"), "phase": "Healed"}, going=True)) == RemoveFinalizer()
    assert next_move(fault({**at("Healed", "Gone"), "phase": "Healed"})) == RemoveFinalizer()
    assert next_move(fault({**at("Healed", "Healed"), "phase": "Healed"}, held=False)) is None


def test_a_fault_that_hit_nobody_holds_nobody() -> None:
    assert next_move(fault(refused("no primary").to_body(), going=True)) == RemoveFinalizer()
    assert next_move(fault(refused("no primary").to_body(), held=False)) is None
    assert next_move(fault(going=True)) == RemoveFinalizer()
    assert next_move(fault(going=True, held=False)) is None


def test_a_refusal_keeps_to_what_the_schema_allows() -> None:
    assert len(refused("x" * 2000).message or "") == 1000


def test_a_target_on_a_node_that_is_gone_has_ended() -> None:
    status = {"phase": "Healing", "targets": [entry(0), entry(1, "Healed"), entry(2, "Gone")]}
    body = fault(status, going=True)
    assert unhealed_nodes(body) == ["node-a"]
    assert next_move(body, "node-a") == update(phase="Healed", targets=[entry(0), entry(1), entry(2)])
    assert unhealed_nodes(fault(status)) == []


def test_members_hit_by_a_fault_are_known_by_its_name() -> None:
    old = {name: value for name, value in entry(0, "Active", injectedAt="then").items() if name != "end"}
    far = entry(2, "Active", injectedAt="then", end="other")
    body = fault({"phase": "Active", "targets": [old, entry(1, "Active", injectedAt="then"), far]})
    assert active_faults([body], "n") == {"pg-0": "f", "pg-1": "f"}
    assert active_faults([fault({"phase": "Active", "targets": [entry(1)]})], "n") == {}
    assert active_faults([body], "elsewhere") == {}
