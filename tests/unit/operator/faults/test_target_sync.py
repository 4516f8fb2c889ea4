"""A live fault holds the pods that take a place, and goes by the addresses there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from caplab_operator.faults.inventory import Inventory
from caplab_operator.faults.targets import Roles
from support.operator.fault_bodies import is_live, resolve, synced
from support.operator.fault_inventory import (
    INVENTORY,
    NOW,
    PG,
    PROBERS,
    SENTINELS,
    anew,
    body,
    of,
    pod,
    spec,
    status_of,
    with_pods,
)

LED = Roles(primary="pg-1")
PRIMARY = of("pg", role="primary")
FREEZE = spec(PRIMARY, freeze={})
KILL_ZONE = spec({"zone": "b"})
KILL_ONCE = spec(PRIMARY, kill={"signal": "SIGKILL", "keepDown": False})


def cut(target: dict[str, Any], source: str, **partition: str) -> dict[str, Any]:
    return spec(target, partition={"from": source, **partition})


class Live:
    """A fault that was resolved by the inventory as it is at first, and kept in step with it from there."""

    def __init__(
        self, fault_spec: dict[str, Any], states: dict[str, str] | None = None, seconds_left: float = 30
    ) -> None:
        self.spec = fault_spec
        entries = resolve(fault_spec, INVENTORY, LED)
        self.status = status_of(entries, seconds_left=seconds_left)
        for entry in self.entries:
            entry["state"] = (states or {}).get(entry["pod"], "Active")

    @property
    def entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.status["targets"]
        return entries

    def sync(self, inventory: Inventory) -> bool:
        """Whether something was written; what the agents wrote stays."""
        status = synced(body(self.spec, self.status), inventory, NOW)
        if status is None:
            return False
        states = {entry["uid"]: entry["state"] for entry in self.entries if "state" in entry}
        self.status = status
        for entry in self.entries:
            entry.update({"state": states[entry["uid"]]} if entry["uid"] in states else {})
        return True

    def new(self) -> list[tuple[str, str, str | None]]:
        """Pod, end, and whom it replaces, of entries that nobody has begun."""
        return [(entry["pod"], entry["end"], entry.get("replaces")) for entry in self.entries if "state" not in entry]

    def drops(self, uid: str) -> tuple[list[str], list[str]]:
        (entry,) = [entry for entry in self.entries if entry["uid"] == uid]
        return entry["dropsFrom"], entry["dropsTo"]


@pytest.mark.parametrize(
    "fault_spec",
    [FREEZE, KILL_ZONE, cut(PRIMARY, "peers"), cut({"zone": "b"}, "group"), cut(of("pg", zone="b"), "clients")],
)
def test_nothing_is_written_while_nothing_changes(fault_spec: dict[str, Any]) -> None:
    assert not Live(fault_spec).sync(INVENTORY)


@pytest.mark.parametrize("fault_spec", [FREEZE, KILL_ZONE, spec(of("pg", members=["pg-1"]))])
@pytest.mark.parametrize("state", ["Active", "Gone", ""])
def test_a_pod_that_takes_a_targets_place_is_caught(fault_spec: dict[str, Any], state: str) -> None:
    fault = Live(fault_spec, {"pg-1": state})
    assert fault.sync(with_pods(anew(PG[1])))
    assert [entry for entry in fault.new() if entry[2]] == [("pg-1", "target", "u-pg-1")]
    assert not fault.sync(with_pods(anew(PG[1])))


def test_each_that_takes_a_place_replaces_the_one_before_it() -> None:
    fault = Live(FREEZE)
    second = replace(anew(PG[1]), uid="third")
    assert fault.sync(with_pods(anew(PG[1])))
    assert fault.sync(with_pods(second))
    assert [(entry["uid"], entry.get("replaces")) for entry in fault.entries] == [
        ("u-pg-1", None), ("u-pg-1-2", "u-pg-1"), ("third", "u-pg-1-2"),
    ]  # fmt: skip


def test_who_replaces_whom_does_not_depend_on_the_entries_order() -> None:
    fault = Live(FREEZE)
    assert fault.sync(with_pods(anew(PG[1])))
    fault.entries.reverse()
    assert fault.sync(with_pods(replace(anew(PG[1]), uid="third")))
    assert fault.entries[-1]["replaces"] == "u-pg-1-2"


@pytest.mark.parametrize("state", ["Healed", "Failed"])
def test_who_has_ended_is_followed_no_more(state: str) -> None:
    assert not Live(FREEZE, {"pg-1": state}).sync(with_pods(anew(PG[1])))
    fault = Live(cut(PRIMARY, "peers"), {"pg-0": state})
    assert fault.sync(with_pods(anew(PG[0])))
    assert fault.new() == []


def test_nobody_else_is_killed_or_frozen() -> None:
    assert not Live(KILL_ZONE).sync(with_pods(pod("pg-3", "b", 13), anew(PG[0])))
    assert not Live(FREEZE).sync(with_pods(without=["pg-1"]))


@pytest.mark.parametrize("target", [{"zone": "b"}, {"node": "node-b"}])
def test_who_has_left_the_place_that_is_meant_is_left_alone(target: dict[str, Any]) -> None:
    moved = with_pods(anew(PG[1], node="node-c", zone="c"))
    assert not Live(spec(target)).sync(moved)
    assert Live(FREEZE).sync(moved)


def test_both_ends_of_a_partition_learn_of_a_new_target() -> None:
    fault = Live(cut(PRIMARY, "peers"))
    starting = replace(anew(PG[1]), addresses=frozenset())
    assert fault.sync(with_pods(starting))
    assert fault.new() == [("pg-1", "target", "u-pg-1")]
    assert fault.drops("u-pg-1-2") == (["10.0.0.10", "10.0.0.12"],) * 2
    assert fault.drops("u-pg-0") == ([], [])
    assert fault.sync(with_pods(anew(PG[1])))
    assert fault.drops("u-pg-0") == fault.drops("u-pg-2") == (["10.0.1.11"],) * 2
    assert fault.drops("u-pg-1") == (["10.0.0.10", "10.0.0.12"],) * 2  # of a pod that is gone: as it was


def test_a_far_end_that_is_made_anew_is_caught_and_its_old_address_let_go() -> None:
    fault = Live(cut(PRIMARY, "peers", direction="in"))
    assert fault.sync(with_pods(without=["pg-0"]))
    assert fault.drops("u-pg-1") == (["10.0.0.12"], [])
    assert fault.sync(with_pods(anew(PG[0])))
    assert fault.new() == [("pg-0", "other", "u-pg-0")]
    assert fault.drops("u-pg-0-2") == ([], ["10.0.0.11"])
    assert fault.drops("u-pg-1") == (["10.0.0.12", "10.0.1.10"], [])


def test_who_has_nobody_left_on_the_other_side_drops_nothing() -> None:
    fault = Live(cut(PRIMARY, "peers"))
    assert fault.sync(with_pods(without=["pg-0", "pg-2"]))
    assert fault.drops("u-pg-1") == ([], [])
    assert fault.sync(INVENTORY)
    assert fault.drops("u-pg-1") == (["10.0.0.10", "10.0.0.12"],) * 2


def test_a_member_that_is_new_is_on_the_far_side_of_named_targets() -> None:
    fault = Live(cut(PRIMARY, "peers"))
    assert fault.sync(with_pods(pod("pg-3", "b", 13)))
    assert fault.new() == [("pg-3", "other", None)]
    assert fault.drops("u-pg-1") == (["10.0.0.10", "10.0.0.12", "10.0.0.13"],) * 2


def test_who_is_new_is_caught_when_it_is_up_and_who_takes_a_place_at_once() -> None:
    """The agent of a node waits for the latter only."""
    fault = Live(cut(PRIMARY, "peers"))
    new, none = pod("pg-3", "b", 13), frozenset[str]()
    for starting in (replace(new, addresses=none), replace(new, node_addresses=none)):
        fault.sync(with_pods(starting))
        assert fault.new() == []
    assert fault.sync(with_pods(new, anew(PG[0], node_addresses=none)))
    assert fault.new() == [("pg-0", "other", "u-pg-0"), ("pg-3", "other", None)]


NEW = pod("rd-sentinel-3", "b", 33, "sentinel")


@pytest.mark.parametrize("fault_spec", [cut({"zone": "b"}, "clients"), cut({"zone": "b"}, "group")])
def test_who_is_new_in_a_zone_that_is_meant_is_a_target(fault_spec: dict[str, Any]) -> None:
    fault = Live(fault_spec)
    assert fault.sync(with_pods(NEW))
    assert fault.new() == [("rd-sentinel-3", "target", None)]


def test_who_is_new_is_no_target_where_that_would_be_too_many() -> None:
    crowded = with_pods(pod("pg-3", "b", 13))
    fault = Live(cut({"zone": "b"}, "clients"))
    assert not fault.sync(crowded)
    allowed = Live(cut({"zone": "b", "maxMembers": 2}, "clients"))
    assert allowed.sync(crowded)
    assert allowed.new() == [("pg-3", "target", None)]
    peers = Live(cut(of("pg", zone="b"), "peers"))
    assert peers.sync(crowded)
    assert peers.new() == [("pg-3", "other", None)]


def test_a_groups_zones_stay_those_it_was_resolved_to() -> None:
    """While its only member is away, a zone's prober must not count as outside."""
    fault = Live(cut(PRIMARY, "group"))
    away = with_pods(without=["pg-1"])
    assert fault.sync(away)
    assert fault.drops("u-pg-0") == (["10.0.0.41", "10.0.0.51"],) * 2
    moved = with_pods(anew(PG[1], node="node-c", zone="c"))
    assert fault.sync(moved)
    assert fault.new() == [("pg-1", "other", "u-pg-1")]
    assert fault.drops("u-pg-1-2") == (["10.0.0.41", "10.0.0.51"],) * 2


