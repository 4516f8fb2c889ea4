"""Nothing of others is touched: whose each object is is asked before anything of a cluster is applied."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from caplab_operator.engines.cassandra import manifests as cassandra
from caplab_operator.engines.cluster import Cluster
from caplab_operator.engines.objects import owner_of
from caplab_operator.engines.ownership import ForeignObject
from caplab_operator.engines.passwords import PasswordsLost
from caplab_operator.engines.postgres import manifests as postgres
from caplab_operator.engines.redis import manifests as redis
from caplab_operator.engines.redis import slices
from caplab_operator.handlers.applied import ApplyCache, EarlierClusterRemains, apply_all
from caplab_operator.handlers.engines import controllers
from caplab_operator.root_key import NAME, UnusableRootKey
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.objects.fake_server import FakeServer
from support.operator.observed_cassandra import BODY as CASSANDRA_BODY
from support.operator.observed_cassandra import SPEC as CASSANDRA
from support.operator.observed_postgres import BODY as POSTGRES_BODY
from support.operator.observed_postgres import SPEC as POSTGRES
from support.operator.observed_redis import BODY as REDIS_BODY
from support.operator.observed_redis import SPEC as REDIS

from caplab.contract.names import API_VERSION, CLUSTER_LABEL, ENGINE_LABEL, PART_LABEL, ROOT_KEY_ANNOTATION
from caplab.kube.errors import Refused
from caplab.kube.paths import path_of

LAB = "lab"
Build = Callable[[Any], list[dict[str, Any]]]
ENGINES: dict[str, tuple[Cluster, Any, Build]] = {
    "postgres": (POSTGRES, postgres, lambda spec: postgres.build(spec, "image", LAB, 3)),
    "redis": (REDIS, redis, lambda spec: redis.build(spec, "image", LAB, redis.PersistedState(3, None, True))),
    "cassandra": (CASSANDRA, cassandra, lambda spec: cassandra.build(spec, "i", LAB, {}, cassandra.PersistedState(3))),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, LAB)


def apply(server: FakeServer, engine: str, **changes: Any) -> None:
    """Apply all objects of a cluster, as every few minutes, when none is known to have changed."""
    server.ledger.invalidate_all(changes.get("uid", ENGINES[engine][0].uid))
    apply_known(server, engine, **changes)


def apply_known(server: FakeServer, engine: str, **changes: Any) -> None:
    spec, manifests, build = ENGINES[engine]
    spec = replace(spec, **changes)
    apply_all(server, spec, partial(manifests.secrets, spec), build(spec))


def owners(server: FakeServer, plural: str, name: str) -> list[str]:
    """Return the uids of an object's owners."""
    return [owner["uid"] for owner in server.at(plural, name)["metadata"]["ownerReferences"]]


def password(server: FakeServer, name: str = "pg-application") -> str:
    return base64.b64decode(server.at("secrets", name)["data"]["password"]).decode()


def claim(server: FakeServer, name: str, root: str = "", engine: str = "postgres") -> dict[str, Any]:
    labels = {ENGINE_LABEL: engine, CLUSTER_LABEL: "pg", PART_LABEL: "member"}
    annotations = {ROOT_KEY_ANNOTATION: root} if root else {}
    return server.put("PersistentVolumeClaim", name, metadata={"labels": labels, "annotations": annotations})


# --- whose an object is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_each_object_of_a_cluster_may_be_somebody_elses_and_then_nothing_is_applied(engine: str) -> None:
    spec, manifests, build = ENGINES[engine]
    for manifest in [*manifests.secrets(spec, str), *build(spec)]:
        server, kind, name = FakeServer(), manifest["kind"], manifest["metadata"]["name"]
        theirs = server.put(kind, name, api_version=manifest["apiVersion"], spec={"of": "theirs"})
        server.put("Secret", NAME, namespace=LAB, data={"key": base64.b64encode(bytes(32)).decode()})
        with pytest.raises(ForeignObject, match=f"{kind} {name} .owned by no cluster.*Hint"):
            apply(server, engine)
        assert server.changes() == []
        assert next(iter(server.objects.values())) == theirs


