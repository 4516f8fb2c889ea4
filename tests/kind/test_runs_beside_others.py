"""Runs beside clusters, faults, loads and runs of others, on the real cluster: nothing of those changes or goes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from caplab_cluster.kind_cluster import CONTEXT
from support.kind.cluster_object import ClusterObject, body
from support.kind.fault_objects import fault_on
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_runs import BIN, environment
from support.runs.experiment_files import loaded

from caplab.contract.names import CHAOS_LABEL, RUN_LABEL, SESSION_LABEL
from caplab.judging import judge_folder

pytestmark = pytest.mark.beside

# Objects of clusters are there without any pod: it is about what becomes of them.
NO_PODS = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "0"}}}
KINDS = {"PostgresCluster": "orders", "RedisCluster": "sessions", "CassandraCluster": "events"}


@pytest.fixture
def open_namespace(lab: Lab, namespace: str) -> str:
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    return namespace


@pytest.fixture
def bystanders(lab: Lab, open_namespace: str) -> dict[str, Any]:
    """A database of each engine that no run made, without pods; what their objects are."""
    lab.apply({**NO_PODS, "metadata": {"name": "no-pods", "namespace": open_namespace}})
    for kind, name in KINDS.items():
        ClusterObject(lab=lab, kind=kind, namespace=open_namespace, name=name).apply(replicas=3)
    return standing(lab, open_namespace)


def standing(lab: Lab, namespace: str) -> dict[str, Any]:
    """Uid, generation, labels and whether it is going, of each cluster of a namespace."""
    items = lab.get(",".join(KINDS), "-n", namespace)["items"]
    fields = ("uid", "generation", "labels", "deletionTimestamp")
    return {
        f"{item['kind']}/{item['metadata']['name']}": {name: item["metadata"].get(name) for name in fields}
        for item in items
    }


def words(name: str, results: Path, **settings: str) -> list[str]:
    options = [word for setting, value in settings.items() for word in ("--set", f"{setting}={value}")]
    return [str(BIN / "caplab"), "run", name, "--results", str(results), *options]


def caplab_run(lab: Lab, name: str, results: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """One `caplab run` that keeps nothing."""
    done = subprocess.run(
        words(name, results, **settings),
        env=environment(lab), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    print(f"\n{done.stdout}{done.stderr}")
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_a_run_that_never_began_removes_nothing(
    lab: Lab, open_namespace: str, bystanders: dict[str, Any], tmp_path: Path
) -> None:
    done = caplab_run(lab, "postgres/control", tmp_path, namespace=open_namespace, bogus="1")
    assert done.returncode == 3
    assert "has no setting 'bogus'" in done.stderr
    assert standing(lab, open_namespace) == bystanders


def test_results_that_can_be_kept_nowhere_are_one_sentence_and_exit_code_3(lab: Lab) -> None:
    done = caplab_run(lab, "redis/control", Path("/dev/null/x"))
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("FAILED: Results cannot be kept in /dev/null/x")
    assert f"context {CONTEXT} at https://" in done.stdout


@pytest.mark.parametrize("engine", ["redis", pytest.param("postgres", marks=pytest.mark.long),
                                    pytest.param("cassandra", marks=pytest.mark.long)])  # fmt: skip
def test_a_cluster_a_load_and_a_fault_that_no_run_made_are_in_a_runs_way_and_stay(
    lab: Lab, open_namespace: str, bystanders: dict[str, Any], tmp_path: Path, engine: str
) -> None:
    kind, name = {
        "postgres": ("PostgresCluster", "pg"),
        "redis": ("RedisCluster", "rd"),
        "cassandra": ("CassandraCluster", "cs"),
    }[engine]
    control = f"{engine}/control"
    ClusterObject(lab=lab, kind=kind, namespace=open_namespace, name=name).apply(replicas=3)
    before = standing(lab, open_namespace)
    done = caplab_run(lab, control, tmp_path, namespace=open_namespace)
    assert done.returncode == 3
    assert f"{kind} {open_namespace}/{name} was made by no run" in done.stderr
    assert standing(lab, open_namespace) == before
    lab.kubectl("delete", kind, "-n", open_namespace, name)
    # As long as the operator takes it for live: there is nobody whom it could hit.
    lab.apply(fault_on(open_namespace, "mine", {"kind": kind, "name": KINDS[kind], "role": "any"}, 60, freeze={}))
    spec = {"target": {"kind": kind, "name": KINDS[kind]}, "vantages": ["a"], "workload": "set", "rate": 1}
    lab.apply(body("Probe", open_namespace, "mine", {**spec, "runId": "mine", "seconds": 60}))
    done = caplab_run(lab, control, tmp_path, namespace=open_namespace)
    assert done.returncode == 3
    assert "ns/mine was made by no run".replace("ns", open_namespace) in done.stderr
    assert lab.get("probe", "mine", "-n", open_namespace)["metadata"].get("deletionTimestamp") is None
    lab.get("fault", "mine", "-n", open_namespace)
    assert standing(lab, open_namespace) == bystanders


def test_a_run_that_fails_beside_one_that_is_under_way_takes_nothing_of_it_and_each_removes_its_own(
    lab: Lab, open_namespace: str, tmp_path: Path
) -> None:
    bystander = ClusterObject(lab=lab, kind="RedisCluster", namespace=open_namespace, name="sessions")
    bystander.apply(replicas=1)
    before = standing(lab, open_namespace)
    first = subprocess.Popen(
        words("redis/control", tmp_path / "first", namespace=open_namespace, seconds="3"),
        env=environment(lab), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until("its loads are made", lambda: lab.get("probes", "-n", open_namespace)["items"] != [], 90)
    under_way = standing(lab, open_namespace)
    labels = under_way["RedisCluster/rd"]["labels"]
    assert set(labels) == {RUN_LABEL, SESSION_LABEL}
    assert caplab_run(lab, "redis/control", tmp_path, namespace=open_namespace, bogus="1").returncode == 3
    assert standing(lab, open_namespace) == under_way
    out, _ = first.communicate(timeout=120)
    print(out)
    assert first.returncode == 0
    (run,) = lab.get("runs", "-n", open_namespace)["items"]
    assert run["metadata"]["labels"] == labels
    wait_until("its cluster goes", lambda: standing(lab, open_namespace) == before, 60)


@pytest.mark.long
def test_two_good_runs_at_once_are_one_after_the_other_and_both_valid(
    lab: Lab, open_namespace: str, tmp_path: Path
) -> None:
    runs = [
        subprocess.Popen(
            words("redis/kill-primary", tmp_path / str(number), namespace=open_namespace),
            env=environment(lab), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    print("\n".join(outputs))
    codes = sorted(run.returncode for run in runs)
    # The second waits for its turn, for 30 s; then it says whose turn it is.
    assert codes == [0, 0] or (codes == [0, 3] and any("is under way in" in text for text in outputs))


def deleting(tmp_path: Path, namespace: str) -> Path:
    """redis/control with a process that deletes the primary's pod, by the name that it looks up; marked."""
    experiment = loaded("redis/control")
    (block,) = experiment["extensions"]
    block["mark"] = ["delete-the-primary"]
    block["row"] = {"engine": "redis", "mode": "everysec-wait-0", "fault": "delete-primary"}
    script = tmp_path / "delete-primary.sh"
    script.write_text(
        "#!/bin/sh\nset -e\n"
        f'k="{shutil.which("kubectl") or "kubectl"} --context $CAPLAB_CONTEXT -n {namespace}"\n'
        "$k delete pod \"$($k get rediscluster rd -o jsonpath='{.status.primary}')\"\n"
    )
    script.chmod(0o755)
    step = {"type": "action", "name": "delete-the-primary", "provider": {"type": "process", "path": str(script)}}
    function = {"module": "chaoscaplab.clusters.probes", "func": "recovered", "arguments": {"cluster": "rd"}}
    back = {"type": "probe", "name": "the-cluster-has-recovered", "provider": {"type": "python", **function}}
    experiment["method"] = [step, back]
    file = tmp_path / "delete-by-process.yaml"
    file.write_text(yaml.safe_dump(experiment))
    return file


@pytest.mark.long
def test_an_outage_that_an_experiments_own_process_makes_is_measured_from_its_mark(
    lab: Lab, open_namespace: str, tmp_path: Path
) -> None:
    done = caplab_run(lab, str(deleting(tmp_path, open_namespace)), tmp_path / "results", namespace=open_namespace)
    (folder,) = (tmp_path / "results").glob("*/01-*")
    judged = judge_folder(folder)
    (window,) = judged.record.fault_windows
    assert (window.kind, window.proven) == ("delete-the-primary", True)
    assert window.evidence[0] == "times as the experiment's steps give them: delete-the-primary"
    figures = {finding.property: finding.figures for finding in judged.findings}
    print(json.dumps(figures["availability"], default=str)[:2000])
    assert figures["durability"]["lost"] == 0
    assert "delete-the-primary of rd-" in done.stdout
