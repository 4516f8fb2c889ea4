"""The whole agent with freezes, partitions and pods that come and go, against an API server of a few lines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agent.fakes import ID, POD_UID
from support.agent.lab import Body, Lab, deleted, fault, lab_in, state, wait_until
from support.effort import quickest

PEER, OTHER = "10.244.1.5", "10.244.2.6"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from lab_in(tmp_path)


def freeze(uid: str = "f1", seconds: float = 30) -> Body:
    body = fault(uid, seconds)
    return {**body, "spec": {**body["spec"], "kill": None, "freeze": {}}}


def partition(uid: str = "f1", seconds: float = 30, sources: tuple[str, ...] = (PEER,)) -> Body:
    body = fault(uid, seconds)
    body["status"]["targets"][0] |= {"dropsFrom": list(sources), "dropsTo": []}
    return {**body, "spec": {**body["spec"], "kill": None, "partition": {"from": "peers"}}}


def is_frozen(lab: Lab) -> bool:
    return (lab.pod / "freezer.state").read_text() == "FROZEN"


def network(lab: Lab) -> int:
    """The member's network namespace, by its inode."""
    assert lab.member
    lab.enter(1, "node")
    return lab.enter(lab.member.pid, "pod")


def change_target(lab: Lab, uid: str = "f1", **fields: Any) -> None:
    """The operator writes its part of the target anew."""
    body = json.loads(json.dumps(lab.api.faults[uid]))
    body["status"]["targets"][0] |= fields
    lab.api.put(body)


