from __future__ import annotations

from typing import Any

import pytest
from caplab_cluster.engine import Container
from caplab_cluster.failure import Failure
from caplab_cluster.kind_cluster import NODES, ClusterRecord, next_action, problems_of, refuse_other_minor

IDS = {name: f"id-{name}" for name in NODES}
MADE = ClusterRecord(IDS, "image", "config")


def containers(**states: str) -> list[Container]:
    return [Container(name, IDS[name], states.get(name.replace("-", "_"), "running"), "image") for name in NODES]


def test_nothing_there_is_created() -> None:
    assert next_action([], None)[0] == "create"
    assert next_action([], MADE)[0] == "create"


def test_a_complete_cluster_that_runs_is_left_alone() -> None:
    assert next_action(containers(), MADE)[0] == "none"


def test_stopped_nodes_of_a_complete_cluster_are_started() -> None:
    move, why = next_action(containers(caplab_worker2="exited"), MADE)
    assert (move, why) == ("start", "stopped: caplab-worker2")


@pytest.mark.parametrize(
    ("containers", "made"),
    [
        (containers(), None),
        (containers()[:3], MADE),
        ([*containers()[:3], Container(NODES[3], "another", "running", "image")], MADE),
        ([*containers(), Container("caplab-worker4", "x", "running", "image")], MADE),
    ],
)
def test_a_half_made_or_foreign_cluster_is_made_anew(containers: list[Container], made: ClusterRecord | None) -> None:
    assert next_action(containers, made)[0] == "recreate"


def nodes(
    ready: str = "True", zones: tuple[str, ...] = ("a", "b", "c"), names: tuple[str, ...] = NODES
) -> dict[str, Any]:
    labels = [{}, *({"topology.kubernetes.io/zone": zone} for zone in zones)]
    return {
        "items": [
            {
                "metadata": {"name": name, "labels": label},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }
            for name, label in zip(names, labels, strict=False)
        ]
    }


def test_the_labs_cluster_has_no_problems() -> None:
    assert problems_of(nodes()) == []


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        (nodes(ready="Unknown"), "node caplab-worker is not Ready"),
        (nodes(names=NODES[:3]), "node caplab-worker3 is missing"),
        (nodes(zones=("a", "b", "b")), "the zones are ['a', 'b', 'b']"),
        ({}, "is missing"),
    ],
)
def test_what_is_wrong_with_the_nodes_is_said(nodes: dict[str, Any], says: str) -> None:
    assert any(says in problem for problem in problems_of(nodes))


def test_another_kubernetes_minor_is_refused() -> None:
    refuse_other_minor("v1.34.0", "1.34.4")
    with pytest.raises(Failure, match=r"runs Kubernetes v1\.33\.1"):
        refuse_other_minor("v1.33.1", "1.34.4")
