"""The tests on kind are in groups: `make test-kind` runs each, fails if any fails, and no file is in none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY

GROUPS = ["alone and not long", "paired and not long", "beside and not long", "last"]


def make_test_kind(folder: Path, failing: int) -> tuple[int, list[str]]:
    """Run `make test-kind` with another pytest, whose n-th call fails. Returns make's code and each call's marks."""
    program = folder / "bin" / "pytest"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -m ]; do shift; done\necho "$2" >> {folder}/calls\n'
        f"[ $(wc -l < {folder}/calls) != {failing} ]\n"
    )
    program.chmod(0o755)
    (folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}").mkdir(parents=True)
    (folder / "ready").touch()
    variables = [f"VENV={folder}", f"PYTHON={sys.executable}", "CLUSTER=true"]
    done = subprocess.run(["make", "-s", "test-kind", *variables], cwd=REPOSITORY, check=False)
    return done.returncode, (folder / "calls").read_text().splitlines()


@pytest.mark.skipif(shutil.which("make") is None, reason="the images have no make")
@pytest.mark.parametrize("failing", [0, 1, 2, 3, 4])
def test_each_group_runs_and_fails_the_gate(tmp_path: Path, failing: int) -> None:
    code, calls = make_test_kind(tmp_path / "venv", failing)
    assert calls == GROUPS
    assert (code == 0) == (failing == 0)


@pytest.mark.parametrize(("marks", "code"), [("", 4), ("alone", 0), ("alone beside", 4)])
def test_a_file_that_is_not_in_one_group_is_refused(tmp_path: Path, marks: str, code: int) -> None:
    folder = tmp_path / "tests" / "kind"
    folder.mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests" / "kind" / "conftest.py", folder)
    listed = ", ".join(f"pytest.mark.{mark}" for mark in marks.split())
    (folder / "test_planted.py").write_text(f"import pytest\npytestmark = [{listed}]\ndef test_it(): pass\n")
    collect = ["-m", "pytest", "-n0", "-q", "--collect-only", "-c", f"{REPOSITORY}/pyproject.toml", str(folder)]
    done = subprocess.run([sys.executable, *collect], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("test_planted.py: each file here is in one group" in done.stdout + done.stderr) == (code != 0)
