"""Kubernetes objects that the clusters of all engines have: plain dicts, owned by the cluster."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.engines import BY_KIND
from caplab.contract.names import (
    API_VERSION,
    CLUSTER_LABEL,
    ENGINE_LABEL,
    EXPORTER,
    FAST_PATH_LABEL,
    MEMBER,
    OPERATOR,
    PART_LABEL,
    PROBER,
    ZONE_LABEL,
)

from .cluster import Cluster

Manifest = dict[str, Any]

APPLICATION = "caplab"  # the clients' login
OPERATOR_ROLE = "caplab-operator-namespaced"  # charts/caplab/templates/operator.yaml
_HOLD_SECONDS = "2"  # for which a dead member's next container waits at most until it is decided who leads


def labels(cluster: Cluster) -> dict[str, str]:
    """Return the labels that every object of a cluster has."""
    return {ENGINE_LABEL: cluster.ENGINE.name, CLUSTER_LABEL: cluster.name}


def part(cluster: Cluster, name: str = MEMBER) -> dict[str, str]:
    """Return the labels that select a cluster's pods of one part: its members, Sentinels or exporter."""
    return selector(cluster.ENGINE.name, cluster.name, name)


def selector(engine: str, cluster: str, part_name: str = MEMBER) -> dict[str, str]:
    """Return the same labels as part, from names."""
    return {ENGINE_LABEL: engine, CLUSTER_LABEL: cluster, PART_LABEL: part_name}


def stateful_set_of(part_labels: Mapping[str, str]) -> str:
    """Return the name of the StatefulSet that makes the pods of such labels: the members' has the cluster's name."""
    cluster, part_name = part_labels[CLUSTER_LABEL], part_labels[PART_LABEL]
    return cluster if part_name == MEMBER else f"{cluster}-{part_name}"


def of_cluster(engine: str, cluster: str) -> str:
    """Return the label selector of all of a cluster's objects except its exporter's."""
    return f"{ENGINE_LABEL}={engine},{CLUSTER_LABEL}={cluster},{PART_LABEL}!={EXPORTER}"


def secret_name(cluster: str) -> str:
    """Return the name of the Secret with the members' own passwords."""
    return f"{cluster}-passwords"


def login_name(cluster: str) -> str:
    """Return the name of the Secret with the clients' login, apart from the members' passwords."""
    return f"{cluster}-application"


