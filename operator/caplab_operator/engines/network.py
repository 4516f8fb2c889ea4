"""The NetworkPolicies of a cluster's pods: they take effect if the pod network enforces policies.

Kubelets reach the pods of their nodes whatever a policy says, so probes need no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract.names import (
    ALLOWED,
    APP_LABEL,
    CLIENTS_LABEL,
    MEMBER,
    MONITORING_LABEL,
    OPERATOR,
    PART_LABEL,
    PROBER,
    PROMETHEUS,
    SENTINEL,
)

from . import objects
from .cluster import Cluster
from .objects import Manifest

_NAMESPACE_NAME = "kubernetes.io/metadata.name"  # the API server's own label of every namespace
_DNS_PORT = 53
_API_SERVER_PORTS = (443, 6443)  # the Service's, and the one behind it, which policies see


def policy(
    cluster: Cluster,
    lab_namespace: str,
    clients: Sequence[int],
    operator: Sequence[int],
    *,
    needs_api: bool = False,
    metrics: Sequence[int] = (),
) -> Manifest:
    """Build the policy of a cluster's members and Sentinels; its exporter has one of its own.

    clients are the ports for clients, operator the further ports for the lab's operator, metrics the ports at which
    Prometheus scrapes the members themselves. needs_api: members keep their state in the API server.
    """
    parts = {"key": PART_LABEL, "operator": "In", "values": [MEMBER, SENTINEL]}
    own = {"podSelector": {"matchLabels": objects.labels(cluster), "matchExpressions": [parts]}}
    client_ports = _tcp(clients)
    outward = [{"to": [own]}, {"ports": [*_tcp([_DNS_PORT]), {"protocol": "UDP", "port": _DNS_PORT}]}]
    if needs_api:
        outward.append({"ports": _tcp(_API_SERVER_PORTS)})
    body = {
        "podSelector": own["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [own]},
            {"from": [_of_lab(lab_namespace, OPERATOR)], "ports": [*client_ports, *_tcp(operator)]},
            {
                "from": [
                    _of_lab(lab_namespace, PROBER),
                    {"podSelector": {}},
                    {"namespaceSelector": {"matchLabels": {CLIENTS_LABEL: ALLOWED}}},
                ],
                "ports": client_ports,
            },
            *([{"from": _scrapers(lab_namespace), "ports": _tcp(metrics)}] if metrics else ()),
        ],
        "egress": outward,
    }
    return {**objects.named(cluster, "networking.k8s.io/v1", "NetworkPolicy", cluster.name), "spec": body}


def policy_of_exporter(cluster: Cluster, name: str, pods: Mapping[str, str], lab_namespace: str) -> Manifest:
    """Build the policy of a cluster's exporter: Prometheus reaches it, and it reaches the members only.

    It logs in to any target that a request names, so only members may be reachable.
    """
    members = {"podSelector": {"matchLabels": objects.part(cluster)}}
    body = {
        "podSelector": {"matchLabels": dict(pods)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": _scrapers(lab_namespace), "ports": _tcp([cluster.ENGINE.metrics_port])}],
        "egress": [{"to": [members], "ports": _tcp([cluster.ENGINE.port])}],
    }
    return {**objects.named(cluster, "networking.k8s.io/v1", "NetworkPolicy", name), "spec": body}


def _scrapers(lab_namespace: str) -> list[dict[str, Any]]:
    """Return the peers that may scrape: the lab's own Prometheus, and pods of namespaces that are labelled for it."""
    return [_of_lab(lab_namespace, PROMETHEUS), {"namespaceSelector": {"matchLabels": {MONITORING_LABEL: ALLOWED}}}]


def _of_lab(namespace: str, app: str) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: namespace}},
        "podSelector": {"matchLabels": {APP_LABEL: app}},
    }


def _tcp(ports: Sequence[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]
