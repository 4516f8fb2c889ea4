"""Building the inventory for faults from pods as the API server lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from caplab.contract import meta
from caplab.contract.names import (
    APP_LABEL,
    CLUSTER_LABEL,
    ENGINE_LABEL,
    MEMBER,
    OPERATOR,
    PART_LABEL,
    PROBER,
    SENTINEL,
    VANTAGE_LABEL,
)

from ...engines.objects import stateful_set_of
from ...engines.ownership import made_by
from ...faults.cuts import addresses_of
from ...faults.inventory import Inventory, Pod

OF_CLUSTERS = CLUSTER_LABEL  # selects the pods that may be of a namespace's clusters
OF_THE_LAB = f"{APP_LABEL} in ({PROBER},{OPERATOR})"  # selects, in the lab's own namespace, the pods partitions know

Body = Mapping[str, Any]
ZoneOf = Callable[[str], str]


def inventory_from(
    zone_of: ZoneOf,
    listed: Iterable[Body],
    lab: Iterable[Body] = (),
    control_plane: frozenset[str] = frozenset(),
    dns: frozenset[str] = frozenset(),
) -> Inventory:
    """Build the inventory from the pods of a namespace and those of the lab; zone_of returns a node's zone."""
    there = [(body, _pod(body, zone_of)) for body in listed if _can_talk(body)]
    of_lab = [(meta.labels_of(body).get(APP_LABEL), _pod(body, zone_of)) for body in lab if _can_talk(body)]
    return Inventory(
        pods=tuple(pod for _, pod in there if pod.part in (MEMBER, SENTINEL)),
        # A pod on its node's own network cannot be told from the node.
        clients=tuple(
            pod
            for body, pod in there
            if CLUSTER_LABEL not in meta.labels_of(body) and not pod.addresses & pod.node_addresses
        ),
        probers=tuple(pod for name, pod in of_lab if name == PROBER),
        operator=addresses_of(pod for name, pod in of_lab if name == OPERATOR),
        control_plane=control_plane,
        dns=dns,
    )


def _can_talk(body: Body) -> bool:
    """Whether a pod is on a node and not finished: then another may have its address. A terminating pod counts."""
    return bool(body["spec"].get("nodeName")) and (body.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _pod(body: Body, zone_of: ZoneOf) -> Pod:
    labels, status, node = meta.labels_of(body), body.get("status") or {}, body["spec"]["nodeName"]
    of_cluster = labels if _is_of_cluster(body) else {}
    return Pod(
        uid=meta.uid_of(body),
        name=meta.name_of(body),
        node=node,
        zone=labels.get(VANTAGE_LABEL) or zone_of(node),
        addresses=_addresses(status, "podIP"),
        node_addresses=_addresses(status, "hostIP"),
        engine=of_cluster.get(ENGINE_LABEL, ""),
        cluster=of_cluster.get(CLUSTER_LABEL, ""),
        part=of_cluster.get(PART_LABEL, ""),
    )


def _is_of_cluster(body: Body) -> bool:
    """Whether the StatefulSet of the cluster that a pod's labels name made it: anybody may set labels."""
    labels = meta.labels_of(body)
    return {CLUSTER_LABEL, PART_LABEL} <= labels.keys() and made_by(stateful_set_of(labels), body["metadata"])


def _addresses(status: Body, name: str) -> frozenset[str]:
    """Return all of a pod's addresses: with two families there is a list beside the first one."""
    return frozenset(filter(None, [status.get(name), *(address.get("ip") for address in status.get(f"{name}s") or ())]))
