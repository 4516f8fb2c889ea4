"""The choice of the nodes that an action means, by what the API server has at that moment."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract import meta
from caplab.contract.names import ZONE_LABEL
from caplab.kube.client import Body
from caplab.run_context import RunContext

from ..clusters.cluster_status import selector
from ..clusters.engines import engine_for_kind
from ..namespaces import namespace_of
from ..server import Server

_ROLES = ("primary", "replica", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChoice:
    """The arguments of an action: one of node, zone and cluster; the others belong to cluster."""

    node: str
    zone: str
    cluster: str
    role: str
    seed: int
    namespace: str
    kind: str


def chosen_nodes(
    run: RunContext, server: Server, choice: NodeChoice, configuration: Mapping[str, Any] | None
) -> list[Body]:
    """Return the API server's objects of the chosen nodes. Raises ActivityFailed if there is none."""
    if sum(map(bool, (choice.node, choice.zone, choice.cluster))) != 1:
        raise ActivityFailed("The step does not say which node. Hint: name exactly one of node, zone and cluster.")
    nodes = {meta.name_of(node): node for node in server.nodes()}
    if choice.zone:
        return in_zone(list(nodes.values()), choice.zone)
    name = choice.node or _node_of(run, server, choice, configuration)
    if name not in nodes:
        raise ActivityFailed(f"There is no node {name}. Hint: name one of {', '.join(sorted(nodes))}.")
    return [nodes[name]]


def in_zone(nodes: Sequence[Body], zone: str) -> list[Body]:
    """Return the nodes of a zone. Raises ActivityFailed if there is none: pure."""
    matching = [node for node in nodes if zone_of(node) == zone]
    if not matching:
        zones = sorted({label for node in nodes if (label := zone_of(node))})
        raise ActivityFailed(f"There is no node in zone {zone}. Hint: name one of {', '.join(zones)}.")
    return matching


def member_of(body: Body, role: str, seed: int) -> str:
    """Return the member of a role, by the cluster's status; the seed chooses among several. Raises ActivityFailed."""
    name, status = meta.name_of(body), body.get("status") or {}
    primary, every = status.get("primary"), [member["name"] for member in status.get("members") or ()]
    if role not in _ROLES:
        raise ActivityFailed(f"role is '{role}'. Hint: use one of {', '.join(_ROLES)}.")
    fitting = {"primary": [primary] if primary else [], "replica": [member for member in every if member != primary]}
    candidates = sorted(fitting.get(role, every))
    if not candidates or (role == "replica" and not primary):
        raise ActivityFailed(f"{name} has no {role} now. Hint: wait until it is Ready, or use role any.")
    return str(random.Random(int(seed)).choice(candidates))


def zone_of(node: Body) -> str:
    """Return the zone of a node; '' if it has none."""
    return meta.labels_of(node).get(ZONE_LABEL, "")


def addresses_of(node: Body) -> list[str]:
    """Return the internal addresses of a node, as the API server has them."""
    addresses = node["status"].get("addresses") or ()
    return [str(address["address"]) for address in addresses if address["type"] == "InternalIP"]


def _node_of(run: RunContext, server: Server, choice: NodeChoice, configuration: Configuration | None) -> str:
    where, kind = namespace_of(run, configuration, choice.namespace), engine_for_kind(run, choice.kind).ENGINE.kind
    body = server.get(kind, where, choice.cluster)
    if body is None:
        raise ActivityFailed(f"There is no {kind} {where}/{choice.cluster}. Hint: name an existing one.")
    member = member_of(body, choice.role, choice.seed)
    pods = [pod for pod in server.pods(where, selector(choice.cluster)) if meta.name_of(pod) == member]
    if not pods or not pods[0]["spec"].get("nodeName"):
        raise ActivityFailed(f"The pod {member} is on no node. Hint: wait until {choice.cluster} is Ready.")
    return str(pods[0]["spec"]["nodeName"])
