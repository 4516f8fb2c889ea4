"""Which nodes an action means, as the API server has it at that moment."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..clusters.engines import meant
from ..clusters.standing import selector
from ..namespaces import namespace_of
from ..server import Body, Server

ZONE_LABEL = "topology.kubernetes.io/zone"
_ROLES = ("primary", "replica", "any")


@dataclass(frozen=True, slots=True)
class Wish:
    """What an action was told: one of node, zone and cluster; the rest goes with cluster."""

    node: str
    zone: str
    cluster: str
    role: str
    seed: int
    namespace: str
    kind: str


def chosen(server: Server, wish: Wish, configuration: Mapping[str, Any] | None) -> list[Any]:
    """The nodes that are meant, as the API server knows them; ActivityFailed where there is none."""
    if sum(map(bool, (wish.node, wish.zone, wish.cluster))) != 1:
        raise ActivityFailed("Which node? Hint: name exactly one of node, zone and cluster.")
    nodes = {node.metadata.name: node for node in server.nodes()}
    if wish.zone:
        return in_zone(list(nodes.values()), wish.zone)
    name = wish.node or _node_of(server, wish, configuration)
    if name not in nodes:
        raise ActivityFailed(f"There is no node {name}. Hint: name one of {', '.join(sorted(nodes))}.")
    return [nodes[name]]


def in_zone(nodes: Sequence[Any], zone: str) -> list[Any]:
    """The nodes of a zone: pure."""
    found = [node for node in nodes if (node.metadata.labels or {}).get(ZONE_LABEL) == zone]
    if not found:
        zones = sorted({str(label) for node in nodes if (label := (node.metadata.labels or {}).get(ZONE_LABEL))})
        raise ActivityFailed(f"There is no node in zone {zone}. Hint: name one of {', '.join(zones)}.")
    return found


def member_of(body: Body, role: str, seed: int) -> str:
    """The member of a role, by the cluster's status; which of several is the seed's choice: pure. ActivityFailed."""
    name, status = body["metadata"]["name"], body.get("status") or {}
    primary, every = status.get("primary"), [member["name"] for member in status.get("members") or ()]
    if role not in _ROLES:
        raise ActivityFailed(f"role is '{role}'. Hint: use one of {', '.join(_ROLES)}.")
    fitting = {"primary": [primary] if primary else [], "replica": [one for one in every if one != primary]}
    found = sorted(fitting.get(role, every))
    if not found or (role == "replica" and not primary):
        raise ActivityFailed(f"{name} has no {role} now. Hint: wait until it is Ready, or use role any.")
    return str(random.Random(int(seed)).choice(found))


def addresses_of(node: Any) -> list[str]:
    """The addresses at which the API server knows a node."""
    return [one.address for one in node.status.addresses or () if one.type == "InternalIP"]


def _node_of(server: Server, wish: Wish, configuration: Configuration | None) -> str:
    where, kind = namespace_of(configuration, wish.namespace), meant(wish.kind).KIND
    body = server.get(kind, where, wish.cluster)
    if body is None:
        raise ActivityFailed(f"There is no {kind} {where}/{wish.cluster}. Hint: name one that there is.")
    member = member_of(body, wish.role, wish.seed)
    pods = [pod for pod in server.pods(where, selector(wish.cluster)) if pod.metadata.name == member]
    if not pods or not pods[0].spec.node_name:
        raise ActivityFailed(f"The pod {member} is on no node. Hint: wait until {wish.cluster} is Ready.")
    return str(pods[0].spec.node_name)
