"""Rules and freezers of the real kernel: packets between two network namespaces, and processes in cgroups of their own.

Needs root, nft and ip, and cgroups that may be made; without them each test skips itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from caplab_agent import commands
from caplab_agent.cgroups import Cgroups
from caplab_agent.clock import Clock
from caplab_agent.faults import Assignment, FaultRecord, Heal
from caplab_agent.freezer import Freezer
from caplab_agent.holds import Holds
from caplab_agent.injectors.freeze.injector import FreezeInjector
from caplab_agent.injectors.freeze.thaw_timer import ThawTimers
from caplab_agent.injectors.kill.attempt import Bounds
from caplab_agent.injectors.kill.gate import Gates
from caplab_agent.injectors.kill.injector import KillInjector
from caplab_agent.injectors.partition.addresses import Partition
from caplab_agent.injectors.partition.injector import PartitionInjector
from caplab_agent.injectors.partition.netns import Namespaces
from support.agent.fakes import ID, POD_UID, Programs
from support.effort import quickest

from caplab.contract.objects import Freeze, Kill
from caplab.contract.phases import ACTIVE, HEALED

POD4, PEER4, OTHER4 = "10.77.0.1", "10.77.0.2", "10.77.0.3"
POD6, PEER6 = "fd77::1", "fd77::2"
POD: Any = {
    "status": {
        "podIP": POD4,
        "hostIP": "10.77.0.9",
        "containerStatuses": [{"containerID": f"containerd://{ID}"}],
    }
}
# Says back what it is sent, by UDP and on one TCP connection, in the namespace it is run in.
ECHO = """
import socket, sys, threading
def udp(family, host):
    with socket.socket(family, socket.SOCK_DGRAM) as echo:
        echo.bind((host, 7000))
        while True:
            text, sender = echo.recvfrom(100)
            try: echo.sendto(text, sender)
            except OSError: pass
for family, host in ((socket.AF_INET, sys.argv[1]), (socket.AF_INET6, sys.argv[2])):
    threading.Thread(target=udp, args=(family, host), daemon=True).start()
with socket.create_server((sys.argv[1], 7001)) as server:
    print(flush=True)
    connection, _ = server.accept()
    while text := connection.recv(100):
        connection.sendall(text)
