"""The Kubernetes objects of a PostgresCluster: one pure builder a kind, plain dicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .patroni import SCOPE_LABEL, configuration
from .spec import PostgresSpec

Manifest = dict[str, Any]

POSTGRES_PORT = 5432
PATRONI_PORT = 8008
MEMBER_ROLE = "caplab-postgres-member"
_USER_ID = 10002  # images/postgres
_PASSWORDS = {
    "superuser": "PATRONI_SUPERUSER_PASSWORD",
    "replication": "PATRONI_REPLICATION_PASSWORD",
    "patroni": "PATRONI_RESTAPI_PASSWORD",
}
_APPLICATION = "caplab"  # role and database: images/postgres/create-application
PROBER_ACCOUNT = "caplab-prober"  # charts/caplab/templates/prober.yaml


def scope(cluster: str) -> str:
    """Patroni's scope, and so the name of the primary's Service and of the leader object."""
    return f"{cluster}-primary"


def secret_name(spec: PostgresSpec) -> str:
    """Where the members' own passwords are."""
    return f"{spec.name}-passwords"


def login_name(spec: PostgresSpec) -> str:
    """Where clients find their login: apart from the members' passwords, which they have no use for."""
    return f"{spec.name}-application"


def labels(cluster: str) -> dict[str, str]:
    """What selects a cluster's members."""
    return {"caplab.dev/engine": "postgres", "caplab.dev/cluster": cluster}


def build(spec: PostgresSpec, image: str, lab_namespace: str) -> list[Manifest]:
    """Every object but the secrets, in the order they are applied; lab_namespace is the prober's."""
    return [
        service_account(spec),
        role_binding(spec),
        client_role(spec),
        client_role_binding(spec, lab_namespace),
        config_map(spec),
        *services(spec),
        disruption_budget(spec),
        stateful_set(spec, image),
    ]


def _object(spec: PostgresSpec, api_version: str, kind: str, name: str) -> Manifest:
    """What every object has: its owner, so that it goes with the cluster."""
    owner = {
        "apiVersion": "caplab.dev/v1alpha1",
        "kind": "PostgresCluster",
        "name": spec.name,
        "uid": spec.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {"name": name, "namespace": spec.namespace, "labels": labels(spec.name), "ownerReferences": [owner]}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def service_account(spec: PostgresSpec) -> Manifest:
    """Whom the members are to the API server."""
    return _object(spec, "v1", "ServiceAccount", f"{spec.name}-member")


def role_binding(spec: PostgresSpec) -> Manifest:
    """Lets Patroni keep its state in this namespace."""
    return {
        **_object(spec, "rbac.authorization.k8s.io/v1", "RoleBinding", f"{spec.name}-member"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": MEMBER_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": f"{spec.name}-member", "namespace": spec.namespace}],
    }


def client_role(spec: PostgresSpec) -> Manifest:
    """What a client of this cluster may read: its login, and where the members are."""
    return {
        **_object(spec, "rbac.authorization.k8s.io/v1", "Role", f"{spec.name}-client"),
        "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [login_name(spec)], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ],
    }


def client_role_binding(spec: PostgresSpec, lab_namespace: str) -> Manifest:
    """Lets the probers be clients of this cluster."""
    return {
        **_object(spec, "rbac.authorization.k8s.io/v1", "RoleBinding", f"{spec.name}-client"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"{spec.name}-client"},
        "subjects": [{"kind": "ServiceAccount", "name": PROBER_ACCOUNT, "namespace": lab_namespace}],
    }


def secrets(spec: PostgresSpec, new_password: Callable[[], str]) -> list[Manifest]:
    """The secrets, made once, when the cluster is first seen: the members' passwords and the clients' login."""
    passwords = {name: new_password() for name in _PASSWORDS}
    login = {"username": _APPLICATION, "database": _APPLICATION, "password": new_password()}
    return [
        {**_object(spec, "v1", "Secret", secret_name(spec)), "type": "Opaque", "stringData": passwords},
        {**_object(spec, "v1", "Secret", login_name(spec)), "type": "Opaque", "stringData": login},
    ]


