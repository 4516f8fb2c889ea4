"""Who may reach a cluster's pods, and whom they may reach: a NetworkPolicy, where the pod network enforces those.

The nodes' own kubelets reach their pods whatever a policy says, so probes need no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import objects
from .cluster import Cluster
from .objects import Manifest

_NAMESPACE_NAME = "kubernetes.io/metadata.name"  # the API server's own label of every namespace
_APP = "app.kubernetes.io/name"
_OPERATOR, _PROBER = "caplab-operator", "caplab-prober"  # charts/caplab/templates
CLIENTS_LABEL = "caplab.dev/clients"  # of other namespaces whose pods may be clients: allowed
_DNS_PORT = 53
_API_SERVER_PORTS = (443, 6443)  # the Service's, and where it leads to: policies are asked after that


def policy(
    cluster: Cluster, lab_namespace: str, clients: Sequence[int], operator: Sequence[int], *, needs_api: bool = False
) -> Manifest:
    """The policy of all pods of a cluster.

    clients are the ports that clients connect to, operator those that the lab's operator does besides.
    needs_api: members keep their state in the API server.
    """
    own = {"podSelector": {"matchLabels": objects.labels(cluster)}}
    client_ports = _tcp(clients)
    outward = [{"to": [own]}, {"ports": [*_tcp([_DNS_PORT]), {"protocol": "UDP", "port": _DNS_PORT}]}]
    if needs_api:
        outward.append({"ports": _tcp(_API_SERVER_PORTS)})
    body = {
        "podSelector": own["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [own]},
            {"from": [_of_lab(lab_namespace, _OPERATOR)], "ports": [*client_ports, *_tcp(operator)]},
            {
                "from": [
                    _of_lab(lab_namespace, _PROBER),
                    {"podSelector": {}},
                    {"namespaceSelector": {"matchLabels": {CLIENTS_LABEL: "allowed"}}},
                ],
                "ports": client_ports,
            },
        ],
        "egress": outward,
    }
    return {**objects.named(cluster, "networking.k8s.io/v1", "NetworkPolicy", cluster.name), "spec": body}


def _of_lab(namespace: str, app: str) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: namespace}},
        "podSelector": {"matchLabels": {_APP: app}},
    }


def _tcp(ports: Sequence[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]
