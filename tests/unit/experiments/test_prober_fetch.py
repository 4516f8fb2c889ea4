"""How a run asks the probers: through the API server, with the token, and for no more than it can hold."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from chaoscaplab import server as module
from chaoscaplab.server import Server
from support.objects.kube_clients import client_at

from caplab.kube.errors import TooMuch
from caplab.run_context import RunContext

TOKEN = "t" * 43
PODS = "/api/v1/namespaces/caplab-system/pods"
RUNNING = {"metadata": {"name": "caplab-prober-a-1"}, "status": {"phase": "Running"}}


class Api(ThreadingHTTPServer):
    """Stands for an API server with one prober behind it, which is asked what `asked` tells."""

    pods: tuple[dict[str, Any], ...] = (RUNNING,)
    answer = b"figures"
    has_secret = True
    token = f"{TOKEN}\n".encode()

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.deleted: list[tuple[str, dict[str, str] | None]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        path, kind = unquote(self.path.partition("?")[0]), "application/json"
        if path == PODS:
            body = json.dumps({"kind": "PodList", "apiVersion": "v1", "items": self.server.pods}).encode()
        elif path == "/api/v1/namespaces/caplab-system/secrets/caplab-prober-token":
            data = {"token": base64.b64encode(self.server.token).decode()}
            body = json.dumps({"kind": "Secret", "apiVersion": "v1", "metadata": {}, "data": data}).encode()
            if not self.server.has_secret:
                self.send_error(404)
                return
        else:
            self.server.asked.append((path, self.headers.get("X-Caplab-Token")))
            body, kind = self.server.answer, "text/plain"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.deleted.append((self.path, json.loads(self.rfile.read(length)).get("preconditions")))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        yield api
        api.shutdown()


@pytest.fixture
def server(api: Api) -> Server:
    return Server(RunContext(folder=Path("results")), client_at(api.server_port))


def test_the_token_goes_with_what_is_asked_of_a_prober_and_with_nothing_else(api: Api, server: Server) -> None:
    path = "namespaces/demo/runs/r-1/history.arrow"
    assert server.fetch("a", path) == b"figures"
    assert api.asked == [(f"{PODS}/caplab-prober-a-1:9187/proxy/{path}", TOKEN)]


def test_an_answer_without_end_is_not_taken(api: Api, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_HISTORY_BYTES", 10)
    api.answer = b"x" * 11
    with pytest.raises(TooMuch, match=r"proxy/metrics: it answers with over 10 bytes"):
        server.fetch("a", "metrics")


def test_a_zone_without_a_prober_is_named(api: Api, server: Server) -> None:
    api.pods = ({**RUNNING, "status": {"phase": "Pending"}},)
    with pytest.raises(LookupError, match=r"There is no prober in zone a\. Hint: make up\."):
        server.fetch("a", "metrics")
    assert api.asked == []


def test_a_token_that_was_deleted_is_named_with_the_hint(api: Api, server: Server) -> None:
    api.has_secret = False
    with pytest.raises(LookupError, match=r"caplab-prober-token, is missing\. Hint: make up\."):
        server.fetch("a", "metrics")
    assert api.asked == []


def test_a_pod_is_deleted_only_if_it_is_the_one_that_is_meant(api: Api, server: Server) -> None:
    server.delete_pod("demo", "pg-0", "uid-1")
    assert api.deleted == [("/api/v1/namespaces/demo/pods/pg-0", {"uid": "uid-1"})]


@pytest.mark.parametrize("token", [b"", b"\n", b"hidden\nmore", b"hidden\xff", "hiddén".encode()])
def test_a_token_that_no_header_can_hold_is_not_told(api: Api, server: Server, token: bytes) -> None:
    api.token = token
    with pytest.raises(LookupError, match=r"cannot be read\. Hint: make up\.") as raised:
        server.fetch("a", "metrics")
    assert "hidd" not in str(raised.value)
