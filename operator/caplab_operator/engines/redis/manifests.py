"""The Kubernetes objects of a RedisCluster: one pure builder for each kind, plain dicts."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from caplab.contract import ports
from caplab.contract.engines import REDIS
from caplab.contract.names import GENERATION_ANNOTATION, MEMBER, RESTART_ANNOTATION, SENTINEL

from .. import network, objects
from ..objects import Manifest
from .configuration import redis_conf, restart_digest, timing_conf
from .spec import RedisSpec
from .users import MEMBER_USERS, SENTINEL_USERS, VARIABLES, file_of

REDIS_PORT, SENTINEL_PORT = REDIS.port, ports.SENTINEL
_USER_ID = 10003  # images/redis
_PASSWORDS = {name: variable for name, variable in VARIABLES.items() if name != objects.APPLICATION}
# A primary whose pod is deleted hands over first (images/redis/switchover), and then has time left to shut down.
GRACE_SECONDS = 30
_SWITCHOVER = {"preStop": {"exec": {"command": ["switchover"]}}}
_SENTINEL_REQUESTS = {"memory": "16Mi", "cpu": "20m"}
_MOUNTS = [
    {"name": "data", "mountPath": "/data"},
    {"name": "configuration", "mountPath": "/etc/caplab"},
    {"name": "temporary", "mountPath": "/tmp"},
    {"name": "gate", "mountPath": "/gate", "readOnly": True},
]
_POD: Manifest = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 10,
    # A Sentinel looks names up in its event loop: a lookup that hangs would put it into TILT mode.
    # All names are fully qualified, so no search domains are tried first.
    "dnsConfig": {
        "options": [
            {"name": "timeout", "value": "1"},
            {"name": "attempts", "value": "1"},
            {"name": "ndots", "value": "1"},
        ]
    },
}


@dataclass(frozen=True, slots=True)
class PersistedState:
    """The state of a running cluster that start scripts need."""

    replicas: int  # the current number, which may be more than the spec's
    primary: str | None  # the last known primary
    bootstrap: bool  # it was never Ready: a member without data may start empty


def members_service(cluster: str) -> str:
    """Return the name of the headless Service that gives members their DNS names."""
    return f"{cluster}-members"


def sentinels_service(cluster: str) -> str:
    """Return the name of the headless Service that gives Sentinels their DNS names."""
    return f"{cluster}-sentinels"


def sentinels_name(cluster: str) -> str:
    """Return the name of the Sentinels' StatefulSet."""
    return f"{cluster}-sentinel"


def member_host(spec: RedisSpec, pod: str) -> str:
    """Return a member's DNS name, which stays when its address changes."""
    return f"{pod}.{members_service(spec.name)}.{spec.namespace}.svc.cluster.local"


def build(spec: RedisSpec, image: str, lab_namespace: str, persisted: PersistedState) -> list[Manifest]:
    """Build all objects but Secrets and slices, in the order they are applied; lab_namespace is the prober's."""
    return [
        objects.client_role(spec),
        objects.client_role_binding(spec, lab_namespace),
        network.policy(spec, lab_namespace, [REDIS_PORT, SENTINEL_PORT], []),
        *services(spec),
        objects.disruption_budget(spec, spec.name, objects.part(spec, MEMBER)),
        objects.disruption_budget(spec, sentinels_name(spec.name), objects.part(spec, SENTINEL)),
        config_map(spec, persisted),
        members(spec, image, persisted.replicas),
        sentinels(spec, image),
    ]


def secrets(spec: RedisSpec, password: Callable[[str], str]) -> list[Manifest]:
    """Build the Secrets: the lab's own passwords and the clients' login. password returns that for a purpose."""
    login = {"username": objects.APPLICATION, "password": password(objects.APPLICATION)}
    return [
        objects.secret(spec, objects.secret_name(spec.name), {name: password(name) for name in _PASSWORDS}),
        objects.secret(spec, objects.login_name(spec.name), login),
    ]


def config_map(spec: RedisSpec, persisted: PersistedState) -> Manifest:
    """Build the ConfigMap that members and Sentinels start with; a change reaches their files without a restart."""
    files = {
        "redis.conf": redis_conf(spec),
        "timing.conf": timing_conf(spec),
        "users": file_of(MEMBER_USERS),
        "sentinel-users": file_of(SENTINEL_USERS),
        "lab.env": _lab_env(spec, persisted),
    }
    return objects.config_map(spec, f"{spec.name}-redis", files)


