"""An API server that serves only nodes and groups, or stays silent, or is not an API server at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from caplab.contract.names import GROUP

KIND = ("kind://docker/caplab/caplab-worker", "kind://docker/caplab/caplab-control-plane")
PRODUCTION = ("aws:///eu-central-1a/i-0123456789", "aws:///eu-central-1b/i-0123456780")


@dataclass(kw_only=True)
class FakeApiServer:
    """An API server, with its answers and the requests that it got."""

    address: str = ""
    providers: tuple[str, ...] = KIND
    groups: tuple[str, ...] = ("apps", GROUP)
    forbidden: bool = False  # to list nodes
    broken: bytes = b""  # instead of any answer
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.broken:
            return 200, self.broken
        if path.startswith("/api/v1/nodes"):
            nodes = [{"metadata": {"name": name}, "spec": {"providerID": name}} for name in self.providers]
            return (403, b"{}") if self.forbidden else (200, json.dumps({"items": nodes}).encode())
        if path.rstrip("/") == "/apis":
            versions: list[Any] = [{"groupVersion": "v1", "version": "v1"}]
            groups = [{"name": name, "versions": versions} for name in self.groups]
            return 200, json.dumps({"groups": groups}).encode()
        return 404, b"{}"


@contextmanager
def fake_api_server() -> Iterator[FakeApiServer]:
    """Provide one that serves until the context is left."""
    fake = FakeApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = fake.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(folder: Path, current: str, **addresses: str) -> Path:
    """Write a kubeconfig with a context for each address, by its name with '_' for '-'."""
    names = {name.replace("_", "-"): address for name, address in addresses.items()}
    path = folder / "config"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": current,
                "clusters": [{"name": name, "cluster": {"server": address}} for name, address in names.items()],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in names],
            }
        )
    )
    return path