def test_all_that_is_foreign_is_named_at_once() -> None:
    server = FakeServer()
    server.put("Service", "pg-any")
    server.put("ConfigMap", "pg-patroni")
    with pytest.raises(ForeignObject, match=r"ConfigMap pg-patroni.*Service pg-any"):
        apply(server, "postgres")


def test_another_clusters_object_is_foreign_also_one_of_the_same_name_that_is_going() -> None:
    server = FakeServer()
    apply(server, "postgres")
    before = {where: dict(body) for where, body in server.objects.items()}
    with pytest.raises(ForeignObject, match=r"Role pg-client \(PostgresCluster pg \(u-1\)\).*and \d+ more"):
        apply(server, "postgres", uid="another")
    with pytest.raises(ForeignObject, match="Secret pg-application"):
        apply(server, "redis", name="pg", uid="u-redis")
    assert server.objects == before


@pytest.mark.parametrize("engine", ENGINES)
def test_a_volume_of_nobodys_is_not_adopted(engine: str) -> None:
    server, name = FakeServer(), f"data-{ENGINES[engine][0].name}-1"
    server.put("PersistentVolumeClaim", name)
    with pytest.raises(ForeignObject, match=f"PersistentVolumeClaim {name}"):
        apply(server, engine)
    server.drop("persistentvolumeclaims", name)
    apply(server, engine)
    assert f"statefulsets/{ENGINES[engine][0].name}" in server.names()


def test_a_pod_that_has_a_members_name_and_is_none_is_in_the_way() -> None:
    server = FakeServer()
    server.put("Pod", "pg-2")
    with pytest.raises(ForeignObject, match="Pod pg-2"):
        apply(server, "postgres")


def test_a_foreign_object_that_comes_between_look_and_apply_is_not_touched() -> None:
    """The uid of what was looked at goes along: another object that has its name by now is refused."""
    server = FakeServer()
    apply(server, "postgres")

    def swap(method: str, path: str) -> None:
        if method == "PATCH" and path.endswith("/services/pg-any"):
            server.before = lambda *_: None
            server.drop("services", "pg-any")
            server.put("Service", "pg-any", spec={"of": "theirs"})

    server.before = swap
    with pytest.raises(ForeignObject, match="Service pg-any"):
        apply(server, "postgres")
    assert server.at("services", "pg-any")["spec"] == {"of": "theirs"}


def test_an_object_that_is_gone_between_look_and_apply_is_made() -> None:
    server = FakeServer()
    apply(server, "postgres")

    def drop(method: str, path: str) -> None:
        if method == "PATCH" and path.endswith("/services/pg-any"):
            server.before = lambda *_: None
            server.drop("services", "pg-any")

    server.before = drop
    apply(server, "postgres")
    assert "services/pg-any" in server.names()


