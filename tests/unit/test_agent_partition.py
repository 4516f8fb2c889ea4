"""The partition, against tables as nft prints them: cut at once, proven by the first packet, and gone with its time."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from agent_fakes import ID, PAUSE, POD_UID, SECOND, FakeClock, Kernel
from caplab_agent.cgroups import Cgroups
from caplab_agent.faults import ACTIVE, FAILED, GONE, HEALED, Entry, Order, Partition
from caplab_agent.netns import Moved, Namespaces
from caplab_agent.partition import Partitioning
from caplab_agent.plan import DIED, REBOOTED, Heal
from fake_nft import FakeNft

PEER, OTHER, SIX = "10.244.1.5", "10.244.2.6", "fd00::5"
ORDER = Order("f1-a", "lab", "cut-it", "pg", POD_UID, "pg-0", Partition((PEER, SIX), (PEER,)))
HEAL = Heal(ORDER.key)
POD: Any = {
    "status": {"podIP": "10.244.1.7", "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00::7"}], "hostIP": "10.89.0.3"}
}


@dataclass
class Node:
    """A node with one pod, in a network namespace of its own."""

    root: Path
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[Any] = field(default_factory=list)  # the pod as the API server tells it, one a time it is asked again

    def make(self) -> None:
        self.kernel = Kernel(self.root / "cgroup")
        self.kernel.make()
        self.nft = FakeNft(self.clock)
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

    def means(self) -> Partitioning:
        """Of an agent that was started just now."""
        cgroups = Cgroups(self.kernel.root, self.kernel.read)
        namespaces = Namespaces(self.root / "proc", cgroups, self.nft)
        return Partitioning(self.clock, namespaces, lambda order: self.told.pop(0) if self.told else None)

    @property
    def tables(self) -> list[str]:
        return sorted(self.nft.namespaces.get(self.inode(), {}))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    made.make()
    return made


@pytest.fixture
def means(node: Node) -> Partitioning:
    return node.means()


def entry(order: Order = ORDER, seconds: float = 10) -> Entry:
    return Entry(order, "boot-1", 1000 * SECOND + int(seconds * SECOND))


def inject(means: Partitioning, what: Entry | None = None, pod: Any = POD) -> Entry:
    done = means.inject(what or entry(), pod, threading.Event())
    assert done
    return done


def test_the_rules_are_one_transaction_in_the_pods_own_network(node: Node, means: Partitioning) -> None:
    done = inject(means)
    assert (done.state, done.proven, done.problem) == (ACTIVE, False, "")
    assert (done.injected_ns, done.netns) == (node.clock.ns, node.inode())
    assert done.evidence == ("drops packets from 2 addresses and to 1 address",)
    ((inode, argv, text),) = node.nft.ran
    assert (inode, argv) == (node.inode(), ("nft", "-f", "-"))
    assert text.startswith("create table inet caplab_f1_a\n")
    assert f"{PEER} timeout 12000ms" in text
    assert f"{SIX} timeout 12000ms" in text
    assert done.spared == ("10.244.1.7", "10.89.0.3", "fd00::7")


def test_the_first_dropped_packet_proves_it_and_tells_when_it_was(node: Node, means: Partitioning) -> None:
    done = inject(means)
    assert means.tend(done) == done
    node.clock.pass_seconds(0.012)
    node.nft.drop(node.inode(), PEER, 1)
    node.clock.pass_seconds(0.2)
    node.nft.drop(node.inode(), PEER, 36)
    node.nft.drop(node.inode(), PEER, 2, "out4")
    node.clock.pass_seconds(0.05)
    told = means.tend(done)
    assert (told.state, told.proven, told.effective_ns) == (ACTIVE, True, 1000 * SECOND + 12_000_000)
    assert told.evidence[1:] == (
        f"dropped 37 packets from {PEER}, first 12 ms after injection",
        f"dropped 2 packets to {PEER}, first 212 ms after injection",
    )


def test_once_it_is_proven_nothing_is_run_any_more(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), SIX, 1, "in6")
    told = means.tend(done)
    assert told.proven
    ran = len(node.nft.ran)
    node.clock.pass_seconds(5)
    assert means.tend(told) is told
    assert len(node.nft.ran) == ran


def test_the_longer_nothing_comes_the_less_often_it_is_looked_for(node: Node, means: Partitioning) -> None:
    done = inject(means, entry(seconds=100))
    looks = []
    for _ in range(160):  # 40 s
        before = len(node.nft.ran)
        means.tend(done)
        looks.append(len(node.nft.ran) - before)
        node.clock.pass_seconds(0.25)
    assert looks[:4] == [1, 1, 1, 1]
    assert 1 <= sum(looks[-16:]) <= 3


def test_heal_deletes_this_faults_table_only_and_counts_to_the_end(node: Node, means: Partitioning) -> None:
    done = inject(means)
    other = inject(means, entry(replace(ORDER, fault_uid="f2")))
    node.nft.drop(node.inode(), PEER, 1)
    told = means.tend(done)
    node.nft.drop(node.inode(), PEER, 4)
    healed = means.heal(told, HEAL)
    assert (healed.state, healed.proven, healed.healed_ns) == (HEALED, True, node.clock.ns)
    assert healed.evidence[1:] == (f"dropped 5 packets from {PEER}, first 0 ms after injection",)
    assert node.tables == ["caplab_f2"]
    assert means.heal(other, Heal(other.order.key)).proven  # of one packet both have the evidence
    assert node.tables == []


def test_a_partition_that_nothing_ran_into_is_not_proven(node: Node, means: Partitioning) -> None:
    healed = means.heal(inject(means), HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "no packet was dropped"


def test_rules_that_somebody_removed_take_the_proof_away(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), PEER, 1)
    told = means.tend(done)
    node.nft.namespaces[node.inode()].clear()
    assert means.tend(told) is told
    healed = means.heal(told, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "the rules were not there any more at heal: somebody removed them"
    assert means.heal(told, HEAL).state == HEALED  # safe to repeat


def test_the_next_agent_heals_and_tends_what_it_finds(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), PEER, 3)
    later = node.means()
    told = later.tend(done)
    assert told.proven
    assert later.heal(told, HEAL).proven
    assert node.tables == []


def test_the_next_agent_does_not_put_rules_in_again_that_it_does_not_find(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), PEER, 3)
    told = means.tend(done)
    node.nft.namespaces[node.inode()].clear()
    later = node.means()
    assert later.tend(told) == told
    assert node.tables == []
    assert not later.heal(told, HEAL).proven


def test_a_cut_that_ended_by_itself_before_the_heal_was_not_proven_to_the_end(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), PEER, 3)
    told = means.tend(done)
    node.clock.pass_seconds(13)
    healed = means.heal(told, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "the cut had ended by itself before the agent healed"
    assert f"dropped 3 packets from {PEER}, first 0 ms after injection" in healed.evidence


@pytest.mark.parametrize("again", ["pod again", "pod"])  # the kernel gives inodes away again
def test_a_sandbox_that_was_made_anew_gets_the_rules_again(node: Node, means: Partitioning, again: str) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), PEER, 1)
    told = means.tend(done)
    node.clock.pass_seconds(4)
    node.nft.namespaces.clear()
    node.new_sandbox(again)
    new = means.tend(told)
    assert (new.state, new.proven, new.netns) == (ACTIVE, True, node.inode(again))
    assert new.effective_ns == told.effective_ns
    assert new.evidence[-1] == "the pod's network was made anew: rules put in again 4.0 s after injection"
    assert list(node.nft.namespaces[node.inode(again)]) == ["caplab_f1_a"]
    assert f"{PEER} timeout 8000ms" in node.nft.ran[-1][2]
    assert means.tend(new) is new
    assert means.heal(new, HEAL).proven


def test_another_process_of_the_same_network_needs_no_new_rules(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.enter(300, "pod")
    (node.root / "proc/100/ns/net").unlink()
    node.kernel.pids = {}
    node.kernel.container(ID, 300)
    assert means.tend(done) == done
    assert len(node.nft.texts()) == 1


def test_while_a_sandbox_is_being_made_nothing_is_done(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.new_sandbox("node")  # not unshared yet
    assert means.tend(done) == done
    (node.root / "proc/200/ns/net").unlink()
    assert means.tend(done) == done
    healed = means.heal(done, HEAL)
    assert (healed.state, healed.evidence[-1]) == (HEALED, "no process of the pod ran at heal")
    assert not [inode for inode, _, _ in node.nft.ran if inode == node.inode("node")]


def test_a_pod_that_goes_is_gone_with_its_rules(node: Node, means: Partitioning) -> None:
    done = replace(inject(means), proven=True)
    node.clock.pass_seconds(2)
    node.kernel.remove()
    (node.root / "proc/100/ns/net").unlink()
    for ended in (means.tend(done), means.heal(done, HEAL)):
        assert (ended.state, ended.proven, ended.healed_ns) == (GONE, True, node.clock.ns)
        assert ended.evidence[-1] == "cut off for 2.0 s, until the pod was gone"


def test_other_addresses_take_the_place_of_those_before_and_the_counts_stay(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.nft.drop(node.inode(), PEER, 7)
    node.clock.pass_seconds(4)
    order = replace(ORDER, what=Partition((OTHER,), ()))
    changed = means.adjust(done, order)
    assert changed.order == order
    assert changed.evidence == ("drops packets from 1 address and to 0 addresses",)
    table = node.nft.namespaces[node.inode()]["caplab_f1_a"]
    assert table.dropped == {"deaf4": {OTHER: (8000, node.clock.ns)}}
    assert means.tend(changed).evidence[-1] == f"dropped 7 packets from {PEER}, first 0 ms after injection"


def test_addresses_that_are_refused_change_nothing_and_are_named(node: Node, means: Partitioning) -> None:
    done = inject(means)
    told = means.adjust(done, replace(ORDER, what=Partition(("10.89.0.3",), ())))
    assert told.order == ORDER
    assert "dropsFrom names 10.89.0.3" in told.problem
    assert len(node.nft.ran) == 1
    good = means.adjust(told, replace(ORDER, what=Partition((OTHER,), ())))
    assert good.problem == ""


def test_addresses_that_change_while_the_pod_has_no_network_are_tried_again(node: Node, means: Partitioning) -> None:
    done = inject(means)
    node.kernel.pids = {}
    order = replace(ORDER, what=Partition((OTHER,), ()))
    assert means.adjust(done, order) is done
    node.new_sandbox()
    changed = means.adjust(done, order)
    assert changed.order == order
    new = means.tend(changed)
    assert OTHER in node.nft.ran[-1][2]
    assert PEER not in node.nft.ran[-1][2]
    assert new.netns == node.inode("pod again")


def test_a_pod_in_its_nodes_network_is_never_cut(node: Node, means: Partitioning) -> None:
    node.enter(100, "node")
    done = inject(means)
    assert done.state == FAILED
    assert "its node's own network" in done.problem
    assert "Hint: " in done.problem
    assert means.heal(done, HEAL).state == HEALED
    assert node.nft.ran == []


def test_a_pod_without_a_process_is_not_cut(node: Node, means: Partitioning) -> None:
    node.kernel.pids = {}
    done = inject(means)
    assert done.state == FAILED
    assert "nothing was cut. Hint: wait until the member is up" in done.problem


def test_what_nft_does_not_do_fails_the_fault_with_what_it_said(node: Node, means: Partitioning) -> None:
    node.nft.refuses = "Error: Could not process rule: Operation not permitted\n"
    done = inject(means)
    assert (done.state, done.injected_ns) == (FAILED, None)
    assert "Operation not permitted" in done.problem


def test_rules_that_cannot_be_deleted_are_tried_again_until_the_kernel_has_ended_the_cut(
    node: Node, means: Partitioning
) -> None:
    done = inject(means)
    node.nft.refuses = "Error: netlink: Device busy\n"
    with pytest.raises(OSError, match="Device busy"):
        means.heal(done, HEAL)
    node.clock.pass_seconds(12.1)
    healed = means.heal(done, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert "Device busy" in healed.evidence[-1]


def test_a_table_that_is_there_already_is_replaced(node: Node, means: Partitioning) -> None:
    inject(means)
    assert inject(means).state == ACTIVE
    assert len(node.nft.texts()) == 3
    assert node.tables == ["caplab_f1_a"]


def test_a_partition_that_its_agent_did_not_survive_is_undone(node: Node, means: Partitioning) -> None:
    inject(means)
    healed = node.means().heal(entry(), Heal(ORDER.key, problem=DIED))
    assert (healed.state, healed.problem, healed.proven, healed.evidence) == (FAILED, DIED, False, ())
    assert node.tables == []
    another_boot = node.means().heal(replace(entry(), boot_id="boot-0", proven=True), Heal(ORDER.key, REBOOTED))
    assert (another_boot.state, another_boot.proven, another_boot.healed_ns) == (HEALED, False, None)


def test_a_process_that_became_another_pods_is_not_entered(node: Node) -> None:
    namespaces = Namespaces(node.root / "proc", Cgroups(node.kernel.root, node.kernel.read), node.nft)
    found = namespaces.find(POD_UID)
    assert found
    assert (found.pid, found.inode) == (100, node.inode())
    node.enter(100, "another pod")
    with pytest.raises(Moved):
        namespaces.run(found, ("nft",))
    node.enter(100, "pod")
    node.kernel.pids = {}
    with pytest.raises(Moved):
        namespaces.run(found, ("nft",))
    (node.root / "proc/100/ns/net").unlink()
    with pytest.raises(Moved):
        namespaces.run(found, ("nft",))
    assert node.nft.ran == []


def test_a_replacement_is_cut_as_soon_as_it_has_a_network_and_its_nodes_address_is_known(
    node: Node, means: Partitioning
) -> None:
    node.enter(100, "node")  # its sandbox is being made
    node.told = [None, {"status": {}}, POD]
    outcome: list[Entry | None] = []
    waiting = entry(replace(ORDER, replaces="the-one-before"))
    thread = threading.Thread(target=lambda: outcome.append(means.inject(waiting, {}, threading.Event())))
    thread.start()
    assert node.nft.ran == []
    node.enter(100, "pod")
    thread.join(10)
    assert outcome[0]
    assert (outcome[0].state, outcome[0].netns) == (ACTIVE, node.inode())
    assert "10.89.0.3" in outcome[0].spared
    assert node.told == []


def test_a_replacement_whose_addresses_are_refused_then_is_not_cut(node: Node, means: Partitioning) -> None:
    node.told = [{"status": {"hostIP": PEER}}]
    done = inject(means, entry(replace(ORDER, replaces="the-one-before")), {})
    assert done.state == FAILED
    assert f"names {PEER}" in done.problem
    assert node.nft.ran == []


def test_who_waits_for_a_replacement_ends_when_told_to_or_when_the_time_is_over(
    node: Node, means: Partitioning
) -> None:
    node.kernel.pids = {}
    stopped = threading.Event()
    stopped.set()
    order = replace(ORDER, replaces="the-one-before")
    assert means.inject(entry(order), POD, stopped) is None
    assert means.inject(entry(order, seconds=0), POD, threading.Event()) is None
    assert node.nft.ran == []


def test_it_was_cut_off_until_the_heal_began_however_long_nft_takes_then(
    node: Node, means: Partitioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = inject(means)
    node.clock.pass_seconds(5)
    began, run = node.clock.ns, node.nft._run

    def slow(*asked: Any) -> Any:
        ran = run(*asked)
        node.clock.pass_seconds(2)
        return ran

    monkeypatch.setattr(node.nft, "_run", slow)
    healed = means.heal(done, HEAL)
    assert (healed.state, healed.healed_ns, node.tables) == (HEALED, began, [])
