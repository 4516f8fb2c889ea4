"""The pods of operator and agents: taken away, and brought back."""

from __future__ import annotations

import json

from caplab_cluster.chart import NAMESPACE

from caplab.contract.names import PREFIX
from support.kind.kind_lab import Lab, wait_until


def operator_replicas(lab: Lab, replicas: int) -> None:
    """Have so many operators, 0 or 1, and wait until it is so."""
    lab.kubectl("scale", "-n", NAMESPACE, "deployment/caplab-operator", f"--replicas={replicas}")
    lab.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/caplab-operator", "--timeout=60s")
    if replicas == 0:
        selector = "app.kubernetes.io/name=caplab-operator"
        wait_until("it is gone", lambda: lab.get("pods", "-n", NAMESPACE, "-l", selector)["items"] == [])


def agents(lab: Lab, *, there: bool) -> None:
    """Have an agent on each node, or on none, and wait until it is so."""
    selector = {f"{PREFIX}none": None if there else "here"}
    patch = json.dumps({"spec": {"template": {"spec": {"nodeSelector": selector}}}})
    lab.kubectl("patch", "-n", NAMESPACE, "daemonset/caplab-agent", "--type=merge", "-p", patch)
    if there:
        lab.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/caplab-agent", "--timeout=60s")
    else:
        pods = ("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-agent")
        wait_until("all are gone", lambda: lab.get(*pods)["items"] == [])
