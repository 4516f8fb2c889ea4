"""The Kubernetes objects of a CassandraCluster: one pure builder for each kind, plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from caplab.contract import ports
from caplab.contract.engines import CASSANDRA
from caplab.contract.names import GENERATION_ANNOTATION, RESTART_ANNOTATION, SETTLED_ANNOTATION

from .. import network, objects
from ..objects import Manifest
from .configuration import cassandra_yaml, jvm_options, racks, restart_digest
from .spec import CassandraSpec

CQL_PORT, MANAGEMENT_PORT = CASSANDRA.port, ports.CASSANDRA_MANAGEMENT
STORAGE_PORT = ports.CASSANDRA_STORAGE  # among members
METRICS_PORT = CASSANDRA.metrics_port  # of the agent in the member's own JVM (images/cassandra/conf/exporter.yaml)
# Annotation of the StatefulSet: the host ids of the ring that has been cleaned up after its last change.
_USER_ID = 10004  # images/cassandra
_GRACE_SECONDS = 30  # to flush its memory to disk, and to tell the others
_MOUNTS = [
    {"name": "data", "mountPath": "/data"},
    {"name": "configuration", "mountPath": "/etc/caplab"},
    {"name": "temporary", "mountPath": "/tmp"},
    {"name": "gate", "mountPath": "/gate", "readOnly": True},
]


@dataclass(frozen=True, slots=True)
class PersistedState:
    """The state of a running cluster that its StatefulSet keeps."""

    replicas: int  # the current number, which may be more than the spec's
    settled: frozenset[str] = frozenset()  # host ids


def members_service(cluster: str) -> str:
    """Return the name of the headless Service that gives members their DNS names."""
    return f"{cluster}-members"


def build(
    spec: CassandraSpec, image: str, lab_namespace: str, zones: Mapping[str, str], persisted: PersistedState
) -> list[Manifest]:
    """Build all objects except the Secrets, in the order they are applied.

    lab_namespace is the prober's; zones are those of the Kubernetes cluster's nodes.
    """
    return [
        objects.client_role(spec),
        objects.client_role_binding(spec, lab_namespace),
        network.policy(spec, lab_namespace, [CQL_PORT], [MANAGEMENT_PORT], metrics=[METRICS_PORT]),
        *services(spec),
        objects.disruption_budget(spec, spec.name, objects.part(spec)),
        config_map(spec, zones),
        stateful_set(spec, image, persisted),
    ]


def secrets(spec: CassandraSpec, password: Callable[[str], str]) -> list[Manifest]:
    """Build the Secrets: the operator's login and the clients' login. password returns the password for a purpose."""
    login = {"username": objects.APPLICATION, "password": password(objects.APPLICATION)}
    return [
        objects.secret(spec, objects.secret_name(spec.name), {"management": password("management")}),
        objects.secret(spec, objects.login_name(spec.name), login),
    ]


def config_map(spec: CassandraSpec, zones: Mapping[str, str]) -> Manifest:
    """Build the ConfigMap with the files that members start with."""
    files = {"cassandra.yaml": cassandra_yaml(spec), "jvm.options": jvm_options(spec), "racks": racks(zones)}
    return objects.config_map(spec, f"{spec.name}-cassandra", files)


def services(spec: CassandraSpec) -> list[Manifest]:
    """Build the Services: one for clients, with the members that serve, and one that gives members their DNS names."""
    fields = {"ports": [objects.port("cql", CQL_PORT)], "selector": objects.part(spec), "clusterIP": "None"}
    return [
        objects.service(spec, "any", **fields),
        objects.service(spec, "members", **fields, publishNotReadyAddresses=True),
    ]


def stateful_set(spec: CassandraSpec, image: str, persisted: PersistedState) -> Manifest:
    """Build the members' StatefulSet. The operator itself restarts them, one by one."""
    members = objects.part(spec)
    volumes = [
        {"name": "configuration", "configMap": {"name": f"{spec.name}-cassandra"}},
        objects.scratch("temporary"),
        objects.gate(),
    ]
    template = {
        "metadata": {"labels": members, "annotations": {RESTART_ANNOTATION: restart_digest(spec)}},
        "spec": {
            # A soft rule: a fourth member shares a zone, and so a rack, with another.
            **objects.pod(members, _USER_ID, _container(spec, image), volumes, spread="ScheduleAnyway"),
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
        },
    }
    body = objects.stateful_set(
        spec, spec.name, members, persisted.replicas, template,
        serviceName=members_service(spec.name), updateStrategy={"type": "OnDelete"}, **objects.volumes_of_members(spec),
    )  # fmt: skip
    body["metadata"]["annotations"] = {
        GENERATION_ANNOTATION: str(spec.generation),
        SETTLED_ANNOTATION: ",".join(sorted(persisted.settled)),
    }
    return body


def _container(spec: CassandraSpec, image: str) -> Manifest:
    host = f"{members_service(spec.name)}.{spec.namespace}.svc.cluster.local"
    ports = {"cql": CQL_PORT, "management": MANAGEMENT_PORT, "storage": STORAGE_PORT, "metrics": METRICS_PORT}
    return objects.container(
        "cassandra",
        image,
        objects.requests_of_members(spec),
        env=[
            objects.from_field("POD_NAME", "metadata.name"),
            objects.from_field("NODE_NAME", "spec.nodeName"),
            objects.from_field("POD_IP", "status.podIP"),
            {"name": "MEMBERS_SERVICE", "value": host},
            {"name": "REPLICATION_FACTOR", "value": str(spec.replication_factor)},
            objects.from_secret("APPLICATION_PASSWORD", objects.login_name(spec.name), "password"),
            objects.from_secret("MANAGEMENT_PASSWORD", objects.secret_name(spec.name), "management"),
        ],
        ports=[{"name": name, "containerPort": number} for name, number in ports.items()],
        readinessProbe={"tcpSocket": {"port": "cql"}, "periodSeconds": 1, "timeoutSeconds": 2},
        volumeMounts=_MOUNTS,
    )
