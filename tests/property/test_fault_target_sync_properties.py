"""Whom faults hit, and whom they go on to hit through any changes of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from caplab_operator.faults.cuts import ends
from caplab_operator.faults.inventory import Inventory, Partition, Pod
from caplab_operator.faults.resolving import entry_of_end
from caplab_operator.faults.targets import NoTarget, choose, excess
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.effort import cases
from support.operator.fault_bodies import entry_of, operator_part, resolve, synced
from support.operator.fault_inventory import NOW, body, spec, status_of
from support.operator.random_inventories import CLUSTERS, DIRECTIONS, SOURCES, inventories

from caplab.contract.names import MEMBER
from caplab.contract.objects import Target

pytestmark = pytest.mark.property


@given(inventories(), st.sampled_from("abcz"), st.sampled_from([None, *CLUSTERS]), st.integers(1, 4) | st.none())
def test_a_place_is_all_that_is_there_and_never_more_than_the_bound(
    inventory: Inventory, zone: str, cluster: tuple[str, str] | None, bound: int | None
) -> None:
    target: dict[str, Any] = {"zone": zone} | ({"maxMembers": bound} if bound else {})
    if cluster:
        target |= {"kind": f"{cluster[0].capitalize()}Cluster", "name": cluster[1]}
    there = [pod for pod in inventory.pods if cluster in (None, (pod.engine, pod.cluster))]
    in_zone = [pod for pod in there if pod.zone == zone]
    allowed = bool(in_zone) and (cluster is None or any(pod.part == MEMBER for pod in there))
    for engine_and_name in CLUSTERS:
        members = [pod for pod in there if (pod.engine, pod.cluster) == engine_and_name and pod.part == MEMBER]
        targeted = sum(pod in in_zone for pod in members)
        allowed = allowed and targeted <= (bound or max(1, (len(members) - 1) // 2))
    if allowed:
        assert {entry["uid"] for entry in resolve(spec(target, freeze={}), inventory)} == {pod.uid for pod in in_zone}
    else:
        with pytest.raises(NoTarget, match="Hint:"):
            resolve(spec(target, freeze={}), inventory)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["replace", "lose", "add", "address", "client", "agent", "gone"]), st.integers(0, 99)),
    min_size=3,
    max_size=16,
)


@dataclass
class Life:
    """A fault whose targets are synced while the inventory changes; the agents' words are kept beside it."""

    fault_spec: dict[str, Any]
    inventory: Inventory
    entries: list[dict[str, Any]]
    count: int = 100

    def sync(self) -> bool:
        status = synced(body(self.fault_spec, status_of(self.entries)), self.inventory, NOW)
        if status is None:
            return False
        states = {entry["uid"]: {"state": entry["state"]} for entry in self.entries if "state" in entry}
        before = [identity(entry) for entry in self.entries]
        self.entries = [entry | states.get(entry["uid"], {}) for entry in status["targets"]]
        assert [identity(entry) for entry in self.entries][: len(before)] == before  # none goes, none changes its pod
        return True

    def change(self, what: str, number: int) -> None:
        pods = list(self.inventory.pods)
        if what == "client":
            self.inventory = replace(self.inventory, clients=self.inventory.clients[1:])
        elif what in ("agent", "gone"):
            self.entries[number % len(self.entries)]["state"] = "Active" if what == "agent" else "Gone"
        elif pods:
            self._change_pods(what, pods, number % len(pods))
        assert len({pod.uid for pod in self.inventory.pods}) == len(self.inventory.pods)

    def _change_pods(self, what: str, pods: list[Pod], at: int) -> None:
        pod = pods.pop(at)
        self.count += 1
        address = frozenset({f"10.0.2.{self.count}"})
        if what == "replace":
            pods.append(replace(pod, uid=f"u-{self.count}", addresses=frozenset()))
        elif what == "add":
            pods += [pod, replace(pod, uid=f"u-{self.count}", name=f"{pod.name}-{self.count}", addresses=address)]
        elif what == "address":
            pods.append(pod if pod.addresses else replace(pod, addresses=address))
        self.inventory = replace(self.inventory, pods=tuple(pods))


def identity(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get(name) for name in ("uid", "pod", "node", "zone", "cluster", "replaces")}


