"""A real Prometheus on loopback, a child process of the test, with this host's `prometheus` and `promtool`."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    not (PROMETHEUS and PROMTOOL), reason="there is no prometheus on PATH (Debian: apt-get install prometheus)"
)
_READY_SECONDS = 20.0
_POLL_SECONDS = 0.05


@contextmanager
def prometheus(
    folder: Path, targets: Mapping[str, int] | None = None, relabel: Sequence[Mapping[str, Any]] = ()
) -> Iterator[str]:
    """Run Prometheus in a folder, with its data in data/. Returns its address.

    targets: jobs and their ports; relabel: metric_relabel_configs of each.
    """
    assert PROMETHEUS
    settings = {"honor_labels": True, "metric_relabel_configs": list(relabel)}
    jobs = [
        {"job_name": job, **settings, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for job, port in (targets or {}).items()
    ]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config = folder / "prometheus.yml"  # JSON is YAML
    config.write_text(json.dumps({"global": every, "scrape_configs": jobs}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", "--query.lookback-delta=15s",
               "--storage.tsdb.retention.time=100y"]  # fmt: skip
    log = folder / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        _await_ready(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _await_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/-/ready", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"Prometheus is not ready: {log.read_text()[-500:]}")


def backfill(folder: Path, scrapes: Sequence[tuple[float, str]]) -> None:
    """Write samples of the past into data/, as if each text had been scraped at its time (seconds since 1970)."""
    assert PROMTOOL
    by_name: dict[str, list[str]] = {}
    for _, text in scrapes:
        for line in text.splitlines():
            by_name.setdefault(line.partition("{")[0], []).append(line)
    lines = [f"# TYPE {name} unknown\n" + "\n".join(samples) for name, samples in by_name.items()]
    source = folder / "scrapes.txt"
    source.write_text("\n".join(lines) + "\n# EOF\n")
    command = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(source), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def exporter(text: Callable[[], str]) -> Iterator[int]:
    """Serve what a function returns on each scrape. Returns the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
