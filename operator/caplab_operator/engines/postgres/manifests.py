"""The Kubernetes objects of a PostgresCluster: one pure builder for each kind, plain dicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from caplab.contract import ports
from caplab.contract.engines import POSTGRES
from caplab.contract.names import GENERATION_ANNOTATION, GROUP, ROLE_LABEL, SCOPE_LABEL

from .. import network, objects
from ..objects import Manifest
from .patroni import configuration
from .spec import PostgresSpec

POSTGRES_PORT, PATRONI_PORT = POSTGRES.port, ports.PATRONI
GRACE_SECONDS = 20  # for the switchover (images/postgres/switchover) and a clean shutdown after it
_USER_ID = 10002  # images/postgres
_STATE = ("config", "sync", "failover")  # what Patroni keeps, beside the leader object, each in Endpoints of its own
_MAX_MEMBERS = 9  # spec.replicas' maximum in the CRD
_PASSWORDS = {
    "superuser": "PATRONI_SUPERUSER_PASSWORD",
    "replication": "PATRONI_REPLICATION_PASSWORD",
    "patroni": "PATRONI_RESTAPI_PASSWORD",
}


def scope(cluster: str) -> str:
    """Return Patroni's scope, which is the name of the primary's Service and of the leader object."""
    return f"{cluster}-primary"


def build(spec: PostgresSpec, image: str, lab_namespace: str, replicas: int) -> list[Manifest]:
    """Build all objects except the Secrets, in the order they are applied; lab_namespace is the prober's.

    replicas is the StatefulSet's size: more than the spec's while the primary is among the members to remove.
    """
    return [
        member_role(spec),
        role_binding(spec),
        service_account(spec),
        objects.client_role(spec),
        objects.client_role_binding(spec, lab_namespace),
        network.policy(spec, lab_namespace, [POSTGRES_PORT], [PATRONI_PORT], needs_api=True),
        config_map(spec),
        *services(spec),
        objects.disruption_budget(spec, spec.name, objects.part(spec)),
        stateful_set(spec, image, replicas),
    ]


def state(spec: PostgresSpec) -> list[Manifest]:
    """Build the identities of the Endpoints that Patroni makes itself: their names and labels."""
    names = [scope(spec.name), *(f"{scope(spec.name)}-{kept}" for kept in _STATE)]
    metadata = {"namespace": spec.namespace, "labels": objects.labels(spec)}
    return [{"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, **metadata}} for name in names]


def relabelled(spec: PostgresSpec, lock: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the change of metadata that lets Patroni find its leader lock by its labels; None if none is needed."""
    wanted = {**objects.labels(spec), SCOPE_LABEL: scope(spec.name)}
    if wanted.items() <= (lock.get("labels") or {}).items():
        return None
    return {"uid": lock["uid"], "labels": wanted}


def service_account(spec: PostgresSpec) -> Manifest:
    """Build the service account with which members use the API server."""
    return objects.named(spec, "v1", "ServiceAccount", f"{spec.name}-member")


def member_role(spec: PostgresSpec) -> Manifest:
    """Build the role that lets Patroni use Kubernetes as its configuration store, for this cluster alone if possible.

    RBAC can't restrict list and create to names. A ValidatingAdmissionPolicy recognizes accounts that may `be` members,
    and lets them make Endpoints of their own cluster only (charts/caplab/templates/member-guard.yaml).
    """
    state = [scope(spec.name), *(f"{scope(spec.name)}-{kept}" for kept in _STATE)]
    own = [f"{spec.name}-{number}" for number in range(_MAX_MEMBERS)]
    rules = (
        (["endpoints", "pods"], ["list", "watch"], None),
        (["endpoints"], ["create"], None),
        (["endpoints"], ["get", "patch"], state),
        (["pods"], ["get", "patch"], own),
    )
    member = {"apiGroups": [GROUP], "resources": ["members"], "resourceNames": [spec.name], "verbs": ["be"]}
    return {
        **objects.named(spec, "rbac.authorization.k8s.io/v1", "Role", f"{spec.name}-member"),
        "rules": [*(_rule(*rule) for rule in rules), member],
    }


def _rule(resources: list[str], verbs: list[str], names: list[str] | None) -> Manifest:
    rule: Manifest = {"apiGroups": [""], "resources": resources, "verbs": verbs}
    return {**rule, "resourceNames": names} if names else rule


def role_binding(spec: PostgresSpec) -> Manifest:
    """Build the binding of the members' role, which is applied before it: it lets Patroni keep its state."""
    return {
        **objects.named(spec, "rbac.authorization.k8s.io/v1", "RoleBinding", f"{spec.name}-patroni"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"{spec.name}-member"},
        "subjects": [{"kind": "ServiceAccount", "name": f"{spec.name}-member", "namespace": spec.namespace}],
    }


