"""Whole runs on the real cluster: measured, judged, exported; and what is left when something dies in their midst."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import WORKERS
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_prometheus import fired
from support.kind.lab_runs import command, environment, run
from support.kind.lab_state import live_faults, running_loads

from caplab.contract.engines import ENGINES
from caplab.judging import judge_folder
from caplab.ownership import NAMESPACE as RUNS
from caplab.report.second_clock import clock_check

pytestmark = pytest.mark.alone
CLOCKS_APART_SECONDS = 0.25  # the server stamps a beat of every 100 ms, and a slow machine takes as long again


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """The cluster under test serves all tests here, and goes with them."""
    yield
    lab.kubectl("delete", "namespace", RUNS, "--ignore-not-found", "--wait=false")


def gauges(lab: Lab) -> str:
    """What the operator tells Prometheus."""
    (pod,) = lab.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator")["items"]
    name = pod["metadata"]["name"]
    return lab.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:9188/proxy/metrics")


# Of the suite smoke, in its order.
FAILOVERS = (
    'engine="postgres",experiment="postgres/kill-primary",fault="kill-primary",mode="quorum"',
    'engine="redis",experiment="redis/kill-primary",fault="kill-primary",mode="everysec-fast-wait-0"',
    'engine="cassandra",experiment="cassandra/kill-node",fault="kill-node",mode="QUORUM-QUORUM"',
)


# Stock Patroni's lease lasts for 20 s; a Sentinel that is told needs less than one, and Cassandra none.
# A busy machine is no database's doing.
MUST_FIRE = {("CaplabNoWriteAcked", "postgres")}
MAY_FIRE = {("CaplabProberStalled", "")}
# Under a fault also a replica that rejoins: on a slow machine it takes longer than the alert waits for.
MAY_FIRE_UNDER_A_FAULT = MAY_FIRE | {("CaplabReplicationLag", "postgres")}


def test_a_killed_member_of_each_engine_is_measured_judged_and_exported(lab: Lab, tmp_path: Path) -> None:
    began = time.time()
    code, verdict, last = run(lab, tmp_path / "smoke", "smoke")
    folders = sorted(last.parent.glob("0*-*"))
    assert (code, verdict["verdict"], verdict["failures"]) == (0, "valid", [])
    assert MUST_FIRE <= (alerts := fired(lab, began)) <= MUST_FIRE | MAY_FIRE_UNDER_A_FAULT, alerts
    assert (last.parent / "summary.md").exists()
    assert len(folders) == len(FAILOVERS)
    for folder, labels in zip(folders, FAILOVERS, strict=True):
        was_measured(folder)
        wait_until("the operator exports it", lambda labels=labels: labels in gauges(lab), 10)  # type: ignore[misc]
        samples = gauges(lab)
        assert f'caplab_run_verdict{{{labels},verdict="valid"}} 1.0' in samples
        assert f'caplab_run_acked_lost_writes{{{labels},route="all",vantage="all"}}' in samples
        assert f'caplab_run_failover_seconds{{{labels},route="service",vantage="a"}}' in samples
        route = "service" if 'engine="cassandra"' in labels else "all"  # as its row judges it
        assert f'caplab_run_failover_bound_seconds{{{labels},route="{route}",vantage="all"}}' in samples
    assert f'caplab_run_acked_lost_writes{{{FAILOVERS[0]},route="all",vantage="all"}} 0.0' in gauges(lab)
    assert live_faults(lab) == []
    assert running_loads(lab, RUNS) == []
    left = [engine.kind for engine in ENGINES if lab.get(engine.kind, "-n", RUNS)["items"]]
    assert left == ["CassandraCluster"], "a suite that is to keep its clusters keeps those of its last engine"


SOAK_SECONDS = 200  # of each engine: ten minutes in all


@pytest.mark.long
@pytest.mark.parametrize("engine", ["postgres", "redis", "cassandra"])
def test_no_alert_fires_under_load_without_a_fault(lab: Lab, tmp_path: Path, engine: str) -> None:
    began = time.time()
    code, verdict, _ = run(lab, tmp_path, f"{engine}/control", seconds=str(SOAK_SECONDS))
    assert (code, verdict["verdict"]) == (0, "valid")
    assert (alerts := fired(lab, began)) <= MAY_FIRE, alerts


def was_measured(folder: Path) -> None:
    """Everything is there, the fault was proven, and the second clock, where there is one, agrees."""
    assert {path.name for path in folder.iterdir()} >= {
        "journal.json", "run.json", "findings.json", "history.parquet", "timeline.svg",
    }  # fmt: skip
    judged = judge_folder(folder)
    (window,) = judged.record.fault_windows
    assert window.proven
    if not judged.record.has_primary:
        return
    clock = clock_check(judged.record, judged.findings)
    assert clock
    assert clock.server_seconds is not None
    assert clock.probe_seconds is not None
    assert abs(clock.server_seconds - clock.probe_seconds) < CLOCKS_APART_SECONDS


@pytest.mark.long
@pytest.mark.parametrize(("persistence", "wait"), [("none", "0"), ("always", "1")])
def test_a_killed_redis_primary_at_the_other_persistences(
    lab: Lab, tmp_path: Path, persistence: str, wait: str
) -> None:
    code, verdict, folder = run(lab, tmp_path, "redis/kill-primary", persistence=persistence, wait=wait)
    assert (code, verdict["verdict"]) == (0, "valid")
    if wait == "0":  # a beat is stamped before its WAIT, which only the probes see
        was_measured(folder)


def test_a_prober_that_dies_in_the_midst_costs_no_verdict(lab: Lab, tmp_path: Path) -> None:
    """Its history outlives it, and what it may have sent in its last moment is info."""
    process = subprocess.Popen(
        command(tmp_path, "postgres/crash-primary", {}), env=environment(lab), stdout=subprocess.DEVNULL
    )
    wait_until("the primary crashed", lambda: live_faults(lab) != [], 120)
    lab.engine.must("exec", WORKERS[2], "pkill", "-9", "-f", "caplab_probes serve")
    assert process.wait(180) in (0, 2)
    (folder,) = tmp_path.glob("*/01-*")
    findings = {
        finding["property"]: finding for finding in json.loads((folder / "findings.json").read_text())["findings"]
    }
    assert findings["durability"]["state"] == "valid"
    assert findings["durability"]["figures"]["unexpected"] == 0
    assert running_loads(lab, RUNS) == []
    assert live_faults(lab) == []
