"""The probers on a real Postgres, where only a real one will do: a synchronous wait that somebody cancels."""

from __future__ import annotations

import io
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import CONTEXT
from caplab_cluster.session import built_tools
from caplab_probes.history.recovery import recovered
from support.kind.kind_lab import Lab, session, wait_until
from support.kind.postgres_cluster import await_status, is_ready, postgres, sql

from caplab.contract.names import API_VERSION, VANTAGE_LABEL
from caplab.model.history import validate

pytestmark = pytest.mark.beside

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
    command = [built_tools(session()).kubectl, "--kubeconfig", str(lab.cache.kubeconfig), "--context", CONTEXT,
               "exec", "-n", NAMESPACE, pod, "--", "tar", "-cf", "-", "-C", f"/history/{namespace}", run]  # fmt: skip
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    folder = target / vantage
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / run


def scan_at_the_end(lab: Lab, namespace: str, run: str) -> None:
    """Every member's elements, into the run's history."""
    lab.apply(probe(namespace, "scan", run, "set-scan", ["a"], routes=["direct"]))
    wait_until("the final scan is done", lambda: all_are(lab, namespace, "scan", "Done", 1), 60)


# The brackets keep the pattern from finding the shell that looks for it.
FIND_WAL = "grep -alq '[w]alreceiver' $p/cmdline 2>/dev/null"
STOP_WAL = f"for p in /proc/[0-9]*; do {FIND_WAL} && kill -{{signal}} ${{{{p#/proc/}}}}; done; true"
CANCEL = (
    "select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep' and usename = 'caplab'"
)


def test_a_success_with_the_warning_of_a_cancelled_synchronous_wait_is_info(
    lab: Lab, namespace: str, tmp_path: Path
) -> None:
    """The write is there, but no standby has it: 'ok' would promise too much, 'fail' would be wrong."""
    lab.apply(postgres(namespace, durability="quorum"))
    pg_status = await_status(lab, namespace, "three members Ready", is_ready(3))
    run = f"cancelled-{uuid.uuid4().hex[:8]}"
    lab.apply(probe(namespace, "load", run, "set", ["a"], routes=["service"], seconds=12))
    wait_until("the load runs", lambda: all_are(lab, namespace, "load", "Running", 1, 50), 60)
    standbys = [member["name"] for member in pg_status["members"] if member["name"] != pg_status["primary"]]
    for standby in standbys:
        lab.inside(namespace, standby, "bash", "-c", STOP_WAL.format(signal="STOP"))
    cancelled = 0

    def some_were_cancelled() -> bool:
        nonlocal cancelled
        cancelled += int(sql(lab, namespace, pg_status["primary"], CANCEL))
        return cancelled >= 5

    wait_until("waits were cancelled", some_were_cancelled, 15)
    for standby in standbys:
        lab.inside(namespace, standby, "bash", "-c", STOP_WAL.format(signal="CONT"))
    wait_until("the load has ended", lambda: all_are(lab, namespace, "load", "Done", 1), 60)
    await_status(lab, namespace, "all members Ready again", is_ready(3))
    scan_at_the_end(lab, namespace, run)

    rows = validate(recovered(fetch(lab, namespace, run, "a", tmp_path / "after"))).to_pylist()
    there = {row["value"] for row in rows if row["op"] == "scan"}
    warned = [row for row in rows if row["op"] == "add" and (row["outcome"], row["error"]) == ("info", "no-quorum")]
    assert warned, "no client was told"
    assert all(row["return_ns"] is not None for row in warned)
    assert {row["value"] for row in warned} <= there
