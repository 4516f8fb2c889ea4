"""A node whose containers are real processes; its cgroups list sessions of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from caplab_agent.cgroups import Cgroups
from caplab_agent.clock import Clock
from caplab_agent.faults import Assignment, FaultRecord
from caplab_agent.freezer import Freezer
from caplab_agent.holds import Holds
from caplab_agent.injectors.kill.attempt import Bounds
from caplab_agent.injectors.kill.gate import Gates
from caplab_agent.injectors.kill.injector import KillInjector

from caplab.contract.objects import Kill
from support.agent.fakes import ID, POD_UID, SLICE

ASSIGNMENT = Assignment(
    fault_uid="f1", namespace="lab", name="kill-it", cluster="pg", pod_uid=POD_UID, pod="pg-0", action=Kill()
)
POD = {"status": {"containerStatuses": [{"name": "member", "containerID": f"containerd://{ID}"}]}}


def living(session: int) -> list[int]:
    """Return the processes of a session that are not zombies, as a cgroup would list them."""
    pids = []
    for each in Path("/proc").iterdir():
        try:
            fields = (each / "stat").read_text().rpartition(")")[2].split() if each.name.isdecimal() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] not in "ZX":
            pids.append(int(each.name))
    return pids


@dataclass(kw_only=True)
class Node:
    """A node's folders and the processes in its cgroups."""

    root: Path
    sessions: dict[Path, int] = field(default_factory=dict)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    signals: list[tuple[int, int]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)  # the freezer's state at each signal
    ignores_signals: bool = False
    pod_bodies: list[Any] = field(default_factory=list)  # the API server's answers, one for each read of the pod
    holds: Holds = field(default_factory=lambda: Holds(Freezer(), Clock()))

    @property
    def pod(self) -> Path:
        return self.root / "cgroup/freezer" / SLICE

    @property
    def gate(self) -> Path:
        return self.root / "pods" / POD_UID / "volumes/kubernetes.io~empty-dir/gate"

    def container(self, identity: str, *command: str, folder: str = "") -> subprocess.Popen[bytes]:
        where = self.pod / f"cri-containerd-{identity}.scope" / folder
        where.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
        self.started.append(process)
        self.sessions[where] = process.pid
        return process

    def read(self, folder: Path) -> list[int]:
        return living(self.sessions[folder]) if folder in self.sessions else []

    def send(self, pid: int, number: int) -> None:
        self.signals.append((pid, number))
        if not self.ignores_signals:
            os.kill(pid, number)

    def read_pod(self, assignment: Assignment) -> Any:
        return self.pod_bodies.pop(0) if self.pod_bodies else None

    def injector(self, read: Callable[[Path], list[int]] | None = None) -> KillInjector:
        clock = Clock()
        groups = Cgroups(self.root / "cgroup", read or self.read)
        gates = Gates(self.root / "pods", clock)
        return KillInjector(clock, groups, gates, self.holds, self.read_pod, self.send, Bounds(0.3, 1.5))


def node_in(folder: Path) -> Iterator[Node]:
    """Provide a node, and end all that ran on it."""
    made = Node(root=folder)
    made.gate.mkdir(parents=True)
    (folder / "cgroup/freezer/other.slice").mkdir(parents=True)
    yield made
    for process in made.started:
        for pid in living(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def new_record(kill: Kill | None = None, seconds: float = 10, replaces: str = "") -> FaultRecord:
    clock = Clock()
    assignment = replace(ASSIGNMENT, action=kill or Kill(), replaces=replaces)
    return FaultRecord(assignment=assignment, boot_id=clock.boot_id, deadline_ns=clock.now().ns + int(seconds * 1e9))


def inject(node: Node, kill: Kill | None = None, pod: Any = POD) -> FaultRecord:
    return injected(node.injector().inject(new_record(kill), pod, threading.Event()))


def injected(done: FaultRecord | None) -> FaultRecord:
    assert done
    return done


def await_processes(process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + 10
    while len(living(process.pid)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
