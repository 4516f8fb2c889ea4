"""What a Postgres member does before its pod ends: the image's own script, run for real beside a made-up Patroni."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[4] / "images/postgres/switchover"


@dataclass(kw_only=True)
class FakePatroni:
    """pg-0's Patroni, and pg-1's under /pg-1."""

    role: str = "primary"
    leader: str = "pg-0"
    replica_state: str = "streaming"
    replica_runs: bool = True
    refusal: int = 0
    done_at_once: bool = True
    switchovers: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""
    padding: str = ""  # in the replica's own answer

    def answer(self, path: str) -> tuple[int, Any]:
        if path == "/patroni":
            return 200, {"role": self.role, "state": "running"}
        if path == "/cluster":
            return 200, {"members": [self._member("pg-0"), self._member("pg-1")]}
        return (
            (200, {"state": "running", "padding": self.padding}) if self.replica_runs else (503, {"state": "stopping"})
        )

    def switch_over(self, body: Any, login: str) -> int:
        self.switchovers.append((login, body))
        if not self.refusal and self.done_at_once:
            self.leader = "pg-1"
        return self.refusal or 200

    def _member(self, name: str) -> dict[str, str]:
        role, state = ("leader", "running") if name == self.leader else ("replica", self.replica_state)
        return {"name": name, "role": role, "state": state, "api_url": f"{self.url}/{name}/patroni"}


@pytest.fixture
def patroni() -> Iterator[FakePatroni]:
    fake = FakePatroni()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*fake.answer(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(fake.switch_over(body, self.headers["Authorization"]), {})

        def _send(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def run(patroni: FakePatroni, tmp_path: Path, **changes: str) -> str:
    """What the script says in its member's log; it never fails, since the pod is to end either way."""
    log = tmp_path / "log"
    log.touch()
    done = execute(patroni, CAPLAB_LOG=str(log), **changes)
    assert (done.returncode, done.stderr) == (0, "")
    return log.read_text()


def execute(patroni: FakePatroni, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the script as pg-0."""
    environment = {
        **os.environ,
        "POD_NAME": "pg-0",
        "PATRONI_RESTAPI_USERNAME": "patroni",
        "PATRONI_RESTAPI_PASSWORD": "pw",
        "CAPLAB_PATRONI": patroni.url,
        **changes,
    }
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=environment,
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_primary_hands_over_and_ends_when_another_leads(patroni: FakePatroni, tmp_path: Path) -> None:
    assert run(patroni, tmp_path) == "pg-0 was told to end: pg-1 is the primary now\n"
    assert patroni.switchovers == [("Basic cGF0cm9uaTpwdw==", {"leader": "pg-0"})]


def test_by_hand_it_says_who_leads(patroni: FakePatroni) -> None:
    done = execute(patroni, "now")
    assert (done.returncode, done.stdout, done.stderr) == (0, "pg-1 is the primary now\n", "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"role": "replica"}, "pg-0 is not the primary\n"),
        ({"replica_runs": False}, "no member can take over\n"),
    ],
)
def test_by_hand_it_fails_where_nobody_took_over(patroni: FakePatroni, changes: dict[str, Any], said: str) -> None:
    for name, value in changes.items():
        setattr(patroni, name, value)
    done = execute(patroni, "now")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert patroni.switchovers == []


def test_once_it_has_begun_a_replica_that_no_longer_streams_is_waited_for(patroni: FakePatroni, tmp_path: Path) -> None:
    """The old primary has ended, so nobody streams from it, and the new one has not been promoted yet."""
    patroni.done_at_once = False
    threading.Timer(0.5, lambda: setattr(patroni, "replica_state", "running")).start()
    threading.Timer(1.5, lambda: setattr(patroni, "leader", "pg-1")).start()
    assert run(patroni, tmp_path) == "pg-0 was told to end: pg-1 is the primary now\n"


def test_a_replica_just_ends(patroni: FakePatroni, tmp_path: Path) -> None:
    patroni.role = "replica"
    assert (run(patroni, tmp_path), patroni.switchovers) == ("", [])


@pytest.mark.parametrize("changes", [{"replica_state": "running"}, {"replica_runs": False}])
def test_where_nobody_may_take_over_the_member_ends_at_once(
    patroni: FakePatroni, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """All that has streamed goes with the cluster itself, for one."""
    for name, value in changes.items():
        setattr(patroni, name, value)
    assert run(patroni, tmp_path) == "pg-0 was told to end: no member can take over\n"
    assert patroni.switchovers == []


def test_a_switchover_that_comes_to_nothing_is_given_up_in_time(patroni: FakePatroni, tmp_path: Path) -> None:
    """Replicas that go meanwhile, or Patroni's refusal, are asked about again and again, but not for ever."""
    patroni.done_at_once = False
    threading.Timer(1.0, lambda: setattr(patroni, "replica_runs", False)).start()
    assert run(patroni, tmp_path) == "pg-0 was told to end: no member can take over\n"
    assert len(patroni.switchovers) == 1


def test_an_answer_that_never_ends_is_none(patroni: FakePatroni, tmp_path: Path) -> None:
    patroni.padding = "x" * (1 << 21)
    assert run(patroni, tmp_path) == "pg-0 was told to end: no member can take over\n"


def test_a_patroni_that_does_not_answer_keeps_nobody(patroni: FakePatroni, tmp_path: Path) -> None:
    assert run(patroni, tmp_path, CAPLAB_PATRONI="http://127.0.0.1:1") == ""
