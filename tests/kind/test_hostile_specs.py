"""A hundred hostile specs of each kind of cluster: refused with the field, or reconciled; the operator goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE as OPERATOR_NAMESPACE
from chaoscaplab.server import PLURALS, Server, sentence
from hostile_specs import specs
from hypothesis import HealthCheck, Phase, given, settings
from kind_lab import Lab, await_that
from kubernetes import client

from caplab.kube import connect
from caplab.watching import GROUP, VERSION

COUNT = 100
NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods"},
    "spec": {"hard": {"pods": "0", "persistentvolumeclaims": "0"}},
}


def hundred(schema: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []

    @settings(
        max_examples=COUNT,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(specs(schema))
    def collect(spec: Any) -> None:
        found.append(spec)

    collect()
    return found


def restarts(lab: Lab) -> tuple[str, int]:
    (pod,) = lab.get("pods", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator")["items"]
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def attempt(kind: str, namespace: str, name: str, spec: Any) -> str | None:
    """What the API server says against an object; None where it takes it."""
    head = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}}
    api = client.CustomObjectsApi(connect())
    try:
        api.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURALS[kind], {**head, "spec": spec})
    except client.ApiException as error:
        if error.status not in (400, 422):
            raise
        return sentence(error)
    return None


@pytest.mark.parametrize("kind", ["CassandraCluster", "PostgresCluster", "RedisCluster"])
def test_hostile_specs_are_refused_by_field_or_reconciled(lab: Lab, namespace: str, kind: str) -> None:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    lab.apply({**NO_PODS, "metadata": {"name": "no-pods", "namespace": namespace}})
    schema = lab.get("crd", f"{kind.lower()}s.caplab.dev")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    server, before = Server(), restarts(lab)
    refusals: list[str] = []
    for number, spec in enumerate(hundred(schema["properties"]["spec"])):
        refused = attempt(kind, namespace, f"hostile-{number}", spec)
        if refused is not None:
            assert re.search(r"spec\b", refused), f"{spec!r} is refused without its field: {refused}"
            refusals.append(refused)
    accepted = [body["metadata"]["name"] for body in server.list(kind, namespace)]
    print(f"\n{kind}: {len(refusals)} refused, {len(accepted)} accepted")
    assert len(refusals) + len(accepted) == COUNT
    assert min(len(refusals), len(accepted)) >= 10, "too one-sided to show anything"

    def unreconciled() -> list[str]:
        return [
            body["metadata"]["name"]
            for body in server.list(kind, namespace)
            if (body.get("status") or {}).get("observedGeneration") != body["metadata"]["generation"]
        ]

    await_that("every accepted one is reconciled", lambda: unreconciled() == [], 60)
    lab.kubectl("delete", kind, "-n", namespace, "--wait=false", *accepted)
    await_that("they are gone", lambda: server.list(kind, namespace) == [], 60)
    assert restarts(lab) == before
    server.create(kind, namespace, "plain", {})
    await_that("the operator still does its work", lambda: unreconciled() == [], 20)
