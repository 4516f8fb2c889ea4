"""The prober's HTTP server: live metrics, and the histories of its runs for their drivers outside.

GET /metrics                                             the exporter's figures, for Prometheus
GET /namespaces/<namespace>/runs/<runId>/history.arrow   what is recovered of a run: one Arrow IPC stream
GET /namespaces/<namespace>/runs/<runId>/scans.json      a list: the notes of final scans, each with "incarnation"
GET /namespaces/<namespace>/runs/<runId>/metas.json      a list: spec, schedule and clock of each incarnation

A prober that was started by hand has /runs/<runId>/... instead. Only a client that sends the token is answered: in
the header X-Caplab-Token, since the API server's proxy keeps Authorization to itself, or as a bearer token, as
Prometheus sends it. A prober without a token listens to its own machine only.

Nothing can be changed through it. A run that is still written is served as far as it goes. Few requests are answered
at a time, each within its seconds, and histories are read by a process of their own (history.reading): clients cannot
make operations start late.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from caplab.contract.probers import TOKEN_HEADER

from .exporter import Exporter, registry_of
from .history.meta import read_plain
from .history.reading import HistoryUnreadable, read_in_child
from .scan import read_notes
from .spec import NAME, NAMESPACE_NAME

ARROW = "application/vnd.apache.arrow.stream"
MAX_REQUESTS = 8  # requests; more are told to come again
REQUEST_SECONDS = 5.0  # for a client to send its request
_EVICTION_SECONDS = 0.2  # seconds until a thread whose connection was cut has ended
RESPONSE_SECONDS = 60.0  # and then to take the whole answer
_RUN_PATH = re.compile(r"(?:/namespaces/([^/]*))?/runs/([^/]*)/([a-z.]+)")
_history_lock = threading.Lock()  # a reader holds a history in memory as a whole
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a request: an HTTP status, a content type and a body."""

    status: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of a run's folder."""

    run: Path
    run_id: str
    name: str


def _json(plain: object) -> bytes:
    return (json.dumps(plain) + "\n").encode()


HISTORY = "history.arrow"
_PAGES: Mapping[str, Callable[[Path], bytes]] = {
    "scans.json": lambda run: _json(read_notes(run)),
    "metas.json": lambda run: _json(read_plain(run)),
}


def parse_path(folder: Path, namespaced: bool, path: str) -> RunPage | Reply:
    """Return the page that a path names (pure): 400 for a bad name of a namespace or run, 404 for an unknown page.

    Escapes (%2e) are not taken: no name needs them.
    """
    match = _RUN_PATH.fullmatch(path)
    pages = (HISTORY, *_PAGES)
    if match is None or match[3] not in pages or (match[1] is not None) != namespaced:
        below = "/namespaces/<namespace>/runs" if namespaced else "/runs"
        return text_reply(
            404, f"There is no {path[:200]!r}. Hint: ask for /metrics or {below}/<runId>/{'|'.join(pages)}."
        )
    if namespaced and NAMESPACE_NAME.fullmatch(match[1]) is None:
        return text_reply(400, f"The namespace is {match[1][:100]!r}. Hint: use lower-case letters, digits and '-'.")
    if NAME.fullmatch(match[2]) is None:
        return text_reply(400, f"runId is {match[2][:200]!r}. Hint: letters, digits, '.', '_', '-'.")
    return RunPage(folder / (match[1] or "") / match[2], match[2], match[3])


def page_reply(page: RunPage) -> Reply:
    """Return the reply for a page of JSON: 404 if there is no such run, 500 if reading fails. Never raises."""
    try:
        reply = Reply(200, "application/json", _PAGES[page.name](page.run))
    except Exception as error:  # whatever is wrong with one run's files, the prober goes on
        log.warning("%s of run %s: %r", page.name, page.run_id, error)
        reply = unreadable(page, repr(error))
    return reply if page.run.is_dir() else not_found(page)


def not_found(page: RunPage) -> Reply:
    """Return the reply for a run that does not exist, or was pruned while it was read: it must not look complete."""
    return text_reply(
        404, f"This prober has no run '{page.run_id}'. Hint: ask a vantage of the run, before the run is pruned."
    )


def unreadable(page: RunPage, why: str) -> Reply:
    """Return the reply for a run whose files cannot be read."""
    return text_reply(500, f"Run {page.run_id} could not be read: {why}.")


def metrics_reply(registry: CollectorRegistry, accept: str) -> Reply:
    """Return the reply for /metrics, in the format that the scraper accepts; 500 if it fails."""
    encode, kind = choose_encoder(accept)
    try:
        return Reply(200, kind, encode(registry))
    except Exception as error:
        log.warning("/metrics: %r", error)
        return text_reply(500, f"The metrics could not be read: {error!r}.")


def text_reply(status: int, text: str) -> Reply:
    """Return a reply of one line of text."""
    return Reply(status, "text/plain; charset=utf-8", f"{text}\n".encode())


