"""The probers' port on the real cluster: who may ask, and which Probes do not fit."""

from __future__ import annotations

import os
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE
from chaoscaplab.server import Server
from support.kind.kind_lab import Lab

from caplab.contract.names import API_VERSION, VANTAGE_LABEL
from caplab.contract.ports import PROBER_METRICS
from caplab.kube.context import connect
from caplab.kube.errors import Forbidden
from caplab.run_context import current_run

pytestmark = pytest.mark.beside


def probe(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    target = {"kind": "RedisCluster", "name": "absent"}
    body = {"target": target, "workload": "set", "vantages": ["a"], "runId": name, **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "Probe", "metadata": metadata, "spec": body}


@pytest.mark.parametrize("path", ["metrics", "namespaces/default/runs/r1/history.arrow", "runs/r1/metas.json"])
def test_a_prober_answers_only_who_holds_the_token(lab: Lab, path: str) -> None:
    pod = lab.get("pods", "-n", NAMESPACE, "-l", f"{VANTAGE_LABEL}=a")["items"][0]["metadata"]["name"]
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    with pytest.raises(Forbidden, match="The request lacks the probers' token") as refused:
        connect().proxy(NAMESPACE, pod, PROBER_METRICS, path)
    assert refused.value.status == 401


def test_a_run_holds_it(lab: Lab) -> None:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    assert b"caplab_prober_stall_seconds_total" in Server(current_run()).fetch("a", "metrics")


def test_a_probe_that_cannot_fit_its_volume_is_refused_with_the_arithmetic(lab: Lab, namespace: str) -> None:
    refused = lab.try_apply(probe(namespace, "month", rate=2000, seconds=86_400))
    assert not refused.ok
    assert "rate * seconds * 200 bytes a row" in refused.err
    lab.apply(probe(namespace, "minute", rate=2000, seconds=60))
