"""The whole agent, against an API server of a few lines: faults, restarts, deaths and silence."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from caplab_agent import __main__ as program
from caplab_agent.agent import Agent, Place
from caplab_agent.api import PLURAL, Api
from caplab_agent.cgroups import Cgroups
from caplab_agent.clock import Clock
from caplab_agent.faults import Entry, Kill, Order
from caplab_agent.gate import Gates
from caplab_agent.journal import Journal
from caplab_agent.kill import Killer
from caplab_agent.plan import DIED, LOST, TOO_LATE
from caplab_agent.report import Reporter
from caplab_agent.strike import Bounds
from kubernetes import client

from caplab.watching import Watcher

Body = dict[str, Any]
ID = "ab" * 32
POD_UID = "11111111-2222-3333-4444-555555555555"


class FakeApi:
    """Keeps Faults, a namespace and a pod; merges applied targets by uid, as server-side apply does."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.faults: dict[str, Body] = {}
        self.events: list[Body] = []
        self.patches: list[tuple[str, Body]] = []
        self.status = 200  # what every request gets if it is another
        self.reads_status = 200
        self.silent = threading.Event()  # cleared: takes requests and answers none
        self.silent.set()
        self.labels = {"caplab.dev/chaos": "allowed"}
        self.pod: Body = {
            "metadata": {"uid": POD_UID, "name": "pg-0", "labels": {"caplab.dev/cluster": "pg"}},
            "spec": {"nodeName": "node-1"},
            "status": {"containerStatuses": [{"containerID": f"containerd://{ID}"}]},
        }
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client(self) -> client.ApiClient:
        settings = client.Configuration(host=f"http://127.0.0.1:{self.server.server_port}")
        settings.retries = False
        return client.ApiClient(settings)

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
            found: Body = json.loads(json.dumps(self.faults[uid]["status"]["targets"][0]))
        return found

    def answer(self, path: str) -> tuple[int, Body]:
        if self.status != 200:
            return self.status, {}
        if "/pods/" in path:
            return self.reads_status, self.pod
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
        for entry in body["status"]["targets"]:
            held = next(one for one in fault["status"]["targets"] if one["uid"] == entry["uid"])
            held.update(entry)
        self.put(fault)
        return 200

    def stream(self, since: int, write: Callable[[bytes], object]) -> None:
        while self.status == 200:
            with self.changed:
                if len(self.events) <= since and not self.changed.wait(0.2):
                    continue
                news, since = self.events[since:], len(self.events)
            self.silent.wait()
            for event in news:
                write(json.dumps(event).encode() + b"\n")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Bound", (Handler,), {"fake": self})


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a FakeApi."""

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


@dataclass
class Lab:
    """A node with one member, and agents that come and go on it."""

    root: Path
    api: FakeApi
    clock: Clock = field(default_factory=Clock)
    member: subprocess.Popen[bytes] | None = None
    agent: Agent | None = None
    thread: threading.Thread | None = None
    watcher: Watcher | None = None
    signalled: list[tuple[int, int]] = field(default_factory=list)  # pid, CLOCK_MONOTONIC ns
    before_signal: Callable[[], object] = lambda: None

    @property
    def gate(self) -> Path:
        return self.root / "pods" / POD_UID / "volumes/kubernetes.io~empty-dir/gate"

    @property
    def journal(self) -> Journal:
        return Journal(self.root / "journal" / "faults.json")

    def closed(self) -> list[str]:
        return sorted(file.name for file in self.gate.iterdir())

    def make(self) -> None:
        self.gate.mkdir(parents=True)
        (self.root / f"cgroup/freezer/pod{POD_UID}/{ID}").mkdir(parents=True)
        self.start_member()

    def start_member(self) -> subprocess.Popen[bytes]:
        self.member = subprocess.Popen(["sleep", "60"])
        return self.member

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
        gates = Gates(self.root / "pods", self.clock)
        killer = Killer(self.clock, Cgroups(self.root / "cgroup", self.read), gates, self.send, Bounds(0.2, 1))
        reporter = Reporter(calls.report, again_seconds=0.1)
        self.agent = Agent(Place("node-1", "caplab-system"), self.clock, self.journal, calls, killer, reporter)
        self.thread = threading.Thread(target=self.agent.run, daemon=True)
        self.thread.start()
        self.watcher = Watcher(api, PLURAL, "", self.agent.changed)
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


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    api = FakeApi()
    made = Lab(tmp_path, api)
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


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def fault(uid: str = "f1", seconds: float = 30, state: str = "", **kill: object) -> Body:
    return {
        "metadata": {"uid": uid, "namespace": "lab", "name": f"kill-{uid}", "finalizers": ["caplab.dev/heal"]},
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


def test_a_fault_is_carried_out_proven_healed_at_its_time_and_then_forgotten(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(seconds=1.5), "ADDED")
    until(lambda: state(lab) == "Active")
    active = lab.api.target()
    assert active["proven"] is True
    assert active["bootId"] == lab.clock.boot_id
    assert lab.member
    assert lab.member.wait(1) == -signal.SIGKILL
    assert lab.closed() == ["closed-f1"]
    until(lambda: state(lab) == "Healed")
    healed = lab.api.target()
    assert 1.0e9 < healed["healedNs"] - healed["injectedNs"] < 2.5e9
    assert healed["evidence"][-1].startswith("gate held 1.")
    assert healed["zone"] == "a"
    assert not lab.closed()
    until(lambda: lab.journal.read() == [])
    assert len({pid for pid, _ in lab.signalled}) == 1
    path, body = lab.api.patches[-1]
    assert "fieldManager=caplab-agent-node-1" in path
    assert set(body["status"]) == {"targets"}


def test_the_first_signal_follows_the_entry_at_once(lab: Lab) -> None:
    lab.start()
    unresolved = fault()
    targets = unresolved["status"].pop("targets")
    lab.api.put(unresolved, "ADDED")
    time.sleep(0.3)
    resolved = {**unresolved, "status": {**unresolved["status"], "targets": targets}}
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    lab.api.put(resolved)
    until(lambda: bool(lab.signalled))
    milliseconds = (lab.signalled[0][1] - began) / 1e6
    print(f"first signal after {milliseconds:.1f} ms")
    assert milliseconds < 500  # about 10 on an idle machine


def test_a_deleted_fault_heals_at_once(lab: Lab) -> None:
    lab.start()
    body = fault()
    lab.api.put(body, "ADDED")
    until(lambda: state(lab) == "Active")
    lab.api.put(deleted(lab.api.faults["f1"]))
    until(lambda: state(lab) == "Healed")
    assert "healed early: the Fault was deleted" in lab.api.target()["evidence"]
    assert not lab.closed()
    lab.api.remove("f1")
    until(lambda: lab.journal.read() == [])


def test_a_fault_whose_object_was_torn_away_heals(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: state(lab) == "Active")
    lab.api.remove("f1")
    until(lambda: not lab.closed())
    until(lambda: lab.journal.read() == [])


def test_a_fault_deleted_before_it_was_begun_is_reported_healed(lab: Lab) -> None:
    lab.api.put(deleted(fault()), "ADDED")
    lab.start()
    until(lambda: state(lab) == "Healed")
    assert not lab.signalled


def test_a_late_fault_is_not_begun(lab: Lab) -> None:
    lab.api.put(fault(seconds=-1), "ADDED")
    lab.start()
    until(lambda: state(lab) == "Failed")
    assert lab.api.target()["problem"] == TOO_LATE
    assert not lab.signalled


def unlabel(api: FakeApi) -> None:
    api.labels = {}


def replace_pod(api: FakeApi) -> None:
    api.pod["metadata"]["uid"] = "another"


def lose_pod(api: FakeApi) -> None:
    api.reads_status = 404


@pytest.mark.parametrize(
    ("plant", "names"), [(unlabel, "namespace lab"), (replace_pod, "uid another"), (lose_pod, "namespace lab")]
)
def test_what_the_guards_refuse_is_not_touched(lab: Lab, plant: Callable[[FakeApi], None], names: str) -> None:
    plant(lab.api)
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: state(lab) == "Failed")
    assert names in lab.api.target()["problem"]
    assert "Mend: " in lab.api.target()["problem"]
    assert not lab.signalled
    assert not lab.closed()
    until(lambda: lab.journal.read() == [])


def test_guards_that_cannot_look_for_a_moment_look_again(lab: Lab) -> None:
    lab.api.reads_status = 503
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: len(lab.journal.read()) == 1)
    time.sleep(0.3)
    assert not lab.signalled
    lab.api.reads_status = 200
    until(lambda: state(lab) == "Active")


def test_a_fault_deleted_while_the_guards_cannot_look_does_nothing(lab: Lab) -> None:
    lab.api.reads_status = 503
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: len(lab.journal.read()) == 1)
    lab.api.put(deleted(lab.api.faults["f1"]))
    until(lambda: state(lab) == "Healed")
    assert "nothing was done" in lab.api.target()["evidence"][0]
    assert not lab.signalled


def test_the_journal_is_written_before_the_first_signal(lab: Lab) -> None:
    written: list[list[Entry]] = []
    lab.before_signal = lambda: written.append(lab.journal.read())
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: state(lab) == "Active")
    assert [entry.order.key for entry in written[0]] == [("f1", POD_UID)]


def test_a_journal_that_cannot_be_written_stops_the_fault_before_it_begins(lab: Lab) -> None:
    lab.start()
    (lab.root / "journal" / "faults.draft").mkdir()
    lab.api.put(fault(), "ADDED")
    until(lambda: state(lab) == "Failed")
    assert "journal" in lab.api.target()["problem"]
    assert not lab.signalled


def test_an_agent_that_is_told_to_end_heals_nothing_and_the_next_one_goes_on(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(seconds=2.5), "ADDED")
    until(lambda: state(lab) == "Active")
    lab.stop()
    assert lab.closed() == ["closed-f1"]
    lab.start_member()
    lab.start()
    time.sleep(0.3)
    assert lab.closed() == ["closed-f1"]
    until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is True
    assert len({pid for pid, _ in lab.signalled}) == 1  # it was not killed twice
    assert not lab.closed()


def test_an_agent_that_is_told_to_end_in_the_midst_of_an_injection_writes_down_what_came_of_it(lab: Lab) -> None:
    lab.before_signal = lambda: time.sleep(0.3)
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: lab.closed() == ["closed-f1"])
    lab.stop()
    (entry,) = lab.journal.read()
    assert (entry.state, entry.proven) == ("Active", True)


def journalled(lab: Lab, boot_id: str = "", **fields: Any) -> Entry:
    """An entry an agent left behind, its gate closed."""
    order = Order("f1", "lab", "kill-f1", "pg", POD_UID, "pg-0", Kill())
    Gates(lab.root / "pods", lab.clock).close(order, 60)
    entry = Entry(order, boot_id or lab.clock.boot_id, lab.clock.now().ns + 60_000_000_000, **fields)
    lab.journal.write([entry])
    return entry


def test_an_injection_that_the_agent_did_not_survive_is_undone_and_failed(lab: Lab) -> None:
    journalled(lab)
    lab.api.put(fault(), "ADDED")
    lab.start()
    until(lambda: state(lab) == "Failed")
    assert lab.api.target()["problem"] == DIED
    assert not lab.closed()
    assert not lab.signalled


def test_after_another_boot_everything_is_healed_without_an_api_server(lab: Lab) -> None:
    lab.api.status = 503
    journalled(lab, boot_id="another", state="Active", injected_ns=1, proven=True)
    lab.start()
    until(lambda: not lab.closed())
    lab.api.put(fault(state="Active"))
    lab.api.status = 200
    until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is False


def test_a_fault_whose_journal_was_lost_is_healed_and_failed(lab: Lab) -> None:
    journalled(lab, state="Active")
    (lab.root / "journal" / "faults.json").write_text("{")
    lab.api.put(fault(state="Active"), "ADDED")
    lab.start()
    until(lambda: state(lab) == "Failed")
    assert lab.api.target()["problem"] == LOST
    assert not lab.closed()


@pytest.mark.parametrize("silent", [True, False])
def test_an_api_server_that_does_not_answer_delays_the_report_and_not_the_heal(lab: Lab, silent: bool) -> None:
    lab.start()
    lab.api.put(fault(seconds=1.5), "ADDED")
    until(lambda: state(lab) == "Active")
    healed_by = time.monotonic() + 2.5
    if silent:
        lab.api.silent.clear()
    else:
        lab.api.status = 503
    until(lambda: not lab.closed(), healed_by - time.monotonic())
    assert state(lab) == "Active"
    until(lambda: lab.journal.read()[0].state == "Healed", 0.5)
    lab.restart()  # even then it is told
    lab.api.status = 200
    lab.api.silent.set()
    until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is True
    until(lambda: lab.journal.read() == [])


def test_two_overlapping_faults_on_one_pod_heal_apart(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault("f1"), "ADDED")
    until(lambda: state(lab, "f1") == "Active")
    lab.start_member()
    lab.api.put(fault("f2", seconds=1.5), "ADDED")
    until(lambda: state(lab, "f2") == "Active")
    assert lab.closed() == ["closed-f1", "closed-f2"]
    until(lambda: state(lab, "f2") == "Healed")
    assert lab.closed() == ["closed-f1"]
    assert state(lab, "f1") == "Active"
    lab.api.put(deleted(lab.api.faults["f1"]))
    until(lambda: not lab.closed())


def test_a_kill_that_keeps_nothing_down_stays_active_until_its_time_and_kills_once(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(seconds=1.5, keepDown=False), "ADDED")
    until(lambda: state(lab) == "Active")
    lab.start_member()
    assert not lab.closed()
    until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is True
    assert len({pid for pid, _ in lab.signalled}) == 1


def test_an_empty_container_fails_the_fault(lab: Lab) -> None:
    assert lab.member
    lab.member.kill()
    lab.member.wait()
    lab.start()
    lab.api.put(fault(), "ADDED")
    until(lambda: state(lab) == "Failed")
    assert lab.api.target()["proven"] is False
    assert not lab.closed()


def test_the_program_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("CAPLAB_NODE", "CAPLAB_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    assert program.main() == 2
    assert "CAPLAB_NODE is not set. Mend: " in capsys.readouterr().err
    assert program.place({"CAPLAB_NODE": "n", "CAPLAB_NAMESPACE": "s"}) == Place("n", "s")
