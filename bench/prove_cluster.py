"""Measure the cluster's three starts and its idle load, and write docs/evidence/cluster.md.

A bare start uses a cache of its own, so nothing from earlier starts helps it; an engine that is installed stays
installed, and the table shows which steps ran. Takes the machine for about a quarter of an hour: the lab's cluster
goes down first, and stays down.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from caplab_cluster import commands
from caplab_cluster.failure import Failure
from caplab_cluster.kind_cluster import NODES
from caplab_cluster.machine import usage
from caplab_cluster.paths import REPOSITORY, Cache
from caplab_cluster.progress import Progress, duration
from caplab_cluster.setup_context import begin
from evidence import made_by

EVIDENCE = REPOSITORY / "docs" / "evidence" / "cluster.md"
LIMITS_SECONDS = {"bare": 25 * 60.0, "warm": 4 * 60.0, "already up": 10.0}
IDLE_SECONDS = 60.0


def start(cache: Path) -> tuple[float, str]:
    """Run `up` with a cache; returns seconds, and the table it printed."""
    began = time.monotonic()
    env = {**os.environ, "CAPLAB_CACHE": str(cache), "PYTHONPATH": str(REPOSITORY / "cluster")}
    process = subprocess.Popen(
        [sys.executable, "-m", "caplab_cluster", "up"], env=env, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    if process.wait() != 0:
        raise Failure("`up` failed.", "Read its output above.")
    table = re.search(r"^-{5,}\n.*?^total[^\n]*$", "".join(lines), re.DOTALL | re.MULTILINE)
    assert table
    return time.monotonic() - began, table[0]


def down(cache: Cache) -> None:
    """Remove the cluster that belongs to a cache."""
    commands.down(Progress(cache.logs / "down"), cache)


def render(taken: Mapping[str, tuple[float, str]], idle: Mapping[str, usage.Usage], load: float) -> str:
    """Format the page of evidence: seconds and table of each start, what the idle nodes use."""
    memory, cores = total(idle)
    rows = [f"| {name} | {duration(taken[name][0])} | {duration(limit)} |" for name, limit in LIMITS_SECONDS.items()]
    tables = [f"\n## {name}\n\n```\n{taken[name][1]}\n```" for name in LIMITS_SECONDS]
    return "\n".join(
        [
            "# The cluster's starts and its idle load, measured",
            "",
            made_by(__file__, load, "no container registry"),
            "",
            "| start | measured | limit |",
            "|---|---|---|",
            *rows,
            "",
            f"Idle over {IDLE_SECONDS:.0f} s, all four nodes: {memory:.2f} GiB (limit {usage.IDLE_MEMORY_GIB}),"
            f" {cores:.2f} cores (limit {usage.IDLE_CORES}).",
            *tables,
            "",
        ]
    )


def total(idle: Mapping[str, usage.Usage]) -> tuple[float, float]:
    """Return GiB and cores of all nodes together."""
    return sum(node.memory_bytes for node in idle.values()) / 1024**3, sum(node.cores for node in idle.values())


def main() -> int:
    """Measure and write the evidence. Returns 0 if every limit holds."""
    own = Cache.from_environment()
    load = os.getloadavg()[0]
    down(own)
    taken: dict[str, tuple[float, str]] = {}
    with tempfile.TemporaryDirectory(dir=own.root.parent, prefix="caplab-bare-") as folder:
        bare = Cache(Path(folder))
        taken["bare"] = start(bare.root)
        taken["already up"] = start(bare.root)
        engine = begin(Progress(bare.logs), bare).engine
        idle = usage.measure(engine, NODES, IDLE_SECONDS)
        down(bare)
        taken["warm"] = start(bare.root)
        commands.clean(Progress(bare.logs / "clean"), bare)
    EVIDENCE.parent.mkdir(parents=True, exist_ok=True)
    EVIDENCE.write_text(render(taken, idle, load))
    print(EVIDENCE.read_text())
    memory, cores = total(idle)
    held = all(taken[name][0] <= limit for name, limit in LIMITS_SECONDS.items())
    return 0 if held and 0 < memory < usage.IDLE_MEMORY_GIB and cores < usage.IDLE_CORES else 1


if __name__ == "__main__":
    sys.exit(main())