def config_map(spec: PostgresSpec) -> Manifest:
    """patroni.yml as members start with it; JSON is YAML."""
    text = json.dumps(configuration(spec, scope(spec.name), labels(spec.name)), indent=1, sort_keys=True)
    return {**_object(spec, "v1", "ConfigMap", f"{spec.name}-patroni"), "data": {"patroni.yml": text}}


def services(spec: PostgresSpec) -> list[Manifest]:
    """For clients: primary, replicas and any. For Patroni: names that keep its state from being collected."""
    members = labels(spec.name)
    port = {"name": "postgres", "port": POSTGRES_PORT, "targetPort": POSTGRES_PORT, "protocol": "TCP"}

    def service(suffix: str, **fields: Any) -> Manifest:
        return {**_object(spec, "v1", "Service", f"{spec.name}-{suffix}"), "spec": fields}

    return [
        # No selector: Patroni itself writes this Service's Endpoints, with the leader lock on them.
        service("primary", ports=[port]),
        service("replicas", ports=[port], selector={**members, "caplab.dev/role": "replica"}),
        service("any", ports=[port], selector=members),
        service("members", ports=[port], selector=members, clusterIP="None", publishNotReadyAddresses=True),
        *(service(f"primary-{kept}", clusterIP="None") for kept in ("config", "sync", "failover")),
    ]


def disruption_budget(spec: PostgresSpec) -> Manifest:
    """At most one member away at a time by anybody's plan."""
    body = {"maxUnavailable": 1, "selector": {"matchLabels": labels(spec.name)}}
    return {**_object(spec, "policy/v1", "PodDisruptionBudget", spec.name), "spec": body}


def stateful_set(spec: PostgresSpec, image: str) -> Manifest:
    """The members, spread over the zones."""
    claim = {
        "metadata": {"name": "data", "labels": labels(spec.name)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": spec.storage_size}}},
    }
    retention = {"whenDeleted": "Retain" if spec.keep_volumes else "Delete", "whenScaled": "Delete"}
    body = {
        "replicas": spec.replicas,
        "serviceName": f"{spec.name}-members",
        "podManagementPolicy": "Parallel",
        "persistentVolumeClaimRetentionPolicy": retention,
        "selector": {"matchLabels": labels(spec.name)},
        "template": {
            "metadata": {"labels": {**labels(spec.name), SCOPE_LABEL: scope(spec.name)}},
            "spec": _pod(spec, image),
        },
        "volumeClaimTemplates": [claim],
    }
    return {**_object(spec, "apps/v1", "StatefulSet", spec.name), "spec": body}


def _pod(spec: PostgresSpec, image: str) -> Manifest:
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels(spec.name)},
    }
    return {
        "serviceAccountName": f"{spec.name}-member",
        "terminationGracePeriodSeconds": 20,
        "topologySpreadConstraints": [spread],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, image)],
        "volumes": [
            {"name": "patroni", "configMap": {"name": f"{spec.name}-patroni"}},
            {"name": "temporary", "emptyDir": {}},
            # Closed by the node's agent while a fault keeps the member down: images/postgres/run-member waits.
            {"name": "gate", "emptyDir": {"sizeLimit": "1Mi"}},
        ],
    }


def _container(spec: PostgresSpec, image: str) -> Manifest:
    """No liveness probe: a probe that kills would turn every partition into a kill."""
    passwords = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret_name(spec), "key": key}}}
        for key, variable in _PASSWORDS.items()
    ]
    login = {"secretKeyRef": {"name": login_name(spec), "key": "password"}}
    own = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "PATRONI_RESTAPI_USERNAME", "value": "patroni"},
        {"name": "APPLICATION_PASSWORD", "valueFrom": login},
    ]
    return {
        "name": "postgres",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [*own, *passwords],
        "ports": [
            {"name": "postgres", "containerPort": POSTGRES_PORT},
            {"name": "patroni", "containerPort": PATRONI_PORT},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/readiness", "port": "patroni"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
        },
        "resources": {"requests": {"memory": spec.memory_request, "cpu": spec.cpu_request}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "patroni", "mountPath": "/etc/caplab"},
            {"name": "temporary", "mountPath": "/tmp"},
            {"name": "gate", "mountPath": "/gate", "readOnly": True},
        ],
    }
