"""The idle cluster leaves room for databases."""

from __future__ import annotations

import time

from caplab_cluster import usage
from caplab_cluster.kind_cluster import NODES
from kind_lab import Lab

WINDOW_SECONDS = 10.0
CALM_WITHIN_SECONDS = 180.0


def test_the_idle_cluster_takes_no_more_than_its_budget_of_memory_and_processor_time(lab: Lab) -> None:
    """The first window in which nothing else is going on decides; a cluster never calm fails."""
    end = time.monotonic() + CALM_WITHIN_SECONDS
    seen = []
    while time.monotonic() < end:
        taken = usage.measure(lab.engine, NODES, WINDOW_SECONDS)
        assert set(taken) == set(NODES)
        memory = sum(node.memory_bytes for node in taken.values()) / 1024**3
        cores = sum(node.cores for node in taken.values())
        seen.append(f"{memory:.2f} GiB {cores:.2f} cores")
        if memory < usage.IDLE_MEMORY_GIB and cores < usage.IDLE_CORES:
            print(f"idle: {seen[-1]}")
            return
    raise AssertionError(f"never idle: {seen}")
