"""Whole runs on the real cluster that are interrupted or killed: what is live then ends at once, or in its time."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from support.kind.kind_lab import Lab, log_folder, wait_until
from support.kind.lab_runs import command, environment
from support.kind.lab_state import gate_files, live_faults, running_loads

pytestmark = pytest.mark.beside


KEPT_DOWN_SECONDS = 20  # a run refuses to keep a member down for less than its row gives the failover


# The gate has the one that Chaos Toolkit by itself would lose (caplab/run/toolkit.py); Ctrl-C is Python's own.
@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_an_interrupted_run_heals_at_once_and_leaves_nothing(
    lab: Lab, shared_namespace: str, tmp_path: Path, how: signal.Signals
) -> None:
    process = begin_kill(lab, shared_namespace, tmp_path, seconds=60)
    process.send_signal(how)
    assert process.wait(40) == 3
    assert live_faults(lab, shared_namespace) == []
    assert gate_files(lab, shared_namespace) == []
    wait_until("no load runs", lambda: running_loads(lab, shared_namespace) == [], 20)


def test_a_run_that_is_killed_leaves_a_fault_that_ends_by_itself(
    lab: Lab, shared_namespace: str, tmp_path: Path
) -> None:
    process = begin_kill(lab, shared_namespace, tmp_path, seconds=KEPT_DOWN_SECONDS)
    process.kill()
    process.wait()
    assert gate_files(lab, shared_namespace) != []
    (name,) = live_faults(lab, shared_namespace)
    wait_until("the gate is open", lambda: gate_files(lab, shared_namespace) == [], 30)
    wait_until("the fault says so", lambda: live_faults(lab, shared_namespace) == [], 10)
    fault = lab.get("faults", "-n", shared_namespace, name.partition("/")[2])
    targets = [target for target in fault["status"]["targets"] if "healedNs" in target]
    assert targets, fault["status"]
    for target in targets:  # by the agent's own clock, whatever the API server's delay
        assert (target["healedNs"] - target["injectedNs"]) / 1e9 == pytest.approx(KEPT_DOWN_SECONDS, abs=2)


def begin_kill(lab: Lab, namespace: str, results: Path, seconds: int) -> subprocess.Popen[bytes]:
    """A run of Redis' kill-primary whose fault is live, for so long."""
    log = (log_folder() / "run-interrupted.log").open("wb")
    process = subprocess.Popen(
        command(results, "redis/kill-primary", {"seconds": str(seconds), "namespace": namespace}),
        env=environment(lab), stdout=log, stderr=log,
    )  # fmt: skip

    def live() -> bool:
        assert process.poll() is None, "the run ended before its fault was live"
        faults = lab.get("faults", "-n", namespace)["items"]
        return any(fault.get("status", {}).get("phase") == "Active" for fault in faults)

    wait_until("the fault is live", live, 120)
    return process
