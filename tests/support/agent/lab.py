"""A node with one member, agents that start and stop on it, and an API server of a few lines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from caplab_agent.agent import Agent
from caplab_agent.api import Api
from caplab_agent.cgroups import Cgroups
from caplab_agent.clock import Clock
from caplab_agent.commands import Wait
from caplab_agent.freezer import Freezer
from caplab_agent.holds import Holds
from caplab_agent.injections import AgentLocation
from caplab_agent.injector import Node
from caplab_agent.injectors import injectors_on
from caplab_agent.injectors.kill.attempt import Bounds
from caplab_agent.injectors.kill.gate import Gates
from caplab_agent.injectors.kill.injector import KillInjector
from caplab_agent.journal import Journal
from caplab_agent.report import Reporter

from caplab.contract.names import CHAOS_LABEL, CLUSTER_LABEL, FAULT, FINALIZER
from caplab.contract.objects import Kill
from caplab.kube.client import Client
from caplab.kube.watcher import Watcher
from support.agent.fake_nft import FakeNft
from support.agent.fakes import ID, POD_UID, Programs
from support.objects.kube_clients import client_at

Body = dict[str, Any]


class FakeApi:
    """An API server with Faults, a namespace and a pod; it merges applied targets by uid, like server-side apply."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.faults: dict[str, Body] = {}
        self.events: list[Body] = []
        self.patches: list[tuple[str, Body]] = []
        self.status = 200  # every request gets it, if it is another one
        self.reads_status = 200
        self.silent = threading.Event()  # cleared: accepts requests, and answers none
        self.silent.set()
        self.labels = {CHAOS_LABEL: "allowed"}
        self.pod: Body = {
            "metadata": {"uid": POD_UID, "name": "pg-0", "labels": {CLUSTER_LABEL: "pg"}},
            "spec": {"nodeName": "node-1"},
            "status": {
                "containerStatuses": [{"containerID": f"containerd://{ID}"}],
                "podIP": "10.244.1.7",
                "hostIP": "10.89.0.3",
            },
        }
        self.pods: dict[str, Body] = {}  # by name; any other is pod
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client(self) -> Client:
        return client_at(self.server.server_port)

    def put(self, fault: Body, kind: str = "MODIFIED") -> None:
        with self.changed:
            self.faults[fault["metadata"]["uid"]] = fault
            self.events.append({"type": kind, "object": json.loads(json.dumps(fault))})
            self.changed.notify_all()

    def remove(self, uid: str) -> None:
        with self.changed:
            self.events.append({"type": "DELETED", "object": self.faults.pop(uid)})
            self.changed.notify_all()

    def target(self, uid: str = "f1") -> Body:
        with self.changed:
            target: Body = json.loads(json.dumps(self.faults[uid]["status"]["targets"][0]))
        return target

    def answer(self, path: str) -> tuple[int, Body]:
        if self.status != 200:
            return self.status, {}
        if "/pods/" in path:
            return self.reads_status, self.pods.get(path.rpartition("/")[2].partition("?")[0], self.pod)
        if "/faults" in path:
            with self.changed:
                version = str(len(self.events))
                return 200, {"metadata": {"resourceVersion": version}, "items": list(self.faults.values())}
        return self.reads_status, {"metadata": {"labels": self.labels}}

    def apply(self, path: str, body: Body) -> int:
        self.patches.append((path, body))
        fault = self.faults.get(body["metadata"]["uid"])
        if self.status != 200 or fault is None:
            return 409 if self.status == 200 else self.status
        for applied in body["status"]["targets"]:
            target = next(each for each in fault["status"]["targets"] if each["uid"] == applied["uid"])
            target.update(applied)
        self.put(fault)
        return 200

    def stream(self, since: int, write: Callable[[bytes], object]) -> None:
        while self.status == 200:
            with self.changed:
                if len(self.events) <= since and not self.changed.wait(0.2):
                    continue
                events, since = self.events[since:], len(self.events)
            self.silent.wait()
            for event in events:
                write(json.dumps(event).encode() + b"\n")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Bound", (Handler,), {"fake": self})


