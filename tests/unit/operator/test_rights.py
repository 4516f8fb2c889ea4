"""The operator gives itself its rights in a cluster's namespace before anything else, and waits until it has them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from caplab_operator.engines import objects
from caplab_operator.engines.cassandra.spec import CassandraSpec
from caplab_operator.engines.ownership import ForeignObject
from caplab_operator.engines.postgres.spec import PostgresSpec
from caplab_operator.engines.redis.spec import RedisSpec
from caplab_operator.handlers import rights
from support.objects.fake_server import FakeServer

from caplab.contract.names import API_VERSION, CLUSTER_LABEL, ENGINE_LABEL

BODY: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "PostgresCluster",
    "metadata": {"name": "pg", "namespace": "demo", "uid": "u"},
}
REVIEW = "MAY patch statefulsets in demo"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    monkeypatch.setenv("CAPLAB_NAMESPACE", "lab")
    return FakeServer()


def test_it_binds_itself_one_role_in_the_clusters_namespace_that_goes_with_the_cluster(server: FakeServer) -> None:
    rights.ensure(server, BODY)
    binding = server.at("rolebindings", "pg-operator")
    assert binding["roleRef"]["name"] == objects.OPERATOR_ROLE
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "caplab-operator", "namespace": "lab"}]
    (owner,) = binding["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("PostgresCluster", "pg", "u", True)


def test_it_waits_until_the_api_server_has_heard_of_it_and_asks_no_more_then(server: FakeServer) -> None:
    server.refusals = iter([True, True, False])
    rights.ensure(server, BODY)
    assert server.requests.count(REVIEW) == 3
    server.requests.clear()
    rights.ensure(server, BODY)
    assert server.requests == []


def test_a_binding_that_is_lost_is_made_again(server: FakeServer) -> None:
    rights.ensure(server, BODY)
    server.drop("rolebindings", "pg-operator")
    server.ledger.invalidate("u", ("RoleBinding", "pg-operator"))  # as the watch does
    rights.ensure(server, BODY)
    assert server.at("rolebindings", "pg-operator")


def test_rights_that_do_not_come_are_told_with_the_role(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "_PROPAGATION_SECONDS", 0.0)
    server.refusals = itertools.repeat(True)
    with pytest.raises(rights.NoRights, match="is the ClusterRole caplab-operator-namespaced there"):
        rights.ensure(server, BODY)


def test_somebody_elses_binding_of_that_name_stays_and_is_named(server: FakeServer) -> None:
    theirs = server.put("RoleBinding", "pg-operator", api_version="rbac.authorization.k8s.io/v1")
    with pytest.raises(ForeignObject, match="RoleBinding pg-operator"):
        rights.ensure(server, BODY)
    assert server.at("rolebindings", "pg-operator") == theirs


@pytest.mark.parametrize("spec", [CassandraSpec, PostgresSpec, RedisSpec])
def test_the_binding_is_found_by_the_labels_of_its_cluster(spec: Any) -> None:
    labels = objects.operator_binding({**BODY, "kind": spec.ENGINE.kind}, "lab")["metadata"]["labels"]
    assert labels == {ENGINE_LABEL: spec.ENGINE.name, CLUSTER_LABEL: "pg"}
