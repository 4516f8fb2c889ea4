"""Echo pods: they pose as a cluster's members and only echo, so that a fault's effect can be seen from outside.

There is one in each zone, in a StatefulSet, with a readiness probe and a gate like members; and a client in each zone.
Clients note each reply in CLOCK_MONOTONIC, the clock with which agents stamp faults.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from caplab_cluster.kind_cluster import ZONES

from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL, PART_LABEL
from support.kind.fault_objects import await_phase, fault_on, target_of
from support.kind.kind_lab import Lab, wait_until

CLUSTER = "echo"
KIND = "PostgresCluster"  # for the lab, by their labels; there is no such object
PORT = 7000
_ECHO = """
import http.server, socket, threading, time
print("began", time.monotonic_ns(), flush=True)

def udp():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", 7000))
    while True:
        data, sender = server.recvfrom(100)
        with open("/tmp/datagrams", "a") as file:
            file.write(f"{sender[0]} {time.monotonic_ns()}\\n")

def tcp():
    server = socket.create_server(("", 7000))
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()

def echo(connection):
    try:
        while data := connection.recv(100):
            connection.sendall(data)
    except OSError:
        pass

open("/tmp/name", "w").close()
open("/tmp/datagrams", "a").close()
for served in (udp, tcp):
    threading.Thread(target=served, daemon=True).start()
http.server.test(lambda *a: http.server.SimpleHTTPRequestHandler(*a, directory="/tmp"), port=8080)
"""
# Sends the same word repeatedly on one connection for each route, tries a new one every 0.1 s, and sends datagrams. A
# new one to an echo pod counts if it echoes: while kube-proxy has no rule for a Service's address, packets to it leave
# the cluster, and a proxy there may accept any connection. It counts as ready after a second with replies
# on each connection: a new Service may refuse at first. It ends at the CLOCK_MONOTONIC nanosecond that it reads, or at
# once if the process that began it is gone.
_CLIENT = """
import json, math, socket, sys, threading, time
routes = json.loads(sys.argv[1])
end = math.inf
noted = {name: {"replies": [], "fresh": []} for name in routes}

def connected(host, port):
    deadline = time.monotonic() + 15
    while True:
        try:
            return socket.create_connection((host, port), 2)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)

def steady(name, host, port):
    line = connected(host, port)
    line.settimeout(60)
    def receive():
        try:
            while line.recv(1000):
                noted[name]["replies"].append(time.monotonic_ns())
        except OSError:
            pass
    threading.Thread(target=receive, daemon=True).start()
    while time.monotonic() < end:
        try:
            line.send(b"x")
        except OSError:
            return
        time.sleep(0.02)

def fresh(name, host, port):
    while time.monotonic() < end:
        began = time.monotonic_ns()
        try:
            with socket.create_connection((host, port), 0.5) as line:
                line.sendall(b"x")
                made = port != 7000 or line.recv(1) == b"x"
        except OSError:
            made = False
        noted[name]["fresh"].append((began, time.monotonic_ns(), made))
        time.sleep(0.1)

def datagrams(name, host, port):
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while time.monotonic() < end:
        try:
            line.sendto(b"x", (host, port))
        except PermissionError:  # what a dropped outgoing datagram raises
            pass
        time.sleep(0.02)

def answered_for_a_second(name):
    replies = noted[name]["replies"]
    return len(replies) > 25 and time.monotonic_ns() - replies[0] > 1_000_000_000

kinds = {"tcp": (steady, fresh), "new": (fresh,), "udp": (datagrams,)}
threads = [
    threading.Thread(target=function, args=(name, host, port), daemon=True)
    for name, (kind, host, port) in routes.items() for function in kinds[kind]
]
began = time.monotonic()
for thread in threads: thread.start()
while time.monotonic() - began < 1.2 or not all(
    answered_for_a_second(name) for name, (kind, *_) in routes.items() if kind == "tcp"
):
    if time.monotonic() - began > 20:
        sys.exit(f"no answer: {({name: len(log['replies']) for name, log in noted.items()})}")
    time.sleep(0.02)
