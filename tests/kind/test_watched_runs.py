"""Runs while the lab is watched: as many series as runs need and no more, and the verdicts that they have unwatched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.kind.kind_lab import Lab
from support.kind.lab_prometheus import ask
from support.kind.lab_release import UNWATCHED, upgrade
from support.kind.lab_runs import run

from caplab.contract.names import CHAOS_LABEL

FEW, MANY = 3, 30
GROWTH = 1.05
SECONDS = "14"  # of load, so that thirty runs take a quarter of an hour

pytestmark = [pytest.mark.alone, pytest.mark.long]


def series(lab: Lab, namespace: str) -> int:
    """All series that Prometheus was ever told, but for those of clusters in other namespaces."""
    own = f'{{__name__=~".+", cluster_namespace=~"{namespace}|"}}'
    return len(ask(lab, "series", **{"match[]": own, "start": "0", "end": f"{time.time():.0f}"}))


def test_thirty_runs_leave_hardly_more_series_than_three(lab: Lab, namespace: str, tmp_path: Path) -> None:
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")

    def after(runs: int) -> int:
        folder = tmp_path / str(runs)
        _, verdict, _ = run(
            lab,
            folder,
            "redis/kill-primary",
            repeat=str(runs),
            seconds=SECONDS,
            persistence="everysec-fast",
            namespace=namespace,
        )
        assert len(verdict["runs"]) == runs
        return series(lab, namespace)

    few = after(FEW)
    many = after(MANY - FEW)
    print(f"series after {FEW} runs: {few}; after {MANY}: {many} ({many / few - 1:+.1%})")
    assert few > 500
    assert many / few < GROWTH


def verdicts(lab: Lab, results: Path) -> dict[str, Any]:
    """The verdict of each row of core."""
    _, verdict, _ = run(lab, results, "core")
    return {run["name"]: run["verdict"] for run in verdict["runs"]}


def test_core_has_the_same_verdicts_watched_and_unwatched(lab: Lab, tmp_path: Path) -> None:
    watched = verdicts(lab, tmp_path / "watched")
    try:
        upgrade(lab, *UNWATCHED)
        unwatched = verdicts(lab, tmp_path / "unwatched")
    finally:
        upgrade(lab)
    for name in watched:
        print(f"{name}: watched {watched[name]}, unwatched {unwatched.get(name)}")
    assert len(watched) > 10
    assert watched == unwatched
