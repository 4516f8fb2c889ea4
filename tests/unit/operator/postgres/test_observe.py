"""How the operator asks and tells members' Patronis: bounded in time and in what it reads."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from caplab_operator.engines.postgres import observe
from support.operator.observed_postgres import pod

HERE = pod("pg-0", address="127.0.0.1")


@dataclass
class FakePatroni:
    """What each path answers: a status and a body; a body of None hangs until the test is over."""

    answers: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)
    requests: list[tuple[str, str, str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def patroni(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePatroni]:
    fake = FakePatroni()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = fake.answers.get(self.path, (404, b""))
            if body is None:
                fake.over.wait(10)
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.requests.append((self.command, self.path, self.headers["Authorization"], sent))
            self.do_GET()

        def do_PATCH(self) -> None:
            self.do_POST()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setattr(observe, "PATRONI_PORT", server.server_address[1])
    monkeypatch.setattr(observe, "_TIMEOUT_SECONDS", 0.2)
    yield fake
    fake.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_member_is_told_with_its_password_and_its_refusal_is_in_its_own_words(patroni: FakePatroni) -> None:
    patroni.answers = {"/config": (200, b"{}"), "/switchover": (412, b"candidate does not exists")}
    assert observe.send("127.0.0.1", "pw", "/config", {"ttl": 20}, method="PATCH") == ""
    assert patroni.requests == [("PATCH", "/config", "Basic cGF0cm9uaTpwdw==", {"ttl": 20})]
    assert observe.send("127.0.0.1", "pw", "/switchover", {}) == "412 candidate does not exists"


def test_what_takes_longer_than_anybody_waits_is_under_way_and_not_refused(patroni: FakePatroni) -> None:
    patroni.answers = {"/restart": (200, None)}
    began = time.monotonic()
    assert observe.send("127.0.0.1", "pw", "/restart", {}) == ""
    assert time.monotonic() - began < 2


def test_a_member_that_is_not_there_has_not_been_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "PATRONI_PORT", 1)
    assert "refused" in observe.send("127.0.0.1", "pw", "/restart", {})


@pytest.mark.parametrize("body", [None, b"no json", b"[1]", b'"' + b"x" * (1 << 21) + b'"'])
def test_an_answer_that_hangs_is_no_object_or_never_ends_is_silence(patroni: FakePatroni, body: bytes | None) -> None:
    patroni.answers = {"/patroni": (200, body)}
    assert observe.look([HERE, pod("pg-1", address=None)], "pg-0").answers == {}


def test_a_member_whose_postgres_is_down_says_so(patroni: FakePatroni) -> None:
    patroni.answers = {"/patroni": (503, b'{"state": "starting"}'), "/cluster": (200, b'{"members": []}')}
    cluster = observe.look([HERE], None)
    assert cluster.answers == {"pg-0": {"state": "starting"}}
    assert (cluster.topology, cluster.config, cluster.history) == ({"members": []}, None, ())


@pytest.mark.parametrize(
    ("sends", "lives"),
    [
        pytest.param(b"N", True, id="a_postgres_without_tls"),
        pytest.param(b"S", True, id="a_postgres_with_tls"),
        pytest.param(b"E", False, id="something_else"),
        pytest.param(b"", False, id="a_proxy_that_closes"),
        pytest.param(None, False, id="a_frozen_postgres_or_a_proxy_that_opens_anything"),
    ],
)
def test_a_member_lives_if_its_postgres_answers(
    monkeypatch: pytest.MonkeyPatch, sends: bytes | None, lives: bool
) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(observe, "POSTGRES_PORT", server.getsockname()[1])

        def answer() -> None:
            line, _ = server.accept()
            with line:
                asked.append(line.recv(100))
                if sends is None:
                    line.recv(1)  # until the other side gives up
                else:
                    line.sendall(sends)

        answering = threading.Thread(target=answer)
        answering.start()
        assert observe.listening([HERE, pod("pg-1", address=None)], 0.2) == (["pg-0"] if lives else [])
        answering.join(10)
    assert asked == [bytes.fromhex("0000000804d2162f")]


def test_nobody_lives_where_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "POSTGRES_PORT", 1)
    assert observe.listening([HERE], 0.2) == []
