"""The operator's own pod: taken away, brought back, and read."""

from __future__ import annotations

from caplab_cluster.chart import NAMESPACE

from support.kind.kind_lab import Lab, wait_until


def operator_replicas(lab: Lab, replicas: int) -> None:
    """Have so many operators, 0 or 1, and wait until it is so."""
    lab.kubectl("scale", "-n", NAMESPACE, "deployment/caplab-operator", f"--replicas={replicas}")
    lab.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/caplab-operator", "--timeout=60s")
    if replicas == 0:
        selector = "app.kubernetes.io/name=caplab-operator"
        wait_until("it is gone", lambda: lab.get("pods", "-n", NAMESPACE, "-l", selector)["items"] == [])