def secrets(spec: PostgresSpec, password: Callable[[str], str]) -> list[Manifest]:
    """Build the Secrets: the members' passwords and the clients' login. password returns the password for a purpose."""
    # Role and database: images/postgres/create-application.
    login = {
        "username": objects.APPLICATION,
        "database": objects.APPLICATION,
        "password": password(objects.APPLICATION),
    }
    return [
        objects.secret(spec, objects.secret_name(spec.name), {name: password(name) for name in _PASSWORDS}),
        objects.secret(spec, objects.login_name(spec.name), login),
    ]


def config_map(spec: PostgresSpec) -> Manifest:
    """Build the ConfigMap with the patroni.yml that members start with. It is written as JSON, which is YAML."""
    settings = configuration(spec, scope(spec.name), objects.labels(spec))
    text = json.dumps(settings, indent=1, sort_keys=True)
    return objects.config_map(spec, f"{spec.name}-patroni", {"patroni.yml": text})


def services(spec: PostgresSpec) -> list[Manifest]:
    """Build the Services: primary, replicas and any for clients, and those that own the Endpoints with Patroni's state.

    Patroni's Endpoints are deleted with their Services, and a Patroni that still has its rights would make them again,
    never to be removed. So the role binding owns these Services too: they outlive Patroni's rights.
    """
    members, ports = objects.part(spec), [objects.port("postgres", POSTGRES_PORT)]
    replicas = {**members, ROLE_LABEL: "replica"}
    return [
        # No selector: Patroni itself writes this Service's Endpoints, with the leader lock on them.
        _outliving(spec, objects.service(spec, "primary", ports=ports)),
        objects.service(spec, "replicas", ports=ports, selector=replicas),
        objects.service(spec, "any", ports=ports, selector=members),
        objects.service(
            spec, "members", ports=ports, selector=members, clusterIP="None", publishNotReadyAddresses=True
        ),
        *(_outliving(spec, objects.service(spec, f"primary-{kept}", clusterIP="None")) for kept in _STATE),
    ]


def _outliving(spec: PostgresSpec, service: Manifest) -> Manifest:
    """Make a Service outlive the role binding: an object is deleted with the last of its owners."""
    return objects.owned_as_well(service, role_binding(spec))


def stateful_set(spec: PostgresSpec, image: str, replicas: int) -> Manifest:
    """Build the members' StatefulSet. The operator itself restarts them, since only it knows which is primary."""
    members = objects.part(spec)
    volumes = [
        {"name": "patroni", "configMap": {"name": f"{spec.name}-patroni"}},
        objects.scratch("temporary"),
        objects.gate(),
    ]
    template = {
        "metadata": {
            "labels": {**members, SCOPE_LABEL: scope(spec.name), **objects.fast_path(spec.failover.fast_path)}
        },
        "spec": {
            **objects.pod(members, _USER_ID, _container(spec, image), volumes),
            "serviceAccountName": f"{spec.name}-member",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
        },
    }
    body = objects.stateful_set(
        spec, spec.name, members, replicas, template,
        serviceName=f"{spec.name}-members", updateStrategy={"type": "OnDelete"}, **objects.volumes_of_members(spec),
    )  # fmt: skip
    body["metadata"]["annotations"] = {GENERATION_ANNOTATION: str(spec.generation)}
    return body


def _container(spec: PostgresSpec, image: str) -> Manifest:
    passwords = [
        objects.from_secret(variable, objects.secret_name(spec.name), key) for key, variable in _PASSWORDS.items()
    ]
    pauses = [{"name": "SWITCHOVER_PAUSES", "value": "short"}] if spec.failover.fast_path else []
    own = [
        objects.from_field("POD_NAME", "metadata.name"),
        objects.from_field("POD_IP", "status.podIP"),
        {"name": "PATRONI_RESTAPI_USERNAME", "value": "patroni"},
        objects.from_secret("APPLICATION_PASSWORD", objects.login_name(spec.name), "password"),
    ]
    return objects.container(
        "postgres",
        image,
        objects.requests_of_members(spec),
        env=[*own, *pauses, *passwords],  # pauses: images/postgres/run-member
        ports=[
            {"name": "postgres", "containerPort": POSTGRES_PORT},
            {"name": "patroni", "containerPort": PATRONI_PORT},
        ],
        # A primary whose pod is deleted hands over first; one that is killed can't.
        lifecycle={"preStop": {"exec": {"command": ["switchover"]}}},
        readinessProbe={"httpGet": {"path": "/readiness", "port": "patroni"}, "periodSeconds": 2, "timeoutSeconds": 2},
        volumeMounts=[
            {"name": "data", "mountPath": "/data"},
            {"name": "patroni", "mountPath": "/etc/caplab"},
            {"name": "temporary", "mountPath": "/tmp"},
            {"name": "gate", "mountPath": "/gate", "readOnly": True},
        ],
    )
