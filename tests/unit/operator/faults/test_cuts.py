"""What each pod drops, for each word of a partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from caplab_operator.faults.cuts import End, ends
from caplab_operator.faults.inventory import CONTROL_PLANE as CONTROL_PLANE_NEED
from caplab_operator.faults.inventory import DNS as DNS_NEED
from caplab_operator.faults.inventory import OUTSIDERS, Inventory, Partition, Pod, needs_of, partition_of
from support.operator.fault_inventory import CONTROL_PLANE, DNS, INVENTORY, PG, RD, SENTINELS, of, spec

from caplab.contract.objects import FaultSpec, Target

NOWHERE: frozenset[str] = frozenset()


def cut(
    source: str,
    targets: Sequence[Pod],
    direction: str = "both",
    dns: bool = False,
    inventory: Inventory = INVENTORY,
    zones: frozenset[str] = NOWHERE,
) -> dict[str, End]:
    return {end.pod.name: end for end in ends(Partition(source, direction, dns), targets, zones, inventory)}


def short(addresses: Sequence[str]) -> list[int]:
    """The last numbers of 10.0.0.x."""
    return sorted(int(address.removeprefix("10.0.0.")) for address in addresses)


@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_between_members_both_ends_drop(direction: str) -> None:
    cut_ends = cut("peers", [PG[1]], direction)
    assert {name: end.end for name, end in cut_ends.items()} == {"pg-1": "target", "pg-0": "other", "pg-2": "other"}
    drop_from, drop_to = direction != "out", direction != "in"
    assert short(cut_ends["pg-1"].drops_from) == ([10, 12] if drop_from else [])
    assert short(cut_ends["pg-1"].drops_to) == ([10, 12] if drop_to else [])
    for peer in ("pg-0", "pg-2"):
        assert short(cut_ends[peer].drops_to) == ([11] if drop_from else [])
        assert short(cut_ends[peer].drops_from) == ([11] if drop_to else [])


def test_targets_are_one_side_and_hear_each_other() -> None:
    cut_ends = cut("peers", [PG[0], PG[1]])
    assert short(cut_ends["pg-0"].drops_from) == short(cut_ends["pg-1"].drops_to) == [12]
    assert short(cut_ends["pg-2"].drops_from) == [10, 11]


def test_peers_are_members_of_the_same_cluster_and_no_sentinels() -> None:
    cut_ends = cut("peers", [PG[0], RD[0], SENTINELS[0]])
    assert set(cut_ends) == {"pg-0", "pg-1", "pg-2", "rd-0", "rd-1", "rd-2", "rd-sentinel-0"}
    assert short(cut_ends["rd-0"].drops_from) == short(cut_ends["rd-sentinel-0"].drops_from) == [21, 22]
    assert short(cut_ends["rd-1"].drops_from) == [20, 30]
    assert short(cut_ends["pg-1"].drops_from) == [10]


@pytest.mark.parametrize(("dns", "addresses"), [(False, CONTROL_PLANE), (True, CONTROL_PLANE | DNS)])
def test_the_control_plane_is_cut_at_the_targets_alone_and_dns_where_it_is_named(
    dns: bool, addresses: frozenset[str]
) -> None:
    (end,) = cut("controlPlane", [PG[1]], dns=dns).values()
    assert (end.pod, end.end) == (PG[1], "target")
    assert end.drops_from == end.drops_to == tuple(sorted(addresses))


@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_clients_are_cut_at_the_targets_alone(direction: str) -> None:
    (end,) = cut("clients", [PG[1]], direction).values()
    assert short(end.drops_from) == ([40, 41, 50, 51, 52] if direction != "out" else [])
    assert short(end.drops_to) == ([40, 41, 50, 51, 52] if direction != "in" else [])


def plain(*numbers: int) -> set[str]:
    return {f"10.0.0.{number}" for number in numbers}


OUTSIDE = plain(11, 12, 21, 22, 31, 32, 41, 51, 52) | {"10.244.0.5"}  # of zone a; the last is the operator
INSIDE = plain(10, 20, 30, 40, 50)


@pytest.mark.parametrize("dns", [False, True])
def test_a_group_cuts_a_zone_with_all_that_is_in_it(dns: bool) -> None:
    targets = [PG[0], RD[0], SENTINELS[0]]
    cut_ends = cut("group", targets, dns=dns, zones=frozenset("a"))
    assert {name for name, end in cut_ends.items() if end.end == "target"} == {"pg-0", "rd-0", "rd-sentinel-0"}
    assert set(cut_ends) == {pod.name for pod in INVENTORY.pods}
    for name, end in cut_ends.items():
        far = OUTSIDE | CONTROL_PLANE | (DNS if dns else set()) if end.end == "target" else INSIDE
        assert set(end.drops_from) == set(end.drops_to) == far, name


def test_a_group_of_one_direction_leaves_the_other_alone() -> None:
    inbound = cut("group", [PG[0]], "in", inventory=INVENTORY.of(Target.from_body(of("pg"))), zones=frozenset("a"))
    assert set(inbound) == {"pg-0", "pg-1", "pg-2"}
    assert set(inbound["pg-0"].drops_from) == plain(11, 12, 41, 51, 52) | {"10.244.0.5"} | CONTROL_PLANE
    assert inbound["pg-0"].drops_to == inbound["pg-1"].drops_from == ()
    assert set(inbound["pg-1"].drops_to) == plain(10, 40, 50)  # what is said to the zone's prober and client goes too
    outbound = cut("group", [PG[0]], "out", inventory=INVENTORY.of(Target.from_body(of("pg"))), zones=frozenset("a"))
    assert (outbound["pg-0"].drops_from, outbound["pg-0"].drops_to) == ((), inbound["pg-0"].drops_from)


@pytest.mark.parametrize(
    "inventory",
    [
        replace(INVENTORY, pods=(PG[0], RD[1], SENTINELS[1])),
        replace(INVENTORY, pods=(PG[0],)),
    ],
)
def test_who_has_nobody_on_the_other_side_carries_nothing(inventory: Inventory) -> None:
    assert cut("peers", [PG[0]], inventory=inventory) == {}


def test_a_pod_without_an_address_yet_carries_its_rules_already() -> None:
    new = replace(PG[2], addresses=NOWHERE)
    cut_ends = cut("peers", [PG[0]], inventory=replace(INVENTORY, pods=(*PG[:2], new)))
    assert short(cut_ends["pg-2"].drops_from) == [10]
    assert short(cut_ends["pg-0"].drops_from) == [11]


def test_all_addresses_of_a_pod_are_dropped() -> None:
    both = replace(PG[1], addresses=frozenset({"10.0.0.11", "fd00::11"}))
    cut_ends = cut("peers", [PG[0]], inventory=replace(INVENTORY, pods=(PG[0], both)))
    assert cut_ends["pg-0"].drops_from == ("10.0.0.11", "fd00::11")


def test_never_the_pods_own_address_nor_its_nodes() -> None:
    shared = replace(INVENTORY, clients=(replace(PG[0], part=""), replace(PG[1], addresses=PG[0].node_addresses)))
    assert [short(end.drops_from) for end in cut("clients", [PG[0]], inventory=shared).values()] == [[50, 51, 52]]
    control = replace(INVENTORY, control_plane=CONTROL_PLANE | PG[0].node_addresses)
    (end,) = cut("controlPlane", [PG[0]], inventory=control).values()
    assert set(end.drops_from) == CONTROL_PLANE


def test_an_unknown_word_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"partition\.from moon is not one of"):
        cut("moon", [PG[0]])


def test_only_what_a_partition_goes_by_is_read() -> None:
    def needs(**partition: str) -> frozenset[str]:
        specs = spec(of("pg", role="primary"), partition=partition), spec(of("pg", role="any"))
        return needs_of(map(FaultSpec.from_body, specs))

    assert needs(**{"from": "peers"}) == frozenset()
    assert needs(**{"from": "clients"}) == {OUTSIDERS}
    assert needs(**{"from": "controlPlane"}) == {CONTROL_PLANE_NEED}
    assert needs(**{"from": "controlPlane", "dns": "Cut"}) == {CONTROL_PLANE_NEED, DNS_NEED}
    assert needs(**{"from": "group", "dns": "Cut"}) == {CONTROL_PLANE_NEED, DNS_NEED, OUTSIDERS}


def test_what_the_api_server_fills_in_may_be_missing() -> None:
    cut = {"target": {}, "partition": {"from": "peers"}}
    assert partition_of(FaultSpec.from_body(cut)) == Partition("peers", "both", False)
    assert partition_of(FaultSpec.from_body({"target": {}, "freeze": {}})) is None
