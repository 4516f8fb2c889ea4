"""Nothing of others is touched, and what a cluster owns is there again when it was deleted or changed."""

from __future__ import annotations

import base64
import json
import random
import statistics
from collections.abc import Iterator
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until

from caplab.contract.names import CLUSTER_LABEL

# What is changed by hand is mended within seconds on a quiet machine. Beside a busy Cassandra the API server may take
# longer for its part: workers have four times the weight of the control plane.
pytestmark = pytest.mark.alone

RESTORED_SECONDS = 5.0
NO_LONGER_EMPTY_SECONDS = 1.0  # its ConfigMap says so before its status says Ready
CREATING_SECONDS = {"CassandraCluster": 240.0, "PostgresCluster": 90.0, "RedisCluster": 90.0}
LIGHT = pytest.param("RedisCluster", id="redis")
ALL = [LIGHT, *(pytest.param(kind, marks=pytest.mark.long) for kind in ("PostgresCluster", "CassandraCluster"))]
_KINDS = "services,secrets,configmaps,statefulsets,pdb,roles,rolebindings,serviceaccounts,endpointslices"
_WRONG = base64.b64encode(b"wrong").decode()
_UNLABELLED = {"metadata": {"labels": {CLUSTER_LABEL: None}}}
# What an edit by hand looks like, by kind: a merge patch of something that the cluster's own manifest says.
EDITS: dict[str, dict[str, Any]] = {
    "ConfigMap": {"data": None},
    "EndpointSlice": {"endpoints": []},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 3}},
    "Role": {"rules": []},
    "RoleBinding": {"subjects": []},
    "Service": {**_UNLABELLED, "spec": {"selector": {"added": "theirs"}}},
    "ServiceAccount": _UNLABELLED,
    "StatefulSet": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 77}}}},
}


def cluster_of(lab: Lab, namespace: str, kind: str, name: str = "db") -> ClusterObject:
    return ClusterObject(lab=lab, kind=kind, namespace=namespace, name=name, timeout_seconds=CREATING_SECONDS[kind])


def own(cluster: ClusterObject) -> dict[str, dict[str, Any]]:
    """What a cluster controls, by kind and name."""
    uid, items = cluster.read()["metadata"]["uid"], cluster.lab.get(_KINDS, "-n", cluster.namespace)["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item
        for item in items
        if any(
            owner["uid"] == uid and owner.get("controller") for owner in item["metadata"].get("ownerReferences") or ()
        )
    }


def content(item: dict[str, Any]) -> dict[str, Any]:
    """What the cluster's manifest says, without what the API server keeps with it."""
    fields = {name: value for name, value in item.items() if name not in ("metadata", "status", "apiVersion")}
    if item["kind"] == "Service":
        fields["spec"] = {k: v for k, v in fields["spec"].items() if not k.startswith("clusterIP")}
    return {**fields, "labels": item["metadata"].get("labels")}


def await_restored(cluster: ClusterObject, name: str, before: dict[str, Any]) -> float:
    def is_restored() -> bool:
        item = own(cluster).get(name)
        return item is not None and content(item) == content(before)

    return wait_until(f"{name} is as it was\n{json.dumps(content(before))}", is_restored, RESTORED_SECONDS)


def conditions(cluster: ClusterObject) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in cluster.status().get("conditions", [])}


def await_conflict(cluster: ClusterObject, name: str) -> None:
    def named() -> bool:
        conflict = conditions(cluster).get("Conflict", {})
        return conflict.get("status") == "True" and name in conflict["message"]

    wait_until(f"{cluster.kind} {cluster.name} says that {name} is in its way", named, 15)
    assert cluster.status()["phase"] != "Ready"


def password(cluster: ClusterObject) -> str:
    secret = cluster.lab.get("secret", "-n", cluster.namespace, f"{cluster.name}-application")
    return base64.b64decode(secret["data"]["password"]).decode()


def write_row(cluster: ClusterObject, value: str) -> None:
    _as_client(cluster, _WRITE[cluster.kind], value)


def read_row(cluster: ClusterObject) -> str:
    return _as_client(cluster, _READ[cluster.kind]).strip()


