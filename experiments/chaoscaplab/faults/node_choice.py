"""Which nodes an action means, as the API server has it at that moment."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..clusters.cluster_status import selector
from ..clusters.engines import engine_for_kind
from ..namespaces import namespace_of
from ..server import Body, Server

ZONE_LABEL = "topology.kubernetes.io/zone"
_ROLES = ("primary", "replica", "any")


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """What an action was told: one of node, zone and cluster; the rest goes with cluster."""

    node: str
    zone: str
    cluster: str
    role: str
    seed: int
    namespace: str
    kind: str


def chosen_nodes(server: Server, choice: NodeChoice, configuration: Mapping[str, Any] | None) -> list[Any]:
    """The nodes that are meant, as the API server knows them; ActivityFailed where there is none."""
    if sum(map(bool, (choice.node, choice.zone, choice.cluster))) != 1:
        raise ActivityFailed("Which node? Hint: name exactly one of node, zone and cluster.")
    nodes = {node.metadata.name: node for node in server.nodes()}
    if choice.zone:
        return in_zone(list(nodes.values()), choice.zone)
    name = choice.node or _node_of(server, choice, configuration)
    if name not in nodes:
        raise ActivityFailed(f"There is no node {name}. Hint: name one of {', '.join(sorted(nodes))}.")
    return [nodes[name]]


def in_zone(nodes: Sequence[Any], zone: str) -> list[Any]:
    """The nodes of a zone: pure."""
    matching = [node for node in nodes if (node.metadata.labels or {}).get(ZONE_LABEL) == zone]
    if not matching:
        zones = sorted({str(label) for node in nodes if (label := (node.metadata.labels or {}).get(ZONE_LABEL))})
        raise ActivityFailed(f"There is no node in zone {zone}. Hint: name one of {', '.join(zones)}.")
    return matching


def member_of(body: Body, role: str, seed: int) -> str:
    """The member of a role, by the cluster's status; which of several is the seed's choice: pure. ActivityFailed."""
    name, status = body["metadata"]["name"], body.get("status") or {}
    primary, every = status.get("primary"), [member["name"] for member in status.get("members") or ()]
    if role not in _ROLES:
        raise ActivityFailed(f"role is '{role}'. Hint: use one of {', '.join(_ROLES)}.")
    fitting = {"primary": [primary] if primary else [], "replica": [member for member in every if member != primary]}
    candidates = sorted(fitting.get(role, every))
    if not candidates or (role == "replica" and not primary):
        raise ActivityFailed(f"{name} has no {role} now. Hint: wait until it is Ready, or use role any.")
    return str(random.Random(int(seed)).choice(candidates))


def addresses_of(node: Any) -> list[str]:
    """The addresses at which the API server knows a node."""
    return [address.address for address in node.status.addresses or () if address.type == "InternalIP"]


def _node_of(server: Server, choice: NodeChoice, configuration: Configuration | None) -> str:
    where, kind = namespace_of(configuration, choice.namespace), engine_for_kind(choice.kind).KIND
    body = server.get(kind, where, choice.cluster)
    if body is None:
        raise ActivityFailed(f"There is no {kind} {where}/{choice.cluster}. Hint: name one that there is.")
    member = member_of(body, choice.role, choice.seed)
    pods = [pod for pod in server.pods(where, selector(choice.cluster)) if pod.metadata.name == member]
    if not pods or not pods[0].spec.node_name:
        raise ActivityFailed(f"The pod {member} is on no node. Hint: wait until {choice.cluster} is Ready.")
    return str(pods[0].spec.node_name)
