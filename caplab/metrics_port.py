"""A port that serves one page to Prometheus, usually the metrics of a process, and nothing else.

No client can block the process, or the answers to others: the number of connections is bounded, and so is the time of
each; one connection too many closes the oldest. The page is made for one client at a time.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from .bounded_server import BoundedServer

REQUEST_SECONDS = 2.0  # for the request and its answer: a scrape has a second in the lab's own Prometheus
_MAX_PROBLEM_LENGTH = 300  # characters
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a port: its path, content type, and current content (called by one thread at a time)."""

    path: str
    kind: str
    render: Callable[[], bytes]


class _Handler(BaseHTTPRequestHandler):
    """Answers GET only, one request for each connection: the base class answers 501 to every other method."""

    server: _Server

    def do_GET(self) -> None:
        """Answer a GET."""
        path = self.path.partition("?")[0]
        if path != self.server.page.path:
            hint = f"There is nothing else here. Hint: ask for {self.server.page.path}.\n"
            self._send(404, "text/plain; charset=utf-8", hint.encode())
            return
        try:
            with self.server.telling:
                body = self.server.page.render()
        except Exception as error:
            problem = _in_words(error)
            self.server.note(f"{path}: {problem}")
            self._send(500, "text/plain; charset=utf-8", f"{path} cannot be served: {problem}.\n".encode())
            return
        self.server.note("")
        self._send(200, self.server.page.kind, body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: a line for each scrape would fill the log."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class has it so
        """Log nothing that clients send."""

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _in_words(error: Exception) -> str:
    """Describe an error in one line: the text of an API server's refusal contains the whole answer."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MAX_PROBLEM_LENGTH]


class _Server(BoundedServer):
    request_seconds = REQUEST_SECONDS

    def __init__(self, port: int, page: Page) -> None:
        self.page, self.telling = page, threading.Lock()
        self._noted = ""
        super().__init__(("", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error in one line, unless the client has just gone: no client should fill the log."""
        if not isinstance(error := sys.exc_info()[1], OSError):
            _log.warning("request of %s: %r", client_address[0], error)

    def note(self, problem: str) -> None:
        """Log why the page cannot be made, once: it is requested every second. '' if it can."""
        with self._lock:
            is_new, self._noted = problem != self._noted, problem
        if problem and is_new:
            _log.warning("%s", problem)


def serve(registry: CollectorRegistry, port: int) -> _Server:
    """Serve metrics on a port, from a daemon thread. Raises OSError if the port is in use."""
    return serve_page(Page("/metrics", CONTENT_TYPE_LATEST, lambda: generate_latest(registry)), port)


def serve_page(page: Page, port: int) -> _Server:
    """Serve one page on a port, from a daemon thread. Raises OSError if the port is in use."""
    server = _Server(port, page)
    threading.Thread(target=server.serve_forever, name=page.path, daemon=True).start()
    return server
