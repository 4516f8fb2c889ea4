"""`make test`: what measures no times runs beside the tests on kind, in idle time, and any part that fails fails it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import side_by_side
from caplab_cluster.paths import REPOSITORY

IN_IDLE_TIME = REPOSITORY / "tests" / "in_idle_time.py"
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="the images have no make")


def make_test(folder: Path, failing: str = "") -> tuple[int, list[str]]:
    """Run `make test` with programs that only note what they are asked for, and of which one fails.

    Returns make's code, and the parts in the order in which they ran.
    """
    programs = folder / "bin"
    programs.mkdir()
    (folder / "ready").touch()
    (folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}").mkdir(parents=True)
    note = programs / "note"
    note.write_text(
        f'#!/bin/sh\ncase "$*" in *tests/in_idle_time.py*) exec {sys.executable} "$@";; -c*) exit;;'
        " *side_by_side*) echo 1; exit;;"
        " *tests/kind*) part=kind;; *tests/unit*) part=unit;; *on_images_python*) part=images;;"
        " *caplab_cluster*) part=up;; *) part=lint;; esac\n"
        'case "$*" in *"not timed"*) ;; *timed*) part=$part-timed;; esac\n'
        f'echo $part >> {folder}/parts\n[ $part != "{failing}" ]\n'
    )
    note.chmod(0o755)
    for name in ("pytest", "python", "ruff", "mdformat", "mypy", "lint-imports"):
        (programs / name).symlink_to(note)
    variables = [
        f"VENV={folder}",
        f"PYTHON={note}",
        f"PYTHON_VERSION={sys.version_info.major}.{sys.version_info.minor}",
    ]
    done = subprocess.run(["make", "-s", "test", *variables], cwd=REPOSITORY, capture_output=True, check=False)
    return done.returncode, (folder / "parts").read_text().splitlines()


def test_each_part_runs_and_what_needs_another_runs_after_it(tmp_path: Path) -> None:
    code, parts = make_test(tmp_path)
    assert code == 0
    first = min(parts.index("unit-timed"), parts.index("images-timed"))
    assert set(parts[:first]) == {"lint", "up"}
    assert set(parts[first : first + 2]) == {"unit-timed", "images-timed"}
    assert set(parts[first + 2 :]) == {"unit", "images", "kind"}
    assert parts.index("unit") < parts.index("images")


@pytest.mark.parametrize("failing", ["lint", "up", "unit-timed", "images-timed", "unit", "images", "kind"])
def test_a_part_that_fails_fails_it_and_what_measures_no_times_does_not_stop_the_rest(
    tmp_path: Path, failing: str
) -> None:
    code, parts = make_test(tmp_path, failing)
    assert code == 2
    assert failing in parts
    assert ("kind" in parts) == (failing in {"unit", "images", "kind"})
    assert ("images" in parts) == (failing in {"images", "kind"})


@pytest.mark.parametrize(("taken", "at_once"), [(0.03, 2), (0.05, 2), (0.051, 1), (0.25, 1)])
def test_on_a_slow_machine_what_asserts_short_times_runs_one_by_one(taken: float, at_once: int) -> None:
    assert side_by_side.side_by_side(taken) == at_once


def test_the_speed_of_a_machine_is_told_as_a_number_of_workers() -> None:
    program = [sys.executable, str(REPOSITORY / "tests" / "side_by_side.py")]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout in ("1\n", "2\n")


def in_idle_time(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(IN_IDLE_TIME), *command], capture_output=True, text=True, check=False)


def test_what_runs_in_idle_time_gives_way_and_prints_all_in_the_end() -> None:
    program = "import os, sys; print(os.sched_getscheduler(0) == os.SCHED_IDLE, os.nice(0)); sys.exit('and errors')"
    done = in_idle_time(sys.executable, "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (1, "True 19\nand errors\n", "")


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel groups no sessions")
def test_what_runs_in_idle_time_is_a_session_of_its_own_which_gives_way_to_all_others() -> None:
    own = Path("/proc/self/autogroup").read_text().split()
    group, _, nice = in_idle_time("cat", "/proc/self/autogroup").stdout.split()
    assert (group != own[0], nice) == (True, "19")
    assert Path("/proc/self/autogroup").read_text().split() == own


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_that_runs_in_idle_time(tmp_path: Path, asked: signal.Signals) -> None:
    ends = tmp_path / "ends"
    os.mkfifo(ends)  # an open end in each process: the reader's end of file is the end of all of them
    program = f"exec 3>{ends}; trap 'kill $!; exit 1' INT; sleep 600 & wait"
    with subprocess.Popen([sys.executable, str(IN_IDLE_TIME), "bash", "-c", program]) as started:
        with ends.open("rb") as reader:
            started.send_signal(asked)
            assert reader.read() == b""
        assert started.wait(10) == 1


def test_what_a_signal_ends_has_failed() -> None:
    assert in_idle_time(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)").returncode == 1
