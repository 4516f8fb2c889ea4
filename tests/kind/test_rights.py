"""Who may do what: each policy is tried with what it is there to refuse. Nothing is made: dry runs of the server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import cluster_object
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_cluster.shell import Answer, ask
from kind_lab import Lab

CLUSTER_KINDS = ("CassandraCluster", "PostgresCluster", "RedisCluster")


def attempt(lab: Lab, items: Sequence[dict[str, Any]], *flags: str) -> Answer:
    """What the API server says of objects that would be created; a line on err for each that it refuses."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
    return ask([*lab.kubectl_command(), "create", "--dry-run=server", "-f", "-", *flags], stdin=document)


def test_clusters_are_refused_where_the_namespace_was_not_opened_for_them(lab: Lab, namespace: str) -> None:
    allowed = attempt(lab, [cluster_object.body(kind, namespace, "x", {}) for kind in CLUSTER_KINDS])
    assert allowed.ok, allowed.err
    lab.kubectl("label", "namespace", namespace, "caplab.dev/clusters-")
    closed = (namespace, "kube-system", "kube-public", LAB_NAMESPACE)
    refused = attempt(lab, [cluster_object.body(kind, where, "x", {}) for where in closed for kind in CLUSTER_KINDS])
    assert refused.err.count(f"if it is meant: kubectl label namespace {namespace} caplab.dev/clusters=allowed") == 3
    for protected in closed[1:]:
        assert refused.err.count(f"namespace {protected} is protected: no cluster is allowed in it") == 3
    assert refused.out == ""
    lab.kubectl("label", "namespace", namespace, "caplab.dev/chaos=allowed")
    assert attempt(lab, [cluster_object.body("RedisCluster", namespace, "x", {})]).ok
