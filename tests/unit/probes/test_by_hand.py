"""A prober that somebody starts by hand: it says what it waits for, and what it lacks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path


def command(folder: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "caplab_probes",
        "--vantage",
        "a",
        "--folder",
        str(folder),
        "run",
        "--run-id",
        "r",
        "--engine",
        "redis",
        *more,
    ]


def test_without_a_target_it_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        "FAILED: The target is missing. Hint: give --service HOST:PORT, or --member NAME=HOST:PORT.\n"
    )


def test_it_says_what_it_waits_for_and_that_it_never_began(tmp_path: Path) -> None:
    asked = command(tmp_path, "--service", "127.0.0.1:1")
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        waiting = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        status = json.loads(process.stdout.read())
        assert process.wait(timeout=30) == 1
    assert waiting.startswith("waiting: service: ")
    assert status["last_error"].startswith("the load never began: service: ")
