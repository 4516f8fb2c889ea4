"""The probers' port on the real cluster: who may ask, and which Probes do not fit."""

from __future__ import annotations

import os
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE
from chaoscaplab.server import METRICS_PORT, Server
from kind_lab import Lab


def probe(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    target = {"kind": "RedisCluster", "name": "absent"}
    body = {"target": target, "workload": "set", "vantages": ["a"], "runId": name, **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "caplab.dev/v1alpha1", "kind": "Probe", "metadata": metadata, "spec": body}


@pytest.mark.parametrize("path", ["metrics", "namespaces/default/runs/r1/history.arrow", "runs/r1/metas.json"])
def test_a_prober_answers_only_who_holds_the_token(lab: Lab, path: str) -> None:
    pod = lab.get("pods", "-n", NAMESPACE, "-l", "caplab.dev/vantage=a")["items"][0]["metadata"]["name"]
    answer = lab.cluster.kubectl(
        "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{METRICS_PORT}/proxy/{path}"
    )
    assert not answer.ok
    assert "Only who sends the probers' token is answered" in answer.err or "Unauthorized" in answer.err
    assert "caplab_probe" not in answer.out


def test_a_run_holds_it(lab: Lab) -> None:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    assert b"caplab_prober_standstill_seconds_total" in Server().fetch("a", "metrics")


def test_a_probe_that_cannot_fit_its_volume_is_refused_with_the_arithmetic(lab: Lab, namespace: str) -> None:
    refused = lab.try_apply(probe(namespace, "month", rate=2000, seconds=86_400))
    assert not refused.ok
    assert "rate * seconds * 200 bytes a row" in refused.err
    lab.apply(probe(namespace, "minute", rate=2000, seconds=60))