"""
# Reads lines "family host", sends a packet there and answers "yes" if it was said back within 0.3 s.
ASK = """
import socket, sys
print(flush=True)
for line in sys.stdin:
    family, host = line.split()
    with socket.socket(getattr(socket, family), socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        try:
            client.sendto(b"x", (host, 7000))
            print("yes" if client.recv(9) else "no", flush=True)
        except OSError:
            print("no", flush=True)
"""


def ip(pid: int, *words: str) -> None:
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words], check=True, capture_output=True)


def python(pid: int, program: str, *words: str) -> subprocess.Popen[str]:
    """A program in a process's network namespace, ready."""
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", program, *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    return process


@dataclass
class Net:
    """A pod and a peer, each in a network namespace of its own, and what runs in them."""

    root: Path
    started: list[subprocess.Popen[Any]] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def make(self) -> None:
        self.pod, self.peer = (self.start(["unshare", "-n", "sleep", "60"]) for _ in range(2))
        node = Path("/proc/self/ns/net").stat().st_ino
        for pid in (self.pod, self.peer):
            while Path(f"/proc/{pid}/ns/net").stat().st_ino == node:
                time.sleep(0.002)
        ip(self.pod, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(self.peer))
        for pid, addresses in ((self.pod, (POD4, POD6)), (self.peer, (PEER4, PEER6, OTHER4))):
            for each in addresses:
                length, more = ("64", ["nodad"]) if ":" in each else ("24", [])
                ip(pid, "address", "add", f"{each}/{length}", "dev", "eth0", *more)
            for link in ("lo", "eth0"):
                ip(pid, "link", "set", link, "up")
        folder = self.root / f"cgroup/freezer/pod{POD_UID}"
        folder.mkdir(parents=True)
        self.folder = folder
        self.run(python(self.pod, ECHO, POD4, POD6))
        self.asker = self.run(python(self.peer, ASK))

    def start(self, command: list[str]) -> int:
        return self.run(subprocess.Popen(command)).pid

    def run(self, process: subprocess.Popen[Any]) -> subprocess.Popen[Any]:
        self.started.append(process)
        return process

    def answers(self, host: str = POD4) -> bool:
        """Whether the pod answers the peer."""
        assert self.asker.stdin
        assert self.asker.stdout
        self.asker.stdin.write(f"{'AF_INET6' if ':' in host else 'AF_INET'} {host}\n")
        self.asker.stdin.flush()
        return bool(self.asker.stdout.readline() == "yes\n")

    def injector(self) -> PartitionInjector:
        cgroups = Cgroups(self.root / "cgroup", lambda folder: [self.pod] if folder == self.folder else [])
        return PartitionInjector(
            self.clock, Namespaces(Path("/proc"), cgroups, commands.start), lambda assignment: None
        )

    def new_record(self, action: Partition, fault_uid: str = "f1", seconds: float = 30) -> FaultRecord:
        assignment = Assignment(
            fault_uid=fault_uid,
            namespace="lab",
            name="cut-it",
            cluster="pg",
            pod_uid=POD_UID,
            pod="pg-0",
            action=action,
        )
        return FaultRecord(
            assignment=assignment, boot_id=self.clock.boot_id, deadline_ns=self.clock.now().ns + int(seconds * 1e9)
        )

    def cut(
        self, injector: PartitionInjector, action: Partition, fault_uid: str = "f1", seconds: float = 30
    ) -> FaultRecord:
        done = injector.inject(self.new_record(action, fault_uid, seconds), POD, threading.Event())
        assert done
        assert (done.state, done.problem) == (ACTIVE, "")
        return done


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "nsenter", "unshare"))):
        pytest.skip("needs root, nft, ip, nsenter and unshare")
    if subprocess.run(["unshare", "-n", "nft", "list", "ruleset"], capture_output=True, check=False).returncode:
        pytest.skip("nft does not work in a network namespace of its own here")
    made = Net(tmp_path)
    try:
        made.make()
        yield made
    finally:
        for process in made.started:
            process.kill()
            process.wait()


BOTH = Partition((PEER4, PEER6), (PEER4, PEER6))


def test_packets_of_both_families_are_dropped_counted_and_let_through_again(net: Net) -> None:
    assert net.answers()
    assert net.answers(POD6)
    injector = net.injector()
    done = net.cut(injector, BOTH)
    assert not net.answers()
    lost_ns = net.clock.now().ns
    time.sleep(0.2)
    assert not net.answers(POD6)
    assert not net.answers()
    polled = injector.poll(done)
    assert polled.proven
    assert polled.injected_ns
    assert polled.effective_ns
    assert polled.injected_ns <= polled.effective_ns < lost_ns + 100_000_000  # and not when it was looked at
    healed = injector.heal(polled, Heal(done.assignment.key))
    assert net.answers()
    assert net.answers(POD6)
    assert (healed.state, healed.proven) == (HEALED, True)
    assert [line.partition(", first ")[0] for line in healed.evidence[1:]] == [
        f"dropped 2 packets from {PEER4}",
        f"dropped 1 packet from {PEER6}",
    ]


def test_each_direction_is_cut_by_itself(net: Net) -> None:
    injector = net.injector()
    done = net.cut(injector, Partition((), (PEER4,)))
    assert not net.answers()  # the pod has it, and its answer is dropped
    polled = injector.poll(done)
    assert polled.evidence[1].startswith(f"dropped 1 packet to {PEER4}")
    injector.heal(polled, Heal(done.assignment.key))
    assert net.answers()


def test_a_connection_that_is_there_is_cut_and_goes_on_after_heal(net: Net) -> None:
    program = (
        "import socket, sys\n"
        f"client = socket.create_connection(('{POD4}', 7001), 5)\n"
        "client.settimeout(20)\n"
        "print(flush=True)\n"
        "for line in sys.stdin:\n"
        "    client.sendall(b'x')\n"
        "    print(client.recv(9), flush=True)\n"
    )
    client = net.run(python(net.peer, program))
    assert client.stdin
    assert client.stdout
    client.stdin.write("\n")
    client.stdin.flush()
    assert client.stdout.readline()
    injector = net.injector()
    done = net.cut(injector, BOTH)
    client.stdin.write("\n")
    client.stdin.flush()
    while not done.proven:
        done = injector.poll(done)
    injector.heal(done, Heal(done.assignment.key))
    assert client.stdout.readline() == "b'x'\n"  # sent again by TCP


