"""The port of operator and agent tells metrics, one request at a time, and whoever asks cannot hold it up."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from caplab_agent import exporter as agent
from caplab_agent.faults import Freeze, Kill, Partition
from exported import entry, of_agent
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from caplab import metrics_port


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


def test_the_agent_tells_its_live_faults_by_kind() -> None:
    faults = [entry(Kill(), "pg-0"), entry(Kill(), "pg-1"), entry(Partition(), "pg-2")]
    told = generate_latest(of_agent(faults)).decode()
    assert 'caplab_agent_faults_active{kind="kill",node="node-a"} 2.0' in told
    assert 'caplab_agent_faults_active{kind="partition",node="node-a"} 1.0' in told
    assert 'caplab_agent_faults_active{kind="freeze",node="node-a"} 0.0' in told
    assert 'caplab_agent_oldest_poll_seconds{node="node-a"} 3.0' in told
    assert 'kind="freeze",node="node-a"} 1.0' in generate_latest(of_agent([entry(Freeze())])).decode()


def test_an_agent_whose_port_is_taken_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        monkeypatch.setattr(agent, "PORT", taken.getsockname()[1])
        with caplog.at_level(logging.ERROR):
            agent.serve(of_agent())
    assert "no metrics on port" in caplog.text
