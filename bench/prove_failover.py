"""Measure the cost of a lost primary, or member, repeatedly, and keep it: docs/evidence/failover-ENGINE.md.

python bench/prove_failover.py postgres redis cassandra

Each series has all of its runs; none is left out. Takes half an hour an engine; the lab's cluster must be up (make up).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caplab_cluster.paths import REPOSITORY
from evidence import made_by

RUNS = 10


@dataclass(frozen=True)
class Series:
    """One experiment under one setting, or one suite, so many times."""

    experiment: str
    settings: Mapping[str, str]
    repeat: int

    @property
    def title(self) -> str:
        """Its title on the page."""
        settings = " ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.repeat} x {self.experiment} {settings}".rstrip()


SERIES = {
    "postgres": (
        Series("postgres/kill-primary", {"durability": "quorum"}, RUNS),
        Series("postgres/kill-primary", {"durability": "async"}, RUNS),
        Series("postgres/crash-primary", {"durability": "quorum"}, RUNS),
        Series("postgres/crash-primary", {"durability": "async"}, RUNS),
        # 200 operations a second of each zone, over both loads, for a minute.
        Series("postgres/control", {"durability": "quorum", "rate": "100", "seconds": "60"}, 1),
    ),
    # A suite with every row of it.
    "redis": (Series("redis", {}, 2),),
    "cassandra": (Series("cassandra", {}, 2),),
}


def measure(series: Series, folder: Path) -> tuple[int, str]:
    """Run a series; returns its exit code, and its summary.md."""
    settings = [part for name, value in series.settings.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "caplab", "run", series.experiment, "--repeat", str(series.repeat), *settings]
    done = subprocess.run([*command, "--results", str(folder), "--keep"], cwd=REPOSITORY, check=False)
    (results,) = folder.iterdir()
    return done.returncode, (results / "summary.md").read_text()


def excerpt(summary: str) -> str:
    """Return a series' tables over all runs, and the result of each run; one run is shown whole."""
    whole, *runs = summary.split("\n## ")
    tables = whole.partition("\n\n")[2].strip()
    if len(runs) == 1:
        return f"{tables}\n\n{runs[0].partition(chr(10))[2].strip()}"
    notes = [line for run in runs for line in run.splitlines() if line.startswith("- ")]
    return "\n".join(
        [tables, "", "<details><summary>each run: fault, clocks, probers, time</summary>", "", *notes, "", "</details>"]
    )


def page(engine: str, measurements: Sequence[tuple[Series, int, str]], load: float) -> str:
    """Format the page of evidence."""
    codes = ("all valid", "some invalid", "some unknown", "the lab failed")
    parts = [
        f"# What a lost {engine.capitalize()} {'member' if engine == 'cassandra' else 'primary'} costs, measured",
        "",
        f"{made_by(__file__, load)} Figures are as they came, none left out.",
        "",
        "kill-primary, kill-node: the member stays down. crash-primary: its node starts it again at once."
        " *clocks apart*: the probes' first acknowledged write beside the first complete one of the new epoch, as the"
        " server itself stamped it.",
    ]
    for series, code, summary in measurements:
        parts += ["", f"## {series.title}: {codes[code]}", "", excerpt(summary)]
    return "\n".join(parts) + "\n"


def prove(engine: str) -> int:
    """Measure all series of an engine. Returns 0 if every run was valid."""
    load = os.getloadavg()[0]
    evidence = REPOSITORY / "docs" / "evidence" / f"failover-{engine}.md"
    measurements = []
    with tempfile.TemporaryDirectory(prefix="caplab-failover-") as folder:
        for number, series in enumerate(SERIES[engine]):
            print(f"== {series.title}", flush=True)
            measurements.append((series, *measure(series, Path(folder) / str(number))))
            evidence.write_text(page(engine, measurements, load))
    return max(code for _, code, _ in measurements)


if __name__ == "__main__":
    sys.exit(max(prove(engine) for engine in sys.argv[1:] or SERIES))
