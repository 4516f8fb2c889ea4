"""Partitions against a slow, obvious version: packet by packet, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from caplab_operator.faults.cuts import End, ends
from caplab_operator.faults.inventory import Inventory, Partition, Pod
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import cases
from support.operator.random_inventories import DIRECTIONS, SOURCES, inventories

pytestmark = pytest.mark.property
PARTITIONS = st.builds(Partition, st.sampled_from(SOURCES), st.sampled_from(DIRECTIONS), st.booleans())


@dataclass(frozen=True)
class Party:
    """Anybody who sends packets: by what it is, not by how it is cut off."""

    what: str  # member, sentinel, client, prober, operator, control plane, dns
    address: str
    zone: str = ""
    pod: Pod | None = None


def parties(inventory: Inventory) -> list[Party]:
    def each(what: str, pods: Sequence[Pod]) -> list[Party]:
        return [Party(what or pod.part, address, pod.zone, pod) for pod in pods for address in pod.addresses]

    everybody = each("", inventory.pods) + each("client", inventory.clients) + each("prober", inventory.probers)
    for what, addresses in (
        ("operator", inventory.operator),
        ("control plane", inventory.control_plane),
        ("dns", inventory.dns),
    ):
        everybody += [Party(what, address) for address in addresses]
    return everybody


def is_cut_off(partition: Partition, targets: Sequence[Pod], zones: frozenset[str], near: Party, far: Party) -> bool:
    """The words of a partition, one after the other: whether near is on the targets' side, and far cut off from it."""
    is_target = near.pod in targets
    if partition.source == "peers":
        is_peer = near.pod and far.pod and (far.pod.engine, far.pod.cluster) == (near.pod.engine, near.pod.cluster)
        return is_target and far.what == "member" and bool(is_peer) and far.pod not in targets
    is_plane = far.what == "control plane" or (far.what == "dns" and partition.dns)
    if partition.source == "controlPlane":
        return is_target and is_plane
    if partition.source == "clients":
        return is_target and far.what in ("client", "prober")
    inside = is_target or (near.what in ("client", "prober") and near.zone in zones)
    outside = far.what == "operator" or (
        far.what in ("member", "sentinel", "client", "prober") and far.zone not in zones and far.pod not in targets
    )
    return (inside and outside) or (is_target and is_plane)


def carries_rules(party: Party) -> bool:
    return party.what in ("member", "sentinel")


def must_drop(
    partition: Partition, targets: Sequence[Pod], zones: frozenset[str], sender: Party, receiver: Party
) -> bool:
    """Whether a packet from one to the other is to be dropped, at whichever end."""
    if not (carries_rules(sender) or carries_rules(receiver)):
        return False  # there is nobody to drop it
    others_drop = is_cut_off(partition, targets, zones, sender, receiver)
    targets_drop = is_cut_off(partition, targets, zones, receiver, sender)
    return (partition.direction != "in" and others_drop) or (partition.direction != "out" and targets_drop)


def drops(carriers: Mapping[Pod, End], sender: Party, receiver: Party) -> bool:
    out, inn = carriers.get(sender.pod) if sender.pod else None, carriers.get(receiver.pod) if receiver.pod else None
    return bool((out and receiver.address in out.drops_to) or (inn and sender.address in inn.drops_from))


@given(inventories(), PARTITIONS, st.data())
@settings(max_examples=cases(300))
def test_packets_are_dropped_where_the_words_say_so_and_nowhere_else(
    inventory: Inventory, partition: Partition, data: st.DataObject
) -> None:
    targets, zones = sides(inventory, partition, data)
    ends_by_pod = {end.pod: end for end in ends(partition, targets, zones, inventory)}
    everybody = parties(inventory)
    for sender in everybody:
        for receiver in everybody:
            if sender is not receiver:
                expected = must_drop(partition, targets, zones, sender, receiver)
                assert drops(ends_by_pod, sender, receiver) == expected, (sender, receiver)


@given(inventories(), PARTITIONS, st.data())
@settings(max_examples=cases(200))
def test_rules_are_carried_by_members_and_sentinels_in_order_and_never_against_themselves(
    inventory: Inventory, partition: Partition, data: st.DataObject
) -> None:
    targets, zones = sides(inventory, partition, data)
    cut_ends = ends(partition, targets, zones, inventory)
    assert len({end.pod for end in cut_ends}) == len(cut_ends)
    for end in cut_ends:
        assert end.pod in inventory.pods
        assert (end.end == "target") == (end.pod in targets)
        for addresses in (end.drops_from, end.drops_to):
            assert list(addresses) == sorted(set(addresses))
            assert not set(addresses) & (end.pod.addresses | end.pod.node_addresses)
        assert partition.direction == "both" or not (end.drops_from and end.drops_to)


@given(inventories(), PARTITIONS, st.data())
@settings(max_examples=cases(200))
def test_between_two_that_carry_rules_a_packet_is_dropped_at_both_ends(
    inventory: Inventory, partition: Partition, data: st.DataObject
) -> None:
    """Behind a Service only the far end sees the address."""
    targets, zones = sides(inventory, partition, data)
    ends_by_pod = {end.pod: end for end in ends(partition, targets, zones, inventory)}
    carriers = [party for party in parties(inventory) if carries_rules(party)]
    for sender in carriers:
        for receiver in carriers:
            sender_end, receiver_end = ends_by_pod.get(sender.pod), ends_by_pod.get(receiver.pod)  # type: ignore[arg-type]
            at_sender = sender_end is not None and receiver.address in sender_end.drops_to
            at_receiver = receiver_end is not None and sender.address in receiver_end.drops_from
            assert at_sender == at_receiver


def sides(inventory: Inventory, partition: Partition, data: st.DataObject) -> tuple[list[Pod], frozenset[str]]:
    """Any targets, and the zones of a group."""
    if partition.is_group:
        zones = frozenset(data.draw(st.sets(st.sampled_from("abc"), min_size=1)))
        return [pod for pod in inventory.pods if pod.zone in zones], zones
    chosen = data.draw(st.lists(st.sampled_from(inventory.pods), unique=True)) if inventory.pods else []
    return chosen, frozenset()
