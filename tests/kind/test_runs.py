"""Whole runs on the real cluster: measured, judged, exported; and what is left when something dies in their midst."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import WORKERS
from caplab_cluster.paths import REPOSITORY
from support.kind.cluster_object import ClusterObject
from support.kind.fault_objects import await_phase, fault_on
from support.kind.kind_lab import Lab, log_folder, wait_until
from support.kind.lab_prometheus import fired
from support.kind.lab_runs import BIN, command, environment, run
from support.kind.lab_state import gate_files, live_faults, running_loads
from support.kind.measured_load import load
from support.kind.workload_checks import findings_of, kept_or_broken
from support.runs.experiment_files import loaded
from support.runs.planted_experiments import claiming

from caplab.judging import judge_folder
from caplab.ownership import NAMESPACE as RUNS
from caplab.report.second_clock import clock_check

CLOCKS_APART_SECONDS = 0.1


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """The cluster under test serves all tests here, and goes with them."""
    yield
    lab.kubectl("delete", "namespace", RUNS, "--ignore-not-found", "--wait=true", timeout_seconds=180)


def gauges(lab: Lab) -> str:
    """What the operator tells Prometheus."""
    (pod,) = lab.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator")["items"]
    name = pod["metadata"]["name"]
    return lab.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:9188/proxy/metrics")


# Of the suite smoke, in its order.
FAILOVERS = (
    'engine="postgres",experiment="postgres/kill-primary",fault="kill-primary",mode="quorum"',
    'engine="redis",experiment="redis/kill-primary",fault="kill-primary",mode="everysec-wait-0"',
    'engine="cassandra",experiment="cassandra/kill-node",fault="kill-node",mode="QUORUM-QUORUM"',
)


# Patroni's lease lasts for 20 s; Sentinels need 2 s, and Cassandra none. A busy machine is no database's doing.
MUST_FIRE = {("CaplabNoWriteAcked", "postgres")}
MAY_FIRE = {("CaplabProberStalled", "")}


def test_a_killed_member_of_each_engine_is_measured_judged_and_exported(lab: Lab, tmp_path: Path) -> None:
    began = time.time()
    code, verdict, last = run(lab, tmp_path, "smoke")
    assert (code, verdict["verdict"], verdict["failures"]) == (0, "valid", [])
    assert MUST_FIRE <= (alerts := fired(lab, began)) <= MUST_FIRE | MAY_FIRE, alerts
    assert (last.parent / "summary.md").exists()
    folders = sorted(last.parent.glob("0*-*"))
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


SOAK_SECONDS = 200  # of each engine: ten minutes in all


@pytest.mark.long
@pytest.mark.parametrize("engine", ["postgres", "redis", "cassandra"])
def test_no_alert_fires_under_load_without_a_fault(lab: Lab, tmp_path: Path, engine: str) -> None:
    began = time.time()
    code, verdict, _ = run(lab, tmp_path, f"{engine}/control", seconds=str(SOAK_SECONDS))
    assert (code, verdict["verdict"]) == (0, "valid")
    assert (alerts := fired(lab, began)) <= MAY_FIRE, alerts


# The loads' own levels, and whom a fault is to hit: Cassandra has no primary.
CLUSTERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PostgresCluster": ("pg", "primary", {}),
    "RedisCluster": ("rd", "primary", {}),
    "CassandraCluster": ("cs", "any", {"levels": {"write": "ONE"}}),
}


def test_every_workload_and_read_routing_keeps_its_promises_in_the_steady_state(lab: Lab) -> None:
    """On the cluster that the suite left, and those it removed when it went on to the next engine."""
    assert [kind for kind in CLUSTERS if lab.get(kind, "-n", RUNS)["items"]] == ["CassandraCluster"]
    others = {kind: ClusterObject(lab, kind, RUNS, CLUSTERS[kind][0]) for kind in ("PostgresCluster", "RedisCluster")}
    for other in others.values():
        other.apply(replicas=3)
    for other in others.values():
        other.await_ready(3)
    findings = {kind: findings_of(lab, kind, RUNS, CLUSTERS[kind][0]) for kind in CLUSTERS}
    promises = [(kind, *broken) for kind, by_probe in findings.items() for broken in kept_or_broken(by_probe)]
    for kind, sentence, _ in promises:
        print(f"{kind} {sentence}")
    assert [(kind, sentence) for kind, sentence, kept in promises if not kept] == []


def test_a_member_of_each_engine_that_is_frozen_or_cut_off_from_clients_acks_nothing_until_heal(lab: Lab) -> None:
    """On the clusters of the test before."""
    with ThreadPoolExecutor() as pool:  # beside each other: it is about the faults, not about how long anything takes
        counted = dict(
            zip(CLUSTERS, pool.map(lambda kind: freeze_and_cut(lab, kind, *CLUSTERS[kind]), CLUSTERS), strict=True)
        )
    # Three JVMs more, and Patroni's loops, would be noise in what the next tests measure; and what no run made is in
    # their way.
    lab.kubectl("delete", "cassandraclusters,postgresclusters,redisclusters", "-n", RUNS, "--all", timeout_seconds=120)
    wait_until("its members are gone", lambda: "cs-" not in lab.kubectl("get", "pods", "-n", RUNS, "-o", "name"))
    print(f"\nacks of the member before and under freeze and cut, and of all after: {counted}")
    for before, under, after in (acks for faults in counted.values() for acks in faults):
        assert before > 0
        assert under == 0
        assert after > 0


def freeze_and_cut(lab: Lab, kind: str, name: str, role: str, probe: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Of a freeze, then of a cut: the member's acks in the 3 s before and under it, and all acks in the 10 s after."""
    cluster, hit = ClusterObject(lab, kind, RUNS, name), []
    with load(lab, kind, RUNS, name, rate=20, routes=["direct", "service"], **probe) as measured:
        for what, how in {"freeze": {}, "partition": {"from": "clients"}}.items():
            cluster.await_ready(3)
            time.sleep(3)  # of quiet, for the load to show it
            lab.apply(fault_on(RUNS, f"{name}-{what}", {"kind": kind, "name": name, "role": role}, 4, **{what: how}))
            status = await_phase(lab, RUNS, f"{name}-{what}", "Healed", within_seconds=20)
            hit += [entry for entry in status["targets"] if entry["end"] == "target"]
        cluster.await_ready(3)
        time.sleep(3)
    assert all(entry["proven"] for entry in hit), hit
    assert measured.history is not None
    rows = [row for row in measured.history.to_pylist() if (row["op"], row["outcome"]) == ("add", "ok")]
    return [acks(rows, entry["pod"], entry["injectedNs"], entry["healedNs"]) for entry in hit]


