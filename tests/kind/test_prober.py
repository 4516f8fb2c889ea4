"""The probers on a real Postgres: a crashed primary, and what the checkers say it cost."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import CONTEXT, ZONES
from caplab_cluster.session import built_tools
from caplab_probes.recovery import recovered
from kind_lab import Lab, await_that, session
from postgres_cluster import await_status, is_ready, postgres, sql, status

from caplab.check import Context, Finding, State, check_history
from caplab.model.history import Table, validate
from caplab.model.runs import FaultWindow, FinalScan

RATE = 60.0  # operations a second of each vantage, over both routes
LOAD_SECONDS = 40.0


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
    return {"apiVersion": "caplab.dev/v1alpha1", "kind": "Probe", "metadata": metadata, "spec": body}


def entries(lab: Lab, namespace: str, name: str) -> dict[str, dict[str, Any]]:
    found = lab.get("probe", "-n", namespace, name).get("status", {}).get("vantages", [])
    return {entry["name"]: entry for entry in found}


def all_are(lab: Lab, namespace: str, name: str, phase: str, vantages: int, operations: int = 0) -> bool:
    found = entries(lab, namespace, name)
    failed = {vantage: entry["lastError"] for vantage, entry in found.items() if entry["phase"] == "Failed"}
    assert not failed, failed
    fitting = [e for e in found.values() if e["phase"] == phase and e["operations"] >= operations]
    return len(fitting) == vantages


def fetch(lab: Lab, run: str, vantage: str, target: Path) -> Path:
    """A vantage's folder of a run, out of its prober's volume."""
    pod = lab.get("pods", "-n", NAMESPACE, "-l", f"caplab.dev/vantage={vantage}")["items"][0]["metadata"]["name"]
    command = [built_tools(session()).kubectl, "--kubeconfig", str(lab.cache.kubeconfig), "--context", CONTEXT,
               "exec", "-n", NAMESPACE, pod, "--", "tar", "-cf", "-", "-C", "/history", run]  # fmt: skip
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    folder = target / vantage
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / run


def now_ns() -> int:
    """The clock of the histories: the nodes are containers of this machine."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def scan_at_the_end(lab: Lab, namespace: str, run: str, folder: Path) -> FinalScan:
    """Every member's elements once all have caught up; the primary's decide."""
    lab.apply(probe(namespace, "scan", run, "set-scan", ["a"], routes=["direct"]))
    await_that("the final scan is done", lambda: all_are(lab, namespace, "scan", "Done", 1), 60)
    fetched = fetch(lab, run, "a", folder / "scan")
    notes = json.loads(next(iter(sorted(fetched.glob("scan-*.json")))).read_text())
    of_primary = next(note for note in notes if note["primary"])
    return FinalScan(converged=True, elements=of_primary["elements"], server=of_primary["server"])


def load_through_a_crash(lab: Lab, namespace: str, run: str, folder: Path) -> tuple[Table, Context]:
    """A set load of all vantages, the primary crashed in its midst; the history and what is known beside it."""
    lab.apply(probe(namespace, "load", run, "set", list(ZONES), seconds=LOAD_SECONDS))
    await_that("all vantages run", lambda: all_are(lab, namespace, "load", "Running", 3, 100), 60)
    old = status(lab, namespace)["primary"]
    injected_ns = now_ns()
    # Every process but the container's first: Postgres dies, Patroni lives and gives up the lock.
    lab.inside(namespace, old, "bash", "-c", "kill -9 -1")
    await_status(lab, namespace, "another primary", lambda found: found.get("primary") not in (None, old))
    await_status(lab, namespace, "all members Ready again", is_ready(3))
    healed_ns = now_ns()
    await_that("the load has ended", lambda: all_are(lab, namespace, "load", "Done", 3), LOAD_SECONDS + 30)
    scan = scan_at_the_end(lab, namespace, run, folder)
    tables = [recovered(fetch(lab, run, zone, folder)) for zone in ZONES]
    window = FaultWindow("crash", old, injected_ns, healed_ns, ("the primary changed",), proven=True)
    return validate(pa.concat_tables(tables)), Context((window,), scan, healed_ns)


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.property: finding for finding in findings}


@pytest.mark.parametrize("durability", ["quorum", "async"])
def test_a_crashed_primary_costs_an_outage_and_in_quorum_no_write(
    lab: Lab, namespace: str, tmp_path: Path, durability: str
) -> None:
    lab.apply(postgres(namespace, durability=durability))
    await_status(lab, namespace, "three members Ready", is_ready(3))
    run = f"crash-{durability}-{uuid.uuid4().hex[:8]}"
    history, context = load_through_a_crash(lab, namespace, run, tmp_path)
    found = by_name(check_history(history, context))
    print()
    for finding in found.values():
        print(f"{durability} {finding.property}: {finding.state.value}: {finding.reason}")

    durable, available = found["durability"], found["availability"]
    assert isinstance(durable.figures["acked"], int)
    assert durable.figures["acked"] > RATE * LOAD_SECONDS  # of three vantages: a third of what was asked for
    assert durable.figures["unexpected"] == durable.figures["duplicated"] == 0
    if durability == "quorum":
        assert durable.state is State.HOLDS
    assert available.state is State.VIOLATED  # an outage there was
    failover = available.figures["failover_seconds"]
    assert isinstance(failover, float)
    assert 0.2 < failover < 20 + 2 * 1 + 2  # ttl + 2 * loopWait + promotion
    assert found["epochs"].state is State.HOLDS
    epochs = {value for value in history.column("epoch").to_pylist() if value is not None}
    assert {"1", "2"} <= epochs


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
    found = await_status(lab, namespace, "three members Ready", is_ready(3))
    run = f"cancelled-{uuid.uuid4().hex[:8]}"
    lab.apply(probe(namespace, "load", run, "set", ["a"], routes=["service"], seconds=20))
    await_that("the load runs", lambda: all_are(lab, namespace, "load", "Running", 1, 50), 60)
    standbys = [member["name"] for member in found["members"] if member["name"] != found["primary"]]
    for standby in standbys:
        lab.inside(namespace, standby, "bash", "-c", STOP_WAL.format(signal="STOP"))
    cancelled = 0

    def some_were_cancelled() -> bool:
        nonlocal cancelled
        cancelled += int(sql(lab, namespace, found["primary"], CANCEL))
        return cancelled >= 5

    await_that("waits were cancelled", some_were_cancelled, 15)
    for standby in standbys:
        lab.inside(namespace, standby, "bash", "-c", STOP_WAL.format(signal="CONT"))
    await_that("the load has ended", lambda: all_are(lab, namespace, "load", "Done", 1), 60)
    await_status(lab, namespace, "all members Ready again", is_ready(3))
    scan_at_the_end(lab, namespace, run, tmp_path)

    rows = validate(recovered(fetch(lab, run, "a", tmp_path / "after"))).to_pylist()
    there = {row["value"] for row in rows if row["op"] == "scan"}
    warned = [row for row in rows if row["op"] == "add" and (row["outcome"], row["error"]) == ("info", "no-quorum")]
    assert warned, "no client was told"
    assert all(row["return_ns"] is not None for row in warned)
    assert {row["value"] for row in warned} <= there