def test_services_that_outlive_the_role_binding_have_its_uid() -> None:
    server = FakeServer()
    apply(server, "postgres")
    binding = server.at("rolebindings", "pg-patroni")["metadata"]["uid"]
    owners = server.at("services", "pg-primary-config")["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == ["u-1", binding]


@pytest.mark.parametrize("engine", ENGINES)
def test_only_what_has_changed_is_looked_at_and_applied(engine: str) -> None:
    server = FakeServer()
    apply(server, engine)
    first = len(server.requests)
    apply_known(server, engine)
    assert not [request for request in server.requests[first:] if not request.startswith("GET")]
    assert len(server.requests) - first <= 3, server.requests[first:]  # its volumes, its pods, what members make
    own = {(item["kind"], name): plural for (place, plural, name), item in server.objects.items() if place == "demo"}
    for (kind, name), plural in own.items():
        item = server.at(plural, name)
        dependents = [
            other for (_, other), theirs in own.items() if (item["metadata"]["uid"] in owners(server, theirs, other))
        ]
        before = len(server.changes())
        assert server.ledger.invalidate(ENGINES[engine][0].uid, (kind, name))  # as the watch does
        server.drop(plural, name)
        apply_known(server, engine)
        paths = [change.split("?")[0] for change in server.changes()[before:]]
        assert paths[0].endswith(f"/{plural}/{name}")
        assert len(paths) == 1 + len(dependents)


def test_an_object_that_is_kept_is_applied_again_once_it_is_known_to_have_changed() -> None:
    server, kept = FakeServer(), ApplyCache()
    manifest = postgres.config_map(POSTGRES)
    kept.ensure(server, manifest)
    kept.ensure(server, manifest)
    assert len(server.changes()) == 1
    server.drop("configmaps", "pg-patroni")
    server.ledger.invalidate(POSTGRES.uid, ("ConfigMap", "pg-patroni"))
    kept.ensure(server, manifest)
    assert "configmaps/pg-patroni" in server.names()


def test_an_object_that_is_kept_is_applied_again_at_once_after_another_manifest_of_it_was() -> None:
    server, kept = FakeServer(), ApplyCache()
    manifest = postgres.config_map(POSTGRES)
    kept.ensure(server, manifest)
    server.apply({**manifest, "data": {"of": "an apply that began earlier"}})
    kept.ensure(server, manifest)
    assert server.at("configmaps", "pg-patroni")["data"] == manifest["data"]


@pytest.mark.parametrize(
    ("engine", "body", "depends"),
    [
        ("postgres", POSTGRES_BODY, set()),
        # Its rounds keep that, and a round that finds it Ready does so before its status says so.
        ("redis", REDIS_BODY, {"configmaps/rd-redis"}),
        ("cassandra", CASSANDRA_BODY, set()),
    ],
)
def test_what_an_apply_makes_of_a_clusters_status_is_known(
    engine: str, body: dict[str, Any], depends: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status wakes no apply: an object that depends on it must be kept by the rounds."""
    monkeypatch.setenv(ENGINES[engine][0].ENGINE.image_variable, "image")
    applied = []
    for phase in ("Creating", "Ready", "Degraded"):
        primary = {"primary": f"{body['metadata']['name']}-1"} if phase == "Degraded" else {}
        server = FakeServer()
        server.put("Secret", NAME, namespace=LAB, data={"key": base64.b64encode(bytes(32)).decode()})
        controllers()[body["kind"]].handlers.reconcile(server, {**body, "status": {"phase": phase, **primary}})
        applied.append({f"{plural}/{name}": content for (_, plural, name), content in server.objects.items()})
    assert {name for name in applied[0] if applied[0][name] != applied[1][name]} == depends
    assert {name for name in applied[0] if applied[1][name] != applied[2][name]} == depends


@pytest.mark.parametrize(
    ("api_version", "kind", "path"),
    [
        ("v1", "Endpoints", "/api/v1/namespaces/n/endpoints/x"),
        ("v1", "PersistentVolumeClaim", "/api/v1/namespaces/n/persistentvolumeclaims/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/x"),
        (API_VERSION, "RedisCluster", f"/apis/{API_VERSION}/namespaces/n/redisclusters/x"),
    ],
)
def test_an_objects_path_needs_no_discovery(api_version: str, kind: str, path: str) -> None:
    assert path_of(api_version, kind, "n", "x") == path


# --- passwords --------------------------------------------------------------------------------------------


def test_a_lost_secret_comes_back_with_the_same_passwords_and_an_edited_one_is_corrected() -> None:
    server = FakeServer()
    apply(server, "postgres")
    first = password(server)
    server.drop("secrets", "pg-application")
    apply(server, "postgres")
    assert password(server) == first
    server.at("secrets", "pg-application")["data"]["password"] = "d3Jvbmc="
    server.at("secrets", "pg-application")["metadata"]["annotations"] = {}
    claim(
        server, "data-pg-0", root=server.at("secrets", "pg-passwords")["metadata"]["annotations"][ROOT_KEY_ANNOTATION]
    )
    apply(server, "postgres")
    assert password(server) == first


def test_passwords_differ_by_purpose_cluster_kind_and_namespace_and_by_nothing_else() -> None:
    server, passwords = FakeServer(), []
    apply(server, "postgres")
    values = server.at("secrets", "pg-passwords")["data"].values()
    assert len({*values, server.at("secrets", "pg-application")["data"]["password"]}) == 4
    passwords.append(password(server))
    for place in ({"namespace": "other"}, {"name": "pg2"}):
        apply(server, "postgres", **place)
        secret = server.at("secrets", f"{place.get('name', 'pg')}-application", place.get("namespace", "demo"))
        passwords.append(base64.b64decode(secret["data"]["password"]).decode())
    assert len(set(passwords)) == 3
    assert all(len(password) == 32 for password in passwords)
    fresh = FakeServer()
    fresh.objects[LAB, "secrets", NAME] = server.at("secrets", NAME, LAB)
    apply(fresh, "postgres", uid="made-again")
    assert password(fresh) == passwords[0]


def test_a_root_key_that_is_lost_is_made_again_by_an_operator_that_has_read_it() -> None:
    server = FakeServer()
    apply(server, "postgres")
    key = server.drop("secrets", NAME, LAB)["data"]
    apply(server, "postgres")
    assert server.at("secrets", NAME, LAB)["data"] == key
    server.at("secrets", NAME, LAB)["data"] = {"key": "bm8="}
    with pytest.raises(UnusableRootKey, match="Hint"):
        apply(server, "postgres")


def of_another_root_key() -> FakeServer:
    """A cluster whose root key is lost, and an operator that never read it."""
    old, new = FakeServer(), FakeServer()
    apply(old, "postgres")
    old.drop("secrets", NAME, LAB)
    new.objects = old.objects
    return new


def test_with_another_root_key_the_secrets_that_are_there_win() -> None:
    server = of_another_root_key()
    first = password(server)
    apply(server, "postgres")
    assert password(server) == first
    claim(server, "data-pg-0")
    apply(server, "postgres")
    assert ROOT_KEY_ANNOTATION not in server.at("persistentvolumeclaims", "data-pg-0")["metadata"]["annotations"]


def test_with_another_root_key_a_lost_secret_is_never_another_password() -> None:
    server = of_another_root_key()
    server.drop("secrets", "pg-application")
    with pytest.raises(PasswordsLost, match=r"Secret pg-application is gone.*Hint: restore"):
        apply(server, "postgres")
    assert "secrets/pg-application" not in server.names()


def test_volumes_tell_of_another_root_key_when_all_secrets_are_gone() -> None:
    server = FakeServer()
    claim(server, "data-pg-0", root="of-another-key")
    with pytest.raises(PasswordsLost, match="pg-application, pg-passwords"):
        apply(server, "postgres")
    assert not any(name.startswith("statefulsets") for name in server.names())


# --- volumes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True])
def test_volumes_go_with_the_cluster_and_not_with_its_stateful_set_unless_they_are_kept(keep: bool) -> None:
    server = FakeServer()
    apply(server, "postgres", keep_volumes=keep)
    of_set = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "pg", "uid": "s"}
    claim(server, "data-pg-0")["metadata"]["ownerReferences"] = [of_set]
    claim(server, "data-other-0")
    for _ in range(2):
        apply(server, "postgres", keep_volumes=keep)
    metadata = server.at("persistentvolumeclaims", "data-pg-0")["metadata"]
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == (["s"] if keep else ["s", "u-1"])
    assert not any(owner.get("controller") for owner in metadata["ownerReferences"])
    root = server.at("secrets", "pg-passwords")["metadata"]["annotations"][ROOT_KEY_ANNOTATION]
    assert metadata["annotations"][ROOT_KEY_ANNOTATION] == root
    assert "ownerReferences" not in server.at("persistentvolumeclaims", "data-other-0")["metadata"]
    changes = [change for change in server.changes() if "persistentvolumeclaims" in change]
    assert len(changes) == 1
    apply(server, "postgres", keep_volumes=True)
    assert [
        owner["uid"] for owner in server.at("persistentvolumeclaims", "data-pg-0")["metadata"]["ownerReferences"]
    ] == ["s"]


@pytest.mark.parametrize("replicas", [3, 2])
def test_the_volume_of_a_member_that_is_to_go_goes_with_it(replicas: int) -> None:
    """Its StatefulSet has it go with the pod: which it can't while the cluster owns it too."""
    server = FakeServer()
    apply(server, "postgres")
    of_set = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "pg", "uid": "s"}
    for name in ("data-pg-1", "data-pg-2"):
        claim(server, name)["metadata"]["ownerReferences"] = [of_set]
    strangers = claim(server, "data-pg-4", engine="redis")["metadata"]
    apply(server, "postgres")
    apply(server, "postgres", replicas=replicas)
    owners = {
        name: [owner["uid"] for owner in server.at("persistentvolumeclaims", name)["metadata"]["ownerReferences"]]
        for name in ("data-pg-1", "data-pg-2")
    }
    assert owners == {"data-pg-1": ["s", "u-1"], "data-pg-2": ["s", "u-1"] if replicas == 3 else ["s"]}
    assert "ownerReferences" not in strangers


def test_volumes_that_are_to_be_kept_are_free_before_anything_says_so() -> None:
    server = FakeServer()
    apply(server, "postgres")
    claim(server, "data-pg-0")
    apply(server, "postgres")
    before = len(server.changes())
    apply(server, "postgres", keep_volumes=True)
    assert "persistentvolumeclaims" in server.changes()[before]


def test_what_the_api_server_refuses_is_raised() -> None:
    server = FakeServer()

    def refuse(method: str, _path: str) -> None:
        if method == "PATCH":
            raise Refused(422, "Invalid")

    server.before = refuse
    with pytest.raises(Refused):
        apply(server, "postgres")


@pytest.mark.parametrize("name", ["pg-primary", "pg-primary-config"])
def test_endpoints_that_patroni_would_write_over_are_in_the_way(name: str) -> None:
    server, spec = FakeServer(), POSTGRES
    server.put("Endpoints", name, metadata={"labels": {CLUSTER_LABEL: "another"}})

    def apply_postgres() -> None:
        objects = postgres.build(spec, "image", LAB, 3)
        apply_all(server, spec, partial(postgres.secrets, spec), objects, postgres.state(spec))

    with pytest.raises(ForeignObject, match=f"Endpoints {name}"):
        apply_postgres()
    server.at("endpoints", name)["metadata"]["labels"] = {ENGINE_LABEL: "postgres", CLUSTER_LABEL: "pg"}
    with pytest.raises(EarlierClusterRemains, match=f"Endpoints {name} of an earlier cluster of this name still exist"):
        apply_postgres()
    assert "services/pg-primary" not in server.names()
    (service,) = (service for service in postgres.services(spec) if service["metadata"]["name"] == name)
    server.apply({**service, "metadata": {**service["metadata"], "ownerReferences": [owner_of(spec)]}})
    apply_postgres()  # a Service that was deleted by hand, and Patroni was quicker
    assert "statefulsets/pg" in server.names()
    # Kubernetes writes a Service's labels on its Endpoints: what somebody took from the one is gone from the other
    server.at("endpoints", name)["metadata"]["labels"] = {}
    apply_postgres()


def test_a_slice_that_is_applied_only_later_is_looked_at_before_anything_is_applied() -> None:
    server = FakeServer()
    server.put("EndpointSlice", "rd-primary", api_version="discovery.k8s.io/v1")
    objects = redis.build(REDIS, "image", LAB, redis.PersistedState(3, None, True))
    with pytest.raises(ForeignObject, match="EndpointSlice rd-primary"):
        apply_all(server, REDIS, partial(redis.secrets, REDIS), objects, [slices.primary_slice(REDIS)])
    assert [change for change in server.changes() if "/lab/" not in change] == []


def test_a_cluster_made_again_waits_until_the_members_of_the_earlier_one_have_gone() -> None:
    server = FakeServer()
    owner = {"kind": "StatefulSet", "name": "pg", "uid": "an earlier one", "controller": True}
    server.put("Pod", "pg-1", metadata={"ownerReferences": [owner]})
    with pytest.raises(EarlierClusterRemains, match="Pod pg-1 of an earlier cluster"):
        apply(server, "postgres")
    assert not [change for change in server.changes() if "/lab/" not in change]
