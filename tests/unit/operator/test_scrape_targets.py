"""What the operator tells Prometheus to scrape: the ports of pods that are the lab's own, and of no others."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from caplab_operator import scrape_targets
from caplab_operator.handlers import wiring
from caplab_operator.scrape_targets import Listing, groups, serve

from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL, PART_LABEL

Pod = dict[str, Any]


def pod(name: str, labels: dict[str, str], made_by: str = "", phase: str = "Running", address: str = "10.1.2.3") -> Pod:
    owner = {"kind": "StatefulSet", "name": made_by, "controller": True, "uid": "u"}
    return {
        "metadata": {
            "name": name,
            "namespace": "demo",
            "labels": {**labels, "controller-revision-hash": "x"},
            "ownerReferences": [owner] if made_by else [],
        },
        "spec": {
            "nodeName": "worker",
            "containers": [
                {"name": "a", "ports": [{"name": "postgres", "containerPort": 5432}, {"containerPort": 8008}]},
                {"name": "b"},
            ],
        },
        "status": {"phase": phase, **({"podIP": address} if address else {})},
    }


MEMBER = {ENGINE_LABEL: "postgres", CLUSTER_LABEL: "pg", PART_LABEL: "member"}
EXPORTER = {**MEMBER, PART_LABEL: "exporter"}


def pod_names(*pods: Pod) -> list[str]:
    return [group["labels"]["__meta_kubernetes_pod_name"] for group in groups([], pods)]


def test_each_port_is_a_target_with_the_labels_that_kubernetes_sd_would_give_it() -> None:
    first, second = groups([], [pod("pg-0", MEMBER, "pg")])
    assert first == {
        "targets": ["10.1.2.3:5432"],
        "labels": {
            "__meta_kubernetes_namespace": "demo",
            "__meta_kubernetes_pod_name": "pg-0",
            "__meta_kubernetes_pod_ip": "10.1.2.3",
            "__meta_kubernetes_pod_node_name": "worker",
            "__meta_kubernetes_pod_label_caplab_dev_engine": "postgres",
            "__meta_kubernetes_pod_label_caplab_dev_cluster": "pg",
            "__meta_kubernetes_pod_label_caplab_dev_part": "member",
            "__meta_kubernetes_pod_container_port_name": "postgres",
        },
    }
    assert second["targets"] == ["10.1.2.3:8008"]
    assert second["labels"]["__meta_kubernetes_pod_container_port_name"] == ""


def test_only_pods_that_the_clusters_own_stateful_sets_made_are_told_whatever_labels_others_carry() -> None:
    real = [pod("pg-0", MEMBER, "pg"), pod("pg-exporter-0", EXPORTER, "pg-exporter")]
    posing = [pod("fake", MEMBER), pod("other-0", MEMBER, "other"), pod("part-of-none", {CLUSTER_LABEL: "pg"})]
    assert set(pod_names(*real, *posing)) == {"pg-0", "pg-exporter-0"}


def test_no_pod_of_a_namespace_passes_for_a_prober_and_is_sent_the_probers_token() -> None:
    posing = pod("x-0", {**MEMBER, CLUSTER_LABEL: "x", "app.kubernetes.io/name": "caplab-prober"}, "x")
    target_groups = groups([], [posing])
    assert len(target_groups) == 2
    assert not any("app_kubernetes_io" in name for group in target_groups for name in group["labels"])


@pytest.mark.parametrize("gone", [{"phase": "Succeeded"}, {"phase": "Failed"}, {"address": ""}])
def test_a_pod_without_an_address_of_its_own_is_left_out(gone: dict[str, str]) -> None:
    assert pod_names(pod("pg-0", MEMBER, "pg", **gone)) == []


def test_the_labs_own_pods_need_no_cluster() -> None:
    (group, _) = groups([pod("caplab-operator-x", {"app.kubernetes.io/name": "caplab-operator"})], [])
    assert group["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_name"] == "caplab-operator"


def test_the_operator_lists_its_own_namespace_and_the_clusters_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []

    class Server:
        def pods_where(self, namespace: str, selector: str) -> list[Pod]:
            listed.append((namespace, selector))
            return []

    monkeypatch.setenv("CAPLAB_NAMESPACE", "lab")
    assert wiring._scrape_targets(Server()) == []  # type: ignore[arg-type]
    assert listed == [("lab", scrape_targets.OF_THE_LAB), ("", scrape_targets.OF_CLUSTERS)]


def test_however_often_it_is_asked_the_api_server_is_asked_every_two_seconds() -> None:
    now, listed_at = [0.0], []
    listing = Listing(lambda: listed_at.append(now[0]) or [], lambda: now[0])  # type: ignore[func-returns-value]
    for seconds in (0.0, 1.0, 1.9, 2.0, 3.0, 4.1):
        now[0] = seconds
        assert listing.text() == b"[]"
    assert listed_at == [0.0, 2.0, 4.1]


@contextmanager
def served(listed: Any) -> Iterator[str]:
    server = serve(listed, port=0)
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_is_told_as_json() -> None:
    with served(lambda: groups([], [pod("pg-0", MEMBER, "pg")])) as url:
        answer = urllib.request.urlopen(url + scrape_targets.PATH, timeout=5)
        assert answer.headers["Content-Type"] == "application/json"  # Prometheus takes nothing else
        assert [group["targets"] for group in json.load(answer)] == [["10.1.2.3:5432"], ["10.1.2.3:8008"]]
        assert status(url + "/metrics") == 404


def test_an_api_server_that_does_not_answer_gives_500_so_that_prometheus_keeps_the_targets_it_has() -> None:
    silent = iter([True, False])

    def listed() -> list[Any]:
        if next(silent):
            raise RuntimeError("no answer")
        return []

    with served(listed) as url:
        assert status(url + scrape_targets.PATH) == 500
        assert status(url + scrape_targets.PATH) == 200
