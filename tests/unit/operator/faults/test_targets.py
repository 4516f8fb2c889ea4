"""Whom a target means, and how many of them are allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.faults.targets import NoTarget, Roles, choose, excess, in_zones, zones_of
from support.operator.fault_inventory import INVENTORY, PG, RD, SENTINELS, of, pod

from caplab.contract.objects import Target

LED = Roles(primary="pg-1")
FIVE = tuple(pod(f"pg-{number}", "abcab"[number], 60 + number) for number in range(5))
CASSANDRA = tuple(pod(f"cs-{number}", "abc"[number], 70 + number) for number in range(3))


def typed(target: dict[str, Any]) -> Target:
    return Target.from_body(target)


def names(target: dict[str, Any], seed: int = 0, roles: Roles | None = LED) -> list[str]:
    return [pod.name for pod in choose(typed(target), seed, INVENTORY.of(typed(target)).pods, roles)]


@pytest.mark.parametrize(
    ("target", "targeted"),
    [
        (of("pg", role="primary"), ["pg-1"]),
        (of("pg", role="primary", count=1), ["pg-1"]),
        (of("pg", role="replica", count=2), ["pg-0", "pg-2"]),
        (of("pg", members=["pg-2", "pg-0"]), ["pg-0", "pg-2"]),
        (of("rd", members=["rd-1"]), ["rd-1"]),
        ({"zone": "a"}, ["pg-0", "rd-0", "rd-sentinel-0"]),
        (of("rd", zone="a"), ["rd-0", "rd-sentinel-0"]),
        (of("pg", zone="c"), ["pg-2"]),
        ({"node": "node-b"}, ["pg-1", "rd-1", "rd-sentinel-1"]),
        (of("pg", node="node-b"), ["pg-1"]),
    ],
)
def test_a_target_means_pods_by_role_name_or_place(target: dict[str, Any], targeted: list[str]) -> None:
    assert names(target) == targeted


def test_which_of_several_is_the_seeds_choice_and_always_the_same() -> None:
    assert {names(of("pg", role="replica"), seed)[0] for seed in range(20)} == {"pg-0", "pg-2"}
    assert {names(of("pg", role="any"), seed)[0] for seed in range(20)} == {"pg-0", "pg-1", "pg-2"}
    shuffled = choose(typed(of("pg", role="any")), 7, list(reversed(PG)), LED)
    assert choose(typed(of("pg", role="any")), 7, PG, LED) == shuffled


@pytest.mark.parametrize(
    ("target", "roles", "why"),
    [
        (of("cs", role="any"), LED, "CassandraCluster cs has no member"),
        ({"kind": "RedisCluster", "name": "pg", "role": "any"}, LED, "RedisCluster pg has no member"),
        (of("cs", zone="a"), None, "CassandraCluster cs has no member"),
        (of("pg", role="primary"), Roles(primary=None), "0 members of role primary.*wait until the cluster is Ready"),
        (of("pg", role="replica", count=3), LED, "2 members of role replica, and the fault asks for 3"),
        (of("pg", members=["pg-1", "pg-7"]), None, r"^pg-7: pg has no such member.* are pg-0, pg-1, pg-2\."),
        (of("rd", members=["rd-sentinel-0"]), None, "rd-sentinel-0: rd has no such member"),
        (of("pg", members=["rd-0"]), None, "rd-0: pg has no such member"),
        ({"zone": "z"}, None, "zone z has no member or Sentinel of any cluster.*: a, b, c"),
        (of("rd", zone="z"), None, "zone z has no member or Sentinel of rd.*: a, b, c"),
        ({"node": "z"}, None, "node z has no member or Sentinel.*: node-a, node-b, node-c"),
    ],
)
def test_a_target_that_means_nobody_is_refused_with_the_mend(
    target: dict[str, Any], roles: Roles | None, why: str
) -> None:
    with pytest.raises(NoTarget, match=why) as refusal:
        names(target, roles=roles)
    assert "Hint:" in str(refusal.value)


def test_a_place_in_a_namespace_without_clusters_is_refused_with_the_mend() -> None:
    with pytest.raises(NoTarget, match=r"no cluster of this namespace has a pod in a zone\. Hint: create"):
        choose(typed({"zone": "a"}), 0, ())


def test_without_primaries_any_is_one_that_its_peers_see_up() -> None:
    up = Roles(has_primaries=False, up=frozenset({"cs-0", "cs-2"}))
    chosen = {choose(typed(of("cs", role="any")), seed, CASSANDRA, up)[0].name for seed in range(20)}
    assert chosen == {"cs-0", "cs-2"}
    with pytest.raises(NoTarget, match="2 members of role any, and the fault asks for 3"):
        choose(typed(of("cs", role="any", count=3)), 0, CASSANDRA, up)


def test_a_ring_that_says_nothing_is_no_reason_to_guess() -> None:
    silent = Roles(has_primaries=False, up=frozenset())
    with pytest.raises(
        NoTarget, match=r"no member of cs reports which members are up.*name members \(target.members\)"
    ):
        choose(typed(of("cs", role="any")), 0, CASSANDRA, silent)
    assert [pod.name for pod in choose(typed(of("cs", members=["cs-1"])), 0, CASSANDRA)] == ["cs-1"]


@pytest.mark.parametrize("role", ["primary", "replica"])
def test_a_role_that_no_member_of_the_engine_ever_has_is_refused(role: str) -> None:
    with pytest.raises(
        NoTarget, match=f"cs has no {role}: a CassandraCluster has no primary. Hint: set target.role to any"
    ):
        choose(typed(of("cs", role=role)), 0, CASSANDRA, Roles(has_primaries=False, up=frozenset({"cs-0"})))


@pytest.mark.parametrize(
    ("members", "targeted", "bound", "allowed"),
    [
        (1, 1, None, True),
        (2, 1, None, True),
        (2, 2, None, False),
        (3, 1, None, True),
        (3, 2, None, False),
        (4, 2, None, False),
        (5, 2, None, True),
        (5, 3, None, False),
        (3, 3, 3, True),
        (3, 3, 8, True),
        (3, 2, 1, False),
        (5, 2, 1, False),
    ],
)
def test_a_fault_hits_a_minority_at_most_where_nothing_else_is_said(
    members: int, targeted: int, bound: int | None, allowed: bool
) -> None:
    target = of("pg", role="any") | ({"maxMembers": bound} if bound else {})
    assert (excess(typed(target), FIVE[:targeted], FIVE[:members]) == "") == allowed


def test_too_many_are_refused_by_number_cluster_bound_and_mend() -> None:
    assert excess(typed({"zone": "a"}), (*PG[:2], RD[0]), INVENTORY.pods) == (
        "2 of 3 members of pg would be hit, and the bound is 1. Hint: raise target.maxMembers if that is intended,"
        " or hit fewer."
    )


def test_sentinels_do_not_count_and_each_cluster_has_a_bound_of_its_own() -> None:
    assert excess(typed({"zone": "a"}), (PG[0], RD[0], *SENTINELS), INVENTORY.pods) == ""
    assert "members of rd" in excess(typed({"zone": "a"}), (PG[0], RD[0], RD[1]), INVENTORY.pods)
    postgres_rd = tuple(replace(pod, cluster="rd") for pod in PG)  # another engine's of the same name
    assert excess(typed({"zone": "a"}), (RD[0], postgres_rd[1]), (*RD[:2], *postgres_rd[:2])) == ""


def test_a_group_is_all_of_the_zones_of_its_targets() -> None:
    zones = zones_of([PG[0], PG[2]])
    assert [pod.name for pod in in_zones(zones, (*PG, *SENTINELS))] == [
        "pg-0",
        "pg-2",
        "rd-sentinel-0",
        "rd-sentinel-2",
    ]


def test_a_group_of_a_target_in_no_zone_is_refused_with_the_mend() -> None:
    nowhere = replace(PG[1], zone="")
    with pytest.raises(NoTarget, match=r"pg-1 on node-b: in no zone.*topology\.kubernetes\.io/zone"):
        zones_of([PG[0], nowhere])