class Handler(BaseHTTPRequestHandler):
    """The HTTP handler of a FakeApi."""

    protocol_version = "HTTP/1.1"
    fake: FakeApi

    def do_GET(self) -> None:
        self.fake.silent.wait()
        if "watch=true" not in self.path.lower() or self.fake.status != 200:
            self.reply(*self.fake.answer(self.path))
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.fake.stream(int(self.path.partition("resourceVersion=")[2].partition("&")[0]), self.write)
        self.write(b"")

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.fake.silent.wait()
        self.reply(self.fake.apply(self.path, body), {})

    def write(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def reply(self, status: int, body: Body) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the agent's time-out was shorter
            super().handle()


@dataclass(kw_only=True)
class Lab:
    """A node with one member, and agents that start and stop on it."""

    root: Path
    api: FakeApi
    clock: Clock = field(default_factory=Clock)
    member: subprocess.Popen[bytes] | None = None
    agent: Agent | None = None
    thread: threading.Thread | None = None
    watcher: Watcher | None = None
    signalled: list[tuple[int, int]] = field(default_factory=list)  # pid, CLOCK_MONOTONIC ns
    before_signal: Callable[[], object] = lambda: None
    programs: Programs = field(default_factory=Programs)  # the node's own: systemd's

    def __post_init__(self) -> None:
        self.nft = FakeNft(clock=self.clock)

    @property
    def gate(self) -> Path:
        return self.root / "pods" / POD_UID / "volumes/kubernetes.io~empty-dir/gate"

    @property
    def journal(self) -> Journal:
        return Journal(self.root / "journal" / "faults.json")

    @property
    def pod(self) -> Path:
        return self.root / f"cgroup/freezer/pod{POD_UID}"

    def closed(self) -> list[str]:
        return sorted(file.name for file in self.gate.iterdir())

    def make(self) -> None:
        self.gate.mkdir(parents=True)
        (self.pod / ID).mkdir(parents=True)
        (self.pod / "freezer.state").write_text("THAWED")
        self.start_member()

    def start_member(self) -> subprocess.Popen[bytes]:
        self.member = subprocess.Popen(["sleep", "60"])
        return self.member

    def run(self, argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
        return self.nft(argv, text, files) if files else self.programs(argv, text)

    def enter(self, pid: int, namespace: str) -> int:
        """Put a process into a network namespace: files of one inode, which is returned."""
        file, link = self.root / namespace, self.root / f"proc/{pid}/ns/net"
        file.touch()
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, link)
        return file.stat().st_ino

    def read(self, folder: Path) -> list[int]:
        alive = self.member is not None and self.member.poll() is None
        return [self.member.pid] if alive and self.member and folder.name == ID else []

    def send(self, pid: int, number: int) -> None:
        self.before_signal()
        self.signalled.append((pid, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))
        os.kill(pid, number)

    def start(self) -> None:
        api = self.api.client()
        calls = Api(api, "node-1")
        cgroups, holds = Cgroups(self.root / "cgroup", self.read), Holds(Freezer(), self.clock)
        node = Node(
            clock=self.clock,
            cgroups=cgroups,
            holds=holds,
            pods=self.root / "pods",
            proc=self.root / "proc",
            start=self.run,
            read_pod=calls.pod,
            newest=lambda assignment: self.agent.newest(assignment) if self.agent else assignment,
        )
        gates = Gates(node.pods, self.clock)
        kill = KillInjector(self.clock, cgroups, gates, holds, calls.pod, self.send, Bounds(0.2, 1))
        injectors = {**injectors_on(node), Kill: kill}
        reporter = Reporter(calls.report, again_seconds=0.1)
        self.agent = Agent(
            location=AgentLocation("node-1", "caplab-system"),
            clock=self.clock,
            journal=self.journal,
            reader=calls,
            injectors=injectors,
            reporter=reporter,
        )
        self.thread = threading.Thread(target=self.agent.run, daemon=True)
        self.thread.start()
        self.watcher = Watcher(client=api, kind=FAULT, namespace="", changed=self.agent.on_faults)
        self.watcher.start()

    def stop(self) -> None:
        if self.agent and self.thread and self.watcher:
            self.watcher.stop()
            self.agent.stop()
            self.thread.join(10)
            assert not self.thread.is_alive()
            self.agent = None

    def restart(self) -> None:
        self.stop()
        self.start()


def lab_in(folder: Path) -> Iterator[Lab]:
    """Provide a lab, and end it afterwards."""
    api = FakeApi()
    made = Lab(root=folder, api=api)
    made.make()
    yield made
    api.silent.set()
    made.stop()
    if made.member:
        made.member.kill()
        made.member.wait()
    api.status = 503
    api.server.shutdown()
    api.server.server_close()


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def fault(uid: str = "f1", seconds: float = 30, state: str = "", **kill: object) -> Body:
    return {
        "metadata": {"uid": uid, "namespace": "lab", "name": f"kill-{uid}", "finalizers": [FINALIZER]},
        "spec": {"target": {"kind": "PostgresCluster", "name": "pg"}, "kill": kill, "durationSeconds": 60},
        "status": {
            "until": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
            "targets": [
                {"uid": POD_UID, "pod": "pg-0", "node": "node-1", "zone": "a"} | ({"state": state} if state else {})
            ],
        },
    }


def deleted(body: Body) -> Body:
    return {**body, "metadata": {**body["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def state(lab: Lab, uid: str = "f1") -> str:
    return str(lab.api.target(uid).get("state", ""))