def test_a_pod_is_frozen_for_its_time_and_forgotten(lab: Lab) -> None:
    lab.start()
    lab.api.put(freeze(seconds=1.5), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    assert is_frozen(lab)
    active = lab.api.target()
    assert active["proven"]
    assert active["injectedNs"] <= active["effectiveNs"]
    wait_until(lambda: state(lab) == "Healed")
    assert not is_frozen(lab)
    assert lab.api.target()["proven"]
    assert [argv[5] for argv in lab.programs.begun] == ["systemd-run", "systemctl"]
    wait_until(lambda: lab.journal.read() == [])


def test_overlapping_freezes_outlive_an_agent_and_the_last_one_thaws(lab: Lab) -> None:
    lab.start()
    for uid in ("f1", "f2"):
        lab.api.put(freeze(uid), "ADDED")
        wait_until(lambda uid=uid: state(lab, uid) == "Active")  # type: ignore[misc]
    lab.stop()
    lab.api.put(deleted(lab.api.faults["f1"]))
    lab.start()  # its first move is to heal the one: it knows by then who else holds the pod
    wait_until(lambda: state(lab) == "Healed")
    assert is_frozen(lab)
    lab.api.put(deleted(lab.api.faults["f2"]))
    wait_until(lambda: state(lab, "f2") == "Healed")
    assert not is_frozen(lab)
    assert lab.api.target()["proven"]
    assert lab.api.target("f2")["proven"]


def test_a_partition_is_proven_by_its_first_packet_and_gone_at_heal(lab: Lab) -> None:
    inode = network(lab)
    lab.start()
    lab.api.put(partition(seconds=2.5), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    assert lab.api.target()["proven"] is False
    lab.nft.drop(inode, PEER, 3)
    wait_until(lambda: lab.api.target()["proven"])  # reported while the fault is live
    active = lab.api.target()
    assert active["state"] == "Active"
    assert active["injectedNs"] <= active["effectiveNs"]
    assert active["evidence"][1].startswith(f"dropped 3 packets from {PEER}, first ")
    wait_until(lambda: state(lab) == "Healed")
    assert lab.nft.namespaces[inode] == {}
    assert lab.api.target()["proven"]


def test_addresses_that_the_operator_changes_are_changed_in_the_pod(lab: Lab) -> None:
    inode = network(lab)
    lab.start()
    lab.api.put(partition(), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    change_target(lab, dropsFrom=[PEER, OTHER])
    wait_until(lambda: set(lab.nft.namespaces[inode]["caplab_f1"].dropped["drop_from4"]) == {PEER, OTHER})
    wait_until(lambda: lab.api.target()["evidence"][0] == "drops packets from 2 addresses and to 0 addresses")
    lab.restart()
    change_target(lab, dropsFrom=[OTHER])  # the next agent knows what is in force
    wait_until(lambda: set(lab.nft.namespaces[inode]["caplab_f1"].dropped["drop_from4"]) == {OTHER})
    assert lab.journal.read()[0].protected_addresses == ("10.244.1.7", "10.89.0.3")


def test_addresses_that_change_while_a_replacement_is_waited_for_are_cut_from_the_first_moment_on(lab: Lab) -> None:
    lab.start()
    body = partition("f2")
    body["status"]["targets"][0] |= {"replaces": "p0"}
    lab.api.put(body, "ADDED")
    wait_until(lambda: ("f2", POD_UID) in {record.assignment.key for record in lab.journal.read()})
    change_target(lab, "f2", dropsFrom=[PEER, OTHER])
    time.sleep(0.5)  # until the agent has heard of it
    inode = network(lab)
    wait_until(lambda: state(lab, "f2") == "Active")
    texts = [text for text in lab.nft.texts() if "caplab_f2" in text]
    assert len(texts) == 1
    assert f"{OTHER} timeout" in texts[0]
    assert set(lab.nft.namespaces[inode]["caplab_f2"].dropped["drop_from4"]) == {PEER, OTHER}


def test_an_address_of_the_pods_node_is_refused_and_nothing_is_cut(lab: Lab) -> None:
    network(lab)
    lab.start()
    lab.api.put(partition(sources=(PEER, "10.89.0.3")), "ADDED")
    wait_until(lambda: state(lab) == "Failed")
    assert "dropsFrom names 10.89.0.3" in lab.api.target()["problem"]
    assert lab.nft.calls == []


def test_a_pod_that_goes_while_it_is_kept_down_is_reported_gone(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    (lab.gate / "closed-f1").unlink()
    lab.gate.rmdir()
    wait_until(lambda: state(lab) == "Gone")
    gone = lab.api.target()
    assert gone["proven"]
    assert gone["healedNs"] > gone["injectedNs"]
    assert "until the pod was gone" in gone["evidence"][-1]
    wait_until(lambda: lab.journal.read() == [])


def replacement(uid: str, number: int) -> Body:
    """A fault whose pod does not run yet."""
    body = fault(uid)
    body["status"]["targets"][0] |= {"uid": pod_uid(number), "pod": f"new-{number}", "replaces": POD_UID}
    return body


def pod_uid(number: int) -> str:
    return f"99999999-2222-3333-4444-{number:012d}"


def add_pod(lab: Lab, number: int) -> None:
    metadata = {**lab.api.pod["metadata"], "uid": pod_uid(number)}
    lab.api.pods[f"new-{number}"] = {**lab.api.pod, "metadata": metadata, "status": {}}


def test_assignments_that_wait_for_their_pods_keep_no_other_from_beginning(lab: Lab) -> None:
    lab.start()
    for number in range(40):
        add_pod(lab, number)
        lab.api.put(replacement(f"w{number}", number), "ADDED")
    wait_until(lambda: len(lab.journal.read()) == 40)
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    gate = lab.root / "pods" / pod_uid(7) / "volumes/kubernetes.io~empty-dir/gate"
    gate.mkdir(parents=True)
    wait_until(lambda: state(lab, "w7") == "Active")
    assert lab.api.target("w7")["proven"]
    assert [file.name for file in gate.iterdir()] == ["closed-w7"]
    lab.api.put(deleted(lab.api.faults["w8"]))
    wait_until(lambda: state(lab, "w8") == "Healed")
    assert lab.api.target("w8")["evidence"] == ["ended before it began: nothing was done"]


def test_an_assignment_that_waits_for_its_pod_is_left_to_the_next_agent(lab: Lab) -> None:
    add_pod(lab, 1)
    lab.start()
    lab.api.put(replacement("w1", 1), "ADDED")
    wait_until(lambda: len(lab.journal.read()) == 1)
    lab.stop()
    assert lab.journal.read() == []
    assert state(lab, "w1") == ""
    lab.start()
    wait_until(lambda: len(lab.journal.read()) == 1)
    (lab.root / "pods" / pod_uid(1) / "volumes/kubernetes.io~empty-dir/gate").mkdir(parents=True)
    wait_until(lambda: state(lab, "w1") == "Active")


def test_an_assignment_that_waits_in_vain_ends_with_its_time(lab: Lab) -> None:
    add_pod(lab, 1)
    body = replacement("w1", 1)
    lab.start()
    lab.api.put({**body, "status": {**body["status"], "until": fault(seconds=1)["status"]["until"]}}, "ADDED")
    wait_until(lambda: state(lab, "w1") == "Healed")
    assert "injectedNs" not in lab.api.target("w1")


def test_a_killed_and_frozen_pod_heals_from_each_by_itself(lab: Lab) -> None:
    lab.start()
    lab.api.put(freeze("f1"), "ADDED")
    wait_until(lambda: state(lab, "f1") == "Active")
    lab.api.put(fault("f2"), "ADDED")
    wait_until(lambda: state(lab, "f2") == "Active")
    assert lab.member
    lab.member.wait(5)
    assert is_frozen(lab)
    lab.api.put(deleted(lab.api.faults["f1"]))
    wait_until(lambda: state(lab, "f1") == "Healed")
    assert not is_frozen(lab)
    assert lab.closed() == ["closed-f2"]
    assert lab.api.target("f1")["proven"]


def test_a_step_that_raises_keeps_no_other_fault_from_its_end(lab: Lab) -> None:
    inode = network(lab)
    lab.start()
    lab.api.put(partition("f1"), "ADDED")
    lab.api.put(freeze("f2"), "ADDED")
    wait_until(lambda: state(lab, "f1") == state(lab, "f2") == "Active")
    lab.nft.refuses = "Error: netlink: Device busy\n"
    for uid in ("f1", "f2"):
        lab.api.put(deleted(lab.api.faults[uid]))
    wait_until(lambda: state(lab, "f2") == "Healed")
    assert state(lab, "f1") == "Active"
    lab.nft.refuses = ""
    wait_until(lambda: state(lab, "f1") == "Healed")
    assert lab.nft.namespaces[inode] == {}


@pytest.mark.parametrize("kind", ["freeze", "partition"])
def test_the_effect_follows_the_target_at_once(lab: Lab, kind: str) -> None:
    network(lab)
    lab.start()

    def once(number: int) -> float:
        uid = f"f{number}"
        unresolved = freeze(uid) if kind == "freeze" else partition(uid)
        targets = unresolved["status"].pop("targets")
        lab.api.put(unresolved, "ADDED")
        time.sleep(0.3)
        began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        lab.api.put({**unresolved, "status": {**unresolved["status"], "targets": targets}})
        wait_until(lambda: state(lab, uid) == "Active")
        seconds = (int(lab.api.target(uid)["injectedNs"]) - began) / 1e9
        lab.api.put(deleted(lab.api.faults[uid]))
        wait_until(lambda: state(lab, uid) == "Healed")
        return seconds

    assert quickest(once, 0.2) < 0.2  # about 0.01 on an idle machine, without the programs' own time
    assert (lab.pod / ID).exists()
