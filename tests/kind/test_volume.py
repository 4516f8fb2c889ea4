"""A volume is given, and outlives its pod."""

from __future__ import annotations

from typing import Any

import pytest
from support.kind.kind_lab import Lab, in_namespace

pytestmark = pytest.mark.beside


def writer(lab: Lab) -> list[dict[str, Any]]:
    """A StatefulSet of one pod that appends a line to its volume at every start."""
    start = "echo started >> /data/log && cat /data/log && exec sleep infinity"
    template = {
        "metadata": {"labels": {"app": "writer"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"fsGroup": 10001},
            "containers": [
                {
                    "name": "writer",
                    "image": lab.images["toolbox"],
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", start],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
        },
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }
    spec = {
        "replicas": 1,
        "serviceName": "writer",
        "selector": {"matchLabels": {"app": "writer"}},
        "template": template,
        "volumeClaimTemplates": [claim],
    }
    return [{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "writer"}, "spec": spec}]


def await_writer(lab: Lab, namespace: str) -> str:
    lab.kubectl("rollout", "status", "-n", namespace, "statefulset/writer", "--timeout=90s")
    uid: str = lab.get("pod", "-n", namespace, "writer-0")["metadata"]["uid"]
    return uid


def test_a_claim_binds_and_keeps_its_data_when_its_pod_is_replaced(lab: Lab, namespace: str) -> None:
    lab.apply(*in_namespace(namespace, *writer(lab)))
    first = await_writer(lab, namespace)
    lab.kubectl("delete", "pod", "-n", namespace, "writer-0")
    assert await_writer(lab, namespace) != first
    assert lab.inside(namespace, "writer-0", "cat", "/data/log").out.split() == ["started", "started"]
    claims = lab.get("pvc", "-n", namespace)["items"]
    assert [claim["status"]["phase"] for claim in claims] == ["Bound"]
