"""Kills a Postgres primary again and again, and keeps the figures as they are: docs/evidence/failover.md.

Takes about ten minutes: RUNS of quorum and as many of async, each a run of experiments/postgres/kill-primary.yaml.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from caplab_cluster.machine import look
from caplab_cluster.paths import REPOSITORY, Cache

EVIDENCE = REPOSITORY / "docs" / "evidence" / "failover.md"
EXPERIMENT = "postgres/kill-primary"
MODES = ("quorum", "async")
RUNS = 10


def prove(mode: str, folder: Path) -> tuple[int, Path, str]:
    """All runs of a mode: the exit code, where the results are, and the table that was printed."""
    command = [sys.executable, "-m", "caplab", "run", EXPERIMENT, "--repeat", str(RUNS), "--set", f"durability={mode}"]
    command += ["--results", str(folder / mode), "--keep"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    code = process.wait()
    results = max((folder / mode).iterdir())
    return code, results, "".join(lines)
