"""The idle cluster leaves room for databases."""

from __future__ import annotations

import time

from caplab_cluster import usage
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import NODES
from kind_lab import Lab

WINDOW_SECONDS = 10.0
CALM_WITHIN_SECONDS = 180.0
BUDGETS = usage.IDLE_PARTS | usage.IDLE_PARTS_PULLED


def test_the_idle_cluster_takes_no_more_than_its_budget_of_memory_and_processor_time(lab: Lab) -> None:
    """The first window in which nothing else is going on decides; a cluster never calm fails."""
    pods = parts(lab)
    budgets = [BUDGETS[name] for name in ("nodes", *pods)]
    all_parts = usage.Budget(sum(one.memory_gib for one in budgets), sum(one.cores for one in budgets))
    places = {node: (node, "") for node in NODES} | pods
    end = time.monotonic() + CALM_WITHIN_SECONDS
    seen = []
    while time.monotonic() < end:
        taken = usage.measure_pods(lab.engine, places, WINDOW_SECONDS)
        assert set(taken) == set(places)
        whole = usage.Usage(sum(taken[node].memory_bytes for node in NODES), sum(taken[node].cores for node in NODES))
        of_parts = {name: taken[name] for name in pods}
        seen.append(", ".join(f"{name} {told(one)}" for name, one in {"all": whole, **of_parts}.items()))
        if all_parts.holds(whole) and all(BUDGETS[name].holds(one) for name, one in of_parts.items()):
            print(f"idle: {seen[-1]}")
            return
    raise AssertionError(f"never idle: {seen}")


def told(taken: usage.Usage) -> str:
    return f"{taken.memory_bytes / 1024**3:.2f} GiB {taken.cores:.2f} cores"


def parts(lab: Lab) -> dict[str, tuple[str, str]]:
    """The pods that have a budget of their own: node and uid of each, by name of their application."""
    names = sorted(BUDGETS.keys() - {"nodes"})
    found = lab.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name in ({','.join(names)})")["items"]
    places = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: (pod["spec"]["nodeName"], pod["metadata"]["uid"])
        for pod in found
    }
    assert usage.IDLE_PARTS.keys() - {"nodes"} <= places.keys()
    return places
