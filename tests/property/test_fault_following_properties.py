"""Whom faults hit, and whom they go on to hit through any changes of their world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from caplab_operator.faults.cuts import ends
from caplab_operator.faults.following import followed
from caplab_operator.faults.moves import own
from caplab_operator.faults.resolving import entry_of, entry_of_end, resolve
from caplab_operator.faults.targets import NoTarget, choose, excess
from caplab_operator.faults.world import MEMBER, Partition, Pod, World
from fault_world import NOW, body, spec, status_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from random_worlds import CLUSTERS, DIRECTIONS, SOURCES, worlds

pytestmark = pytest.mark.property


@given(worlds(), st.sampled_from("abcz"), st.sampled_from([None, *CLUSTERS]), st.integers(1, 4) | st.none())
def test_a_place_is_all_that_is_there_and_never_more_than_the_bound(
    world: World, zone: str, cluster: tuple[str, str] | None, bound: int | None
) -> None:
    target: dict[str, Any] = {"zone": zone} | ({"maxMembers": bound} if bound else {})
    if cluster:
        target |= {"kind": f"{cluster[0].capitalize()}Cluster", "name": cluster[1]}
    there = [pod for pod in world.pods if cluster in (None, (pod.engine, pod.cluster))]
    hit = [pod for pod in there if pod.zone == zone]
    allowed = bool(hit) and (cluster is None or any(pod.part == MEMBER for pod in there))
    for one in CLUSTERS:
        members = [pod for pod in there if (pod.engine, pod.cluster) == one and pod.part == MEMBER]
        struck = sum(pod in hit for pod in members)
        allowed = allowed and struck <= (bound or max(1, (len(members) - 1) // 2))
    if allowed:
        assert {entry["uid"] for entry in resolve(spec(target, freeze={}), world)} == {pod.uid for pod in hit}
    else:
        with pytest.raises(NoTarget, match="Hint:"):
            resolve(spec(target, freeze={}), world)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["replace", "lose", "add", "address", "client", "agent", "gone"]), st.integers(0, 99)),
    min_size=3,
    max_size=16,
)


@dataclass
class Life:
    """A fault that is followed while its world changes; the agents' words are kept beside it."""

    asked: dict[str, Any]
    world: World
    entries: list[dict[str, Any]]
    count: int = 100

    def follow(self) -> bool:
        status = followed(body(self.asked, status_of(self.entries)), self.world, NOW)
        if status is None:
            return False
        states = {entry["uid"]: {"state": entry["state"]} for entry in self.entries if "state" in entry}
        before = [identity(entry) for entry in self.entries]
        self.entries = [entry | states.get(entry["uid"], {}) for entry in status["targets"]]
        assert [identity(entry) for entry in self.entries][: len(before)] == before  # none goes, none changes its pod
        return True

    def change(self, what: str, number: int) -> None:
        pods = list(self.world.pods)
        if what == "client":
            self.world = replace(self.world, clients=self.world.clients[1:])
        elif what in ("agent", "gone"):
            self.entries[number % len(self.entries)]["state"] = "Active" if what == "agent" else "Gone"
        elif pods:
            self._change_pods(what, pods, number % len(pods))
        assert len({pod.uid for pod in self.world.pods}) == len(self.world.pods)

    def _change_pods(self, what: str, pods: list[Pod], at: int) -> None:
        one = pods.pop(at)
        self.count += 1
        address = frozenset({f"10.0.2.{self.count}"})
        if what == "replace":
            pods.append(replace(one, uid=f"u-{self.count}", addresses=frozenset()))
        elif what == "add":
            pods += [one, replace(one, uid=f"u-{self.count}", name=f"{one.name}-{self.count}", addresses=address)]
        elif what == "address":
            pods.append(one if one.addresses else replace(one, addresses=address))
        self.world = replace(self.world, pods=tuple(pods))


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


@given(worlds(), TARGETS, KINDS, CHANGES)
@example(  # who comes into the zone when nobody of the cluster is outside has no entry, and is no peer to be cut off
    World(pods=(redis_pod(0, "a", address="10.0.0.1"), redis_pod(1, "b"))),
    {"zone": "a", "maxMembers": 8},
    {"partition": {"from": "peers", "direction": "both"}},
    [("lose", 1), ("add", 0), ("client", 0)],
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.filter_too_much])
def test_whatever_becomes_of_the_pods_a_live_fault_holds_what_it_means_now(
    world: World, target: dict[str, Any], kind: dict[str, Any], changes: list[tuple[str, int]]
) -> None:
    asked = spec(target, **kind)
    try:
        life = Life(asked, world, resolve(asked, world))
    except NoTarget:
        return
    for what, number in changes:
        life.change(what, number)
        life.follow()
        assert not life.follow()  # it comes to rest at once
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
    world = life.world.of(life.asked["target"])
    partition = Partition(life.asked["partition"]["from"], life.asked["partition"]["direction"])
    zones = (
        frozenset(entry["zone"] for entry in life.entries if entry["end"] == "target") if partition.is_group else None
    )
    targets = meant(life, world)
    found = {end.pod.uid: entry_of_end(end) for end in ends(partition, targets, zones or frozenset(), world)}
    there = {pod.uid: pod for pod in world.pods}
    for entry in life.entries:
        if entry["uid"] in there and entry.get("state") != "Gone":
            expected = found.get(entry["uid"]) or entry_of(there[entry["uid"]]) | {"dropsFrom": [], "dropsTo": []}
            mine = {name: value for name, value in own(entry).items() if name not in ("replaces", "end")}
            assert mine == {name: value for name, value in expected.items() if name != "end"}
    missing = set(found) - {entry["uid"] for entry in life.entries}
    assert not any(there[uid].is_up for uid in missing)


def meant(life: Life, world: World) -> list[Pod]:
    """A place means all that is there, even one that has nobody to be cut off from, and so no entry, yet.

    Where that is more than the bound, and for named members, it is those with an entry.
    """
    target, held = life.asked["target"], {entry["uid"] for entry in life.entries if entry["end"] == "target"}
    in_place = choose_all(target, world) if "members" not in target else []
    is_all = bool(in_place) and not excess(target, in_place, world.pods)
    return in_place if is_all else [pod for pod in world.pods if pod.uid in held]


def choose_all(target: dict[str, Any], world: World) -> list[Pod]:
    try:
        return choose(target, 0, world.pods)
    except NoTarget:
        return []
