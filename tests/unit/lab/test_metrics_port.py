"""The port of operator and agent tells metrics to whoever asks, and nobody can hold it up, or its threads."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from caplab_agent import exporter as agent
from caplab_agent.injectors.partition.addresses import Partition
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from support.metrics.exported_metrics import fault_record, of_agent

from caplab import bounded_server, metrics_port
from caplab.contract.objects import Freeze, Kill


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("caplab_x", "Something.", registry=registry).set(3)
    return registry


@pytest.fixture
def server(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(metrics_port._Server, "request_seconds", 0.3)
    server = metrics_port.serve(registry, 0)
    yield server
    server.shutdown()
    server.server_close()


def ask(server: Any, path: str = "/metrics", method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the port logged: threads that other tests left behind may log too."""
    return [record.getMessage() for record in caplog.records if record.name == metrics_port.__name__]


def connected(server: Any, sends: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5)
    client.sendall(sends)
    return client


def test_metrics_are_told_and_nothing_else(server: Any) -> None:
    status, body = ask(server)
    assert (status, b"\ncaplab_x 3.0\n" in body) == (200, True)
    assert ask(server, "/metrics?x=1")[0] == 200
    assert [ask(server, path)[0] for path in ("/", "/metrics/x", "//metrics/../etc/passwd")] == [404] * 3
    assert ask(server, method="POST")[0] == 501


def test_whoever_is_slow_to_ask_is_let_go_and_the_next_is_served(server: Any) -> None:
    with socket.create_connection(server.server_address[:2]) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert ask(server)[0] == 200
        assert slow.recv(100) == b""


def test_clients_that_only_hold_their_connections_keep_nobody_out_and_fill_no_log(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.request_seconds = 10.0
    before, began = threading.active_count(), time.monotonic()
    slow = [connected(server, b"GET /met") for _ in range(5 * bounded_server.AT_ONCE)]
    assert ask(server)[0] == 200
    assert time.monotonic() - began < 5  # long before the others' ten seconds are over
    # a thread and a timer each, and some that are just ending
    assert threading.active_count() - before <= 3 * bounded_server.AT_ONCE
    assert slow[0].recv(10) == b""
    for client in slow:
        client.close()
    assert logged(caplog) == []


def test_who_takes_no_answer_is_let_go_and_its_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port._Server, "request_seconds", 0.3)
    before, much = threading.active_count(), 64 << 20  # more than the kernel takes for a client
    server = metrics_port.serve_page(metrics_port.Page("/metrics", "text/plain", lambda: bytes(much)), 0)
    try:
        with connected(server, b"GET /metrics HTTP/1.0\r\n\r\n"):
            ended = time.monotonic() + 60
            while not server._open:
                time.sleep(0.001)
            while server._open or threading.active_count() > before + 1:  # the server's own
                assert time.monotonic() < ended
                time.sleep(0.01)
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_told_is_made_for_one_at_a_time() -> None:
    inside, most = [], [0]

    def tell() -> bytes:
        inside.append(1)
        most[0] = max(most[0], len(inside))
        time.sleep(0.02)
        inside.pop()
        return b"all"

    server = metrics_port.serve_page(metrics_port.Page("/metrics", "text/plain", tell), 0)
    answers: list[tuple[int, bytes]] = []
    clients = [threading.Thread(target=lambda: answers.append(ask(server))) for _ in range(bounded_server.AT_ONCE)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.shutdown()
    server.server_close()
    assert (answers, most) == ([(200, b"all")] * bounded_server.AT_ONCE, [1])


def test_a_collector_that_breaks_costs_that_answer_only(server: Any, registry: CollectorRegistry) -> None:
    class Broken:
        def collect(self) -> Iterator[Any]:
            raise ValueError("no such cluster")

    broken: Any = Broken()
    registry._collector_to_names[broken] = []
    status, body = ask(server)
    assert (status, b"no such cluster" in body) == (500, True)
    registry.unregister(broken)
    assert ask(server)[0] == 200


def test_what_breaks_every_answer_is_logged_once_and_again_after_a_good_one(caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def tell() -> bytes:
        if broken[0]:
            raise RuntimeError("no\nanswer " + "x" * 9999)
        return b"all"

    server = metrics_port.serve_page(metrics_port.Page("/targets", "text/plain", tell), 0)
    try:
        for is_broken, lines in ((True, 1), (True, 1), (False, 1), (True, 2)):
            broken[0] = is_broken
            status, body = ask(server, "/targets")
            assert (status, len(body) < 400) == (500 if is_broken else 200, True)
            assert len(logged(caplog)) == lines
    finally:
        server.shutdown()
        server.server_close()
    assert logged(caplog)[0].startswith("/targets: RuntimeError: no answer xxx")


def test_a_system_that_had_no_thread_left_for_a_while_keeps_nobody_out_later(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", none_left)
        clients = [connected(server, b"") for _ in range(2 * bounded_server.AT_ONCE)]
        for client in clients:
            assert client.recv(1) == b""
    assert ask(server)[0] == 200


def test_the_agent_tells_its_live_faults_by_kind() -> None:
    faults = [fault_record(Kill(), "pg-0"), fault_record(Kill(), "pg-1"), fault_record(Partition(), "pg-2")]
    metrics = generate_latest(of_agent(faults)).decode()
    assert 'caplab_agent_faults_active{kind="kill",node="node-a"} 2.0' in metrics
    assert 'caplab_agent_faults_active{kind="partition",node="node-a"} 1.0' in metrics
    assert 'caplab_agent_faults_active{kind="freeze",node="node-a"} 0.0' in metrics
    assert 'caplab_agent_oldest_poll_seconds{node="node-a"} 3.0' in metrics
    assert 'kind="freeze",node="node-a"} 1.0' in generate_latest(of_agent([fault_record(Freeze())])).decode()


def test_an_agent_whose_port_is_taken_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        monkeypatch.setattr(agent, "PORT", taken.getsockname()[1])
        with caplog.at_level(logging.ERROR):
            agent.serve(of_agent())
    assert "Cannot serve metrics on port" in caplog.text
