"""What others add to a cluster's object is taken out again, and what is the cluster's own stays."""

from __future__ import annotations

from typing import Any

import pytest
from caplab_operator.engines.foreign_fields import additions, removal
from caplab_operator.engines.postgres import manifests
from support.objects.fake_server import FakeServer
from support.operator.observed_postgres import SPEC

SERVICE: dict[str, Any] = {
    "kind": "Service",
    "spec": {
        "ports": [{"port": 1, "protocol": "TCP", "name": "own"}, {"port": 2, "protocol": "TCP"}],
        "selector": {"app": "theirs"},
        "sessionAffinity": "None",
    },
}
PORT = 'k:{"port":2,"protocol":"TCP"}'


def entry(manager: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def test_additions_are_content_that_others_have() -> None:
    theirs: dict[str, Any] = {"f:spec": {"f:selector": {}}, "f:metadata": {"f:labels": {}}}
    metadata = {
        "managedFields": [
            entry("caplab-operator", {"f:spec": {"f:ports": {}}}),
            entry("kubectl-edit", theirs),
            entry("kube-controller-manager", {"f:status": {}}, subresource="status"),
            entry("autoscaler", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
            entry("kubectl-label", {"f:metadata": {"f:labels": {}}}),
        ]
    }
    assert additions(metadata, "caplab-operator") == [{"f:spec": {"f:selector": {}}}]
    assert additions({}, "caplab-operator") == []


@pytest.mark.parametrize(
    ("added", "patch"),
    [
        ({"f:spec": {"f:selector": {}}}, {"spec": {"selector": None}}),
        ({"f:spec": {"f:selector": {"f:app": {}}}}, {"spec": {"selector": {"app": None}}}),
        ({"f:spec": {"f:ports": {PORT: {".": {}, "f:port": {}}}}}, {"spec": {"ports": [SERVICE["spec"]["ports"][0]]}}),
        (
            {"f:spec": {"f:ports": {'k:{"port":1,"protocol":"TCP"}': {"f:name": {}}}}},
            {"spec": {"ports": [{"port": 1, "protocol": "TCP"}, SERVICE["spec"]["ports"][1]]}},
        ),
        ({"f:spec": {"f:gone": {}, "f:ports": {'k:{"port":9}': {".": {}}}}}, {}),
    ],
)
def test_what_was_added_is_taken_out_and_nothing_else(added: dict[str, Any], patch: dict[str, Any]) -> None:
    assert removal(SERVICE, [added]) == patch
    assert SERVICE["spec"]["selector"] == {"app": "theirs"}  # what was read is not changed


def test_values_of_a_set_are_taken_out() -> None:
    assert removal({"spec": {"of": ["a", "b"]}}, [{"f:spec": {"f:of": {'v:"b"': {}}}}]) == {"spec": {"of": ["a"]}}


def test_what_somebody_added_to_an_object_is_gone_after_the_next_apply_of_it() -> None:
    server, config_map = FakeServer(), manifests.config_map(SPEC)
    server.apply(config_map)
    theirs = server.at("configmaps", "pg-patroni")
    theirs["binaryData"] = {"added": "eA==", "other": "eA=="}
    theirs["metadata"]["managedFields"] = [entry("kubectl-patch", {"f:binaryData": {"f:added": {}}})]
    server.apply(config_map)
    assert server.at("configmaps", "pg-patroni")["binaryData"] == {"other": "eA=="}
    changes = len(server.changes())
    server.at("configmaps", "pg-patroni")["metadata"]["managedFields"] = []
    server.apply(config_map)
    assert len(server.changes()) == changes + 1
