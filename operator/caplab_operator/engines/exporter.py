"""A cluster's exporter: one small pod beside the members, which exports each member's own figures to Prometheus.

It is not a member: Ready does not wait for it, and no fault hits it. It runs on the control plane's node, from where
it sees both sides of a partition. It asks the member that a request names (multi-target), as the login `monitor`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caplab.contract.names import EXPORTER, LOGIN_ANNOTATION, PART_LABEL

from . import network, objects
from .cluster import Cluster
from .objects import Manifest

LOGIN = "monitor"  # its login at the members, and the purpose that its password is derived for
PORT_NAME = "metrics"
_USER_ID = 10001  # images/base
_FOLDER = "/etc/caplab"
_REQUESTS, _LIMITS = {"memory": "24Mi", "cpu": "10m"}, {"memory": "64Mi"}
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# Go: one processor is enough for a scrape a second, and its collector keeps below the limit.
_GO = {"GOMAXPROCS": "1", "GOMEMLIMIT": "48MiB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """An engine's exporter."""

    command: Sequence[str]
    files: Callable[[str], Mapping[str, str]]  # by name, from the login's password: its Secret, mounted in _FOLDER
    variables: Mapping[str, str]  # of its environment: the name of a file whose content is the value


def name_of(cluster: Cluster) -> str:
    """Return the name that all objects of a cluster's exporter have."""
    return f"{cluster.name}-{EXPORTER}"


def build(
    cluster: Cluster, exporter: Exporter, image: str, lab_namespace: str, password: str, root: str
) -> list[Manifest]:
    """Build its objects, in the order they are applied; root is the fingerprint of the password's root key."""
    name, pods = name_of(cluster), objects.part(cluster, EXPORTER)
    made = [
        objects.secret(cluster, name, exporter.files(password)),
        network.policy_of_exporter(cluster, name, pods, lab_namespace),
        objects.service(cluster, EXPORTER, ports=[objects.port(PORT_NAME, cluster.ENGINE.metrics_port)], selector=pods),
        stateful_set(cluster, exporter, image, root),
    ]
    return [_labelled(manifest) for manifest in made]


def stateful_set(cluster: Cluster, exporter: Exporter, image: str, root: str) -> Manifest:
    """Build the StatefulSet of its one pod, which Kubernetes replaces when this changes."""
    pods = objects.part(cluster, EXPORTER)
    volume = {"name": "login", "secret": {"secretName": name_of(cluster)}}
    settings = json.dumps([root, dict(exporter.files(""))], sort_keys=True)
    annotations = {LOGIN_ANNOTATION: hashlib.sha256(settings.encode()).hexdigest()[:16]}
    template = {
        "metadata": {"labels": pods, "annotations": annotations},
        "spec": {
            **objects.pod(pods, _USER_ID, _container(cluster, exporter, image), [volume], spread=""),
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": {_CONTROL_PLANE: ""},
            "tolerations": [{"key": _CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}],
        },
    }
    return objects.stateful_set(cluster, name_of(cluster), pods, 1, template, serviceName=name_of(cluster))


def _container(cluster: Cluster, exporter: Exporter, image: str) -> Manifest:
    own = [
        objects.from_secret(variable, name_of(cluster), file) for variable, file in sorted(exporter.variables.items())
    ]
    return objects.container(
        EXPORTER,
        image,
        _REQUESTS,
        resources={"requests": dict(_REQUESTS), "limits": dict(_LIMITS)},
        command=list(exporter.command),
        env=[*({"name": variable, "value": value} for variable, value in _GO.items()), *own],
        ports=[{"name": PORT_NAME, "containerPort": cluster.ENGINE.metrics_port}],
        readinessProbe={"tcpSocket": {"port": PORT_NAME}, "periodSeconds": 5, "timeoutSeconds": 2},
        volumeMounts=[{"name": "login", "mountPath": _FOLDER, "readOnly": True}],
    )


def _labelled(manifest: Manifest) -> Manifest:
    """Add the label that tells the exporter's objects from the members'."""
    metadata: dict[str, Any] = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**metadata["labels"], PART_LABEL: EXPORTER}}}
