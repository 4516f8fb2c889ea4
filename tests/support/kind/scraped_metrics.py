"""The metrics of the operator and the agents of the real cluster, read through the API server."""

from __future__ import annotations

from caplab_agent.exporter import PORT as AGENT_PORT
from caplab_cluster.chart import NAMESPACE
from caplab_operator.exporter import PORT as OPERATOR_PORT
from prometheus_client.parser import text_string_to_metric_families

from support.kind.kind_lab import Lab

Samples = dict[tuple[str, ...], float]


def scraped(lab: Lab, name: str, port: int) -> Samples:
    """Read the metrics of all pods of that name, by metric and label values, in the order of the label names."""
    samples: Samples = {}
    for pod in lab.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={name}")["items"]:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:{port}/proxy/metrics"
        for family in text_string_to_metric_families(lab.kubectl("get", "--raw", path)):
            for sample in family.samples:
                samples[sample.name, *(value for _, value in sorted(sample.labels.items()))] = sample.value
    return samples


def of_operator(lab: Lab) -> Samples:
    """Read the operator's metrics."""
    return scraped(lab, "caplab-operator", OPERATOR_PORT)


def of_agents(lab: Lab) -> Samples:
    """Read the metrics of all agents."""
    return scraped(lab, "caplab-agent", AGENT_PORT)
