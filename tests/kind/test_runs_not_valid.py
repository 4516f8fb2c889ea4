"""Whole runs on the real cluster that must not be valid: without their fault, or too short."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.kind.kind_lab import Lab
from support.kind.lab_runs import run
from support.runs.experiment_files import loaded

pytestmark = pytest.mark.beside

RATE = "20"  # a third of the usual load: a slow machine, too, has to get through the baseline


def without_its_fault(tmp_path: Path) -> Path:
    """crash-primary, but the action that should crash it does nothing."""
    experiment = loaded("postgres/crash-primary")
    (crash,) = [step for step in experiment["method"] if step["name"] == "crash-the-primary"]
    crash["provider"] |= {"func": "nothing", "arguments": {"seconds": 1}}
    file = tmp_path / "without-its-fault.yaml"
    file.write_text(yaml.safe_dump(experiment))
    return file


def test_a_run_whose_kill_did_not_happen_is_unknown(lab: Lab, shared_namespace: str, tmp_path: Path) -> None:
    file = without_its_fault(tmp_path)
    code, verdict, _ = run(lab, tmp_path / "results", str(file), rate=RATE, namespace=shared_namespace)
    assert (code, verdict["verdict"]) == (2, "unknown")
    assert any("no evidence of the fault" in reason for reason in verdict["runs"][0]["reasons"])


def test_a_member_kept_down_for_less_than_its_row_gives_the_failover_is_refused(
    lab: Lab, shared_namespace: str, tmp_path: Path
) -> None:
    settings = {"seconds": "10", "rate": RATE, "namespace": shared_namespace}
    code, verdict, _ = run(lab, tmp_path, "postgres/kill-primary", **settings)
    assert (code, verdict["verdict"]) == (2, "unknown")
    assert any("could not be told from the heal" in reason for reason in verdict["runs"][0]["reasons"])
