"""What a Fault's spec means at a moment, as entries of its status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.faults.inventory import Inventory
from caplab_operator.faults.targets import NoTarget, Roles
from support.operator.fault_bodies import resolve
from support.operator.fault_inventory import CONTROL_PLANE, DNS, INVENTORY, PG, RD, SENTINELS, of, pod, spec, with_pods

PRIMARY = of("pg", role="primary")
LED = Roles(primary="pg-1")
MANY = tuple(pod(f"pg-{number}", "abc"[number % 3], 60 + number) for number in range(66))


def cut(
    target: dict[str, Any], source: str, inventory: Inventory = INVENTORY, **partition: str
) -> list[dict[str, Any]]:
    return resolve(spec(target, partition={"from": source, **partition}), inventory, LED)


@pytest.mark.parametrize("kind", [{"kill": {"signal": "SIGKILL", "keepDown": True}}, {"freeze": {}}])
def test_a_kill_or_a_freeze_is_an_entry_a_target(kind: dict[str, Any]) -> None:
    assert resolve(spec(PRIMARY, **kind), INVENTORY, LED) == [
        {"uid": "u-pg-1", "pod": "pg-1", "node": "node-b", "zone": "b", "cluster": "pg", "end": "target"}
    ]
    place = resolve(spec({"node": "node-a"}, **kind), INVENTORY)
    assert [(entry["pod"], entry["cluster"]) for entry in place] == [
        ("pg-0", "pg"),
        ("rd-0", "rd"),
        ("rd-sentinel-0", "rd"),
    ]


def test_a_partition_is_an_entry_an_end_with_both_lists() -> None:
    assert cut(PRIMARY, "peers", direction="in")[:2] == [
        {
            "uid": "u-pg-1", "pod": "pg-1", "node": "node-b", "zone": "b", "cluster": "pg", "end": "target",
            "dropsFrom": ["10.0.0.10", "10.0.0.12"], "dropsTo": [],
        },
        {
            "uid": "u-pg-0", "pod": "pg-0", "node": "node-a", "zone": "a", "cluster": "pg", "end": "other",
            "dropsFrom": [], "dropsTo": ["10.0.0.11"],
        },
    ]  # fmt: skip


def test_a_groups_other_members_in_the_zone_are_targets_and_count() -> None:
    assert [entry["pod"] for entry in cut(PRIMARY, "group") if entry["end"] == "target"] == ["pg-1"]
    assert [entry["pod"] for entry in cut({"node": "node-b"}, "group") if entry["end"] == "target"] == [
        "pg-1", "rd-1", "rd-sentinel-1",
    ]  # fmt: skip
    crowded = with_pods(pod("pg-3", "b", 13))
    with pytest.raises(NoTarget, match="2 of 4 members of pg would be hit, and the bound is 1"):
        cut(PRIMARY, "group", crowded)
    allowed = cut(PRIMARY | {"maxMembers": 2}, "group", crowded)
    assert [entry["pod"] for entry in allowed if entry["end"] == "target"] == ["pg-1", "pg-3"]


def test_a_group_of_a_cluster_leaves_other_clusters_alone() -> None:
    entries = cut(PRIMARY, "group")
    assert {entry["cluster"] for entry in entries} == {"pg"}
    assert "10.0.0.20" not in entries[0]["dropsFrom"]


def test_a_bound_that_allows_all_members_is_kept_to() -> None:
    everybody = of("pg", members=["pg-0", "pg-1", "pg-2"])
    with pytest.raises(NoTarget, match=r"3 of 3 members of pg .* bound is 1\. Hint: raise target\.maxMembers"):
        resolve(spec(everybody), INVENTORY)
    assert len(resolve(spec(everybody | {"maxMembers": 3}), INVENTORY)) == 3


BARE = Inventory(pods=(*PG, *RD, *SENTINELS))


@pytest.mark.parametrize(
    ("target", "source", "partition", "inventory", "why"),
    [
        (of("pg", role="any"), "peers", {}, replace(INVENTORY, pods=PG[:1]), "pg-0: the cluster has no other member"),
        (of("pg", zone="a") | {"maxMembers": 3}, "peers", {}, with_pods(without=["pg-1", "pg-2"]), "no other member"),
        (PRIMARY, "clients", {}, BARE, "pg-1: there is no prober, and no client in the namespace"),
        (PRIMARY, "controlPlane", {}, BARE, "no address of the control plane is known"),
        (
            PRIMARY,
            "controlPlane",
            {"dns": "Cut"},
            replace(INVENTORY, dns=frozenset()),
            "DNS service kube-system/kube-dns",
        ),
        (PRIMARY, "group", {"dns": "Cut"}, replace(INVENTORY, dns=frozenset()), "DNS service kube-system/kube-dns"),
        (of("pg", members=["pg-0"]), "group", {}, replace(BARE, pods=PG[:1]), "nothing outside these zones"),
        (PRIMARY, "group", {}, with_pods(replace(PG[1], zone="")), "pg-1 on node-b: in no zone"),
    ],
)
def test_a_partition_with_nobody_on_the_other_side_is_refused_with_the_mend(
    target: dict[str, Any], source: str, partition: dict[str, str], inventory: Inventory, why: str
) -> None:
    with pytest.raises(NoTarget, match=why) as refusal:
        cut(target, source, inventory, **partition)
    assert "Hint:" in str(refusal.value)


@pytest.mark.parametrize("source", ["controlPlane", "group"])
def test_a_control_plane_on_a_targets_own_node_is_refused_with_the_reason(source: str) -> None:
    (address,) = PG[1].node_addresses
    shared = replace(INVENTORY, control_plane=CONTROL_PLANE | {address})
    with pytest.raises(NoTarget, match=f"pg-1 is on node-b, whose own address {address} is the control plane's.*Hint:"):
        cut(PRIMARY, source, shared)
    assert cut(of("pg", members=["pg-0"]), source, shared)[0]["pod"] == "pg-0"
    dns = replace(INVENTORY, dns=DNS | {address})
    assert cut(PRIMARY, source, dns)[0]["pod"] == "pg-1"
    with pytest.raises(NoTarget, match="pg-1 is on node-b"):
        cut(PRIMARY, source, dns, dns="Cut")


def test_a_place_where_one_cluster_has_others_to_be_cut_off_from_is_no_refusal() -> None:
    lonely = with_pods(without=["pg-1", "pg-2"])
    assert {entry["pod"] for entry in cut({"zone": "a"}, "peers", lonely)} == {"rd-0", "rd-1", "rd-2", "rd-sentinel-0"}


def test_a_far_end_that_is_just_starting_is_left_to_be_caught_when_it_is_up() -> None:
    starting = with_pods(replace(PG[0], addresses=frozenset()))
    assert [entry["pod"] for entry in cut(PRIMARY, "peers", starting)] == ["pg-1", "pg-2"]
    target = with_pods(replace(PG[1], addresses=frozenset()))
    assert cut(PRIMARY, "peers", target)[0]["pod"] == "pg-1"  # its agent says why it cannot be


def test_more_entries_than_the_schema_allows_are_refused_with_the_mend() -> None:
    assert len(cut(of("pg", members=["pg-0"]), "peers", replace(INVENTORY, pods=MANY[:64]))) == 64
    with pytest.raises(NoTarget, match=r"65 pods would have a part in .* at most 64 may\. Hint:"):
        cut(of("pg", members=["pg-0"]), "peers", replace(INVENTORY, pods=MANY[:65]))


def test_more_addresses_than_the_schema_allows_are_refused_with_the_mend() -> None:
    crowd = tuple(replace(pod, part="", cluster="", engine="") for pod in MANY)
    assert len(cut(PRIMARY, "clients", replace(BARE, clients=crowd[:64]))[0]["dropsTo"]) == 64
    with pytest.raises(NoTarget, match=r"pg-1 would have to drop .* more than 64 addresses\. Hint:"):
        cut(PRIMARY, "clients", replace(BARE, clients=crowd[:65]))
