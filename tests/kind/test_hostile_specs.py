"""Hostile specs and names of each kind of cluster: refused with the field, or reconciled; the operator goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE as OPERATOR_NAMESPACE
from chaoscaplab.server import Server
from hypothesis import HealthCheck, Phase, given, settings
from support.chart.hostile_specs import NAMES, specs
from support.kind.kind_lab import Lab, wait_until

from caplab.contract.names import API_VERSION, GROUP
from caplab.kube.context import connect
from caplab.kube.errors import Refused
from caplab.run_context import current_run

pytestmark = pytest.mark.beside

COUNTS: list[Any] = [60, pytest.param(200, marks=pytest.mark.long)]
NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods"},
    "spec": {"hard": {"pods": "0", "persistentvolumeclaims": "0"}},
}


def hostile(schema: Mapping[str, Any], count: int) -> list[tuple[str, Any]]:
    """So many pairs of a name and a spec; every fourth name is hostile too, the others are plain and each another."""
    cases: list[tuple[str, Any]] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(NAMES, specs(schema))
    def collect(name: str, spec: Any) -> None:
        cases.append((name if len(cases) % 4 == 0 else f"plain-{len(cases)}", spec))

    collect()
    return cases


def restarts(lab: Lab) -> tuple[str, int]:
    (pod,) = lab.get("pods", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator")["items"]
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def attempt(kind: str, namespace: str, name: str, spec: Any) -> str | None:
    """What the API server says against an object; None where it takes it."""
    head = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"namespace": namespace, "name": name}}
    try:
        connect().create({**head, "spec": spec}, "kubectl-create")
    except Refused as error:
        if error.status not in (400, 409, 422):
            raise
        return error.reason
    return None


# Where the API server says what it refuses: the object's name, its spec, or that one of that name is there.
REFUSED = re.compile(r"spec\b|metadata.name|already exists")


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["CassandraCluster", "PostgresCluster", "RedisCluster"])
def test_hostile_specs_are_refused_by_field_or_reconciled(lab: Lab, namespace: str, kind: str, count: int) -> None:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    lab.apply({**NO_PODS, "metadata": {"name": "no-pods", "namespace": namespace}})
    bystander = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain-any", "namespace": namespace}}
    lab.apply({**bystander, "spec": {"ports": [{"port": 80}]}})
    untouched = lab.get("service", "plain-any", "-n", namespace)["metadata"]
    schema = lab.get("crd", f"{kind.lower()}s.{GROUP}")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    server, before = Server(current_run()), restarts(lab)
    refusals: list[str] = []
    for name, spec in hostile(schema["properties"]["spec"], count):
        refused = attempt(kind, namespace, name, spec)
        if refused is not None:
            assert REFUSED.search(refused), f"{name!r} with {spec!r} is refused without its field: {refused}"
            refusals.append(refused)
    accepted = [body["metadata"]["name"] for body in server.list(kind, namespace)]
    print(f"\n{kind}: {len(refusals)} refused, {len(accepted)} accepted")
    assert len(refusals) + len(accepted) == count
    assert min(len(refusals), len(accepted)) > count // 10, "too one-sided to show anything"

    def unreconciled() -> list[str]:
        return [
            body["metadata"]["name"]
            for body in server.list(kind, namespace)
            if (body.get("status") or {}).get("observedGeneration") != body["metadata"]["generation"]
        ]

    wait_until("every accepted one is reconciled", lambda: unreconciled() == [], 60)
    lab.kubectl("delete", kind, "-n", namespace, "--wait=false", *accepted)
    wait_until("they are gone", lambda: server.list(kind, namespace) == [], 60)
    assert restarts(lab) == before
    assert lab.get("service", "plain-any", "-n", namespace)["metadata"] == untouched
    server.create(kind, namespace, "tame", {})
    wait_until("the operator still does its work", lambda: unreconciled() == [], 20)