print("talking", flush=True)
end = int(sys.stdin.readline() or 0) / 1e9
for thread in threads: thread.join(max(0, end - time.monotonic()) + 3)
print(json.dumps(noted))
"""


@dataclass(frozen=True)
class Span:
    """A span from one CLOCK_MONOTONIC nanosecond to another."""

    begin_ns: int
    end_ns: int

    def shrunk(self, seconds: float = 0.1) -> Span:
        """Return the span without its edges."""
        return Span(self.begin_ns + int(seconds * 1e9), self.end_ns - int(seconds * 1e9))

    def has(self, ns: int) -> bool:
        return self.begin_ns <= ns <= self.end_ns


@dataclass(frozen=True)
class RouteLog:
    """One route's log: replies on an earlier connection, and the begin and end of each attempt at a new one."""

    replies: tuple[int, ...]
    fresh: tuple[tuple[int, int, bool], ...]

    def replies_in(self, span: Span) -> int:
        """Return the replies in a span."""
        return sum(span.has(ns) for ns in self.replies)

    def opened(self, span: Span) -> set[bool]:
        """Return whether new connections were made by attempts that began and ended within a span."""
        return {made for begin_ns, end_ns, made in self.fresh if span.has(begin_ns) and span.has(end_ns)}


class EchoClient:
    """A pod that sends until it is told to end."""

    def __init__(self, lab: Lab, namespace: str, pod: str, routes: Mapping[str, tuple[str, str, int]]):
        command = ["exec", "-i", "-n", namespace, pod, "--", "python3", "-c", _CLIENT, json.dumps(dict(routes))]
        self._process = subprocess.Popen(
            [*lab.kubectl_command(), *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "talking\n", self._process.communicate()[1]

    def end(self, at_ns: int = 0) -> dict[str, RouteLog]:
        """End it. Returns each route's log until a CLOCK_MONOTONIC nanosecond, or until now if that is past."""
        out, err = self._process.communicate(f"{at_ns}\n", timeout=60)
        assert self._process.returncode == 0, err
        noted = json.loads(out)
        return {
            name: RouteLog(tuple(log["replies"]), tuple((begin, end, made) for begin, end, made in log["fresh"]))
            for name, log in noted.items()
        }


@dataclass(frozen=True)
class EchoPods:
    """echo-0, echo-1 and echo-2, one in each zone, and client-a, -b and -c, in a namespace open to faults."""

    lab: Lab
    namespace: str
    by_zone: Mapping[str, str]

    def pods(self) -> dict[str, dict[str, Any]]:
        pods = {pod["metadata"]["name"]: pod for pod in self.lab.get("pods", "-n", self.namespace)["items"]}
        return {name: pod for name, pod in pods.items() if name.startswith((f"{CLUSTER}-", "client-"))}

    def in_zone(self, zone: str) -> str:
        """Return the echo pod of a zone; its replacement is there too, because the other zones are taken."""
        return self.by_zone[zone]

    def replace(self, name: str) -> None:
        """Delete an echo pod at once, and wait for its replacement. Two away at a time might swap their zones."""
        old = self.pods()[name]["metadata"]["uid"]
        self.lab.kubectl("delete", "pod", "-n", self.namespace, name, "--grace-period=0", "--force")

        def is_placed() -> bool:
            pod = self.pods().get(name)
            return pod is not None and pod["metadata"]["uid"] != old and "nodeName" in pod["spec"]

        wait_until(f"another {name} has a node", is_placed, 5)

    def address(self, pod: str) -> str:
        return str(self.pods()[pod]["status"]["podIP"])

    def service(self, pod: str) -> str:
        """Return the ClusterIP of an echo pod's own Service."""
        return str(self.lab.get("service", "-n", self.namespace, pod)["spec"]["clusterIP"])

    def inject(self, name: str, zone: str, seconds: int, **what: Mapping[str, Any]) -> dict[str, Any]:
        """Create a fault on a zone's echo pod. Returns its status once it is live."""
        self.lab.apply(fault_on(self.namespace, name, {"zone": zone}, seconds, **what))
        return await_phase(self.lab, self.namespace, name, "Active")

    def span_of(self, name: str, pod: str) -> Span:
        """Wait until a fault has healed. Returns how long it was live on a pod."""
        status = await_phase(self.lab, self.namespace, name, "Healed", within_seconds=30)
        entry = target_of(status, pod)
        # What is dropped where it comes from never gets to the target.
        ends = [target for target in status["targets"] if target["pod"] == pod or target["end"] == "other"]
        assert any(target["proven"] for target in ends), status
        print(f"\n{name} on {pod}: {(entry['healedNs'] - entry['injectedNs']) / 1e9:.3f} s, {entry['evidence']}")
        return Span(entry["injectedNs"], entry["healedNs"])

    def start_client(self, pod: str, routes: Mapping[str, tuple[str, str, int]]) -> EchoClient:
        return EchoClient(self.lab, self.namespace, pod, routes)

    def datagrams(self, pod: str) -> list[tuple[str, int]]:
        """Return the senders of the datagrams that an echo pod received, and when."""
        lines = self.lab.inside(self.namespace, pod, "cat", "/tmp/datagrams").out.splitlines()
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def began(self, pod: str) -> int:
        """Return when an echo pod's process began."""
        output = self.lab.kubectl("logs", "-n", self.namespace, pod)
        return next(int(line.split()[1]) for line in output.splitlines() if line.startswith("began "))

    def restarts(self) -> dict[str, int]:
        return {
            name: sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
            for name, pod in self.pods().items()
        }

    def ready(self, pod: str) -> bool:
        conditions = self.pods()[pod]["status"].get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def make_echo_pods(lab: Lab, namespace: str) -> EchoPods:
    """Create echo pods and clients, and wait until they are Ready."""
    lab.apply(*_objects(lab, namespace))
    echo_pods = EchoPods(lab, namespace, {})
    wait_until(
        "echo pods and clients are Ready",
        lambda: len(echo_pods.pods()) == 6 and all(map(echo_pods.ready, echo_pods.pods())),
        60,
    )
    pods = {pod["spec"]["nodeName"]: name for name, pod in echo_pods.pods().items() if name.startswith(f"{CLUSTER}-")}
    zones = {zone: pods[echo_pods.pods()[f"client-{zone}"]["spec"]["nodeName"]] for zone in ZONES}
    return EchoPods(lab, namespace, zones)


def _objects(lab: Lab, namespace: str) -> Iterable[dict[str, Any]]:
    labels = {CLUSTER_LABEL: CLUSTER, PART_LABEL: "member", ENGINE_LABEL: "postgres"}
    spread = {
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }  # fmt: skip
    yield {
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": CLUSTER, "namespace": namespace},
        "spec": {
            "serviceName": CLUSTER, "selector": {"matchLabels": labels},
            "replicas": len(ZONES), "podManagementPolicy": "Parallel",
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec(lab, topologySpreadConstraints=[spread])},
        },
    }  # fmt: skip
    for number, zone in enumerate(ZONES):
        pod = f"{CLUSTER}-{number}"
        yield {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": pod, "namespace": namespace},
            "spec": {
                "selector": {"statefulset.kubernetes.io/pod-name": pod}, "ports": [{"port": PORT}],
                "publishNotReadyAddresses": True,
            },
        }  # fmt: skip
        yield {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"client-{zone}", "namespace": namespace},
            "spec": _pod_spec(lab, nodeSelector={"topology.kubernetes.io/zone": zone}),
        }  # fmt: skip


def _pod_spec(lab: Lab, **place: Any) -> dict[str, Any]:
    container = {
        "name": "echo",
        "image": lab.images["toolbox"],
        "imagePullPolicy": "Never",
        "command": ["bash", "-c", '. wait-at-gate; wait_at_gate; exec python3 -c "$ECHO"'],
        "env": [{"name": "ECHO", "value": _ECHO}],
        "readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "gate", "mountPath": "/gate", "readOnly": True}],
    }
    return {
        **place,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "gate", "emptyDir": {"sizeLimit": "1Mi"}}],
    }
