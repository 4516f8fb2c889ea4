"""Porcupine beside our checker: builds bench/porcupine with the project's Go, and runs it on histories as CSV."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caplab_cluster.machine.facts import Tool, detect_go
from caplab_cluster.paths import Cache
from caplab_cluster.progress import Progress
from caplab_cluster.toolchain import GoBuilder
from pyarrow import csv  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import Table

MEMORY_BYTES = 6 * 2**30  # address space: on 100,000 operations of one key it used all of the machine's
SOURCES = Path(__file__).with_name("porcupine")
COLUMNS = ["session", "op", "key", "value", "expected", "observed", "invoke_ns", "return_ns", "outcome", "error"]


@dataclass(frozen=True, slots=True)
class _GoOnly:
    """What a build needs of the machine; nothing else is inspected."""

    go: Tool | None


def built() -> Path:
    """Return the program in the lab's cache, built if it is not up to date. Raises if the build fails."""
    cache = Cache.from_environment()
    go = GoBuilder(_GoOnly(detect_go()), cache).ensure_go(Progress(cache.logs))
    program = cache.binaries / "porcupine-bench"
    program.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "GOMODCACHE": str(cache.go / "modules"),
        "GOCACHE": str(cache.go / "build"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCES, env={**os.environ, **settings}, check=True)
    return program


def write_csv(history: Table, path: Path) -> None:
    """Write the columns of a history that Porcupine reads; nulls are empty."""
    csv.write_csv(history.select(COLUMNS), path)


def checked(program: Path, path: Path, *flags: str) -> dict[str, Any]:
    """Return its result for a file: see bench/porcupine/main.go. Raises CalledProcessError beyond MEMORY_BYTES."""
    limited = ["prlimit", f"--as={MEMORY_BYTES}", str(program), *flags, str(path)]
    done = subprocess.run(limited, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
