"""Pods that took the place of one which was killed, and pods that are frozen when they are killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.faults import FaultRecord
from caplab_agent.freezer import FreezerState
from support.agent.fakes import ID, PAUSE, POD_UID
from support.agent.node import POD, Node, await_processes, inject, injected, living, new_record, node_in

from caplab.contract.objects import Kill
from caplab.contract.phases import ACTIVE, HEALED

UNNAMED: Any = {"metadata": {}, "spec": {"containers": [{}]}, "status": {}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    yield from node_in(tmp_path)


class ReplacementInjection:
    """An injection of a replacement in a thread of its own."""

    def __init__(self, node: Node, seconds: float = 10) -> None:
        self.stopped = threading.Event()
        self.results: list[FaultRecord | None] = []
        self._injector, self._record = node.injector(), new_record(seconds=seconds, replaces="the-one-before")
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.results.append(self._injector.inject(self._record, UNNAMED, self.stopped))

    def ended(self) -> FaultRecord | None:
        self.thread.join(10)
        return self.results[0]


def test_a_replacement_is_waited_for_and_its_gate_closed_before_its_first_process(node: Node) -> None:
    node.gate.rmdir()
    injection = ReplacementInjection(node)
    assert injection.thread.is_alive()
    node.gate.mkdir()
    done = injected(injection.ended())
    assert (done.state, done.proven) == (ACTIVE, True)
    assert done.evidence == ("gate closed before the pod's first process, until heal",)
    assert done.effective_ns == done.injected_ns
    assert done.injected_ns
    assert [file.name for file in node.gate.iterdir()] == ["closed-f1"]
    assert not node.signals


def test_a_sandbox_alone_is_no_process_of_the_member(node: Node) -> None:
    await_processes(node.container(PAUSE, "sleep", "60"), 1)
    done = injected(ReplacementInjection(node).ended())
    assert done.evidence == ("gate closed before the pod's first process, until heal",)
    assert living(node.started[0].pid)


def test_a_replacement_that_was_quicker_is_killed_as_soon_as_its_containers_are_known(node: Node) -> None:
    await_processes(node.container(PAUSE, "sleep", "60"), 1)
    member = node.container(ID, "sleep", "60")
    await_processes(member, 1)
    node.pod_bodies = [None, UNNAMED, {**POD, "spec": {"containers": [{}]}}]
    done = injected(ReplacementInjection(node).ended())
    assert (done.state, done.proven) == (ACTIVE, True)
    assert done.evidence[0].startswith("SIGKILL to 1 process")
    assert not node.pod_bodies
    assert not living(member.pid)
    assert living(node.started[0].pid)


def test_a_replacement_is_killed_only_when_all_its_containers_are_named(node: Node) -> None:
    await_processes(node.container(PAUSE, "sleep", "60"), 1)
    await_processes(node.container(ID, "sleep", "60"), 1)
    both = [{"containerID": f"containerd://{each}"} for each in (ID, "ef" * 32)]
    half_named = {**POD, "spec": {"containers": [{}, {}]}}
    node.pod_bodies = [half_named, {"spec": {"containers": [{}, {}]}, "status": {"containerStatuses": both}}]
    await_processes(node.container("ef" * 32, "sleep", "60"), 1)
    done = injected(ReplacementInjection(node).ended())
    assert [line[:7] for line in done.evidence[:2]] == ["SIGKILL"] * 2


def test_who_waits_for_a_replacement_ends_when_it_is_told_to_with_nothing_done(node: Node) -> None:
    node.gate.rmdir()
    injection = ReplacementInjection(node)
    injection.stopped.set()
    assert injection.ended() is None
    node.gate.mkdir()
    assert not list(node.gate.iterdir())


def test_who_waits_for_the_names_of_containers_opens_the_gate_again_when_it_is_told_to_end(node: Node) -> None:
    await_processes(node.container(PAUSE, "sleep", "60"), 1)
    await_processes(node.container(ID, "sleep", "60"), 1)
    injection = ReplacementInjection(node)
    while not list(node.gate.iterdir()):
        time.sleep(0.005)
    injection.stopped.set()
    assert injection.ended() is None
    assert not list(node.gate.iterdir())
    assert not node.signals


def test_a_replacement_that_does_not_come_within_the_time_was_not_killed(node: Node) -> None:
    node.gate.rmdir()
    assert ReplacementInjection(node, seconds=0.05).ended() is None


def test_a_kill_that_keeps_nothing_down_has_nothing_to_do_with_a_replacement(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60"), 1)
    injector = node.injector()
    done = injector.inject(new_record(Kill(keep_down=False), replaces="the-one-before"), POD, threading.Event())
    assert done
    assert (done.state, done.injected_ns, done.proven) == (HEALED, None, False)
    assert "nothing to do" in done.evidence[0]
    assert not node.signals


@pytest.fixture
def frozen(node: Node) -> Node:
    """A node whose member is frozen by a fault: it dies of no signal, as on cgroup v1."""
    await_processes(node.container(ID, "sleep", "60"), 1)
    (node.pod / "freezer.state").write_text("THAWED")
    node.holds.acquire(POD_UID, "f9", node.pod)
    kill = node.send

    def send(pid: int, number: int) -> None:
        kill(pid, number)
        node.states.append((node.pod / "freezer.state").read_text())

    def ignore_while_frozen(pid: int, number: int) -> None:
        node.ignores_signals = (node.pod / "freezer.state").read_text() == "FROZEN"
        send(pid, number)

    node.send = ignore_while_frozen  # type: ignore[method-assign]
    return node


def test_a_frozen_pod_is_thawed_once_it_has_its_signal_and_frozen_again_when_it_is_dead(frozen: Node) -> None:
    done = inject(frozen)
    assert (done.state, done.proven) == (ACTIVE, True)
    assert frozen.states[0] == "FROZEN"  # it has its signal before it could execute anything
    assert "THAWED" in frozen.states
    assert not living(frozen.started[0].pid)
    assert (frozen.pod / "freezer.state").read_text() == "FROZEN"
    frozen.holds.release(POD_UID, "f9", frozen.pod)
    assert (frozen.pod / "freezer.state").read_text() == "THAWED"


def test_a_frozen_pod_is_not_thawed_for_a_signal_that_it_could_handle(frozen: Node) -> None:
    done = inject(frozen, Kill(signal="SIGTERM"))
    assert done.proven
    terms = [state for (_, number), state in zip(frozen.signals, frozen.states, strict=True) if number == 15]
    assert terms == ["FROZEN"]
    assert (frozen.pod / "freezer.state").read_text() == "FROZEN"


def test_a_freeze_that_ends_during_the_kill_leaves_the_pod_thawed(frozen: Node) -> None:
    kill = frozen.send

    def heal_and_send(pid: int, number: int) -> None:
        frozen.holds.release(POD_UID, "f9", frozen.pod)
        kill(pid, number)

    frozen.send = heal_and_send  # type: ignore[method-assign]
    assert inject(frozen).proven
    assert (frozen.pod / "freezer.state").read_text() == "THAWED"


def test_a_freeze_waits_until_a_kill_is_done(node: Node) -> None:
    node.pod.mkdir(parents=True)
    (node.pod / "freezer.state").write_text("THAWED")
    with node.holds.thawed(POD_UID):
        freezing = threading.Thread(target=node.holds.acquire, args=(POD_UID, "f1", node.pod))
        freezing.start()
        freezing.join(0.05)
        assert freezing.is_alive()
        assert (node.pod / "freezer.state").read_text() == "THAWED"
    freezing.join(10)
    assert (node.pod / "freezer.state").read_text() == "FROZEN"


def test_the_kill_of_a_frozen_pod_is_not_taken_for_a_thaw_by_somebody(node: Node) -> None:
    node.pod.mkdir(parents=True)
    (node.pod / "freezer.state").write_text("THAWED")
    node.holds.acquire(POD_UID, "f1", node.pod)
    with node.holds.thawed(POD_UID):
        assert node.holds.adopt(POD_UID, "f1", node.pod) is FreezerState.FROZEN
