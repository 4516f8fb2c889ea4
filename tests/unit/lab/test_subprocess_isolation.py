"""Work in a child process: however that ends, it is an exit code and a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY

_BEGIN = "import os, signal, sys, time; from caplab.subprocess_isolation import run_in_child; "


def run(work: str) -> subprocess.CompletedProcess[str]:
    code = f"{_BEGIN}sys.exit(run_in_child(lambda: {work}, 3))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=20
    )


def test_a_childs_exit_code_and_words_are_its_parents() -> None:
    done = run("print('found') or 1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "found\n", "")


@pytest.mark.parametrize(("name", "why"), [("SIGSEGV", "damaged"), ("SIGABRT", "damaged"), ("SIGKILL", "memory")])
def test_a_child_that_crashes_is_a_failure_that_is_said(name: str, why: str) -> None:
    done = run(f"os.kill(os.getpid(), signal.{name})")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert name in done.stderr
    assert why in done.stderr


def test_who_ends_the_command_ends_its_work(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    work = f"open({str(begun)!r}, 'w').write(str(os.getpid())) and time.sleep(60)"
    code = f"{_BEGIN}sys.exit(run_in_child(lambda: {work}, 3))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 10
        while not (begun.exists() and begun.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 3
        with pytest.raises(ProcessLookupError):
            os.kill(int(begun.read_text()), 0)


def test_a_signal_in_the_moment_of_the_start_ends_its_work_too(tmp_path: Path) -> None:
    """Planted: the signal comes while the parent has not got so far as to know its child."""
    begun = tmp_path / "begun"
    code = (
        f"{_BEGIN}fork = os.fork\n"
        "def late():\n"
        "    child = fork()\n"
        f"    while child and not os.path.exists({str(begun)!r}): time.sleep(0.01)\n"
        "    return child\n"
        "os.fork = late\n"
        "def work():\n"
        "    os.kill(os.getppid(), 15)\n"
        f"    os.mkdir({str(begun)!r})\n"
        "    time.sleep(60)\n"
        "sys.exit(run_in_child(work, 3))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=False, timeout=50)
    assert done.returncode == 3, done.stderr
