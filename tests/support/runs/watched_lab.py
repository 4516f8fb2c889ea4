"""An invented lab as `caplab watch` sees it: objects, metrics, and which parts answer."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

from caplab.contract.names import API_VERSION, GROUP, VANTAGE_LABEL
from caplab.watch.figures import counts_of
from caplab.watch.values import Count, Load
from support.objects.fake_api_server import KIND

BOUNDS = ("0.001", "0.01", "0.1", "1.0", "+Inf")
LABELS = (
    'engine="postgres",cluster_namespace="lab",cluster="pg",workload="{workload}",vantage="{vantage}",route="{route}"'
)


def metrics(
    vantage: str = "a",
    *,
    route: str = "service",
    op: str = "write",
    ok: int = 0,
    info: int = 0,
    slow: int = 0,
    since: float = 0.0,
    workload: str = "register",
) -> str:
    """Make metrics of one operation: ok were acknowledged, slow of them within 1 s, the others within 10 ms."""
    labels = LABELS.format(workload=workload, vantage=vantage, route=route)
    outcomes = {"ok": ok, "info": info}
    below = dict(zip(BOUNDS, (0, ok - slow, ok - slow, ok, ok), strict=True))
    access = "read" if op == "read" else "write"
    lines = ["# HELP caplab_operations_total Operations.", "# TYPE caplab_operations_total counter"]
    lines += [
        f'caplab_operations_total{{{labels},op="{op}",level="",outcome="{name}"}} {count}.0'
        for name, count in outcomes.items()
    ]
    lines += [
        f'caplab_operation_latency_seconds_bucket{{{labels},op="{op}",le="{le}"}} {n}.0' for le, n in below.items()
    ]
    lines += [f'caplab_operation_latency_seconds_count{{{labels},op="{op}"}} {ok}.0']
    lines += [f'caplab_seconds_since_last_ack{{{labels},access="{access}"}} {since}', "process_cpu_seconds_total 1.5"]
    return "\n".join(lines) + "\n"


def cluster(
    name: str = "pg", primary: str = "pg-2", epoch: object = 3, phase: str = "Ready", **fields: Any
) -> dict[str, Any]:
    members = [
        {"name": f"{name}-{number}", "zone": zone, "role": "primary" if f"{name}-{number}" == primary else "replica",
         "state": "running", "ready": True}
        for number, zone in enumerate("abc")
    ]  # fmt: skip
    status = {"phase": phase, "primary": primary, "epoch": epoch, "members": members, **fields}
    return {"metadata": {"name": name, "namespace": "lab", "uid": name}, "spec": {"replicas": 3}, "status": status}


def run(
    name: str = "r-1", phase: str = "Done", verdict: str = "valid", minute: int = 0, **figures: Any
) -> dict[str, Any]:
    at = f"2026-11-21T11:{minute:02}:00.000+00:00"
    status: dict[str, Any] = {"phase": phase, "startedAt": at, "figures": figures}
    if phase != "Running":
        status |= {"verdict": verdict, "endedAt": f"2026-11-21T11:{minute:02}:50.000+00:00"}
    spec = {"experiment": "postgres/kill-primary", "engine": "postgres", "mode": "quorum", "fault": "kill-primary"}
    return {"metadata": {"name": name, "namespace": "lab"}, "spec": spec, "status": status}


PODS = "/api/v1/namespaces/caplab-system/pods"
SECRET = "/api/v1/namespaces/caplab-system/secrets/caplab-prober-token"


def pod(name: str, phase: str = "Running", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}


class Api(ThreadingHTTPServer):
    """An API server with answers by path (and ?labelSelector); asked: the requests, with the prober's token.

    Paths in silent get no answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.silent: set[str] = set()
        self.ended = threading.Event()
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report nothing about clients that hang up."""

    def tell(self, path: str, body: object, status: int = 200) -> None:
        self.answers[path] = (status, body if isinstance(body, bytes) else json.dumps(body).encode())


class Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = unquote(self.path).partition("?")
        self.server.asked.append((path, self.headers.get("X-Caplab-Token")))
        if path in self.server.silent:
            self.server.ended.wait()
        answers, selected = self.server.answers, f"{path}?{parse_qs(query).get('labelSelector', [''])[0]}"
        status, body = answers.get(selected) or answers.get(path) or (404, b'{"message": "no such thing"}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served() -> Iterator[Api]:
    """Provide one that serves until the context is left, and knows the probers' token."""
    with Api() as api:
        threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        api.tell(SECRET, {"data": {"token": base64.b64encode(b"secret").decode()}})
        yield api
        api.ended.set()
        api.shutdown()


def tell_of_a_lab(api: Api, vantages: str = "ab", providers: Sequence[str] = KIND) -> None:
    """Make it that of a kind cluster with a lab: a Postgres, a run, an operator, and probers whose counts stay."""
    versions = [{"groupVersion": API_VERSION, "version": "v1alpha1"}]
    api.tell("/apis/", {"groups": [{"name": GROUP, "versions": versions}]})
    api.tell(
        "/api/v1/nodes", {"items": [{"metadata": {"name": name}, "spec": {"providerID": name}} for name in providers]}
    )
    for plural, items in (("postgresclusters", [cluster()]), ("runs", [run(lost=0, acked=9)]), ("faults", [])):
        api.tell(f"/apis/{API_VERSION}/{plural}", {"items": items})
    pods = [pod(f"p-{vantage}", **{VANTAGE_LABEL: vantage}) for vantage in vantages]
    api.tell(f"{PODS}?{VANTAGE_LABEL}", {"items": pods})
    api.tell(f"{PODS}?app.kubernetes.io/name=caplab-operator", {"items": [pod("operator")]})
    api.tell(f"{PODS}/operator:9188/proxy/metrics", b"caplab_operator_oldest_round_seconds 0.2\n")
    for vantage in vantages:
        api.tell(f"{PODS}/p-{vantage}:9187/proxy/metrics", metrics(vantage, ok=20).encode())


class FakeLab:
    """A lab that answers at once; parts in silent never do, and parts in broken raise."""

    def __init__(self, **objects: Sequence[Mapping[str, Any]]) -> None:
        self.plurals = objects
        self.pods = {"a": "prober-a", "b": "prober-b"}
        self.metrics: dict[str, str] = {}
        self.round_seconds = 0.5
        self.silent: set[str] = set()
        self.broken: dict[str, Exception] = {}
        self.freed = threading.Event()  # for a test to release waiting requests

    def objects(self, plural: str) -> Sequence[Mapping[str, Any]]:
        self._answers("api")
        return self.plurals.get(plural, ())

    def probers(self) -> Mapping[str, str]:
        self._answers("api")
        return self.pods

    def operator(self) -> float:
        self._answers("operator")
        return self.round_seconds

    def counts(self, pod: str) -> Mapping[Load, Count]:
        self._answers(pod)
        return counts_of(self.metrics.get(pod, ""))

    def _answers(self, who: str) -> None:
        if who in self.silent:
            self.freed.wait()
        if who in self.broken:
            raise self.broken[who]
