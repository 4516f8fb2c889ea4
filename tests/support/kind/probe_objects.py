"""Probe objects of the tests on kind, their status, and the histories in the probers' volumes."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import CONTEXT

from caplab.contract.names import API_VERSION, VANTAGE_LABEL
from support.kind.kind_lab import Lab

RATE = 60.0  # operations a second of each vantage, over both routes


def probe(namespace: str, name: str, run: str, workload: str, vantages: list[str], **spec: Any) -> dict[str, Any]:
    body = {
        "target": {"kind": "PostgresCluster", "name": "pg"},
        "workload": workload,
        "rate": RATE,
        "vantages": vantages,
        "runId": run,
        **spec,
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "Probe", "metadata": metadata, "spec": body}


def entries(lab: Lab, namespace: str, name: str) -> dict[str, dict[str, Any]]:
    vantages = lab.get("probe", "-n", namespace, name).get("status", {}).get("vantages", [])
    return {entry["name"]: entry for entry in vantages}


def all_are(lab: Lab, namespace: str, name: str, phase: str, vantages: int, operations: int = 0) -> bool:
    at_vantages = entries(lab, namespace, name)
    failed = {vantage: entry["lastError"] for vantage, entry in at_vantages.items() if entry["phase"] == "Failed"}
    assert not failed, failed
    fitting = [e for e in at_vantages.values() if e["phase"] == phase and e["operations"] >= operations]
    return len(fitting) == vantages


def fetch(lab: Lab, namespace: str, run: str, vantage: str, target: Path) -> Path:
    """A vantage's folder of a run, out of its prober's volume."""
    pod = lab.get("pods", "-n", NAMESPACE, "-l", f"{VANTAGE_LABEL}={vantage}")["items"][0]["metadata"]["name"]
    command = [lab.tools.kubectl, "--kubeconfig", str(lab.cache.kubeconfig), "--context", CONTEXT,
               "exec", "-n", NAMESPACE, pod, "--", "tar", "-cf", "-", "-C", f"/history/{namespace}", run]  # fmt: skip
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    folder = target / vantage
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / run
