"""The prober's HTTP server: live metrics, and the histories of its runs for whoever drives them from outside.

    GET /metrics                      the exporter's figures, for Prometheus
    GET /runs/<runId>/history.arrow   what is recovered of a run, one Arrow IPC stream with zstd buffers
    GET /runs/<runId>/scans.json      a list: the notes of all final scans, each with its "incarnation"
    GET /runs/<runId>/metas.json      a list: spec, schedule and clock of each incarnation

Nothing can be changed through it. Of a run that is still written it gives what is there so far.

Handlers are threads of the process that keeps the open-loop schedule, and putting a history together
takes processor time and the interpreter's lock from it: fetch after the load, else operations start late.
"""

from __future__ import annotations

import json
import logging
import re
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from caplab.model.history import Table

from .exporter import Exporter, registry_of
from .meta import read_plain
from .recovery import recovered
from .scan import read_notes
from .spec import NAME

ARROW = "application/vnd.apache.arrow.stream"
_BATCH_ROWS = 1 << 16  # segments come in batches of some ten rows, which would hardly be compressed
_PATIENCE_SECONDS = 60.0  # for a client that takes nothing: its thread and its history must go
_RUN_PATH = re.compile(r"/runs/([^/]*)/([a-z.]+)")
_one_at_a_time = threading.Lock()  # a history is in memory as a whole while it is sent
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request gets: an HTTP status, a content type and a body."""

    status: int
    kind: str
    body: bytes


def arrow_stream(history: Table) -> bytes:
    """A history as one Arrow IPC stream; compressed, any reader of Arrow reads it."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, history.schema, options=options) as stream:
        stream.write_table(history.combine_chunks(), max_chunksize=_BATCH_ROWS)
    return bytes(sink.getvalue())


def _json(plain: object) -> bytes:
    return (json.dumps(plain) + "\n").encode()


_PAGES: Mapping[str, tuple[str, Callable[[Path], bytes]]] = {
    "history.arrow": (ARROW, lambda run: arrow_stream(recovered(run))),
    "scans.json": ("application/json", lambda run: _json(read_notes(run))),
    "metas.json": ("application/json", lambda run: _json(read_plain(run))),
}


def run_reply(folder: Path, path: str) -> Reply:
    """The reply for a path under /runs: 400 for what is no runId, 404 for what is not there, 500 where reading fails.

    Never raises. Takes no escapes (%2e): no runId needs them.
    """
    asked = _RUN_PATH.fullmatch(path)
    if asked is None or asked[2] not in _PAGES:
        return _sentence(404, f"There is no {path!r}. Mend: ask for /metrics or /runs/<runId>/{{{','.join(_PAGES)}}}.")
    if NAME.fullmatch(asked[1]) is None:
        return _sentence(400, f"runId is {asked[1]!r}. Mend: letters, digits, '.', '_', '-'.")
    (kind, read), run = _PAGES[asked[2]], folder / asked[1]
    try:
        reply = Reply(200, kind, read(run))
    except Exception as error:  # whatever is wrong with one run's files, the prober goes on
        log.warning("%s: %r", path, error)
        reply = _sentence(500, f"Run {asked[1]} could not be read: {error!r}.")
    # Asked after reading: of a run that was pruned meanwhile nothing may look like its whole history.
    if not run.is_dir():
        return _sentence(
            404, f"This prober holds no run '{asked[1]}'. Mend: ask one of its vantages, before it is old."
        )
    return reply


def metrics_reply(registry: CollectorRegistry, accept: str) -> Reply:
    """The reply for /metrics, in the format that a scraper accepts; 500 where it fails."""
    encode, kind = choose_encoder(accept)
    try:
        return Reply(200, kind, encode(registry))
    except Exception as error:
        log.warning("/metrics: %r", error)
        return _sentence(500, f"The metrics could not be told: {error!r}.")


def _sentence(status: int, text: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", f"{text}\n".encode())


class _Handler(BaseHTTPRequestHandler):
    """GET and nothing else: the base class answers 501 to every other method."""

    timeout = _PATIENCE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(metrics_reply(self.server.registry, self.headers.get("Accept", "")))
            return
        with _one_at_a_time:
            self._send(run_reply(self.server.folder, path))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: a line a scrape would fill the log."""

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        # A torn stream of Arrow reads like a shorter one: the length tells them apart.
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)


class _Server(ThreadingHTTPServer):
    """A daemon thread a request; a request that breaks costs a line of the log."""

    def __init__(self, port: int, registry: CollectorRegistry, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        """Bind, without the look-up of the host's own name: a cut DNS would hold up the prober's start."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say it in a line; mostly the client has gone."""
        log.warning("request of %s: %r", client_address[0], sys.exc_info()[1])


def serve(exporter: Exporter, folder: Path, port: int) -> ThreadingHTTPServer:
    """Answer on a port, from threads of its own; folder holds a folder a run. ValueError where the port is taken."""
    try:
        server = _Server(port, registry_of(exporter), folder)
    except OSError as error:
        raise ValueError(f"metrics-port is {port}: {error}. Mend: name a free one, or 0 for none.") from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