def test_a_group_by_node_is_followed_in_all_of_its_zone() -> None:
    second = replace(SENTINELS[1], uid="s", name="rd-sentinel-9", node="node-b2", addresses=frozenset({"10.0.0.39"}))
    fault = Live(cut({"node": "node-b"}, "group"))
    assert fault.sync(with_pods(second))
    assert fault.new() == [("rd-sentinel-9", "target", None)]


def test_a_prober_that_is_made_anew_is_cut_off_again() -> None:
    fault = Live(cut(PRIMARY, "clients"))
    assert fault.sync(replace(INVENTORY, probers=(*PROBERS[:2], anew(PROBERS[2]))))
    assert "10.0.1.52" in fault.drops("u-pg-1")[0]
    assert "10.0.0.52" not in fault.drops("u-pg-1")[0]


def test_an_entry_that_has_ended_keeps_its_lists() -> None:
    fault = Live(cut(PRIMARY, "peers"), {"pg-0": "Healed", "pg-1": "Gone", "pg-2": "Failed"})
    before = [dict(entry) for entry in fault.entries]
    assert fault.sync(with_pods(anew(PG[1])))
    assert fault.entries[:3] == before


def test_nothing_is_begun_in_the_last_second() -> None:
    fault = Live(cut(PRIMARY, "peers"), seconds_left=0.9)
    assert fault.sync(with_pods(anew(PG[1])))
    assert fault.new() == []
    assert fault.drops("u-pg-0") == (["10.0.1.11"],) * 2


