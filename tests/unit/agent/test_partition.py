"""The partition, against tables as nft prints them: cut at once, proven by the first packet, and gone with its time."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.cgroups import Cgroups
from caplab_agent.faults import REBOOTED, Assignment, FaultRecord, Heal
from caplab_agent.injector import Newest
from caplab_agent.injectors.partition.addresses import Partition
from caplab_agent.injectors.partition.injector import PartitionInjector
from caplab_agent.injectors.partition.netns import Namespaces, ProcessMoved
from caplab_agent.plan import DIED
from support.agent.fake_nft import FakeNft
from support.agent.fakes import ID, PAUSE, POD_UID, SECOND, FakeClock, Kernel

from caplab.contract.phases import ACTIVE, FAILED, GONE, HEALED

PEER, OTHER, SIX = "10.244.1.5", "10.244.2.6", "fd00::5"
ASSIGNMENT = Assignment(
    fault_uid="f1-a",
    namespace="lab",
    name="cut-it",
    cluster="pg",
    pod_uid=POD_UID,
    pod="pg-0",
    action=Partition((PEER, SIX), (PEER,)),
)
HEAL = Heal(ASSIGNMENT.key)
POD: Any = {
    "status": {"podIP": "10.244.1.7", "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00::7"}], "hostIP": "10.89.0.3"}
}


@dataclass
class Node:
    """A node with one pod, in a network namespace of its own."""

    root: Path
    clock: FakeClock = field(default_factory=FakeClock)
    pod_bodies: list[Any] = field(default_factory=list)  # what the API server answers, one a time the pod is read

    def make(self) -> None:
        self.kernel = Kernel(root=self.root / "cgroup")
        self.kernel.make()
        self.nft = FakeNft(clock=self.clock)
        self.enter(1, "node")
        self.enter(100, "pod")
        self.enter(101, "pod")
        self.kernel.container(PAUSE, 100)
        self.kernel.container(ID, 101)

    def enter(self, pid: int, namespace: str) -> None:
        """A process is in a namespace from now on: files of one inode."""
        file, link = self.root / namespace, self.root / f"proc/{pid}/ns/net"
        file.touch()
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        os.link(file, link)

    def inode(self, namespace: str = "pod") -> int:
        return (self.root / namespace).stat().st_ino

    def new_sandbox(self, namespace: str = "pod again", pid: int = 200) -> None:
        self.enter(pid, namespace)
        for gone in (100, 101):
            (self.root / f"proc/{gone}/ns/net").unlink(missing_ok=True)
        self.kernel.pids = {}
        self.kernel.container("ef" * 32, pid)

    def injector(self, newest: Newest = lambda assignment: assignment) -> PartitionInjector:
        """Of an agent that was started just now."""
        cgroups = Cgroups(self.kernel.root, self.kernel.read)
        namespaces = Namespaces(self.root / "proc", cgroups, self.nft)
        return PartitionInjector(
            self.clock, namespaces, lambda assignment: self.pod_bodies.pop(0) if self.pod_bodies else None, newest
        )

    @property
    def tables(self) -> list[str]:
        return sorted(self.nft.namespaces.get(self.inode(), {}))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    made.make()
    return made


@pytest.fixture
def injector(node: Node) -> PartitionInjector:
    return node.injector()


def new_record(assignment: Assignment = ASSIGNMENT, seconds: float = 10) -> FaultRecord:
    return FaultRecord(assignment=assignment, boot_id="boot-1", deadline_ns=1000 * SECOND + int(seconds * SECOND))


def inject(injector: PartitionInjector, record: FaultRecord | None = None, pod: Any = POD) -> FaultRecord:
    done = injector.inject(record or new_record(), pod, threading.Event())
    assert done
    return done


def test_a_pod_whose_node_is_not_known_is_cut_only_once_it_is(injector: PartitionInjector) -> None:
    assert injector.guard(ASSIGNMENT, POD) == ""
    assert "has no hostIP" in injector.guard(ASSIGNMENT, {"status": {}})
    assert injector.guard(replace(ASSIGNMENT, replaces="p0"), {"status": {}}) == ""


def test_the_rules_are_one_transaction_in_the_pods_own_network(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    assert (done.state, done.proven, done.problem) == (ACTIVE, False, "")
    assert (done.injected_ns, done.netns) == (node.clock.ns, node.inode())
    assert done.evidence == ("drops packets from 2 addresses and to 1 address",)
    ((inode, argv, text),) = node.nft.calls
    assert (inode, argv) == (node.inode(), ("nft", "-f", "-"))
    assert text.startswith("create table inet caplab_f1_a\n")
    assert f"{PEER} timeout 12000ms" in text
    assert f"{SIX} timeout 12000ms" in text
    assert done.protected_addresses == ("10.244.1.7", "10.89.0.3", "fd00::7")


def test_the_first_dropped_packet_proves_it_and_tells_when_it_was(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    assert injector.poll(done) == done
    node.clock.pass_seconds(0.012)
    node.nft.drop(node.inode(), PEER, 1)
    node.clock.pass_seconds(0.2)
    node.nft.drop(node.inode(), PEER, 36)
    node.nft.drop(node.inode(), PEER, 2, "out4")
    node.clock.pass_seconds(0.05)
    polled = injector.poll(done)
    assert (polled.state, polled.proven, polled.effective_ns) == (ACTIVE, True, 1000 * SECOND + 12_000_000)
    assert polled.evidence[1:] == (
        f"dropped 37 packets from {PEER}, first 12 ms after injection",
        f"dropped 2 packets to {PEER}, first 212 ms after injection",
    )


def test_once_it_is_proven_nothing_is_run_any_more(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), SIX, 1, "in6")
    polled = injector.poll(done)
    assert polled.proven
    calls = len(node.nft.calls)
    node.clock.pass_seconds(5)
    assert injector.poll(polled) is polled
    assert len(node.nft.calls) == calls


def test_the_longer_nothing_comes_the_less_often_it_is_looked_for(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector, new_record(seconds=100))
    looks = []
    for _ in range(160):  # 40 s
        before = len(node.nft.calls)
        injector.poll(done)
        looks.append(len(node.nft.calls) - before)
        node.clock.pass_seconds(0.25)
    assert looks[:4] == [1, 1, 1, 1]
    assert 1 <= sum(looks[-16:]) <= 3


def test_heal_deletes_this_faults_table_only_and_counts_to_the_end(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    other = inject(injector, new_record(replace(ASSIGNMENT, fault_uid="f2")))
    node.nft.drop(node.inode(), PEER, 1)
    polled = injector.poll(done)
    node.nft.drop(node.inode(), PEER, 4)
    healed = injector.heal(polled, HEAL)
    assert (healed.state, healed.proven, healed.healed_ns) == (HEALED, True, node.clock.ns)
    assert healed.evidence[1:] == (f"dropped 5 packets from {PEER}, first 0 ms after injection",)
    assert node.tables == ["caplab_f2"]
    assert injector.heal(other, Heal(other.assignment.key)).proven  # of one packet both have the evidence
    assert node.tables == []


def test_a_partition_that_nothing_ran_into_is_not_proven(node: Node, injector: PartitionInjector) -> None:
    healed = injector.heal(inject(injector), HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "no packet was dropped"


def test_rules_that_somebody_removed_take_the_proof_away(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), PEER, 1)
    polled = injector.poll(done)
    node.nft.namespaces[node.inode()].clear()
    assert injector.poll(polled) is polled
    healed = injector.heal(polled, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "the rules were already gone at heal: somebody removed them"
    assert injector.heal(polled, HEAL).state == HEALED  # safe to repeat


def test_the_next_agent_heals_and_polls_what_it_finds(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), PEER, 3)
    later = node.injector()
    polled = later.poll(done)
    assert polled.proven
    assert later.heal(polled, HEAL).proven
    assert node.tables == []


def test_the_next_agent_does_not_put_rules_in_again_that_it_does_not_find(
    node: Node, injector: PartitionInjector
) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), PEER, 3)
    polled = injector.poll(done)
    node.nft.namespaces[node.inode()].clear()
    later = node.injector()
    assert later.poll(polled) == polled
    assert node.tables == []
    assert not later.heal(polled, HEAL).proven


def test_a_cut_that_ended_by_itself_before_the_heal_was_not_proven_to_the_end(
    node: Node, injector: PartitionInjector
) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), PEER, 3)
    polled = injector.poll(done)
    node.clock.pass_seconds(13)
    healed = injector.heal(polled, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "the cut had ended by itself before the agent healed"
    assert f"dropped 3 packets from {PEER}, first 0 ms after injection" in healed.evidence


@pytest.mark.parametrize("again", ["pod again", "pod"])  # the kernel gives inodes away again
def test_a_sandbox_that_was_made_anew_gets_the_rules_again(node: Node, injector: PartitionInjector, again: str) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), PEER, 1)
    polled = injector.poll(done)
    node.clock.pass_seconds(4)
    node.nft.namespaces.clear()
    node.new_sandbox(again)
    new = injector.poll(polled)
    assert (new.state, new.proven, new.netns) == (ACTIVE, True, node.inode(again))
    assert new.effective_ns == polled.effective_ns
    assert new.evidence[-1] == "the pod's network was recreated: rules installed again 4.0 s after injection"
    assert list(node.nft.namespaces[node.inode(again)]) == ["caplab_f1_a"]
    assert f"{PEER} timeout 8000ms" in node.nft.calls[-1][2]
    assert injector.poll(new) is new
    assert injector.heal(new, HEAL).proven


@pytest.mark.parametrize("again", ["pod again", "pod"])
def test_no_time_before_the_rules_of_a_new_network_is_evidence_unless_the_old_one_was_cut(
    node: Node, injector: PartitionInjector, again: str
) -> None:
    done = inject(injector)
    node.clock.pass_seconds(0.6)
    node.nft.namespaces.clear()
    node.new_sandbox(again)
    node.nft.waits = lambda: node.clock.pass_seconds(0.3)  # the machine is busy
    anew = injector.poll(done)
    assert done.injected_ns is not None
    later = (node.clock.ns - done.injected_ns) / SECOND
    assert (anew.injected_ns, anew.injected_at) == (node.clock.ns, node.clock.now().stamp)
    assert anew.evidence[-1] == f"the pod's network was recreated before any drop: injected anew {later:.1f} s later"
    assert later >= 0.9
    node.nft.waits = lambda: None
    node.clock.pass_seconds(1)
    node.nft.drop(node.inode(again), PEER, 1)
    proven = injector.poll(anew)
    assert (proven.proven, proven.effective_ns) == (True, node.clock.ns)
    assert proven.injected_ns == anew.injected_ns


def test_the_injection_is_stamped_only_once_the_rules_are_in_force(node: Node, injector: PartitionInjector) -> None:
    node.nft.waits = lambda: node.clock.pass_seconds(0.5)
    done = inject(injector)
    assert done.injected_ns == node.clock.ns


def test_another_process_of_the_same_network_needs_no_new_rules(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    node.enter(300, "pod")
    (node.root / "proc/100/ns/net").unlink()
    node.kernel.pids = {}
    node.kernel.container(ID, 300)
    assert injector.poll(done) == done
    assert len(node.nft.texts()) == 1


def test_while_a_sandbox_is_being_made_nothing_is_done(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    node.new_sandbox("node")  # not unshared yet
    assert injector.poll(done) == done
    (node.root / "proc/200/ns/net").unlink()
    assert injector.poll(done) == done
    healed = injector.heal(done, HEAL)
    assert (healed.state, healed.evidence[-1]) == (HEALED, "no process of the pod ran at heal")
    assert not [inode for inode, _, _ in node.nft.calls if inode == node.inode("node")]


def test_a_pod_that_goes_is_gone_with_its_rules(node: Node, injector: PartitionInjector) -> None:
    done = replace(inject(injector), proven=True)
    node.clock.pass_seconds(2)
    node.kernel.remove()
    (node.root / "proc/100/ns/net").unlink()
    for ended in (injector.poll(done), injector.heal(done, HEAL)):
        assert (ended.state, ended.proven, ended.healed_ns) == (GONE, True, node.clock.ns)
        assert ended.evidence[-1] == "cut off for 2.0 s, until the pod was gone"


def test_other_addresses_take_the_place_of_those_before_and_the_counts_stay(
    node: Node, injector: PartitionInjector
) -> None:
    done = inject(injector)
    node.nft.drop(node.inode(), PEER, 7)
    node.clock.pass_seconds(4)
    assignment = replace(ASSIGNMENT, action=Partition((OTHER,), ()))
    changed = injector.update(done, assignment)
    assert changed.assignment == assignment
    assert changed.evidence == ("drops packets from 1 address and to 0 addresses",)
    table = node.nft.namespaces[node.inode()]["caplab_f1_a"]
    assert table.dropped == {"drop_from4": {OTHER: (8000, node.clock.ns)}}
    assert injector.poll(changed).evidence[-1] == f"dropped 7 packets from {PEER}, first 0 ms after injection"


def test_addresses_that_are_refused_change_nothing_and_are_named(node: Node, injector: PartitionInjector) -> None:
    done = inject(injector)
    refused = injector.update(done, replace(ASSIGNMENT, action=Partition(("10.89.0.3",), ())))
    assert refused.assignment == ASSIGNMENT
    assert "dropsFrom names 10.89.0.3" in refused.problem
    assert len(node.nft.calls) == 1
    good = injector.update(refused, replace(ASSIGNMENT, action=Partition((OTHER,), ())))
    assert good.problem == ""


def test_addresses_that_change_while_the_pod_has_no_network_are_tried_again(
    node: Node, injector: PartitionInjector
) -> None:
    done = inject(injector)
    node.kernel.pids = {}
    assignment = replace(ASSIGNMENT, action=Partition((OTHER,), ()))
    assert injector.update(done, assignment) is done
    node.new_sandbox()
    changed = injector.update(done, assignment)
    assert changed.assignment == assignment
    new = injector.poll(changed)
    assert OTHER in node.nft.calls[-1][2]
    assert PEER not in node.nft.calls[-1][2]
    assert new.netns == node.inode("pod again")


def test_a_pod_in_its_nodes_network_is_never_cut(node: Node, injector: PartitionInjector) -> None:
    node.enter(100, "node")
    done = inject(injector)
    assert done.state == FAILED
    assert "its node's own network" in done.problem
    assert "Hint: " in done.problem
    assert injector.heal(done, HEAL).state == HEALED
    assert node.nft.calls == []


def test_a_pod_without_a_process_is_not_cut(node: Node, injector: PartitionInjector) -> None:
    node.kernel.pids = {}
    done = inject(injector)
    assert done.state == FAILED
    assert "nothing was cut. Hint: wait until the member is up" in done.problem


def test_what_nft_does_not_do_fails_the_fault_with_what_it_said(node: Node, injector: PartitionInjector) -> None:
    node.nft.refuses = "Error: Could not process rule: Operation not permitted\n"
    done = inject(injector)
    assert (done.state, done.injected_ns) == (FAILED, None)
    assert "Operation not permitted" in done.problem


def test_rules_that_cannot_be_deleted_are_tried_again_until_the_kernel_has_ended_the_cut(
    node: Node, injector: PartitionInjector
) -> None:
    done = inject(injector)
    node.nft.refuses = "Error: netlink: Device busy\n"
    with pytest.raises(OSError, match="Device busy"):
        injector.heal(done, HEAL)
    node.clock.pass_seconds(12.1)
    healed = injector.heal(done, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert "Device busy" in healed.evidence[-1]


def test_a_table_that_is_there_already_is_replaced(node: Node, injector: PartitionInjector) -> None:
    inject(injector)
    assert inject(injector).state == ACTIVE
    assert len(node.nft.texts()) == 3
    assert node.tables == ["caplab_f1_a"]


def test_a_partition_that_its_agent_did_not_survive_is_undone(node: Node, injector: PartitionInjector) -> None:
    inject(injector)
    healed = node.injector().heal(new_record(), Heal(ASSIGNMENT.key, problem=DIED))
    assert (healed.state, healed.problem, healed.proven, healed.evidence) == (FAILED, DIED, False, ())
    assert node.tables == []
    another_boot = node.injector().heal(
        replace(new_record(), boot_id="boot-0", proven=True), Heal(ASSIGNMENT.key, REBOOTED)
    )
    assert (another_boot.state, another_boot.proven, another_boot.healed_ns) == (HEALED, False, None)


def test_a_process_that_became_another_pods_is_not_entered(node: Node) -> None:
    namespaces = Namespaces(node.root / "proc", Cgroups(node.kernel.root, node.kernel.read), node.nft)
    namespace = namespaces.find(POD_UID)
    assert namespace
    assert (namespace.pid, namespace.inode) == (100, node.inode())
    node.enter(100, "another pod")
    with pytest.raises(ProcessMoved):
        namespaces.run(namespace, ("nft",))
    node.enter(100, "pod")
    node.kernel.pids = {}
    with pytest.raises(ProcessMoved):
        namespaces.run(namespace, ("nft",))
    (node.root / "proc/100/ns/net").unlink()
    with pytest.raises(ProcessMoved):
        namespaces.run(namespace, ("nft",))
    assert node.nft.calls == []


def test_a_replacement_is_cut_as_soon_as_it_has_a_network_and_its_nodes_address_is_known(
    node: Node, injector: PartitionInjector
) -> None:
    node.enter(100, "node")  # its sandbox is being made
    node.pod_bodies = [None, {"status": {}}, POD]
    results: list[FaultRecord | None] = []
    waiting = new_record(replace(ASSIGNMENT, replaces="the-one-before"))
    thread = threading.Thread(target=lambda: results.append(injector.inject(waiting, {}, threading.Event())))
    thread.start()
    assert node.nft.calls == []
    node.enter(100, "pod")
    thread.join(10)
    assert results[0]
    assert (results[0].state, results[0].netns) == (ACTIVE, node.inode())
    assert "10.89.0.3" in results[0].protected_addresses
    assert node.pod_bodies == []


def test_a_replacement_is_cut_from_all_that_is_asked_for_by_the_time_of_its_injection(node: Node) -> None:
    asked = replace(ASSIGNMENT, replaces="the-one-before")
    by_now = replace(asked, action=Partition((OTHER,), ()))
    injector = node.injector(newest=lambda assignment: by_now if assignment == asked else assignment)
    done = inject(injector, new_record(asked))
    assert (done.state, done.injected_ns, done.assignment) == (ACTIVE, node.clock.ns, by_now)
    assert list(node.nft.namespaces[node.inode()]["caplab_f1_a"].dropped["drop_from4"]) == [OTHER]
    assert done.evidence == ("drops packets from 1 address and to 0 addresses",)


def test_a_replacement_whose_addresses_are_refused_then_is_not_cut(node: Node, injector: PartitionInjector) -> None:
    node.pod_bodies = [{"status": {"hostIP": PEER}}]
    done = inject(injector, new_record(replace(ASSIGNMENT, replaces="the-one-before")), {})
    assert done.state == FAILED
    assert f"names {PEER}" in done.problem
    assert node.nft.calls == []


def test_who_waits_for_a_replacement_ends_when_told_to_or_when_the_time_is_over(
    node: Node, injector: PartitionInjector
) -> None:
    node.kernel.pids = {}
    stopped = threading.Event()
    stopped.set()
    assignment = replace(ASSIGNMENT, replaces="the-one-before")
    assert injector.inject(new_record(assignment), POD, stopped) is None
    assert injector.inject(new_record(assignment, seconds=0), POD, threading.Event()) is None
    assert node.nft.calls == []


def test_it_was_cut_off_until_the_heal_began_however_long_nft_takes_then(
    node: Node, injector: PartitionInjector, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = inject(injector)
    node.clock.pass_seconds(5)
    began, run = node.clock.ns, node.nft._run

    def slow(*arguments: Any) -> Any:
        result = run(*arguments)
        node.clock.pass_seconds(2)
        return result

    monkeypatch.setattr(node.nft, "_run", slow)
    healed = injector.heal(done, HEAL)
    assert (healed.state, healed.healed_ns, node.tables) == (HEALED, began, [])
