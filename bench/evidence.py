"""Sentences and figures that the pages under docs/evidence share.

Standard library and caplab_cluster only: prove_cluster.py runs without the Python environment of the others.
"""

from __future__ import annotations

import datetime
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from caplab_cluster.machine.facts import inspect_machine
from caplab_cluster.paths import REPOSITORY, Cache


def made_by(script: str, load: float, circumstance: str = "", target: str = " (`make prove`)") -> str:
    """Return the sentence that says by which script (its __file__), when and on what machine figures were made.

    load is the machine's when the script began; circumstance is a few words more; target names make's, if it has one.
    """
    machine = inspect_machine(Cache.from_environment().root)
    facts = [
        f"{machine.cpus} cores",
        f"{(machine.memory_bytes or 0) / 1024**3:.0f} GiB",
        f"kernel {platform.release()}",
        f"cgroup v{machine.cgroup}",
        *([circumstance] if circumstance else []),
        f"load {load:.1f} at the beginning",
    ]
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    return f"Made by `bench/{Path(script).name}`{target} on {today}: {', '.join(facts)}."


def spread(seconds: Sequence[float], unit: str = "s") -> str:
    """Format minimum, median and maximum, in s or ms."""
    scale, digits = {"s": (1, 1), "ms": (1000, 0)}[unit]
    shown = (min(seconds), statistics.median(seconds), max(seconds))
    return f"{' / '.join(f'{value * scale:.{digits}f}' for value in shown)} {unit}"


def printed_by_tests(file: str, *options: str) -> tuple[bool, str]:
    """Return whether the tests of a file pass, and what they print beside their names."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *options, file]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return done.returncode == 0, "\n".join(line for line in lines if re.sub(r"^[.F\s]+$", "", line))
