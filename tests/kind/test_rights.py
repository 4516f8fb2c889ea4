"""Who may do what: each policy is tried with what it is there to refuse. Nothing is made: dry runs of the server."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_cluster.shell import CommandResult, ask
from caplab_operator.engines import exporter, network, objects
from caplab_operator.engines.cassandra import manifests as cassandra
from caplab_operator.engines.cassandra.spec import parse as parse_cassandra
from caplab_operator.engines.postgres import manifests as postgres
from caplab_operator.engines.postgres.exporter import EXPORTER as POSTGRES_EXPORTER
from caplab_operator.engines.postgres.spec import PostgresSpec
from caplab_operator.engines.postgres.spec import parse as parse_postgres
from caplab_operator.engines.redis import manifests as redis
from caplab_operator.engines.redis.exporter import EXPORTER as REDIS_EXPORTER
from caplab_operator.engines.redis.slices import endpoint_slice
from caplab_operator.engines.redis.spec import parse as parse_redis
from support.kind import cluster_object
from support.kind.kind_lab import Lab, in_namespace, service, toolbox_pod, wait_until

from caplab.contract.deaths import CONDITION, Death
from caplab.contract.names import (
    API_VERSION,
    CHAOS_LABEL,
    CLUSTER_LABEL,
    CLUSTERS_LABEL,
    ENGINE_LABEL,
    FAST_PATH_LABEL,
    FENCE_ANNOTATION,
    FINALIZER,
    PART_LABEL,
    PREFIX,
    ROLE_LABEL,
    SCOPE_LABEL,
)

pytestmark = pytest.mark.beside

Manifest = dict[str, Any]
Attack = tuple[Manifest, str]  # what the operator is not to make, and the sentence that refuses it

CLUSTER_KINDS = ("CassandraCluster", "PostgresCluster", "RedisCluster")
AS_OPERATOR = f"--as=system:serviceaccount:{LAB_NAMESPACE}:caplab-operator"


def attempt(lab: Lab, items: Sequence[dict[str, Any]], *flags: str) -> CommandResult:
    """What the API server says of objects that would be created; a line on err for each that it refuses."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
    return ask([*lab.kubectl_command(), "create", "--dry-run=server", "-f", "-", *flags], stdin=document)


def test_clusters_are_refused_where_the_namespace_was_not_opened_for_them(lab: Lab, namespace: str) -> None:
    allowed = attempt(lab, [cluster_object.body(kind, namespace, "x", {}) for kind in CLUSTER_KINDS])
    assert allowed.ok, allowed.err
    lab.kubectl("label", "namespace", namespace, f"{CLUSTERS_LABEL}-")
    closed = (namespace, "kube-system", "kube-public", LAB_NAMESPACE)
    refused = attempt(lab, [cluster_object.body(kind, where, "x", {}) for where in closed for kind in CLUSTER_KINDS])
    assert refused.err.count(f"to open it: kubectl label namespace {namespace} {CLUSTERS_LABEL}=allowed") == 3
    for protected in closed[1:]:
        assert refused.err.count(f"namespace {protected} is protected: no cluster is allowed in it") == 3
    assert refused.out == ""
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    assert attempt(lab, [cluster_object.body("RedisCluster", namespace, "x", {})]).ok


@pytest.fixture
def of_clusters(lab: Lab, namespace: str) -> str:
    """A namespace where the operator has the rights that the role binding of a cluster x gives it."""
    binding = objects.operator_binding(cluster_object.defaulted(lab, namespace, "PostgresCluster"), LAB_NAMESPACE)
    del binding["metadata"]["ownerReferences"]  # there is no such cluster, so it would be collected
    lab.apply(binding)
    allowed = ("auth", "can-i", "patch", "statefulsets", "-n", namespace, AS_OPERATOR)
    wait_until("the API server has heard of it", lambda: lab.cluster.kubectl(*allowed).ok, within_seconds=10)
    return namespace


