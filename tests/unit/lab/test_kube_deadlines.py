"""A server that answers a byte at a time holds no call longer than one that does not answer."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kubernetes.client import Configuration
from support.objects.dripping_server import DRIPS, OK, dripping
from support.objects.kube_clients import client_at

from caplab.kube import deadlines
from caplab.kube.client import Client
from caplab.kube.errors import ApiError, NoAnswer, TooMuch
from caplab.kube.limits import CallLimits
from caplab.time_limit import TimeLimitExceeded, with_time_limit

LIMITS = {"connect_seconds": 0.3, "read_seconds": 0.4, "whole_seconds": 0.3}
FOR_EVER_SECONDS = 15.0  # the machine may be busy
PATH = "/api/v1/namespaces/demo/pods/pg-0"


def get(client: Client) -> Any:
    return client.call("GET", PATH)


def watch(client: Client) -> Any:
    return list(client.events(PATH, "1", 0.1))


def error_of(client: Client, call: Callable[[Client], Any]) -> Exception:
    """Return the error with which a call ends; TimeLimitExceeded if it does not end."""
    with pytest.raises(Exception, match=r".") as raised:
        with_time_limit(FOR_EVER_SECONDS, lambda: call(client))
    return raised.value


@pytest.mark.parametrize("drip", DRIPS)
def test_a_call_ends_wherever_its_answer_drips(drip: str) -> None:
    with dripping(*DRIPS[drip]) as port:
        error = error_of(client_at(port, **LIMITS, retries=1), get)
    assert isinstance(error, TooMuch | NoAnswer)
    assert str(error).startswith(f"GET {PATH}: ")
    assert error.reason in {"the API server does not answer in time", "it takes over 0.3 s to answer"}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_watch_ends_wherever_it_drips(drip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplab.kube.client._WATCH_GRACE_SECONDS", 0.3)
    monkeypatch.setattr("caplab.kube.client._SILENCE_SECONDS", 0.2)
    with dripping(*DRIPS[drip]) as port:
        client = client_at(port, **LIMITS, retries=1)
        if drip in {"chunk", "body", "body without a length"}:
            assert with_time_limit(FOR_EVER_SECONDS, lambda: watch(client)) == []
        else:
            assert isinstance(error_of(client, watch), ApiError)


@pytest.mark.parametrize("drip", ["header", "size of a chunk", "trailer"])
def test_a_call_without_the_deadlines_is_caught(drip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplab.kube.client.bound", lambda manager: manager)
    monkeypatch.setitem(globals(), "FOR_EVER_SECONDS", 4.5)
    with dripping(*DRIPS[drip]) as port:
        client = client_at(port, connect_seconds=3.0, read_seconds=3.0, whole_seconds=0.3)
        assert isinstance(error_of(client, get), TimeLimitExceeded)


def test_an_answer_in_many_pieces_is_whole_if_it_comes_in_time() -> None:
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"kind": "Pod"}') + b"0\r\nX-Sum: 1\r\n\r\n"
    with dripping(b"", OK + b"Transfer-Encoding: chunked\r\n\r\n" + body, every_seconds=0.001) as port:
        client = client_at(port, connect_seconds=10, read_seconds=30, whole_seconds=30)
        assert get(client) == {"kind": "Pod"}


def test_a_connection_is_used_again_with_the_deadline_of_each_call() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\n{}"
    taken: list[int] = []

    def serve(server: socket.socket) -> None:
        connection = server.accept()[0]
        taken.append(connection.fileno())
        with connection, suppress(OSError):
            while connection.recv(1 << 16):
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        client = client_at(server.getsockname()[1], connect_seconds=5, read_seconds=0.9, whole_seconds=0.9)
        for _ in range(3):
            assert get(client) == {}
            time.sleep(0.5)
    assert len(taken) == 1


def test_a_request_without_a_time_out_is_refused() -> None:
    with dripping(OK, b"\r\n") as port, pytest.raises(ValueError, match="no time-out"):
        deadlines.bound(urllib3.PoolManager()).request("GET", f"http://127.0.0.1:{port}/", timeout=None)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Provide a server's side of TLS, and the file with its certificate."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    whose = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *whose, *files], check=True, capture_output=True, timeout=60)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context, certificate


def over_tls(port: int, certificate: Path, **limits: float) -> Client:
    configuration = Configuration(host=f"https://127.0.0.1:{port}")
    configuration.ssl_ca_cert = str(certificate)
    return Client(configuration, CallLimits(retries=0, **limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("drip", ["header", "size of a chunk", "body"])
def test_a_call_over_tls_ends_wherever_its_answer_drips(drip: str, certified: tuple[ssl.SSLContext, Path]) -> None:
    context, certificate = certified
    with dripping(*DRIPS[drip], tls=context) as port:
        error = error_of(over_tls(port, certificate, **{**LIMITS, "connect_seconds": 5.0, "read_seconds": 5.0}), get)
    assert isinstance(error, TooMuch | NoAnswer)
    assert "time" in error.reason or "takes over" in error.reason


def test_a_handshake_that_drips_ends(certified: tuple[ssl.SSLContext, Path]) -> None:
    with dripping(b"\x16\x03\x03\x40\x00", b"\x02\x00", asked_first=False) as port:
        error = error_of(over_tls(port, certified[1], **LIMITS), get)
    assert isinstance(error, NoAnswer)


def test_a_request_that_is_taken_piece_by_piece_ends(certified: tuple[ssl.SSLContext, Path]) -> None:
    over = threading.Event()
    context, certificate = certified

    def serve(server: socket.socket) -> None:
        connection = server.accept()[0]
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
            while not over.wait(0.02) and encrypted.recv(1 << 14):
                pass

    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        server.bind(("127.0.0.1", 0))
        server.listen()
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        client = over_tls(server.getsockname()[1], certificate, connect_seconds=1.0, read_seconds=1.0)
        much = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "d", "name": "p"}, "x": "y" * (32 << 20)}
        error = error_of(client, lambda client: client.replace(much, "m"))
        over.set()
    assert isinstance(error, NoAnswer)
    assert error.reason == "the API server does not answer in time"


@pytest.mark.parametrize("drip", ["status line", "header"])
def test_a_proxy_that_drips_ends(drip: str) -> None:
    with dripping(*DRIPS[drip]) as port:
        configuration = Configuration(host="https://192.0.2.1")
        configuration.proxy = f"http://127.0.0.1:{port}"
        client = Client(configuration, CallLimits(retries=0, **LIMITS))  # type: ignore[arg-type]
        assert isinstance(error_of(client, get), NoAnswer)