TARGETS = st.sampled_from(
    [{"zone": "a"}, {"node": "node-b"}, {"zone": "a", "maxMembers": 8}, *(
        {"kind": f"{engine.capitalize()}Cluster", "name": name, "members": [f"{name}-0"]} for engine, name in CLUSTERS
    )]
)  # fmt: skip
KINDS = st.sampled_from([{"freeze": {}}, {"kill": {"keepDown": True}}]) | st.builds(
    lambda source, direction: {"partition": {"from": source, "direction": direction}},
    st.sampled_from(SOURCES),
    st.sampled_from(DIRECTIONS),
)


def redis_pod(number: int, zone: str, *, address: str = "") -> Pod:
    return Pod(
        uid=f"u-rd-{number}", name=f"rd-{number}", node=f"node-{zone}", zone=zone,
        addresses=frozenset({address} if address else ()), node_addresses=frozenset({f"172.18.0.{ord(zone)}"}),
        engine="redis", cluster="rd", part=MEMBER,
    )  # fmt: skip


@given(inventories(), TARGETS, KINDS, CHANGES)
@example(  # who comes into the zone when nobody of the cluster is outside has no entry, and is no peer to be cut off
    Inventory(pods=(redis_pod(0, "a", address="10.0.0.1"), redis_pod(1, "b"))),
    {"zone": "a", "maxMembers": 8},
    {"partition": {"from": "peers", "direction": "both"}},
    [("lose", 1), ("add", 0), ("client", 0)],
)
@settings(max_examples=cases(400), suppress_health_check=[HealthCheck.filter_too_much])
def test_whatever_becomes_of_the_pods_a_live_fault_holds_what_it_means_now(
    inventory: Inventory, target: dict[str, Any], kind: dict[str, Any], changes: list[tuple[str, int]]
) -> None:
    fault_spec = spec(target, **kind)
    try:
        life = Life(fault_spec, inventory, resolve(fault_spec, inventory))
    except NoTarget:
        return
    for what, number in changes:
        life.change(what, number)
        life.sync()
        assert not life.sync()  # it comes to rest at once
    check_replacements(life)
    if "partition" in kind:
        check_cut(life)


def check_replacements(life: Life) -> None:
    replaced = [entry["replaces"] for entry in life.entries if "replaces" in entry]
    assert len(replaced) == len(set(replaced))
    names = {entry["uid"]: entry["pod"] for entry in life.entries}
    assert all(names[entry["replaces"]] == entry["pod"] for entry in life.entries if "replaces" in entry)


def check_cut(life: Life) -> None:
    """The entries of pods that are there, and not taken for gone, are the ends of the cut as it is now."""
    inventory = life.inventory.of(Target.from_body(life.fault_spec["target"]))
    partition = Partition(life.fault_spec["partition"]["from"], life.fault_spec["partition"]["direction"])
    zones = (
        frozenset(entry["zone"] for entry in life.entries if entry["end"] == "target") if partition.is_group else None
    )
    targets = meant(life, inventory)
    cut_entries = {
        end.pod.uid: entry_of_end(end).to_body() for end in ends(partition, targets, zones or frozenset(), inventory)
    }
    there = {pod.uid: pod for pod in inventory.pods}
    for entry in life.entries:
        if entry["uid"] in there and entry.get("state") != "Gone":
            expected = cut_entries.get(entry["uid"]) or entry_of(there[entry["uid"]]) | {"dropsFrom": [], "dropsTo": []}
            mine = {name: value for name, value in operator_part(entry).items() if name not in ("replaces", "end")}
            assert mine == {name: value for name, value in expected.items() if name != "end"}
    missing = set(cut_entries) - {entry["uid"] for entry in life.entries}
    assert not any(there[uid].is_up for uid in missing)


def meant(life: Life, inventory: Inventory) -> list[Pod]:
    """A place means all that is there, even one that has nobody to be cut off from, and so no entry, yet.

    Where that is more than the bound, and for named members, it is those with an entry.
    """
    target, held = (
        Target.from_body(life.fault_spec["target"]),
        {entry["uid"] for entry in life.entries if entry["end"] == "target"},
    )
    in_place = choose_all(target, inventory) if target.members is None else []
    is_all = bool(in_place) and not excess(target, in_place, inventory.pods)
    return in_place if is_all else [pod for pod in inventory.pods if pod.uid in held]


def choose_all(target: Target, inventory: Inventory) -> list[Pod]:
    try:
        return choose(target, 0, inventory.pods)
    except NoTarget:
        return []