def own_objects(lab: Lab, namespace: str) -> list[Manifest]:
    """All that the operator makes for a cluster of each kind."""
    cs, pg, rd = (cluster_object.defaulted(lab, namespace, kind) for kind in CLUSTER_KINDS)
    pg_spec, rd_spec, cs_spec = parse_postgres(pg), parse_redis(rd), parse_cassandra(cs)
    made = [
        *postgres.secrets(pg_spec, lambda _: "p"),
        *postgres.build(pg_spec, lab.images["postgres"], LAB_NAMESPACE, 3),
        *redis.secrets(rd_spec, lambda _: "p"),
        *redis.build(rd_spec, lab.images["redis"], LAB_NAMESPACE, redis.PersistedState(3, None, bootstrap=True)),
        endpoint_slice(rd_spec, "x-primary", []),
        *exporter.build(pg_spec, POSTGRES_EXPORTER, lab.images["postgres-exporter"], LAB_NAMESPACE, "p", "r"),
        *exporter.build(rd_spec, REDIS_EXPORTER, lab.images["redis-exporter"], LAB_NAMESPACE, "p", "r"),
        *cassandra.secrets(cs_spec, lambda _: "p"),
        *cassandra.build(cs_spec, lab.images["cassandra"], LAB_NAMESPACE, {}, cassandra.PersistedState(3)),
    ]
    for owner in (owner for item in made for owner in item["metadata"]["ownerReferences"]):
        owner.setdefault("uid", "b")
    # A binding is refused as long as its role is not really there.
    return [item for item in made if item.get("roleRef", {}).get("kind") != "Role"]


def test_the_operator_may_make_all_that_its_clusters_consist_of(lab: Lab, of_clusters: str) -> None:
    answer = attempt(lab, own_objects(lab, of_clusters), AS_OPERATOR)
    assert answer.ok, answer.err


def with_pod(manifest: Manifest, change: Callable[[Manifest], object]) -> Manifest:
    """A StatefulSet with another pod template."""
    changed = copy.deepcopy(manifest)
    change(changed["spec"]["template"]["spec"])
    return changed


def bound(spec: PostgresSpec, name: str, role: Mapping[str, str], subject: str, where: str) -> Manifest:
    """A role binding of a cluster."""
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", **role}
    return {
        **objects.named(spec, "rbac.authorization.k8s.io/v1", "RoleBinding", name),
        "roleRef": role_ref,
        "subjects": [{"kind": "ServiceAccount", "name": subject, "namespace": where}],
    }


def role_that_lets(name: str, resource: str, verb: str) -> Manifest:
    """A role of somebody's own."""
    rules = [{"apiGroups": [""], "resources": [resource], "verbs": [verb]}]
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}


def pod_attacks(members: Manifest) -> list[Attack]:
    """A cluster's StatefulSet with what no member may have."""
    root_account = {"serviceAccountName": "somebody"}
    host_folder = {"name": "host", "hostPath": {"path": "/"}}
    foreign_secret = {"name": "secret", "secret": {"secretName": "somebodys"}}
    foreign_variable = objects.from_secret("STOLEN", "somebodys", "password")
    return [
        (with_pod(members, lambda pod: pod["containers"][0]["securityContext"].update(
            privileged=True, allowPrivilegeEscalation=True)), "never privileged"),
        (with_pod(members, lambda pod: pod["containers"][0]["securityContext"].pop("capabilities")), "drop ALL"),
        (with_pod(members, lambda pod: pod["securityContext"].update(runAsUser=0)), "an ordinary user"),
        (with_pod(members, lambda pod: pod["containers"][0]["securityContext"].update(runAsUser=0)), "restricted"),
        (with_pod(members, lambda pod: pod["securityContext"].pop("seccompProfile")), "seccomp"),
        (with_pod(members, lambda pod: pod.update(root_account)), "not somebody"),
        (with_pod(members, lambda pod: pod.pop("serviceAccountName")), "no access to the API server"),
        (with_pod(members, lambda pod: pod.update(hostNetwork=True)), "shares nothing with its node"),
        (with_pod(members, lambda pod: pod.update(hostPID=True)), "shares nothing with its node"),
        (with_pod(members, lambda pod: pod["volumes"].append(host_folder)), "volumes are empty directories"),
        (with_pod(members, lambda pod: pod["volumes"].append(foreign_secret)), "secrets of its own cluster"),
        (with_pod(members, lambda pod: pod["containers"][0]["env"].append(foreign_variable)), "variables come from"),
        (with_pod(members, lambda pod: pod["containers"][0].update(image="evil:1")), "one of the lab's images"),
        (with_pod(members, lambda pod: pod.update(initContainers=[{"name": "i", "image": "evil:1"}])), "lab's images"),
        (with_pod(members, lambda pod: pod.update(nodeName="any")), "chooses no node that is not for all"),
        (with_pod(members, lambda pod: pod.update(tolerations=[{"operator": "Exists"}])), "chooses no node"),
        (with_pod(members, lambda pod: pod["containers"][0].update(
            startupProbe={"httpGet": {"host": "192.0.2.1", "port": 80}})), "ask the member itself"),
        (with_pod(members, lambda pod: pod["containers"][0].update(
            lifecycle={"preStop": {"tcpSocket": {"host": "192.0.2.1", "port": 80}}})), "ask the member itself"),
        (with_template(members, labels={"app": "theirs"}), "has the lab's own labels and annotations"),
        (with_template(members, annotations={"container.apparmor.security.beta.kubernetes.io/postgres": "unconfined"}),
         "has the lab's own labels and annotations"),
    ]  # fmt: skip