_NO_TOKEN = text_reply(
    401,
    f"The request lacks the probers' token. Hint: send it as {TOKEN_HEADER}, or as Authorization: Bearer;"
    " it is in the Secret caplab-prober-token of the lab's namespace. If that was changed by hand, run 'make up'.",
)
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


def has_token(token: str, headers: Message) -> bool:
    """Return whether a request has the token; always if the token is ''."""
    kind, _, bearer = headers.get("Authorization", "").partition(" ")
    sent_token = headers.get(TOKEN_HEADER) or (bearer if kind.lower() == "bearer" else "")
    return not token or hmac.compare_digest(sent_token.encode("utf-8", "replace"), token.encode())


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and nothing else: the base class answers 501 to every other method."""

    server: _Server

    def setup(self) -> None:
        """Start the time limit: a client that is slow to ask, or to take the answer, is disconnected."""
        super().setup()
        self._limit(self.server.request_seconds)

    def finish(self) -> None:
        """End the request."""
        self._timer.cancel()
        super().finish()

    def do_GET(self) -> None:
        """Answer the request."""
        if not has_token(self.server.token, self.headers):
            self._send(_NO_TOKEN)
            return
        self.server.mark_authenticated(self.connection)
        self._timer.cancel()
        self._limit(self.server.response_seconds)
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(metrics_reply(self.server.registry, self.headers.get("Accept", "")))
            return
        page = parse_path(self.server.folder, self.server.namespaced, path)
        if isinstance(page, Reply):
            self._send(page)
        elif page.name == HISTORY:
            self._send_history(page)
        else:
            self._send(page_reply(page))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: a line a scrape would fill the log."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class has it so
        """Log nothing about what a client without a token sends."""

    def _limit(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, _disconnect, [self.connection])
        self._timer.daemon = True
        self._timer.start()

    def _send_history(self, page: RunPage) -> None:
        if not page.run.is_dir():
            self._send(not_found(page))
            return
        with _history_lock:
            try:
                with self.server.read(page.run) as history:
                    if not page.run.is_dir():
                        self._send(not_found(page))
                        return
                    self._head(200, ARROW, history.length)
                    for block in history.blocks():
                        self.wfile.write(block)
            except HistoryUnreadable as error:
                log.warning("history of run %s: %s", page.run_id, error)
                self._send(unreadable(page, str(error)))

    def _send(self, reply: Reply) -> None:
        self._head(reply.status, reply.kind, len(reply.body))
        self.wfile.write(reply.body)

    def _head(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        # A torn stream of Arrow reads like a shorter one: the length tells them apart.
        self.send_header("Content-Length", str(length))
        self.end_headers()


def _disconnect(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    """A daemon thread for each request, and only so many; a request that fails costs a line of the log."""

    request_queue_size = 16
    request_seconds, response_seconds = REQUEST_SECONDS, RESPONSE_SECONDS
    read = staticmethod(read_in_child)

    def __init__(self, port: int, registry: CollectorRegistry, folder: Path, token: str, namespaced: bool) -> None:
        self.registry, self.folder, self.token, self.namespaced = registry, folder, token, namespaced
        self._slots = threading.BoundedSemaphore(MAX_REQUESTS)
        self._unauthenticated: dict[Any, None] = {}  # clients that have not yet shown the token, the longest first
        self._lock = threading.Lock()
        super().__init__(("" if token else "127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's own name: a cut DNS would hold up the prober's start."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread if there is a slot; otherwise refuse at once.

        A client that has not shown the token makes room for the next: slots are not for those without one.
        """
        if self._slots.acquire(blocking=False) or (
            self._evict_oldest() and self._slots.acquire(timeout=_EVICTION_SECONDS)
        ):
            with self._lock:
                self._unauthenticated[request] = None
            super().process_request(request, client_address)
            return
        request.settimeout(0)
        with suppress(OSError):
            request.send(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.mark_authenticated(request)
            self._slots.release()

    def mark_authenticated(self, request: Any) -> None:
        """Note that a client has shown the token, or has gone: it makes no room any more."""
        with self._lock:
            self._unauthenticated.pop(request, None)

    def _evict_oldest(self) -> bool:
        """End the connection that has gone longest without the token; returns whether there is one."""
        with self._lock:
            oldest = next(iter(self._unauthenticated), None)
            if oldest is None:
                return False
            del self._unauthenticated[oldest]
        _disconnect(oldest)
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error in one line; mostly the client has gone."""
        log.warning("request of %s: %r", client_address[0], sys.exc_info()[1])


def serve(exporter: Exporter, folder: Path, port: int, token: str = "", namespaced: bool = False) -> _Server:
    """Serve on a port, with threads of its own.

    folder holds a folder for each run; namespaced: one for each namespace, which holds its runs'. Without a token ('')
    it listens to this machine only. Raises ValueError if the port is taken.
    """
    try:
        server = _Server(port, registry_of(exporter), folder, token, namespaced)
    except OSError as error:
        raise ValueError(f"metrics-port is {port}: {error}. Hint: name a free port, or 0 for none.") from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
