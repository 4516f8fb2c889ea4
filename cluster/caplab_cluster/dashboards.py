"""`make dashboards`: Grafana on localhost for as long as it runs, or Prometheus' own page if there is no Grafana."""

from __future__ import annotations

import contextlib
import queue
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO

from .chart import NAMESPACE
from .failure import Failure
from .kind_cluster import CONTEXT, NAME, KindCluster
from .paths import DASHBOARDS, Cache
from .progress import Progress
from .prometheus_links import links
from .setup_context import begin, built_tools
from .toolchain import Tools

_FORWARD_SECONDS = 20.0
_ANSWER_SECONDS = 60.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.2
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Site:
    """A web site in the cluster: what is forwarded to, and the path that answers once it serves."""

    deployment: str
    port: int
    health: str


GRAFANA = Site("caplab-grafana", 3000, "/api/health")
PROMETHEUS = Site("caplab-prometheus", 9090, "/-/ready")


def dashboards(progress: Progress, cache: Cache) -> None:
    """Forward a local port, print its address, and wait for Ctrl-C. Raises Failure without a site."""
    setup = begin(progress, cache)
    if setup.choice.install:
        raise Failure("No container engine is installed yet, and so there is no cluster.", "Run `make up`.")
    tools = built_tools(setup)
    site = choose_site(_deployments(KindCluster(setup.engine, cache, tools)))
    _end_with_the_terminal()
    with forwarded(forward_command(tools, cache, site)) as forward:
        address = f"http://127.0.0.1:{forward.port}"
        _await_answer(forward, f"{address}{site.health}")
        for line in introduction(site, address):
            progress.report(line)
        forward.wait()


def _end_with_the_terminal() -> None:
    """End this command when its terminal closes, as Ctrl-C does, unless it was started to outlive one (nohup)."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def choose_site(deployments: Sequence[str]) -> Site:
    """Choose Grafana if it is there, else Prometheus. Raises Failure if neither is."""
    for site in (GRAFANA, PROMETHEUS):
        if site.deployment in deployments:
            return site
    raise Failure(
        "Neither Grafana nor Prometheus is in the cluster.",
        "Run `make up`: it installs Prometheus, and Grafana where its image can be pulled.",
    )


def introduction(site: Site, address: str) -> list[str]:
    """Return the lines that are printed once the address answers."""
    if site == GRAFANA:
        return [
            f"  Grafana  {address}",
            f"  one run  {address}/d/caplab-run",
            "  It is on this machine's loopback only, for as long as this command runs: Ctrl-C stops it.",
        ]
    lines = [
        "  Grafana is missing, because its image could not be pulled; Prometheus' own page shows the same figures:",
        f"  {address}/graph    alerts: {address}/alerts    targets: {address}/targets",
    ]
    for link in links(DASHBOARDS, address):
        lines += ["", f"  {link.title}" + (f"  ({link.meaning})" if link.meaning else ""), f"  {link.url}"]
    return [*lines, "", "  It is on this machine's loopback only, for as long as this command runs: Ctrl-C stops it."]


def _deployments(cluster: KindCluster) -> list[str]:
    answer = cluster.kubectl("get", "deployments", "--namespace", NAMESPACE, "-o", "name", "--request-timeout=5s")
    if not answer.ok:
        raise Failure(f"The cluster {NAME} does not answer.", "Run `make up`; `make status` shows what is there.")
    return [line.rpartition("/")[2] for line in answer.out.split()]


def forward_command(tools: Tools, cache: Cache, site: Site) -> list[str]:
    """Return the port-forward's command: from the site's own port if that is free, else from any free one."""
    local = f"{site.port}:" if _is_free(site.port) else ":"
    return [
        tools.kubectl, "--kubeconfig", str(cache.kubeconfig), "--context", CONTEXT, "--namespace", NAMESPACE,
        "port-forward", "--address", "127.0.0.1", f"deployment/{site.deployment}", f"{local}{site.port}",
    ]  # fmt: skip


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class PortForward:
    """A running port-forward."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue(1000)
        assert process.stdout
        self._reader = threading.Thread(target=_read, args=(process.stdout, self._lines), daemon=True)
        self._reader.start()
        self._last = ""
        self.port = self._await_port()

    def _await_port(self) -> int:
        until = time.monotonic() + _FORWARD_SECONDS
        while time.monotonic() < until:
            if match := _FORWARDING.search(self._line()):
                return int(match[1])
            if self._process.poll() is not None and self._lines.empty():
                break
        raise self.failure()

    def _line(self) -> str:
        """Return the next line of output, or '' if none comes for a while."""
        with contextlib.suppress(queue.Empty):
            self._last = self._lines.get(timeout=_POLL_SECONDS).strip() or self._last
            return self._last
        return ""

    def failure(self) -> Failure:
        """Return why the port-forward failed, in kubectl's own last words."""
        if self._process.poll() is not None:
            self._reader.join(1)
        while not self._lines.empty():
            self._line()
        last_words = self._last or "no output"
        return Failure(
            f"The port-forward ended: {last_words}.", "Run `make dashboards` again; `make status` shows what is there."
        )

    def check(self) -> None:
        """Raise Failure if it has ended."""
        if self._process.poll() is not None:
            raise self.failure()

    def wait(self) -> None:
        """Wait until Ctrl-C. Raises Failure if the port-forward ends before."""
        with contextlib.suppress(KeyboardInterrupt):
            while self._process.poll() is None:
                self._line()
            raise self.failure()


def _read(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        with contextlib.suppress(queue.Full):  # it prints one for every connection
            lines.put_nowait(line)


@contextmanager
def forwarded(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[PortForward]:
    """Run a port-forward for the block, in a process group of its own; it is ended whatever happens."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise Failure(
            f"{command[0]} cannot be run: {error.strerror}.", "Run `make up`: it provides kubectl."
        ) from error
    try:
        yield PortForward(process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        process.wait()


def _await_answer(forward: PortForward, url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback: never by a proxy
    until = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < until:
        forward.check()
        with contextlib.suppress(OSError, HTTPException), opener.open(url, timeout=5):
            return
        time.sleep(_POLL_SECONDS)
    raise Failure(
        f"{url} does not answer within {_ANSWER_SECONDS:.0f} s.",
        "Look at the pods in caplab-system: `kubectl -n caplab-system get pods`, then run `make dashboards` again.",
    )