def exporter_attacks(spec: PostgresSpec, images: Mapping[str, str]) -> list[Attack]:
    """An exporter with more than it needs."""
    good = exporter.build(spec, POSTGRES_EXPORTER, images["postgres-exporter"], LAB_NAMESPACE, "p", "r")[-1]
    account, two = {"serviceAccountName": "x-member", "automountServiceAccountToken": True}, copy.deepcopy(good)
    two["spec"]["replicas"] = 2
    database = with_pod(good, lambda pod: pod["containers"][0].update(image=images["postgres"]))
    members = postgres.stateful_set(spec, images["postgres-exporter"], 3)
    (beside,) = good["spec"]["template"]["spec"]["tolerations"]
    beside_the_control_plane = tolerating(postgres.stateful_set(spec, images["postgres"], 3), [beside])
    elsewhere = [
        [beside, {"operator": "Exists"}],
        [{"key": "theirs", "operator": "Exists", "effect": "NoSchedule"}],
        [{**beside, "effect": "NoExecute"}],
        [{name: value for name, value in beside.items() if name != "effect"}],
    ]
    asks_others = {"readinessProbe": {"tcpSocket": {"host": "192.0.2.1", "port": 80}}}
    return [
        (with_pod(good, lambda pod: pod.update(account)), "an exporter is one pod"),
        (two, "an exporter is one pod"),
        (database, "so does an exporter"),
        (members, "one of the lab's images"),
        (beside_the_control_plane, "only an exporter may run beside the control plane"),
        *((tolerating(good, chosen), "chooses no node") for chosen in elsewhere),
        (with_pod(good, lambda pod: pod.update(nodeName="any")), "chooses no node that is not for all"),
        (with_pod(good, lambda pod: pod["containers"][0].update(asks_others)), "ask the member itself"),
        (with_template(good, labels={"app": "theirs"}), "has the lab's own labels and annotations"),
    ]  # fmt: skip


def tolerating(manifest: Manifest, tolerations: list[dict[str, str]]) -> Manifest:
    """A StatefulSet whose pods may run where others may not."""
    return with_pod(manifest, lambda pod: pod.update(tolerations=tolerations))


def with_template(manifest: Manifest, **metadata: dict[str, str]) -> Manifest:
    """A StatefulSet whose pods have more labels or annotations."""
    changed = copy.deepcopy(manifest)
    for field, values in metadata.items():
        changed["spec"]["template"]["metadata"].setdefault(field, {}).update(values)
    return changed


