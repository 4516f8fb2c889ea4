"""An experiment that is interrupted: nothing of it goes on but its rollbacks."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from caplab.run.toolkit import drive
from caplab.run_context import RunContext


def step(name: str, module: str, func: str, arguments: dict[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return {"type": "action", "name": name, "provider": provider}


def experiment(folder: Path, *method: dict[str, Any]) -> Path:
    file = folder / "experiment.yaml"
    mark = step("roll-back", "os", "mkdir", {"path": str(folder / "rolled-back")})
    file.write_text(yaml.safe_dump({"title": "t", "description": "d", "method": list(method), "rollbacks": [mark]}))
    return file


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_an_activity_ends_the_experiment_and_rolls_back(tmp_path: Path, how: signal.Signals) -> None:
    file = experiment(
        tmp_path,
        step("interrupt", "subprocess", "check_call", {"args": ["sh", "-c", f"kill -{how:d} {os.getpid()}"]}),
        step("go-on", "os", "mkdir", {"path": str(tmp_path / "went-on")}),
    )
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        drive(file, {}, RunContext(folder=tmp_path / "results"), out)
    assert not (tmp_path / "went-on").exists()
    assert (tmp_path / "rolled-back").exists()
    assert "go-on" not in out.getvalue()


def test_an_activity_that_fails_by_itself_is_no_interruption(tmp_path: Path) -> None:
    file = experiment(
        tmp_path,
        step("fail", "os", "rmdir", {"path": str(tmp_path / "absent")}),
        step("go-on", "os", "mkdir", {"path": str(tmp_path / "went-on")}),
    )
    assert drive(file, {}, RunContext(folder=tmp_path / "results"), io.StringIO())["status"] == "completed"
    assert (tmp_path / "went-on").exists()


@pytest.mark.parametrize("background", [False, True])
def test_an_action_finds_the_run_that_is_driven_also_in_the_background(tmp_path: Path, background: bool) -> None:
    ids = step("write-the-run", "support.runs.held_runs", "write_run_id", {"path": str(tmp_path / "run")})
    run = RunContext(folder=tmp_path / "results")
    drive(experiment(tmp_path, {**ids, "background": background}), {}, run, io.StringIO())
    assert (tmp_path / "run").read_text() == run.run_id
