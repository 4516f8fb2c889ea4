"""What it costs to be watched: the lab with Prometheus, exporters and `caplab watch`, beside the same lab without."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_cluster.kind_cluster import NODES
from caplab_cluster.machine import usage
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_release import UNWATCHED, upgrade
from support.kind.lab_runs import BIN, environment

from caplab.contract.names import PART_LABEL

MAX_CORES = 0.3
MAX_MIB = 500.0
WINDOW_SECONDS = 45.0
ROUNDS = 3
CLUSTERS = {"PostgresCluster": "pg", "RedisCluster": "rd", "CassandraCluster": "cs"}

pytestmark = [pytest.mark.alone, pytest.mark.long]


@pytest.fixture
def clusters(lab: Lab, namespace: str) -> str:
    """A namespace with a cluster of three of each engine."""
    objects = [ClusterObject(lab=lab, kind=kind, namespace=namespace, name=name) for kind, name in CLUSTERS.items()]
    for cluster in objects:
        cluster.apply(replicas=3)
    for cluster in objects:
        cluster.await_ready(3)
    return namespace


def watchers(lab: Lab, namespace: str) -> dict[str, tuple[str, str]]:
    """Node and uid of Prometheus' pod and the exporters' pods, by name."""
    pods = [
        *lab.get("pods", "-n", LAB_NAMESPACE, "-l", "app.kubernetes.io/name=caplab-prometheus")["items"],
        *lab.get("pods", "-n", namespace, "-l", f"{PART_LABEL}=exporter")["items"],
    ]
    return {
        pod["metadata"]["name"]: (pod["spec"]["nodeName"], pod["metadata"]["uid"])
        for pod in pods
        if pod["status"]["phase"] == "Running"
    }


def taken(lab: Lab, places: dict[str, tuple[str, str]]) -> tuple[float, float]:
    """Cores and MiB of several places together."""
    usages = usage.measure_pods(lab.engine, places, WINDOW_SECONDS)
    assert set(usages) == set(places)
    return sum(used.cores for used in usages.values()), sum(used.memory_bytes for used in usages.values()) / 2**20


@pytest.fixture
def switched_back(lab: Lab) -> Iterator[None]:
    yield
    upgrade(lab)


def watch_for(lab: Lab, seconds: float) -> tuple[float, float, int]:
    """Cores and MiB that `caplab watch` takes in a terminal, and the bytes that it drew."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    process = subprocess.Popen([BIN / "caplab", "watch"], env=environment(lab), stdin=its, stdout=its, stderr=its)
    os.close(its)
    began, drawn = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        if select.select([ours], [], [], 1.0)[0]:
            drawn += len(os.read(ours, 1 << 16))
    os.kill(process.pid, signal.SIGKILL)  # a terminal that nobody reads any more must not keep it
    _, _, used = os.wait4(process.pid, 0)
    os.close(ours)
    return (used.ru_utime + used.ru_stime) / (time.monotonic() - began), used.ru_maxrss / 1024, drawn


def test_all_that_watches_takes_less_than_its_budget(lab: Lab, clusters: str, switched_back: None) -> None:
    """By turns with and without; the nodes' own noise is larger than what is asked about, so medians are compared."""
    nodes = {node: (node, "") for node in NODES}
    with_it, without, parts = [], [], []
    for _ in range(ROUNDS):
        wait_until("Prometheus and two exporters run", lambda: len(watchers(lab, clusters)) == 3, within_seconds=60)
        parts.append(taken(lab, watchers(lab, clusters)))
        with_it.append(taken(lab, nodes))
        upgrade(lab, *UNWATCHED)
        wait_until("none of them runs", lambda: not watchers(lab, clusters), within_seconds=60)
        without.append(taken(lab, nodes))
        upgrade(lab)
    *cost, drawn = watch_for(lab, WINDOW_SECONDS)
    assert drawn > WINDOW_SECONDS * 1000, "it did not go on drawing"
    medians = {
        "Prometheus and exporters": median(parts),
        "nodes with it": median(with_it),
        "nodes without": median(without),
        "caplab watch": (cost[0], cost[1]),
    }
    for name, (cores, mib) in medians.items():
        print(f"{name}: {cores:.3f} core, {mib:.0f} MiB")
    cores, mib = (a - b + c for a, b, c in zip(medians["nodes with it"], medians["nodes without"], cost, strict=True))
    print(f"with it less without, and caplab watch: {cores:.3f} core, {mib:.0f} MiB")
    assert max(cores, medians["Prometheus and exporters"][0] + cost[0]) < MAX_CORES
    assert max(mib, medians["Prometheus and exporters"][1] + cost[1]) < MAX_MIB


def median(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(cores for cores, _ in pairs), statistics.median(mib for _, mib in pairs)