def rights_attacks(spec: PostgresSpec) -> list[Attack]:
    """Ways to more rights."""
    admin = {"kind": "ClusterRole", "name": "cluster-admin"}
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    all_secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    role = objects.named(spec, "rbac.authorization.k8s.io/v1", "Role", "x-client")
    token = objects.secret(spec, "x-token", {})
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "somebody"}
    pods = {"kind": "Role", "name": "theirs"}  # of another's making; the operator has all its rights
    everyones = bound(spec, "x-member", pods, "x-member", spec.namespace)
    everyones["subjects"].append({"kind": "Group", "name": "system:authenticated"})
    outside = objects.service(spec, "any", ports=[objects.port("sql", 5432)], externalIPs=["192.0.2.1"])
    everybodys = network.policy(spec, LAB_NAMESPACE, [], [])
    everybodys["spec"]["podSelector"] = {}
    all_pods = {
        **objects.named(spec, "policy/v1", "PodDisruptionBudget", "x-all"),
        "spec": {"minAvailable": 9, "selector": {}},
    }
    leading = {
        **objects.named(spec, "discovery.k8s.io/v1", "EndpointSlice", "x-any"),
        "addressType": "IPv4",
        "endpoints": [],
    }
    leading["metadata"]["labels"] = {"kubernetes.io/service-name": "theirs"}
    held = "attempting to grant RBAC permissions not currently held"  # what the API server itself says, and says first
    return [
        (bound(spec, "x-operator", admin, "caplab-operator", LAB_NAMESPACE), held),
        (bound(spec, "x-operator", pods, "caplab-operator", LAB_NAMESPACE), "a cluster binds its own client role"),
        (everyones, "a cluster binds its own client role"),
        ({**role, "rules": [everything]}, held),
        ({**role, "rules": [all_secrets]}, "lets them do more"),
        ({**token, "type": "kubernetes.io/service-account-token"}, "asks for no account's token"),
        (objects.named(spec, "v1", "ServiceAccount", "x-other"), "one service account"),
        (outside, "inside the cluster only"),
        (everybodys, "would apply to others' pods too"),
        (all_pods, "would apply to others' pods too"),
        (leading, "would lead clients of another Service"),
    ]  # fmt: skip


def place_attacks(spec: PostgresSpec, members: Manifest) -> list[Attack]:
    """The operator's own objects where they do not belong, and objects that belong to nobody."""

    def moved(manifest: Manifest, namespace: str) -> Manifest:
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}

    head = {"name": "x", "namespace": spec.namespace, "uid": spec.uid}
    owned_by = {"apiVersion": API_VERSION, "kind": spec.ENGINE.kind, "metadata": head}
    itself = objects.operator_binding(owned_by, LAB_NAMESPACE)
    config = objects.config_map(spec, "x-patroni", {})
    free = {**config, "metadata": {"name": "x-patroni", "namespace": spec.namespace}}
    owner = {**config["metadata"]["ownerReferences"][0], "apiVersion": "apps/v1", "kind": "Deployment"}
    others = {**free, "metadata": {**free["metadata"], "ownerReferences": [owner]}}
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other", "namespace": LAB_NAMESPACE}}
    closed = "works only in namespaces that are open to clusters; to open it: kubectl label namespace"
    return [
        (moved(members, "kube-system"), 'cannot create resource "statefulsets"'),
        (moved(config, "default"), 'cannot create resource "configmaps"'),
        (moved(itself, "kube-system"), f"{closed} kube-system"),
        (moved(itself, "default"), f"{closed} default"),
        (key, f"{closed} {LAB_NAMESPACE}"),
        (free, "does not belong to a cluster of the lab"),
        (others, "does not belong to a cluster of the lab"),
    ]


def test_the_operator_can_make_nothing_that_would_give_it_more_than_clusters_need(lab: Lab, of_clusters: str) -> None:
    spec = parse_postgres(cluster_object.defaulted(lab, of_clusters, "PostgresCluster"))
    members = postgres.stateful_set(spec, lab.images["postgres"], 3)
    lab.apply(*in_namespace(of_clusters, role_that_lets("theirs", "pods", "list")))
    attacks = [*pod_attacks(members), *exporter_attacks(spec, lab.images)]
    attacks += [*rights_attacks(spec), *place_attacks(spec, members)]
    answer = attempt(lab, [manifest for manifest, _ in attacks], AS_OPERATOR)
    refusals = [line for line in answer.err.splitlines() if line.startswith("Error from server")]
    assert len(refusals) == len(attacks), answer.out + answer.err
    for (manifest, sentence), refusal in zip(attacks, refusals, strict=True):
        assert sentence in refusal, f"{manifest['kind']}: {sentence!r} is not in: {refusal}"