def test_what_a_pod_says_to_itself_is_never_dropped(net: Net) -> None:
    """Not even where an own address was asked for, which the guards do not let through."""
    injector = net.injector()
    pod: Any = {"status": {"hostIP": "10.77.0.9"}}
    done = injector.inject(net.new_record(Partition((POD4,), (POD4,))), pod, threading.Event())
    assert done
    own = net.run(python(net.pod, ASK))
    assert own.stdin
    assert own.stdout
    own.stdin.write(f"AF_INET {POD4}\n")
    own.stdin.flush()
    assert own.stdout.readline() == "yes\n"
    assert injector.heal(done, Heal(done.assignment.key)).evidence[-1] == "no packet was dropped"


def test_the_kernel_ends_the_cut_when_no_agent_does(net: Net) -> None:
    injector = net.injector()
    done = net.cut(injector, BOTH, seconds=0.4)
    assert not net.answers()
    deadline = time.monotonic() + 10
    while not net.answers():
        assert time.monotonic() < deadline
    healed = net.injector().heal(done, Heal(done.assignment.key))
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "the cut had ended by itself before the agent healed"


def test_addresses_change_without_a_gap_and_counts_stay(net: Net) -> None:
    injector = net.injector()
    done = net.cut(injector, Partition((PEER4,), ()))
    assert not net.answers()
    done = injector.update(done, replace(done.assignment, action=Partition((OTHER4,), ())))
    assert net.answers()
    done = injector.update(done, replace(done.assignment, action=Partition((OTHER4, PEER4), ())))
    assert not net.answers()
    line = injector.poll(done).evidence[-1]
    assert line.startswith(f"dropped 2 packets from {PEER4}"), line


def test_of_two_partitions_each_has_its_evidence_and_its_end(net: Net) -> None:
    injector = net.injector()
    first, second = net.cut(injector, BOTH), net.cut(injector, BOTH, "f2")
    assert not net.answers()
    assert injector.heal(first, Heal(first.assignment.key)).proven
    assert not net.answers()
    assert injector.heal(second, Heal(second.assignment.key)).proven
    assert net.answers()
    gone = injector.heal(second, Heal(second.assignment.key))
    assert "somebody removed them" in gone.evidence[-1]


def test_rules_are_there_within_milliseconds(net: Net) -> None:
    injector = net.injector()

    def once(number: int) -> float:
        began = time.monotonic()
        net.cut(injector, BOTH, f"f{number}")
        return time.monotonic() - began

    assert quickest(once, 0.2) < 0.2  # 0.006 on an idle machine


@dataclass
class Group:
    """A pod's cgroup of the real kernel."""

    root: Path  # as Cgroups takes it
    top: Path
    started: list[subprocess.Popen[Any]] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    @property
    def container(self) -> Path:
        return self.top / f"pod{POD_UID}" / ID

    def run(self, *command: str) -> subprocess.Popen[Any]:
        process = subprocess.Popen(command, start_new_session=True)
        (self.container / "cgroup.procs").write_text(str(process.pid))
        self.started.append(process)
        return process

    def new_record(self, action: Freeze | Kill) -> FaultRecord:
        assignment = Assignment(
            fault_uid="f1", namespace="lab", name="f", cluster="pg", pod_uid=POD_UID, pod="pg-0", action=action
        )
        return FaultRecord(
            assignment=assignment, boot_id=self.clock.boot_id, deadline_ns=self.clock.now().ns + 30_000_000_000
        )

    def remove(self) -> None:
        Freezer().thaw(self.top / f"pod{POD_UID}")
        deadline = time.monotonic() + 10
        while pids := (self.container / "cgroup.procs").read_text().split():
            assert time.monotonic() < deadline
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.01)
        for process in self.started:
            process.wait()
        for folder in (self.container, self.container.parent, self.top):
            folder.rmdir()