_SQL = (
    "import psycopg, sys; host, login, *values = sys.argv[1:]; c = psycopg.connect(host=f'db-primary.{host}',"
    " user='caplab', dbname='caplab', password=login, autocommit=True, connect_timeout=5); "
)
_REDIS = (
    "import redis, sys; host, login, *values = sys.argv[1:]; c = redis.Redis(f'db-primary.{host}', username='caplab',"
    " password=login, decode_responses=True, socket_timeout=5); "
)
_CQL = (
    "import sys; from cassandra.cluster import Cluster; from cassandra.auth import PlainTextAuthProvider as Login;"
    " host, login, *values = sys.argv[1:]; c = Cluster([f'db-any.{host}'], auth_provider=Login('caplab',"
    " login)).connect('caplab'); "
)
# As a client, from a prober, with what the Secret says.
_WRITE = {
    "PostgresCluster": f"{_SQL}c.execute(\"create table kept as select 'old' as value\")",
    "RedisCluster": f"{_REDIS}c.set('kept', *values); c.wait(2, 5000)",
    "CassandraCluster": f"{_CQL}c.execute('create table kept (k int primary key, v text)');"
    " c.execute('insert into kept (k, v) values (1, %s)', values)",
}
_READ = {
    "PostgresCluster": f"{_SQL}print(c.execute('select value from kept').fetchone()[0])",
    "RedisCluster": f"{_REDIS}print(c.get('kept'))",
    "CassandraCluster": f"{_CQL}print(c.execute('select v from kept').one()[0])",
}


def _as_client(cluster: ClusterObject, code: str, *values: str) -> str:
    command = ["python3", "-c", code, f"{cluster.namespace}.svc.cluster.local", password(cluster), *values]
    answer = cluster.lab.inside(LAB_NAMESPACE, "daemonset/caplab-prober-a", *command)
    assert answer.ok, answer.err
    return answer.out


@pytest.mark.parametrize("kind", ALL)
def test_a_foreign_object_is_left_alone_and_lost_ones_come_back(lab: Lab, namespace: str, kind: str) -> None:
    theirs = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db-any", "namespace": namespace},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "theirs"}},
    }  # fmt: skip
    lab.apply(theirs)
    before = lab.get("service", "-n", namespace, "db-any")
    cluster = cluster_of(lab, namespace, kind)
    cluster.apply()
    await_conflict(cluster, "Service db-any")
    assert set(own(cluster)) <= {"RoleBinding/db-operator"}  # the operator's own rights, to look
    assert lab.get("service", "-n", namespace, "db-any") == before
    lab.kubectl("delete", "service", "-n", namespace, "db-any")
    cluster.await_ready(3)
    wait_until("no member may start empty", lambda: not _may_start_empty(cluster), NO_LONGER_EMPTY_SECONDS)
    assert conditions(cluster)["Conflict"]["status"] == "False"

    other = cluster_of(lab, namespace, "PostgresCluster" if kind != "PostgresCluster" else "RedisCluster")
    uids = {name: item["metadata"]["uid"] for name, item in own(cluster).items()}
    other.apply()
    await_conflict(other, "db")
    lab.kubectl("delete", other.kind, "-n", namespace, "db")
    assert {name: item["metadata"]["uid"] for name, item in own(cluster).items()} == uids

    took = list(disturb(cluster))
    spread = f"{statistics.median(took):.1f} s (median), {max(took):.1f} s (most)"
    print(f"{kind}: {len(took)} deletions and changes, as it was after {spread}")
    cluster.await_ready(3)


def _may_start_empty(cluster: ClusterObject) -> bool:
    return any("BOOTSTRAP=yes" in str(item.get("data")) for item in own(cluster).values())


def disturb(cluster: ClusterObject) -> Iterator[float]:
    """Delete every object but the StatefulSets, and change every other; how many seconds each took to be back."""
    chance = random.Random(cluster.kind)
    for name in sorted(own(cluster)):
        before = own(cluster)[name]
        if before["kind"] != "StatefulSet":
            delete(cluster, name)
            yield await_restored(cluster, name, before)
        edit = edit_of(before)
        if chance.random() < 0.5:
            cluster.lab.kubectl("patch", "-n", cluster.namespace, name, "--type=merge", "-p", json.dumps(edit))
            yield await_restored(cluster, name, before)