def test_no_member_runs_as_somebodys_own_account_that_has_rights(lab: Lab, of_clusters: str) -> None:
    """An account that happens to have the name of a cluster's members."""
    spec = parse_postgres(cluster_object.defaulted(lab, of_clusters, "PostgresCluster"))
    binding = bound(spec, "theirs", {"kind": "Role", "name": "theirs"}, "x-member", of_clusters)
    binding["metadata"] = {"name": "theirs"}
    lab.apply(*in_namespace(of_clusters, role_that_lets("theirs", "secrets", "list"), binding))
    members = postgres.stateful_set(spec, lab.images["postgres"], 3)
    wait_until(
        "the API server has heard of the binding",
        lambda: "the service account x-member may create pods or read" in attempt(lab, [members], AS_OPERATOR).err,
        within_seconds=10,
    )


def test_the_operator_touches_no_object_and_no_pod_of_anybody_else(lab: Lab, of_clusters: str) -> None:
    """Also where it believes that the object is not there yet: an apply that would overwrite it is refused."""
    theirs = service("a")
    theirs["metadata"] |= {"name": "x-any", "namespace": of_clusters}
    theirs["spec"]["ports"][0]["name"] = "theirs"
    pod = toolbox_pod(lab, "a")
    pod["metadata"] |= {"namespace": of_clusters}
    lab.apply(theirs, pod)
    spec = parse_postgres(cluster_object.defaulted(lab, of_clusters, "PostgresCluster"))
    (ours,) = (item for item in postgres.services(spec) if item["metadata"]["name"] == "x-any")
    forced = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", AS_OPERATOR, "-f", "-")
    answer = ask([*lab.kubectl_command(), *forced], stdin=json.dumps(ours))
    assert "x-any belongs to somebody else: the operator neither changes nor takes over" in answer.err, answer.out
    on_pod = ("-n", of_clusters, "pod/pod-a", "--dry-run=server", AS_OPERATOR)
    for attempted in (("delete", *on_pod), ("annotate", *on_pod, "a=b")):
        refused = lab.cluster.kubectl(*attempted)
        assert "touches only those of its clusters' StatefulSets" in refused.err, refused.out


def test_the_operator_deletes_of_a_cluster_its_exporter_and_nothing_else(lab: Lab, of_clusters: str) -> None:
    spec = parse_postgres(cluster_object.defaulted(lab, of_clusters, "PostgresCluster"))
    made = [objects.service(spec, suffix, ports=[objects.port("sql", 5432)]) for suffix in ("any", "exporter")]
    for item in made:
        item["metadata"]["finalizers"] = [f"{PREFIX}test"]  # there is no such cluster, so it would be collected
        item["metadata"]["ownerReferences"][0].setdefault("uid", "b")
    lab.apply(*made)
    on = ("-n", of_clusters, "--dry-run=server", AS_OPERATOR)
    try:
        refused = lab.cluster.kubectl("delete", "service/x-any", *on)
        assert "the operator deletes only the exporter's, x-exporter" in refused.err, refused.out
        allowed = lab.cluster.kubectl("delete", "service/x-exporter", *on)
        assert allowed.ok, allowed.err
    finally:
        free = ("-n", of_clusters, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        for name in ("x-any", "x-exporter"):
            lab.cluster.kubectl("patch", f"service/{name}", *free)


def test_of_endpoints_the_operator_changes_only_the_labels_that_say_whose_they_are(lab: Lab, of_clusters: str) -> None:
    head = {"apiVersion": "v1", "kind": "Endpoints"}
    subsets = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 5432}]}]
    lab.apply(
        *(
            {**head, "metadata": {"name": name, "namespace": of_clusters}, "subsets": subsets}
            for name in ("x-primary", "y")
        )
    )
    labels = {CLUSTER_LABEL: "x", ENGINE_LABEL: "postgres", SCOPE_LABEL: "x-primary"}

    def refusal(name: str, change: Manifest) -> str:
        on = ("-n", of_clusters, "endpoints", name, "--type=merge", "--dry-run=server", AS_OPERATOR)
        return lab.cluster.kubectl("patch", *on, "--patch", json.dumps(change)).err

    assert "Error" not in refusal("x-primary", {"metadata": {"labels": labels}})
    for name, change in (
        ("x-primary", {"metadata": {"labels": labels}, "subsets": [{**subsets[0], "addresses": [{"ip": "10.6.6.6"}]}]}),
        ("x-primary", {"metadata": {"labels": labels, "annotations": {"leader": "x-1"}}}),
        ("x-primary", {"metadata": {"labels": {**labels, "other": "a"}}}),
        ("y", {"metadata": {"labels": labels}}),
    ):
        assert "changes no address of a Service" in refusal(name, change), change