def acks(rows: list[dict[str, Any]], pod: str, injected_ns: int, healed_ns: int) -> tuple[int, int, int]:
    own = [row["return_ns"] for row in rows if row["server"] == pod]
    return (
        sum(injected_ns - 3e9 < ns < injected_ns for ns in own),
        # What was on its way when the fault came may still arrive; and a heal is stamped when it is done.
        sum(injected_ns + 0.1e9 < ns < healed_ns - 0.1e9 for ns in own),
        sum(healed_ns < row["return_ns"] < healed_ns + 10e9 for row in rows),
    )


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


def test_an_empty_primary_that_comes_back_wipes_its_replicas_and_it_shows(lab: Lab, tmp_path: Path) -> None:
    code, verdict, folder = run(lab, tmp_path, "redis/crash-primary", persistence="none", restarted="ComeBack")
    assert (code, verdict["verdict"]) == (0, "valid"), "its row says that the loss must show"
    findings = {
        finding["property"]: finding for finding in json.loads((folder / "findings.json").read_text())["findings"]
    }
    figures = findings["durability"]["figures"]
    assert findings["durability"]["state"] == "invalid"
    assert figures["lost"] > 100


def test_the_stock_chaos_command_runs_it_too_and_its_journal_has_the_verdict(lab: Lab, tmp_path: Path) -> None:
    journal = tmp_path / "journal.json"
    experiment = REPOSITORY / "experiments" / "postgres" / "crash-primary.yaml"
    done = subprocess.run(
        [str(BIN / "chaos"), "run", "--journal-path", str(journal), "--var", "durability=async", str(experiment)],
        cwd=tmp_path, env=environment(lab), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(journal.read_text())
    assert document["status"] == "completed"
    assert document["caplab"]["row"] == "postgres async crash-primary"
    assert document["caplab"]["verdict"] == "valid", document["caplab"]
    assert (tmp_path / document["caplab"]["folder"] / "history.parquet").exists()
    assert live_faults(lab) == []


def without_its_fault(tmp_path: Path) -> Path:
    """crash-primary, but the action that should crash it does nothing."""
    experiment = loaded("postgres/crash-primary")
    (crash,) = [step for step in experiment["method"] if step["name"] == "crash-the-primary"]
    crash["provider"] |= {"func": "nothing", "arguments": {"seconds": 1}}
    file = tmp_path / "without-its-fault.yaml"
    file.write_text(yaml.safe_dump(experiment))
    return file


def test_a_run_whose_kill_did_not_happen_is_unknown(lab: Lab, tmp_path: Path) -> None:
    file = without_its_fault(tmp_path)
    code, verdict, _ = run(lab, tmp_path / "results", str(file))
    assert (code, verdict["verdict"]) == (2, "unknown")
    assert any("no evidence of the fault" in reason for reason in verdict["runs"][0]["reasons"])


def test_a_member_kept_down_for_less_than_its_row_gives_the_failover_is_refused(lab: Lab, tmp_path: Path) -> None:
    code, verdict, _ = run(lab, tmp_path, "postgres/kill-primary", seconds="10")
    assert (code, verdict["verdict"]) == (2, "unknown")
    assert any("could not be told from the heal" in reason for reason in verdict["runs"][0]["reasons"])


# The gate has the one that Chaos Toolkit by itself would lose (caplab/run/toolkit.py); Ctrl-C is Python's own.
@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_an_interrupted_run_heals_at_once_and_leaves_nothing(lab: Lab, tmp_path: Path, how: signal.Signals) -> None:
    process = begin_kill(lab, tmp_path, seconds=60)
    process.send_signal(how)
    assert process.wait(40) == 3
    assert live_faults(lab) == []
    assert gate_files(lab) == []
    wait_until("no load runs", lambda: running_loads(lab, RUNS) == [], 20)


def test_a_run_that_is_killed_leaves_a_fault_that_ends_by_itself(lab: Lab, tmp_path: Path) -> None:
    began = time.monotonic()
    process = begin_kill(lab, tmp_path, seconds=15)
    live = time.monotonic()
    process.kill()
    process.wait()
    assert gate_files(lab) != []
    wait_until("the gate is open", lambda: gate_files(lab) == [], 30)
    assert time.monotonic() - live < 15 + 2
    wait_until("the fault says so", lambda: live_faults(lab) == [], 10)
    print(f"\nlive after {live - began:.1f} s, ended {time.monotonic() - live:.1f} s later")


def begin_kill(lab: Lab, results: Path, seconds: int) -> subprocess.Popen[bytes]:
    """A run of Redis' kill-primary whose fault is live, for so long."""
    log = (log_folder() / "run-interrupted.log").open("wb")
    process = subprocess.Popen(
        command(results, "redis/kill-primary", {"seconds": str(seconds)}),
        env=environment(lab), stdout=log, stderr=log,
    )  # fmt: skip

    def live() -> bool:
        assert process.poll() is None, "the run ended before its fault was live"
        faults = lab.get("faults", "-n", RUNS)["items"]
        return any(fault.get("status", {}).get("phase") == "Active" for fault in faults)

    wait_until("the fault is live", live, 120)
    return process


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


def test_a_hot_key_that_nothing_protects_is_a_stampede_and_breaks_the_row_of_the_lock(lab: Lab, tmp_path: Path) -> None:
    file = claiming("cache/expire-hot-key", "lock", tmp_path)
    code, verdict, folder = run(lab, tmp_path / "results", str(file), protection="none")
    assert (code, verdict["verdict"]) == (1, "invalid")
    (judged,) = verdict["runs"]
    assert any(reason.startswith("stampedeMax") for reason in judged["reasons"]), judged["reasons"]
    findings = {
        finding["property"]: finding for finding in json.loads((folder / "findings.json").read_text())["findings"]
    }
    assert findings["load"]["figures"]["factor"]["max"] >= 20
    assert findings["durability"]["figures"]["lost"] == 0
    record = json.loads((folder / "run.json").read_text())
    (window,) = record["fault_windows"]
    print(f"\n{findings['load']['figures']} {window}")
    assert window["proven"]
