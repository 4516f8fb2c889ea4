"""The idle cluster leaves room for databases."""

from __future__ import annotations

import time

import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import NODES
from caplab_cluster.machine import usage
from support.kind.kind_lab import Lab

pytestmark = pytest.mark.alone

WINDOW_SECONDS = 10.0
IDLE_WITHIN_SECONDS = 180.0
BUDGETS = usage.IDLE_PARTS | usage.IDLE_PARTS_PULLED


def test_the_idle_cluster_takes_no_more_than_its_budget_of_memory_and_processor_time(lab: Lab) -> None:
    """The first window in which nothing else is going on decides; a cluster that is never idle fails."""
    pods = parts(lab)
    budgets = [BUDGETS[name] for name in ("nodes", *pods)]
    all_parts = usage.Budget(sum(budget.memory_gib for budget in budgets), sum(budget.cores for budget in budgets))
    places = {node: (node, "") for node in NODES} | pods
    end = time.monotonic() + IDLE_WITHIN_SECONDS
    figures = []
    while time.monotonic() < end:
        taken = usage.measure_pods(lab.engine, places, WINDOW_SECONDS)
        assert set(taken) == set(places)
        whole = usage.Usage(sum(taken[node].memory_bytes for node in NODES), sum(taken[node].cores for node in NODES))
        of_parts = {name: taken[name] for name in pods}
        figures.append(", ".join(f"{name} {as_text(used)}" for name, used in {"all": whole, **of_parts}.items()))
        if all_parts.holds(whole) and all(BUDGETS[name].holds(used) for name, used in of_parts.items()):
            print(f"idle: {figures[-1]}")
            return
    raise AssertionError(f"never idle: {figures}")


def as_text(taken: usage.Usage) -> str:
    return f"{taken.memory_bytes / 1024**3:.2f} GiB {taken.cores:.2f} cores"


def parts(lab: Lab) -> dict[str, tuple[str, str]]:
    """The pods that have a budget of their own: node and uid of each, by name of their application."""
    names = sorted(BUDGETS.keys() - {"nodes"})
    pods = lab.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name in ({','.join(names)})")["items"]
    places = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: (pod["spec"]["nodeName"], pod["metadata"]["uid"])
        for pod in pods
    }
    assert usage.IDLE_PARTS.keys() - {"nodes"} <= places.keys()
    return places