def test_what_the_schema_does_not_allow_is_left_out_and_told() -> None:
    fault = Live(cut(PRIMARY, "peers"))
    crowd = with_pods(*(pod(f"pg-{number}", "c", 60 + number) for number in range(3, 90)))
    assert fault.sync(crowd)
    assert len(fault.entries) == len(fault.drops("u-pg-1")[0]) == 64
    assert "more than 64 pods" in fault.status["message"]
    assert not fault.sync(crowd)


@pytest.mark.parametrize(
    ("fault_spec", "changes", "metadata", "live"),
    [
        (FREEZE, {}, {}, True),
        (FREEZE, {"phase": "Pending"}, {}, True),
        (FREEZE, {"phase": "Healing"}, {}, True),
        (FREEZE, {"phase": "Healed"}, {}, False),
        (FREEZE, {"phase": "Failed"}, {}, False),
        (FREEZE, {"targets": []}, {}, False),
        (FREEZE, {"until": NOW.isoformat()}, {}, False),
        (FREEZE, {"until": (NOW - timedelta(seconds=1)).isoformat()}, {}, False),
        (FREEZE, {"until": "soon"}, {}, False),
        (FREEZE, {"until": "2026-01-01T01:00:00"}, {}, False),  # of which zone?
        (FREEZE, {}, {"deletionTimestamp": "now"}, False),
        (KILL_ZONE, {}, {}, True),
        (KILL_ONCE, {}, {}, False),
        (spec(PRIMARY, kill={}), {}, {}, True),
        (cut(PRIMARY, "peers"), {}, {}, True),
    ],
)
def test_a_fault_is_followed_as_long_as_it_is_live(
    fault_spec: dict[str, Any], changes: dict[str, Any], metadata: dict[str, Any], live: bool
) -> None:
    status = Live(fault_spec).status | changes
    assert is_live(body(fault_spec, status, **metadata), NOW) == live


def test_a_fault_that_is_not_resolved_is_not_live() -> None:
    assert not is_live(body(FREEZE), NOW)
