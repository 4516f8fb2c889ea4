"""Serves /metrics to whoever asks, and lets nobody hold more than a few threads of the operator's."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

AT_ONCE = 8  # connections: for one more, the oldest is let go
SECONDS = 10.0  # for a client to ask and to take the answer
_MAKING_ROOM_SECONDS = 0.2

_log = logging.getLogger(__name__)


class _Handler(BaseHTTPRequestHandler):
    """GET and nothing else; one request a connection."""

    server: MetricsServer

    def do_GET(self) -> None:
        """Answer, in the format that a scraper accepts."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "Ask for /metrics")
            return
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        body = encode(self.server.registry)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class has it so
        """Say nothing: a line a scrape would fill the log."""


class MetricsServer(ThreadingHTTPServer):
    """A daemon thread a connection, of which there are only so many, each with its end."""

    daemon_threads = True
    seconds = SECONDS

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        self.registry = registry
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._open: dict[Any, threading.Timer] = {}  # the oldest first
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; where all places are taken, in that of whoever has been there for the longest."""
        if not self._places.acquire(blocking=False):
            self._let_oldest_go()
            if not self._places.acquire(timeout=_MAKING_ROOM_SECONDS):
                self.shutdown_request(request)
                return
        timer = threading.Timer(self.seconds, _cut, [request])
        timer.daemon = True
        with self._lock:
            self._open[request] = timer
        timer.start()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request).cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say it in a line; mostly the client has gone."""
        _log.warning("/metrics for %s: %r", client_address[0], sys.exc_info()[1])

    def _let_oldest_go(self) -> None:
        with self._lock:
            oldest = next(iter(self._open), None)
        if oldest is not None:
            _cut(oldest)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


def serve(port: int, registry: CollectorRegistry) -> MetricsServer:
    """Serve from a daemon thread. OSError where the port is taken."""
    server = MetricsServer(("", port), registry)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