def test_of_a_leader_lock_the_operator_takes_the_holder_and_names_no_other(lab: Lab, of_clusters: str) -> None:
    labels = {CLUSTER_LABEL: "x", ENGINE_LABEL: "postgres", SCOPE_LABEL: "x-primary"}
    held = {"leader": "x-0", "renewTime": "2026-11-30T06:00:00+00:00"}
    head = {"name": "x-primary", "namespace": of_clusters, "labels": labels, "annotations": held}
    lab.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": head})

    def patched(**annotations: str | None) -> CommandResult:
        change = json.dumps({"metadata": {"annotations": annotations}})
        on = ("-n", of_clusters, "endpoints", "x-primary", "--type=merge", "--dry-run=server", AS_OPERATOR)
        return lab.cluster.kubectl("patch", *on, "--patch", change)

    assert patched(leader=None).ok
    for change in ({"leader": "x-1"}, {"renewTime": None}, {"renewTime": "later"}, {"leader": None, "other": "a"}):
        assert "changes no address of a Service" in patched(**change).err, change


def test_of_a_pod_an_agent_writes_that_its_member_died_and_nothing_else(lab: Lab, namespace: str) -> None:
    pods = [toolbox_pod(lab, zone) for zone in ("a", "b")]
    pods[0]["metadata"]["labels"] |= {FAST_PATH_LABEL: "2"}
    lab.apply(*in_namespace(namespace, *pods))
    agent = f"system:serviceaccount:{LAB_NAMESPACE}:caplab-agent"
    # kubectl reads first what it patches.
    lab.kubectl("create", "role", "look", "-n", namespace, "--verb=get", "--resource=pods/status")
    lab.kubectl("create", "rolebinding", "look", "-n", namespace, "--role=look", f"--user={agent}")

    def reported(pod: str, **status: object) -> CommandResult:
        on = ("-n", namespace, "pod", pod, "--subresource=status", "--type=strategic", "--dry-run=server")
        return lab.cluster.kubectl("patch", *on, f"--as={agent}", "--patch", json.dumps({"status": status}))

    wait_until("the API server has heard of it", lambda: "cannot get" not in reported("pod-a").err, within_seconds=10)
    died = [Death(container_id="c" * 64, unix_ns=1, held=True).to_condition()]
    assert reported("pod-a", conditions=died).ok
    assert "is no member whose death an agent reports" in reported("pod-b", conditions=died).err
    for change in (
        {"conditions": [{"type": "Ready", "status": "Unknown"}]},
        {"podIP": "10.6.6.6"},
        {"phase": "Failed"},
    ):
        assert f"writes its condition {CONDITION}, and nothing else" in reported("pod-a", **change).err, change


def test_the_operator_gives_a_cluster_no_owner_label_or_hold(lab: Lab, namespace: str) -> None:
    """An owner that is not there would have it collected, with its volumes."""
    lab.apply(cluster_object.body("RedisCluster", namespace, "x", {}))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "absent", "uid": "0"}
    for change in ({"ownerReferences": [owner]}, {"finalizers": ["a.b/c"]}, {"labels": {"a": "b"}}):
        patch = json.dumps({"metadata": change})
        on_cluster = ("-n", namespace, "rediscluster", "x", "--type=merge", "--dry-run=server", AS_OPERATOR)
        refused = lab.cluster.kubectl("patch", *on_cluster, "--patch", patch)
        assert "changes no spec, label or owner" in refused.err, refused.out
    noted = json.dumps({"metadata": {"annotations": {"a": "b"}}})
    assert lab.cluster.kubectl("patch", *on_cluster, "--patch", noted).ok


def test_a_fault_is_held_until_it_is_healed_and_by_nothing_else(lab: Lab, namespace: str) -> None:
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    target = {"kind": "RedisCluster", "name": "absent", "role": "any"}
    fault = cluster_object.body("Fault", namespace, "f", {"target": target, "kill": {}, "durationSeconds": 5})
    lab.apply(fault)
    on_fault = ("patch", "-n", namespace, "fault", "f", "--type=merge", "--dry-run=server", AS_OPERATOR, "--patch")
    assert lab.cluster.kubectl(*on_fault, json.dumps({"metadata": {"finalizers": [FINALIZER]}})).ok
    held = lab.cluster.kubectl(*on_fault, json.dumps({"metadata": {"finalizers": [FINALIZER, "a.b/c"]}}))
    assert "holds faults until they are healed" in held.err, held.out


