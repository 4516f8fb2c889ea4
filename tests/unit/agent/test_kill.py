"""The kill, of real processes in a cgroup tree whose lists of processes are sessions of this machine."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.cgroups import Cgroups, read_procs
from caplab_agent.clock import Clock
from caplab_agent.faults import REBOOTED, FaultRecord, Heal
from caplab_agent.injectors.kill.gate import Gates
from caplab_agent.injectors.kill.injector import container_ids
from caplab_agent.plan import DIED
from support.agent.fakes import ID, PAUSE, POD_UID
from support.agent.node import ASSIGNMENT, POD, Node, await_processes, inject, injected, living, new_record, node_in

from caplab.contract.objects import Kill
from caplab.contract.phases import ACTIVE, FAILED, GONE, HEALED

FORKS = "import os, time\nfor _ in range(4): os.fork()\ntime.sleep(60)"
IGNORES = (
    "import signal, time\n"
    "for number in (15, 2): signal.signal(number, signal.SIG_IGN)\n"
    "print(flush=True)\n"
    "time.sleep(60)"
)
FORKING = "while true; do sleep 60 & sleep 0.002; done"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    yield from node_in(tmp_path)


def test_a_kill_empties_the_container_closes_the_gate_and_proves_it(node: Node) -> None:
    member = node.container(ID, sys.executable, "-c", FORKS)
    pause = node.container(PAUSE, "sleep", "60")
    await_processes(member, 16)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    done = inject(node)
    assert (done.state, done.proven, done.problem) == (ACTIVE, True, "")
    assert done.evidence[0].startswith(f"SIGKILL to 16 processes; cgroup of container {ID[:12]} empty after ")
    assert done.evidence[1] == "gate closed until heal"
    assert done.injected_ns
    assert before < done.injected_ns < time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert not living(member.pid)
    assert living(pause.pid)  # the sandbox is no application container
    assert [file.name for file in node.gate.iterdir()] == ["closed-f1"]
    assert done.effective_ns
    assert done.injected_ns < done.effective_ns < time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_the_gate_is_closed_before_the_first_signal(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60"), 1)
    gate_at_signal: list[bool] = []
    send = node.send

    def look_and_send(pid: int, number: int) -> None:
        gate_at_signal.append((node.gate / "closed-f1").exists())
        send(pid, number)

    node.send = look_and_send  # type: ignore[method-assign]
    injector = node.injector()
    injector.inject(new_record(), POD, threading.Event())
    assert gate_at_signal[0]


def test_processes_that_are_born_during_the_kill_die_too(node: Node) -> None:
    await_processes(node.container(ID, "bash", "-c", FORKING), 10)
    assert inject(node).proven
    assert not living(node.started[0].pid)


def test_processes_in_cgroups_below_the_containers_die_too(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60", folder="inner/most"), 1)
    assert inject(node).proven


def test_a_kill_that_keeps_nothing_down_closes_no_gate(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60"), 1)
    done = inject(node, Kill(keep_down=False))
    assert done.proven
    assert not list(node.gate.iterdir())
    healed = node.injector().heal(done, Heal(done.assignment.key))
    assert (healed.state, healed.proven) == (HEALED, True)


def test_a_signal_is_sent_once_and_what_ignores_it_is_killed(node: Node) -> None:
    member = node.container(ID, sys.executable, "-c", IGNORES)
    assert member.stdout
    member.stdout.readline()
    done = inject(node, Kill(signal="SIGTERM"))
    assert done.proven
    assert node.signals.count((member.pid, signal.SIGTERM)) == 1
    assert (member.pid, signal.SIGKILL) in node.signals
    assert "SIGKILL to 1 process that SIGTERM had not ended" in done.evidence


def test_a_signal_that_suffices_is_followed_by_none(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60"), 1)
    done = inject(node, Kill(signal="SIGTERM"))
    assert done.proven
    assert {number for _, number in node.signals} == {signal.SIGTERM}


@pytest.mark.parametrize(
    "pod",
    [
        POD,
        {"status": {}},
        {"status": {"containerStatuses": [{"containerID": ""}]}},
        {"status": {"containerStatuses": [{"containerID": f"containerd://{'ef' * 32}"}]}},
    ],
)
def test_a_container_without_a_process_was_not_killed_and_its_gate_is_open_again(node: Node, pod: Any) -> None:
    member = node.container(ID, "true")
    member.wait()
    done = inject(node, pod=pod)
    assert (done.state, done.proven, done.injected_ns) == (FAILED, False, None)
    assert "nothing was killed" in done.problem
    assert not list(node.gate.iterdir())
    assert not node.signals


def test_one_empty_container_of_two_is_enough_to_touch_neither(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60"), 1)
    ids = [{"containerID": f"containerd://{each}"} for each in (ID, "ef" * 32)]
    done = inject(node, pod={"status": {"containerStatuses": ids}})
    assert done.state == FAILED
    assert "ef" * 6 in done.problem
    assert not node.signals


def test_what_does_not_die_fails_the_fault_and_is_named(node: Node) -> None:
    member = node.container(ID, "sleep", "60")
    await_processes(member, 1)
    node.ignores_signals = True
    done = inject(node)
    assert (done.state, done.proven) == (FAILED, False)
    assert f"still holds 1 process (pid {member.pid})" in done.problem
    assert done.injected_ns is not None
    assert done.healed_ns is not None
    assert not list(node.gate.iterdir())


def test_processes_of_another_pid_namespace_are_never_signalled_as_group_zero(node: Node) -> None:
    node.container(ID, "sleep", "60")
    injector = node.injector(read=lambda folder: [0, 1] if ID in folder.name else [])
    done = injected(injector.inject(new_record(), POD, threading.Event()))
    assert done.state == FAILED
    assert "hostPID" in done.problem
    assert not node.signals


def test_a_pod_without_a_gate_is_not_killed_but_refused(node: Node) -> None:
    member = node.container(ID, "sleep", "60")
    await_processes(member, 1)
    node.gate.rmdir()
    done = inject(node)
    assert done.state == FAILED
    assert "has no volume 'gate'" in done.problem
    assert living(member.pid)


def test_a_fault_that_ended_before_its_first_signal_does_nothing(node: Node) -> None:
    member = node.container(ID, "sleep", "60")
    await_processes(member, 1)
    stopped = threading.Event()
    stopped.set()
    assert node.injector().inject(new_record(), POD, stopped) is None
    assert living(member.pid)
    assert not list(node.gate.iterdir())


def active(node: Node) -> FaultRecord:
    await_processes(node.container(ID, "sleep", "60"), 1)
    return inject(node)


def test_heal_opens_the_gate_and_says_how_long_it_held(node: Node) -> None:
    done = active(node)
    healed = node.injector().heal(done, Heal(done.assignment.key))
    assert (healed.state, healed.proven) == (HEALED, True)
    assert healed.evidence[-1].startswith("gate held 0.")
    assert healed.healed_ns
    assert done.injected_ns
    assert healed.healed_ns > done.injected_ns
    assert not list(node.gate.iterdir())


def test_a_pod_that_goes_takes_the_fault_with_it_and_keeps_its_proof(node: Node) -> None:
    done = active(node)
    assert node.injector().poll(done) is done
    remove(node)
    node.gate.rmdir()
    gone = node.injector().poll(done)
    assert (gone.state, gone.proven) == (GONE, True)
    assert gone.evidence[-1].startswith("gate held 0.")
    assert "until the pod was gone" in gone.evidence[-1]
    assert gone.healed_ns
    healed = node.injector().heal(done, Heal(done.assignment.key))
    assert (healed.state, healed.proven) == (GONE, True)  # found by the heal itself, ahead of the next look


def test_a_volume_that_goes_without_its_pod_is_no_end(node: Node) -> None:
    done = active(node)
    delete_volume(node)
    assert node.injector().poll(done) is done


def test_a_kill_that_keeps_nothing_down_has_nothing_to_look_after(node: Node) -> None:
    await_processes(node.container(ID, "sleep", "60"), 1)
    done = inject(node, Kill(keep_down=False))
    node.gate.rmdir()
    assert node.injector().poll(done) is done


def remove(node: Node) -> None:
    (node.gate / "closed-f1").unlink()


def expire(node: Node) -> None:
    (node.gate / "closed-f1").write_text(f"{Clock().boot_id} 1\n")


def delete_volume(node: Node) -> None:
    """And only that: the pod goes on."""
    remove(node)
    node.gate.rmdir()
    await_processes(node.container(PAUSE, "sleep", "60"), 1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(remove, "already open"), (expire, "opened by itself"), (delete_volume, "the gate's volume was gone")],
)
def test_a_gate_that_did_not_hold_to_the_end_takes_the_proof_away(
    node: Node, spoil: Callable[[Node], None], says: str
) -> None:
    done = active(node)
    spoil(node)
    healed = node.injector().heal(done, Heal(done.assignment.key))
    assert (healed.state, healed.proven) == (HEALED, False)
    assert says in healed.evidence[-1]


def test_heal_removes_no_gate_of_another_fault(node: Node) -> None:
    done = active(node)
    (node.gate / "closed-f2").write_text("x 1\n")
    node.injector().heal(done, Heal(done.assignment.key))
    assert [file.name for file in node.gate.iterdir()] == ["closed-f2"]


def test_another_boot_leaves_no_time_of_its_clock_and_no_proof(node: Node) -> None:
    done = replace(active(node), boot_id="another")
    healed = node.injector().heal(done, Heal(done.assignment.key, REBOOTED))
    assert (healed.state, healed.proven, healed.healed_ns) == (HEALED, False, None)
    assert healed.evidence[-1] == REBOOTED


def test_an_injection_that_was_cut_short_is_undone_and_failed(node: Node) -> None:
    Gates(node.root / "pods", Clock()).close(ASSIGNMENT, 10)
    healed = node.injector().heal(new_record(), Heal(ASSIGNMENT.key, problem=DIED))
    assert (healed.state, healed.problem, healed.proven) == (FAILED, DIED, False)
    assert not list(node.gate.iterdir())


def test_container_ids_are_those_of_application_containers() -> None:
    status = {"initContainerStatuses": [{"containerID": "containerd://00"}], **POD["status"]}
    assert container_ids({"status": status}) == [ID]
    assert container_ids({}) == []


@pytest.mark.parametrize(
    ("top", "name"),
    [
        ("freezer", f"cri-containerd-{ID}.scope"),
        ("systemd", f"cri-containerd-{ID}.scope"),
        ("unified", ID),
        ("", f"cri-containerd-{ID}.scope"),  # cgroup v2
    ],
)
def test_a_container_is_found_in_every_layout_and_its_processes_read(tmp_path: Path, top: str, name: str) -> None:
    if not top:
        (tmp_path / "cgroup.controllers").write_text("memory\n")
    inner = tmp_path / top / f"kubepods/pod{POD_UID}" / name / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "cgroup.procs").write_text("17\n4\n")
    (inner / "cgroup.procs").write_text("0\n")
    container = Cgroups(tmp_path).find(POD_UID, ID)
    assert container.folder == inner.parent
    assert container.pids() == {17, 4, 0}


def test_folders_of_other_pods_are_not_searched_and_a_missing_cgroup_is_empty(tmp_path: Path) -> None:
    (tmp_path / f"freezer/pod{POD_UID.replace('1', '9')}" / ID).mkdir(parents=True)
    container = Cgroups(tmp_path).find(POD_UID, ID)
    assert container.folder is None
    assert container.pids() == set()
    assert read_procs(tmp_path / "gone") == []
