"""Whole runs on the real cluster that a busy machine does not spoil: their rows allow what it makes of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY
from support.kind.kind_lab import Lab
from support.kind.lab_runs import BIN, environment, run
from support.kind.lab_state import live_faults
from support.runs.planted_experiments import claiming

pytestmark = pytest.mark.beside


def test_an_empty_primary_that_comes_back_wipes_its_replicas_and_it_shows(
    lab: Lab, shared_namespace: str, tmp_path: Path
) -> None:
    code, verdict, folder = run(
        lab, tmp_path, "redis/crash-primary", persistence="none", restarted="ComeBack", namespace=shared_namespace
    )
    assert (code, verdict["verdict"]) == (0, "valid"), "its row says that the loss must show"
    findings = {
        finding["property"]: finding for finding in json.loads((folder / "findings.json").read_text())["findings"]
    }
    figures = findings["durability"]["figures"]
    assert findings["durability"]["state"] == "invalid"
    assert figures["lost"] > 100


def test_the_stock_chaos_command_runs_it_too_and_its_journal_has_the_verdict(
    lab: Lab, shared_namespace: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.json"
    experiment = REPOSITORY / "experiments" / "postgres" / "crash-primary.yaml"
    done = subprocess.run(
        [str(BIN / "chaos"), "run", "--journal-path", str(journal), "--var", "durability=async",
         "--var", "rate=20", "--var", f"namespace={shared_namespace}", str(experiment)],
        cwd=tmp_path, env=environment(lab), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(journal.read_text())
    assert document["status"] == "completed"
    assert document["caplab"]["row"] == "postgres async crash-primary"
    assert document["caplab"]["verdict"] == "valid", document["caplab"]
    assert (tmp_path / document["caplab"]["folder"] / "history.parquet").exists()
    assert live_faults(lab, shared_namespace) == []


def test_a_hot_key_that_nothing_protects_is_a_stampede_and_breaks_the_row_of_the_lock(
    lab: Lab, shared_namespace: str, tmp_path: Path
) -> None:
    file = claiming("cache/expire-hot-key", "lock", tmp_path)
    # A sixth of the usual load: with more, two slow cores never leave the stampede of the cold start.
    settings = {"protection": "none", "rate": "60", "namespace": shared_namespace}
    code, verdict, folder = run(lab, tmp_path / "results", str(file), **settings)
    assert (code, verdict["verdict"]) == (1, "invalid")
    (judged,) = verdict["runs"]
    assert any(reason.startswith("stampedeMax") for reason in judged["reasons"]), judged["reasons"]
    findings = {
        finding["property"]: finding for finding in json.loads((folder / "findings.json").read_text())["findings"]
    }
    assert findings["load"]["figures"]["factor"]["max"] >= 10
    assert findings["durability"]["figures"]["lost"] == 0
    record = json.loads((folder / "run.json").read_text())
    (window,) = record["fault_windows"]
    print(f"\n{findings['load']['figures']} {window}")
    assert window["proven"]
