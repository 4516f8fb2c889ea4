"""A namespace with its clusters, as faults know it and as the API server lists it, for the tests of the operator.

It has three zones with a node each: node-a in zone a and so on; pg has a member in each, rd a member and a Sentinel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from caplab_operator.faults.inventory import Inventory, Pod

from caplab.contract.names import API_VERSION, CLUSTER_LABEL, ENGINE_LABEL, MEMBER, PART_LABEL, SENTINEL

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = {f"node-{zone}": zone for zone in "abc"} | {"control-plane": ""}
CONTROL_PLANE = frozenset({"10.96.0.1", "172.18.0.9"})
DNS = frozenset({"10.96.0.10", "10.244.0.2"})
OPERATOR = frozenset({"10.244.0.5"})


def pod(name: str, zone: str, number: int, part: str = MEMBER, **changes: Any) -> Pod:
    """Make a pod of the cluster that its name begins with; number sets its address."""
    cluster = name.partition("-")[0]
    engine = {"pg": "postgres", "rd": "redis", "cs": "cassandra"}.get(cluster, "")
    made = Pod(
        uid=f"u-{name}",
        name=name,
        node=f"node-{zone}",
        zone=zone,
        addresses=frozenset({f"10.0.0.{number}"}),
        node_addresses=frozenset({f"172.18.0.{'abc'.index(zone) + 1}"}),
        engine=engine,
        cluster=cluster if engine else "",
        part=part if engine else "",
    )
    return replace(made, **changes)


def anew(pod: Pod, **changes: Any) -> Pod:
    """Make the pod that replaces another, at another address."""
    (address,) = pod.addresses
    return replace(pod, uid=f"{pod.uid}-2", addresses=frozenset({address.replace("10.0.0.", "10.0.1.")}), **changes)


PG = tuple(pod(f"pg-{number}", "abc"[number], 10 + number) for number in range(3))
RD = tuple(pod(f"rd-{number}", "abc"[number], 20 + number) for number in range(3))
SENTINELS = tuple(pod(f"rd-sentinel-{number}", "abc"[number], 30 + number, SENTINEL) for number in range(3))
CLIENTS = (pod("app", "a", 40), pod("web", "b", 41))
PROBERS = tuple(pod(f"prober-{zone}", zone, 50 + "abc".index(zone)) for zone in "abc")
INVENTORY = Inventory(
    pods=(*PG, *RD, *SENTINELS),
    clients=CLIENTS,
    probers=PROBERS,
    operator=OPERATOR,
    control_plane=CONTROL_PLANE,
    dns=DNS,
)


def with_pods(*pods: Pod, without: Sequence[str] = ()) -> Inventory:
    """Return the inventory with these pods, which replace those of the same names."""
    names = {pod.name for pod in pods} | set(without)
    return replace(INVENTORY, pods=(*(pod for pod in INVENTORY.pods if pod.name not in names), *pods))


def spec(target: dict[str, Any], **kind: Any) -> dict[str, Any]:
    """Make the spec of a Fault as the API server completes it; a kill unless something else is given."""
    if "partition" in kind:
        kind["partition"] = {"direction": "both", "dns": "Keep"} | kind["partition"]
    kind = kind or {"kill": {"signal": "SIGKILL", "keepDown": True}}
    return {"target": target, "durationSeconds": 60, "seed": 0, **kind}


def of(cluster: str, **how: Any) -> dict[str, Any]:
    """Make a target in a cluster."""
    kind = {"pg": "PostgresCluster", "rd": "RedisCluster", "cs": "CassandraCluster"}[cluster]
    return {"kind": kind, "name": cluster, **how}


def body(fault_spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Make a Fault."""
    own = {"name": "f", "namespace": "demo", "uid": "u-f", **metadata}
    return {
        "apiVersion": API_VERSION, "kind": "Fault", "metadata": own, "spec": fault_spec,
        "status": status or {},
    }  # fmt: skip


def status_of(entries: Sequence[dict[str, Any]], phase: str = "Active", seconds_left: float = 30) -> dict[str, Any]:
    """Make the status of a resolved fault, seconds before its end."""
    return {"phase": phase, "until": (NOW + timedelta(seconds=seconds_left)).isoformat(), "targets": list(entries)}


def owned_by_stateful_set(pod: str) -> dict[str, Any]:
    """Make the part of a pod's metadata that names its StatefulSet."""
    owner = {"kind": "StatefulSet", "name": pod.rpartition("-")[0], "uid": "of-the-set", "controller": True}
    return {"ownerReferences": [owner]}


def listed(pod: Pod, **labels: str) -> dict[str, Any]:
    """Make a pod as the API server lists it."""
    own = {ENGINE_LABEL: pod.engine, CLUSTER_LABEL: pod.cluster, PART_LABEL: pod.part}
    return {
        "metadata": {
            "name": pod.name,
            "namespace": "demo",
            "uid": pod.uid,
            "labels": (own if pod.cluster else {}) | labels,
            **owned_by_stateful_set(pod.name),
        },
        "spec": {"nodeName": pod.node},
        "status": {
            "phase": "Running",
            "podIP": min(pod.addresses, default=None),
            "hostIP": min(pod.node_addresses, default=None),
        },
    }