def owner_of(cluster: Cluster) -> Manifest:
    """Build the owner reference to the cluster, which controls its objects."""
    return {
        "apiVersion": API_VERSION,
        "kind": cluster.ENGINE.kind,
        "name": cluster.name,
        "uid": cluster.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def named(cluster: Cluster, api_version: str, kind: str, name: str) -> Manifest:
    """Build what every object has: name, labels, and the cluster as owner, with which it is deleted."""
    metadata = {
        "name": name,
        "namespace": cluster.namespace,
        "labels": labels(cluster),
        "ownerReferences": [owner_of(cluster)],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def operator_binding(body: Mapping[str, Any], lab_namespace: str) -> Manifest:
    """Build the role binding that lets the operator, which runs in lab_namespace, work in a cluster's namespace."""
    metadata, kind = body["metadata"], body["kind"]
    owner = {"apiVersion": body["apiVersion"], "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {
            "name": f"{metadata['name']}-operator",
            "namespace": metadata["namespace"],
            "labels": {
                ENGINE_LABEL: BY_KIND[kind].name,
                CLUSTER_LABEL: metadata["name"],
            },
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATOR_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": lab_namespace}],
    }


def secret(cluster: Cluster, name: str, values: Mapping[str, str]) -> Manifest:
    """Build a Secret with its values encoded as the API server keeps them, so that a foreign change is seen as one."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {**named(cluster, "v1", "Secret", name), "type": "Opaque", "data": data}


def owned_as_well(manifest: Manifest, by: Manifest) -> Manifest:
    """Add a second owner, an object of the same cluster. It is applied earlier, and its uid is known only then."""
    owner = {"apiVersion": by["apiVersion"], "kind": by["kind"], "name": meta.name_of(by)}
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "ownerReferences": [*metadata["ownerReferences"], owner]}}


def config_map(cluster: Cluster, name: str, files: Mapping[str, str]) -> Manifest:
    """Build a ConfigMap with files that pods mount."""
    return {**named(cluster, "v1", "ConfigMap", name), "data": dict(files)}


def client_role(cluster: Cluster) -> Manifest:
    """Build the role of a client of this cluster, which may read its login and list the members."""
    return {
        **named(cluster, "rbac.authorization.k8s.io/v1", "Role", f"{cluster.name}-client"),
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "resourceNames": [login_name(cluster.name)],
                "verbs": ["get"],
            },
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ],
    }


def client_role_binding(cluster: Cluster, lab_namespace: str) -> Manifest:
    """Build the role binding that lets the probers, which run in lab_namespace, be clients of this cluster."""
    return {
        **named(cluster, "rbac.authorization.k8s.io/v1", "RoleBinding", f"{cluster.name}-client"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"{cluster.name}-client"},
        "subjects": [{"kind": "ServiceAccount", "name": PROBER, "namespace": lab_namespace}],
    }


def service(cluster: Cluster, suffix: str, **fields: Any) -> Manifest:
    """Build a Service of the cluster; without a selector its endpoints are written elsewhere."""
    return {**named(cluster, "v1", "Service", f"{cluster.name}-{suffix}"), "spec": fields}


def port(name: str, number: int) -> Manifest:
    """Build a Service's port."""
    return {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}


def disruption_budget(cluster: Cluster, name: str, pods: Mapping[str, str]) -> Manifest:
    """Build a budget that lets voluntary disruptions take at most one of those pods at a time."""
    body = {"maxUnavailable": 1, "selector": {"matchLabels": dict(pods)}}
    return {**named(cluster, "policy/v1", "PodDisruptionBudget", name), "spec": body}


def stateful_set(
    cluster: Cluster, name: str, pods: Mapping[str, str], replicas: int, template: Manifest, **fields: Any
) -> Manifest:
    """Build a StatefulSet whose pods start all at once; template is the pods'."""
    body = {
        "replicas": replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": dict(pods)},
        "template": template,
        **fields,
    }
    return {**named(cluster, "apps/v1", "StatefulSet", name), "spec": body}


def volumes_of_members(cluster: Cluster) -> Manifest:
    """Build a StatefulSet's fields that give each member a volume, `data`, and say when it is deleted."""
    claim = {
        "metadata": {"name": "data", "labels": part(cluster)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": cluster.storage_size}}},
    }
    retention = {"whenDeleted": "Retain" if cluster.keep_volumes else "Delete", "whenScaled": "Delete"}
    return {"persistentVolumeClaimRetentionPolicy": retention, "volumeClaimTemplates": [claim]}


def pod(
    pods: Mapping[str, str],
    user_id: int,
    main: Manifest,
    volumes: Sequence[Manifest],
    spread: str = "DoNotSchedule",
) -> Manifest:
    """Build a pod's spec: an unprivileged user, one container, and the pods spread over the zones.

    spread is what to do with a pod that fits in no zone: DoNotSchedule or ScheduleAnyway; '' spreads none.
    """
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE_LABEL,
        "whenUnsatisfiable": spread,
        "labelSelector": {"matchLabels": dict(pods)},
    }
    return {
        **({"topologySpreadConstraints": [constraint]} if spread else {}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user_id,
            "runAsGroup": user_id,
            "fsGroup": user_id,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [main],
        "volumes": list(volumes),
    }


def container(name: str, image: str, requests: Mapping[str, str], **fields: Any) -> Manifest:
    """Build an unprivileged container, without a liveness probe: that would turn every partition into a kill."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": dict(requests)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **fields,
    }


def requests_of_members(cluster: Cluster) -> dict[str, str]:
    """Return the resources that a member requests."""
    return {"memory": cluster.memory_request, "cpu": cluster.cpu_request}


def from_field(variable: str, path: str) -> Manifest:
    """Build an environment variable from a field of the pod."""
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def from_secret(variable: str, name: str, key: str) -> Manifest:
    """Build an environment variable from a value of a Secret."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def scratch(name: str, **limits: str) -> Manifest:
    """Build a volume that is deleted with its pod."""
    return {"name": name, "emptyDir": limits}


def fast_path(is_on: bool) -> dict[str, str]:
    """Return the label of members whose proven death is decided at once: for how many seconds the next one is held."""
    return {FAST_PATH_LABEL: _HOLD_SECONDS} if is_on else {}


def gate() -> Manifest:
    """Build the start gate's volume, where the agent makes a member's start script wait while a fault keeps it down."""
    return scratch("gate", sizeLimit="1Mi")
