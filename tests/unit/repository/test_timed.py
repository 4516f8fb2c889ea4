"""The timed tests and the others: each run reads the files that it needs, and together they run every test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY

TIMED = {"tests/unit/agent/test_one.py::test_it", "tests/property/test_probe_one.py::test_it"}
OTHERS = {"tests/unit/check/test_one.py::test_it", "tests/property/test_one.py::test_it"}


@pytest.mark.parametrize(("marks", "wanted", "unread"), [("timed", TIMED, OTHERS), ("not timed", OTHERS, TIMED)])
def test_each_run_reads_its_own_files_alone(tmp_path: Path, marks: str, wanted: set[str], unread: set[str]) -> None:
    for test in wanted | unread:
        file = tmp_path / test.partition("::")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("def test_it(): pass\n" if test in wanted else "raise SystemExit('it is read')\n")
    (tmp_path / "tests" / "support").mkdir()
    for name in ("conftest.py", "support/effort.py"):
        shutil.copy(REPOSITORY / "tests" / name, tmp_path / "tests" / name)
    command = ["-m", "pytest", "-n0", "-q", "--collect-only", "-c", f"{REPOSITORY}/pyproject.toml", "-m", marks]
    done = subprocess.run(
        [sys.executable, *command, f"--rootdir={tmp_path}", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line for line in done.stdout.splitlines() if "::" in line} == wanted
