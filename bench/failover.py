"""Measure failovers side by side, in turn: the fast path and fencing beside stock Patroni and stock Sentinel.

python bench/failover.py --repeats 20            # all faults; about six hours
python bench/failover.py --only crash frozen --repeats 5 --keep

Each way to fail over has a cluster of its own, which stays between its runs; so what differs between two runs of a
fault is only that. Every run counts, none is left out. The lab's cluster must be up (make up). With --keep the table
goes into docs/evidence/failover.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caplab_cluster.paths import REPOSITORY
from evidence import made_by

ROUTES = ("direct", "service")
RATE = "15"  # operations a second of each load, zone and route together: two cores have time left beside it


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to fail over from a fault: the experiment that measures it, and its settings."""

    experiment: str
    settings: Mapping[str, str]


@dataclass(slots=True)
class Measured:
    """What the runs of a variant gave: seconds without an acked write, by route; and runs that were not as promised."""

    outages: dict[str, list[float]] = field(default_factory=lambda: {route: [] for route in ROUTES})
    lost: int = 0
    not_valid: int = 0


def _postgres(experiment: str, seconds: str, fast: str, **more: str) -> dict[str, Variant]:
    stock = {"durability": "quorum", "rate": RATE, **more}
    return {
        "stock Patroni": Variant(experiment, stock),
        fast: Variant(experiment, {**stock, "durability": f"quorum-{fast}", "seconds": seconds}),
    }


FAULTS: Mapping[str, Mapping[str, Variant]] = {
    "Postgres, killed and stays down": _postgres("postgres/kill-primary", "12", "fast"),
    "Postgres, crashes": _postgres("postgres/crash-primary", "8", "fast"),
    "Postgres, cut from the control plane": _postgres("postgres/partition-primary", "20", "fenced", cut="controlPlane"),
    "Postgres, frozen": _postgres("postgres/freeze-primary", "20", "fenced"),
    "Postgres, asked to hand over": {
        "stock Patroni": Variant("postgres/switchover", {"durability": "quorum", "rate": RATE}),
        "fast": Variant("postgres/switchover", {"durability": "quorum-fast", "rate": RATE}),
    },
    "Redis, killed and stays down": {
        "stock Sentinel": Variant("redis/kill-primary", {"persistence": "everysec", "wait": "0", "rate": RATE}),
        "fast": Variant(
            "redis/kill-primary", {"persistence": "everysec-fast", "wait": "0", "rate": RATE, "seconds": "8"}
        ),
    },
}


def run(variant: Variant, namespace: str, results: Path, measured: Measured) -> None:
    """Make one run, and add what it measured. A run that is not valid counts as such, with its figures."""
    settings = [part for name, value in variant.settings.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "caplab", "run", variant.experiment, *settings, "--set", f"namespace={namespace}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, "--results", str(results), "--keep"], cwd=REPOSITORY, check=False, env=environment, timeout=900
    )
    measured.not_valid += done.returncode != 0
    for file in results.glob("*/01-*/findings.json"):
        figures = {each["property"]: each["figures"] for each in json.loads(file.read_text())["findings"]}
        for route, seconds in measured.outages.items():
            outage = figures["availability"]["by_route"][route]["write_outage_seconds"]
            if outage is not None:
                seconds.append(float(outage))
        measured.lost += int(figures.get("durability", {}).get("lost", 0))


def rows(fault: str, variants: Mapping[str, Measured]) -> list[str]:
    """Return the rows of one fault, each with how many times as fast as the first variant its median is."""
    lines, (first, *_) = [], variants.values()
    for name, measured in variants.items():
        for route, seconds in measured.outages.items():
            if not seconds:
                lines.append(f"| {fault} | {name} | {route} | 0 | - | - | - | - | - | - | {measured.not_valid} |")
                continue
            p90 = statistics.quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
            median, stock = statistics.median(seconds), first.outages[route]
            times = f"{statistics.median(stock) / median:.1f}" if stock and median else "-"
            cells = (min(seconds), median, p90, max(seconds))
            figures = " | ".join(f"{each:.2f}" for each in cells)
            lines.append(
                f"| {fault} | {name} | {route} | {len(seconds)} | {figures} | {times} | {measured.lost}"
                f" | {measured.not_valid} |"
            )
    return lines


TITLE = """# How long a failover takes, side by side

Seconds without an acknowledged write, from the injection, in the zone where it took longest.
"""
HEAD = (
    "| fault | variant | route | n | min | median | p90 | max, s | times as fast | acked writes lost | not valid |",
    "| :-- | :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
)


def main(arguments: Sequence[str]) -> int:
    """Measure in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", nargs="+", default=[""], help="only faults whose names have one of these in them")
    parser.add_argument("--keep", action="store_true", help="write docs/evidence/failover.md")
    options = parser.parse_args(arguments)
    load, lines = os.getloadavg()[0], []
    for fault, variants in FAULTS.items():
        if not any(part in fault for part in options.only):
            continue
        measured = {name: Measured() for name in variants}
        for _ in range(options.repeats):
            for number, (name, variant) in enumerate(variants.items()):
                with tempfile.TemporaryDirectory(prefix="caplab-failover-") as folder:
                    run(variant, f"bench-failover-{number}", Path(folder), measured[name])
        lines += rows(fault, measured)
        print("\n".join((*HEAD, *lines)), flush=True)
        if options.keep:  # after each: a series that is interrupted leaves what it has measured
            page = REPOSITORY / "docs" / "evidence" / "failover.md"
            page.write_text("\n".join((TITLE, made_by(__file__, load, target=""), "", *HEAD, *lines, "")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