@pytest.fixture
def member(lab: Lab, namespace: str) -> str:
    """The flag to be the members of a cluster x, of which there are a pod and the account's rights."""
    spec = parse_postgres(cluster_object.defaulted(lab, namespace, "PostgresCluster"))
    given = [postgres.member_role(spec), postgres.role_binding(spec)]
    for item in given:
        del item["metadata"]["ownerReferences"]  # there is no such cluster, so they would be collected
    pod = toolbox_pod(lab, "a")
    pod["metadata"] = {"name": "x-0", "labels": objects.labels(spec)}
    lab.apply(*in_namespace(namespace, *given, pod))
    flag = f"--as=system:serviceaccount:{namespace}:x-member"
    own = in_namespace(namespace, {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "x-primary"}})
    wait_until("the API server has heard of its role", lambda: attempt(lab, own, flag).ok, within_seconds=10)
    return flag


def test_a_postgres_member_makes_endpoints_of_its_own_clusters_state_only(
    lab: Lab, namespace: str, member: str
) -> None:
    def named(*names: str) -> list[Manifest]:
        head = {"apiVersion": "v1", "kind": "Endpoints"}
        return in_namespace(namespace, *({**head, "metadata": {"name": name}} for name in names))

    assert attempt(lab, named("x-primary-config", "x-primary-sync", "x-primary-failover"), member).ok
    refused = attempt(lab, named("y-primary", "y-primary-config", "x", "x-any", "kubernetes"), member)
    assert refused.out == ""
    assert refused.err.count("members of x write the Endpoints of their own primary and their own state only") == 5
    held, owned = copy.deepcopy(named("x-primary", "x-primary"))
    held["metadata"]["finalizers"] = ["a.b/c"]
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "x-0", "uid": "0"}]
    refused = attempt(lab, [held, owned], member)
    assert refused.err.count("set neither finalizers nor owners of them") == 2, refused.out


def test_a_postgres_member_changes_nothing_but_its_role_and_state(lab: Lab, namespace: str, member: str) -> None:
    def tried(*command: str) -> CommandResult:
        return lab.cluster.kubectl(*command, "-n", namespace, member)

    dry = "--dry-run=server"
    assert tried("label", "pod", "x-0", f"{ROLE_LABEL}=primary", dry).ok
    assert tried("annotate", "pod", "x-0", "status=running", dry).ok
    for change in (
        ("label", "pod", "x-0", f"{CLUSTER_LABEL}=y", "--overwrite"),
        ("set", "image", "pod/x-0", "*=e:1"),
    ):
        assert "changes nothing else of its pod" in tried(*change, dry).err
    assert "no annotation of the lab's own" in tried("annotate", "pod", "x-0", f"{FENCE_ANNOTATION}=c 1", dry).err
    may = {what: tried("auth", "can-i", *what.split()).out.strip() for what in (
        "patch pods/x-8", "patch endpoints/x-primary-sync", "patch pods/y-0", "patch endpoints/y-primary", "patch pods",
        "get secrets", "get secrets/x-passwords", "delete pods/x-0", "delete endpoints/x-primary", "create pods",
    )}  # fmt: skip
    assert [what for what, answer in may.items() if answer == "yes"] == list(may)[:2]


def test_of_all_pods_members_of_postgres_only_are_somebody_to_the_api_server(lab: Lab, namespace: str) -> None:
    sets = [item for item in own_objects(lab, namespace) if item["kind"] == "StatefulSet"]
    templates = [item["spec"]["template"] for item in sets]
    labels = [template["metadata"]["labels"] for template in templates]
    parts = [(own[ENGINE_LABEL], own[PART_LABEL]) for own in labels]
    pods = dict(zip(parts, (template["spec"] for template in templates), strict=True))
    assert len(pods) == len(sets)
    somebody = {which for which, pod in pods.items() if pod.get("automountServiceAccountToken") is not False}
    assert somebody == {("postgres", "member")}
