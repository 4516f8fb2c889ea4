"""The operator's /metrics: whoever asks is answered, and nobody can hold the operator's threads."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from caplab_operator import metrics_server
from caplab_operator.metrics_server import AT_ONCE, MetricsServer
from prometheus_client import CollectorRegistry, Gauge


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    registry = CollectorRegistry()
    Gauge("one", "A gauge.", registry=registry).set(1)
    made = metrics_server.serve(0, registry)
    yield made
    made.shutdown()
    made.server_close()


def ask(server: MetricsServer, path: str = "/metrics", method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def connected(server: MetricsServer, sends: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5)
    client.sendall(sends)
    return client


def test_metrics_are_served_and_nothing_else(server: MetricsServer) -> None:
    status, body = ask(server)
    assert (status, b"one 1.0" in body) == (200, True)
    assert ask(server, "/")[0] == 404
    assert ask(server, method="POST")[0] == 501


def test_clients_that_only_hold_their_connections_keep_nobody_out(server: MetricsServer) -> None:
    before = threading.active_count()
    slow = [connected(server, b"GET /met") for _ in range(5 * AT_ONCE)]
    assert ask(server)[0] == 200
    # a thread and a timer each, and some that are just ending
    assert threading.active_count() - before <= 3 * AT_ONCE
    assert slow[0].recv(10) == b""
    for client in slow:
        client.close()


def test_who_takes_too_long_is_let_go(server: MetricsServer) -> None:
    server.seconds = 0.3
    began = time.monotonic()
    with connected(server, b"GET /metrics HTTP/1.1\r\n") as slow:
        assert slow.recv(10) == b""
    assert time.monotonic() - began < 3
