"""A port that tells Prometheus something, the metrics of a process most often, and nothing else.

One request at a time, each within its seconds: whoever asks cannot keep the process from its work.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

REQUEST_SECONDS = 2.0  # to ask and to take the answer: a scrape has a second in the lab's own Prometheus
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """What a port tells: where, as what content type, and what it is at the moment."""

    path: str
    kind: str
    tell: Callable[[], bytes]


class _Handler(BaseHTTPRequestHandler):
    """GET and nothing else: the base class answers 501 to every other method."""

    server: _Server

    def setup(self) -> None:
        """Begin to count the time: a client that is slow is let go."""
        super().setup()
        self._timer = threading.Timer(self.server.request_seconds, _cut, [self.connection])
        self._timer.daemon = True
        self._timer.start()

    def finish(self) -> None:
        """End."""
        self._timer.cancel()
        super().finish()

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path != self.server.page.path:
            mend = f"There is nothing else here. Mend: ask for {self.server.page.path}.\n"
            self._send(404, "text/plain; charset=utf-8", mend.encode())
            return
        try:
            body = self.server.page.tell()
        except Exception as error:
            _log.warning("%s: %r", path, error)
            self._send(500, "text/plain; charset=utf-8", f"{path} could not be told: {error!r}.\n".encode())
            return
        self._send(200, self.server.page.kind, body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: a line a scrape would fill the log."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class has it so
        """Say nothing of what strangers send."""

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


class _Server(HTTPServer):
    request_seconds = REQUEST_SECONDS

    def __init__(self, port: int, page: Page) -> None:
        self.page = page
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        """Bind, without the look-up of the host's own name: a cut DNS would hold up the start."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say it in a line; mostly the client has gone."""
        _log.warning("request of %s: %r", client_address[0], sys.exc_info()[1])


def serve(registry: CollectorRegistry, port: int) -> _Server:
    """Tell metrics on a port, from a daemon thread. Raises OSError where the port is taken."""
    return serve_page(Page("/metrics", CONTENT_TYPE_LATEST, lambda: generate_latest(registry)), port)


def serve_page(page: Page, port: int) -> _Server:
    """Tell one page on a port, from a daemon thread. Raises OSError where the port is taken."""
    server = _Server(port, page)
    threading.Thread(target=server.serve_forever, name=page.path, daemon=True).start()
    return server