def edit_of(item: dict[str, Any]) -> dict[str, Any]:
    if item["kind"] == "Secret":
        return {"data": dict.fromkeys([*item["data"], "added"], _WRONG)}
    # Kubernetes refuses a selector for a Service that has neither one nor an address: it would become dual-stack.
    is_name_only = item["kind"] == "Service" and item["spec"]["clusterIP"] == "None" and "selector" not in item["spec"]
    return _UNLABELLED if is_name_only else EDITS[item["kind"]]


def delete(cluster: ClusterObject, name: str) -> None:
    cluster.lab.kubectl("delete", "-n", cluster.namespace, name, "--wait=false")


@pytest.mark.long
@pytest.mark.parametrize("kind", list(CREATING_SECONDS))
def test_a_deleted_stateful_set_takes_no_data_along(lab: Lab, namespace: str, kind: str) -> None:
    cluster = cluster_of(lab, namespace, kind)
    cluster.apply()
    cluster.await_ready(3)
    write_row(cluster, "old")
    volumes = {member: cluster.volume(member) for member in ("db-0", "db-1", "db-2")}
    wait_until("the cluster owns its volumes", lambda: _owns_volumes(cluster), RESTORED_SECONDS)
    uid, pods = own(cluster)["StatefulSet/db"]["metadata"]["uid"], cluster.uids()
    delete(cluster, "StatefulSet/db")
    wait_until("there is another", lambda: _uid(cluster) not in ("", uid), RESTORED_SECONDS)
    cluster.await_replaced(pods)
    cluster.await_ready(3)
    assert {member: cluster.volume(member) for member in volumes} == volumes
    assert read_row(cluster) == "old"
    lab.kubectl("delete", kind, "-n", namespace, "db")
    wait_until("the volumes are gone", lambda: not lab.get("pvc", "-n", namespace)["items"], 60)


def _owns_volumes(cluster: ClusterObject) -> bool:
    uid, claims = cluster.read()["metadata"]["uid"], cluster.lab.get("pvc", "-n", cluster.namespace)["items"]
    return all(uid in [owner["uid"] for owner in claim["metadata"].get("ownerReferences", ())] for claim in claims)


def _uid(cluster: ClusterObject) -> str:
    return str(own(cluster).get("StatefulSet/db", {}).get("metadata", {}).get("uid", ""))


@pytest.mark.long
@pytest.mark.parametrize("kind", list(CREATING_SECONDS))
def test_a_cluster_made_again_over_kept_volumes_has_its_rows_and_logins(lab: Lab, namespace: str, kind: str) -> None:
    cluster = cluster_of(lab, namespace, kind)
    cluster.apply(storage={"onDeletion": "Retain"})
    cluster.await_ready(3)
    write_row(cluster, "old")
    first = password(cluster)
    lab.kubectl("delete", kind, "-n", namespace, "db")
    wait_until("it is gone", lambda: not lab.get("services", "-n", namespace)["items"], 60)
    cluster.apply(storage={"onDeletion": "Retain"})
    seconds = wait_until("it is Ready again", lambda: cluster.status().get("phase") == "Ready", 120)
    print(f"{kind}: Ready over kept volumes after {seconds:.0f} s")
    assert password(cluster) == first
    assert read_row(cluster) == "old"
    lab.kubectl("delete", kind, "-n", namespace, "db")
    lab.kubectl("delete", "pvc", "-n", namespace, "--all", "--wait=false")


def test_a_cluster_that_cannot_start_says_why(lab: Lab, namespace: str) -> None:
    huge = cluster_of(lab, namespace, "PostgresCluster", "huge")
    huge.apply(resources={"memoryRequest": "900Gi"})

    def startable_message(cluster: ClusterObject) -> str:
        startable = conditions(cluster).get("Startable", {})
        return str(startable.get("message", "")) if startable.get("status") == "False" else ""

    wait_until("it says that no node takes it", lambda: "Insufficient memory" in startable_message(huge), 30)
    assert "no node can run huge-" in startable_message(huge)