@pytest.fixture(params=["v1", "v2"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    system, name = Path("/sys/fs/cgroup"), f"caplab-test-{uuid.uuid4()}"
    if request.param == "v1":
        top = system / "freezer" / name
        root = tmp_path / "cgroup"
        root.mkdir()
        (root / "freezer").symlink_to(top)
    else:
        top = root = (system if (system / "cgroup.controllers").exists() else system / "unified") / name
    if not top.parent.is_dir():
        pytest.skip(f"no {top.parent} here")
    try:
        (top / f"pod{POD_UID}" / ID).mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    made = Group(root, top)
    yield made
    made.remove()


FORKING = "while true; do sleep 60 & sleep 0.002; done"


def freeze_injector(group: Group, holds: Holds) -> FreezeInjector:
    return FreezeInjector(group.clock, Cgroups(group.root), holds, ThawTimers(Programs()))


def is_still(read: Callable[[], object]) -> bool:
    before = read()
    time.sleep(0.1)
    return read() == before


def test_processes_stop_forks_and_all_and_go_on_at_heal(group: Group) -> None:
    group.run("bash", "-c", FORKING)
    procs = group.container / "cgroup.procs"
    while len(procs.read_text().split()) < 5:
        time.sleep(0.01)
    injector = freeze_injector(group, Holds(Freezer(), group.clock))
    done = injector.inject(group.new_record(Freeze()), {}, threading.Event())
    assert done
    assert (done.state, done.proven, done.problem) == (ACTIVE, True, "")
    assert is_still(procs.read_text)
    print(done.evidence)
    group.run("sleep", "60")  # what is started in it now is born frozen
    assert injector.poll(done) == done
    healed = injector.heal(done, Heal(done.assignment.key))
    assert (healed.state, healed.proven) == (HEALED, True)
    deadline = time.monotonic() + 10
    while is_still(procs.read_text):
        assert time.monotonic() < deadline


def kill(group: Group, holds: Holds, seconds: float) -> FaultRecord:
    gates = Gates(group.top / "no pods", group.clock)
    bounds = Bounds(0.2, seconds)
    injector = KillInjector(group.clock, Cgroups(group.root), gates, holds, lambda assignment: None, bounds=bounds)
    done = injector.inject(group.new_record(Kill(keep_down=False)), POD, threading.Event())
    assert done
    return done


def test_a_frozen_process_is_killed_all_the_same(group: Group) -> None:
    member = group.run("sleep", "60")
    holds = Holds(Freezer(), group.clock)
    injector = freeze_injector(group, holds)
    frozen = injector.inject(group.new_record(Freeze()), {}, threading.Event())
    assert frozen
    if group.root != group.top:  # v1: who does not know of the freeze kills nobody
        assert "still holds 1 process" in kill(group, Holds(Freezer(), group.clock), 0.2).problem
    done = kill(group, holds, 3)
    assert (done.state, done.proven, done.problem) == (ACTIVE, True, "")
    assert member.wait(5) == -signal.SIGKILL
    print(done.evidence)
    group.run("sleep", "60")  # as kubelet starts it again
    assert injector.poll(frozen) == frozen
    assert injector.heal(frozen, Heal(frozen.assignment.key)).proven


def test_a_program_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_TIMEOUT_SECONDS", 0.05)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="sleep took longer than"):
        commands.start(("sleep", "60"))()
    assert time.monotonic() - began < 10


def test_a_program_gets_its_input_and_its_files_and_tells_how_it_ended(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("said\nso\n")
    with (tmp_path / "file").open() as file:
        script = f"cat; cat /proc/self/fd/{file.fileno()} >&2; exit 3"
        result = commands.start(("sh", "-c", script), "in", (file.fileno(),))()
    assert (result.code, result.out, result.reason) == (3, "in", "said so")
    assert commands.ProgramResult(4).reason == "exit code 4"
    with pytest.raises(FileNotFoundError):
        commands.start(("no-such-program",))