def _lab_env(spec: RedisSpec, persisted: PersistedState) -> str:
    """Build the file of variables that start scripts source."""
    watchers = [
        f"{sentinels_name(spec.name)}-{number}.{sentinels_service(spec.name)}.{spec.namespace}.svc.cluster.local"
        for number in range(spec.sentinels)
    ]
    values = {
        "MEMBER_HOSTS": " ".join(member_host(spec, f"{spec.name}-{number}") for number in range(persisted.replicas)),
        "SENTINEL_HOSTS": " ".join(watchers),
        "INITIAL_PRIMARY": member_host(spec, persisted.primary or f"{spec.name}-0"),
        "BOOTSTRAP": "yes" if persisted.bootstrap else "no",
        "RESTARTED_PRIMARY": spec.failover.restarted_primary,
        "PERSISTENCE": spec.persistence,
        "QUORUM": str(spec.quorum),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def services(spec: RedisSpec) -> list[Manifest]:
    """Build the Services: primary, replicas, any and sentinel for clients, and two that give pods their DNS names."""
    watched, watching = objects.part(spec, MEMBER), objects.part(spec, SENTINEL)
    redis, sentinel = [objects.port("redis", REDIS_PORT)], [objects.port("sentinel", SENTINEL_PORT)]
    names = {"clusterIP": "None", "publishNotReadyAddresses": True}
    return [
        # No selector: the operator writes the endpoints of these two (slices.py).
        objects.service(spec, "primary", ports=redis),
        objects.service(spec, "replicas", ports=redis),
        objects.service(spec, "any", ports=redis, selector=watched),
        objects.service(spec, "sentinel", ports=sentinel, selector=watching),
        objects.service(spec, "members", ports=redis, selector=watched, **names),
        objects.service(spec, "sentinels", ports=sentinel, selector=watching, **names),
    ]


def members(spec: RedisSpec, image: str, replicas: int) -> Manifest:
    """Build the members' StatefulSet. The operator itself restarts them, the primary last."""
    volumes = [_configuration(spec), objects.scratch("temporary"), objects.gate()]
    container = objects.container(
        "redis",
        image,
        objects.requests_of_members(spec),
        env=_environment(spec, members_service(spec.name)),
        ports=[{"name": "redis", "containerPort": REDIS_PORT}],
        readinessProbe=_open("redis"),
        lifecycle=_SWITCHOVER,
        volumeMounts=_MOUNTS,
    )
    selector = objects.part(spec, MEMBER)
    template = {
        "metadata": {
            "labels": {**selector, **objects.fast_path(spec.failover.fast_path)},
            "annotations": {RESTART_ANNOTATION: restart_digest(spec)},
        },
        "spec": {
            **objects.pod(selector, _USER_ID, container, volumes),
            **_POD,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
        },
    }
    body = objects.stateful_set(
        spec, spec.name, selector, replicas, template,
        serviceName=members_service(spec.name), updateStrategy={"type": "OnDelete"}, **objects.volumes_of_members(spec),
    )  # fmt: skip
    body["metadata"]["annotations"] = {GENERATION_ANNOTATION: str(spec.generation)}
    return body


def sentinels(spec: RedisSpec, image: str) -> Manifest:
    """Build the Sentinels' StatefulSet. A restarted Sentinel learns its state again from the others."""
    volumes = [_configuration(spec), objects.scratch("temporary"), objects.gate(), objects.scratch("data")]
    container = objects.container(
        "sentinel",
        image,
        _SENTINEL_REQUESTS,
        command=["run-sentinel"],
        env=_environment(spec, sentinels_service(spec.name)),
        ports=[{"name": "sentinel", "containerPort": SENTINEL_PORT}],
        readinessProbe=_open("sentinel"),
        volumeMounts=_MOUNTS,
    )
    selector = objects.part(spec, SENTINEL)
    template = {
        "metadata": {"labels": selector},
        "spec": {**objects.pod(selector, _USER_ID, container, volumes), **_POD},
    }
    return objects.stateful_set(
        spec, sentinels_name(spec.name), selector, spec.sentinels, template,
        # The next one waits until this one has discovered the others, which announce themselves every two seconds.
        serviceName=sentinels_service(spec.name), minReadySeconds=5,
    )  # fmt: skip


def _configuration(spec: RedisSpec) -> Manifest:
    return {"name": "configuration", "configMap": {"name": f"{spec.name}-redis"}}


def _environment(spec: RedisSpec, service: str) -> list[Manifest]:
    """Build the variables that never change: a change would restart the pod. The rest is in lab.env."""
    return [
        objects.from_field("POD_NAME", "metadata.name"),
        {"name": "MEMBER_HOST", "value": f"$(POD_NAME).{service}.{spec.namespace}.svc.cluster.local"},
        objects.from_secret("APPLICATION_PASSWORD", objects.login_name(spec.name), "password"),
        *(objects.from_secret(variable, objects.secret_name(spec.name), key) for key, variable in _PASSWORDS.items()),
    ]


def _open(port: str) -> Manifest:
    return {"tcpSocket": {"port": port}, "periodSeconds": 1, "timeoutSeconds": 2}
