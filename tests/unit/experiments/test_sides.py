"""Which vantages a fault parts from the others, and what happened during a run as its record has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaoscaplab.controls.fault_windows import lasted_seconds, windows_in
from chaoscaplab.controls.sides import cut_off, sides_of, zones_of
from support.runs.held_runs import switchover
from support.runs.run_faults import entry, fault, lost_node

from caplab.contract.objects import Fault
from caplab.model.runs import WallAnchor
from caplab.run_context import Event, RunState

ZONES = {"caplab-worker": "a", "caplab-worker2": "b", "caplab-worker3": "c"}
GROUP: dict[str, Any] = {"partition": {"from": "group"}}
ANCHOR = WallAnchor(monotonic_ns=500, unix_ns=10**18)
SWITCHOVER = switchover("pg", 2_000_000_000)


def state_of(*faults: Fault, lost: tuple[dict[str, Any], ...] = (), events: tuple[Event, ...] = ()) -> RunState:
    state = RunState()
    for each in faults:
        state.note_fault(each)
    for node in lost:
        state.note_lost_node(node)
    for event in events:
        state.note_event(event)
    return state


def sides(state: RunState, vantages: tuple[str, ...] = ("a", "b", "c")) -> dict[str, tuple[str, ...]]:
    return sides_of(cut_off(state), ZONES, vantages)


def test_a_group_cut_parts_the_vantages_of_its_targets_zones_from_the_others() -> None:
    assert sides(state_of(fault(entry(), what=GROUP))) == {"minority": ("a",), "majority": ("b", "c")}
    far = entry("pg-1", end="other", node="caplab-worker2")
    assert sides(state_of(fault(entry(), far, what=GROUP)))["minority"] == ("a",)
    both = state_of(fault(entry(), what=GROUP), fault(entry("pg-2", node="caplab-worker3"), what=GROUP, name="g"))
    assert sides(both) == {"minority": ("a", "c"), "majority": ("b",)}


def test_a_lost_node_parts_the_vantage_of_its_zone_from_the_others() -> None:
    assert sides(state_of(lost=(lost_node(node="caplab-worker2"),))) == {"minority": ("b",), "majority": ("a", "c")}
    # Noted, and then nothing was done to it.
    assert sides(state_of(lost=(lost_node(state=""),))) == {}


@pytest.mark.parametrize(
    "what",
    [{"kill": {}}, {"freeze": {}}, *({"partition": {"from": whom}} for whom in ("peers", "controlPlane", "clients"))],
)
def test_no_other_fault_parts_the_vantages(what: dict[str, Any]) -> None:
    assert sides(state_of(fault(entry(), what=what), events=(SWITCHOVER,))) == {}


def test_a_cut_that_hit_nobody_or_leaves_nobody_on_a_side_parts_nothing() -> None:
    never = entry()
    del never["injectedNs"]
    assert sides(state_of(fault(never, what=GROUP))) == {}
    assert sides(state_of()) == {}
    assert sides(state_of(fault(entry(), what=GROUP)), vantages=("b", "c")) == {}
    assert sides(state_of(fault(entry(), what=GROUP)), vantages=("a",)) == {}


def test_a_node_whose_zone_is_not_known_is_no_guess() -> None:
    with pytest.raises(ValueError, match=r"node caplab-worker9 is in no zone. Hint: label it topology"):
        sides(state_of(fault(entry(node="caplab-worker9"), what=GROUP)))


def test_zones_are_the_labels_of_nodes() -> None:
    def node(name: str, labels: dict[str, str] | None) -> Any:
        return {"metadata": {"name": name, **({"labels": labels} if labels else {})}}

    labels = {"topology.kubernetes.io/zone": "b", "kubernetes.io/os": "linux"}
    assert zones_of([node("w2", labels), node("cp", {"kubernetes.io/os": "linux"}), node("w9", None)]) == {"w2": "b"}


def test_an_event_is_a_window_on_the_clock_of_the_histories_among_the_others() -> None:
    state = state_of(fault(entry(injectedNs=900, healedNs=950)), lost=(lost_node(),), events=(SWITCHOVER,))
    first, middle, last = windows_in(state, "boot", ANCHOR)
    assert (first.kind, first.target, first.evidence, first.proven) == ("switchover", "pg", ("seen",), True)
    assert (first.injected_ns, first.healed_ns) == (500, 2_000_000_500)
    assert [middle.kind, last.kind] == ["kill", "pause-node"]


def test_an_event_that_has_not_ended_is_not_healed() -> None:
    open_ended = replace(SWITCHOVER, ended_unix_ns=None, proven=False)
    (window,) = windows_in(state_of(events=(open_ended,)), "boot", ANCHOR)
    assert (window.healed_ns, window.proven) == (None, False)
    assert lasted_seconds(state_of(events=(open_ended,))) is None


def test_a_fault_is_as_long_as_it_was_asked_for_and_an_event_as_long_as_it_took() -> None:
    assert lasted_seconds(state_of()) is None
    assert lasted_seconds(state_of(fault(entry()), lost=(lost_node(seconds=4),), events=(SWITCHOVER,))) == 10
    assert lasted_seconds(state_of(lost=(lost_node(seconds=1),), events=(SWITCHOVER,))) == 2.0
