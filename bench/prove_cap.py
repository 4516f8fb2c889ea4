"""Fills the CAP table: every row once, core three times, and a soak without a fault.

    python bench/prove_cap.py full core soak

full: the suite of every row, into docs/cap-table.md. core: three times; every run is to agree with its repeats.
soak: 30 minutes of the control runs of all engines at once. Takes four hours; the lab's cluster must be up (make up).
What core and soak found is kept in docs/evidence/cap.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from caplab_cluster.paths import REPOSITORY
from evidence import made_by

REPEATS, SOAK_SECONDS = 3, 1800
EVIDENCE = REPOSITORY / "docs" / "evidence"
# What the experiments' own loads are, all at once.
SOAKS: dict[str, dict[str, str]] = {
    "postgres/control": {"durability": "quorum", "rate": "60"},
    "redis/control": {"persistence": "everysec", "wait": "0", "rate": "60"},
    "cassandra/control": {"write": "QUORUM", "read": "QUORUM", "rate": "40"},
}


def caplab_run(name: str, folder: Path, *more: str) -> Path:
    """The folder of a suite that has been run; what it prints goes to the screen."""
    subprocess.run(
        [sys.executable, "-m", "caplab", "run", name, "--results", str(folder), *more], cwd=REPOSITORY, check=False
    )
    (results,) = folder.iterdir()
    return results


def full(folder: Path) -> bool:
    """Every row once, into the table; whether all are valid."""
    results = caplab_run("full", folder)
    subprocess.run([sys.executable, "bench/cap_table.py", "--add", str(results)], cwd=REPOSITORY, check=True)
    return bool(verdict_of(results)["verdict"] == "valid")


def core(folder: Path) -> tuple[bool, list[str]]:
    """Core, again and again: whether every run's verdicts agree and are valid, and a line a run."""
    results = caplab_run("core", folder, "--repeat", str(REPEATS))
    verdicts = defaultdict(list)
    for run in verdict_of(results)["runs"]:
        verdicts[run["name"]].append(run["verdict"])
    lines = [f"| {name} | {' '.join(said)} |" for name, said in verdicts.items()]
    whole = not verdict_of(results)["failures"]
    agree = whole and all(said == ["valid"] * REPEATS for said in verdicts.values())
    return agree, ["| run | verdicts |", "|---|---|", *lines]


def soak(folder: Path) -> tuple[bool, list[str]]:
    """All engines without a fault at once, each in a namespace of its own: whether all is calm, and their summaries."""

    def one(name: str) -> Path:
        namespace = f"caplab-soak-{name.partition('/')[0]}"
        settings = {**SOAKS[name], "seconds": str(SOAK_SECONDS), "namespace": namespace}
        told = [part for setting, value in settings.items() for part in ("--set", f"{setting}={value}")]
        return caplab_run(name, folder / namespace, *told)

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(one, SOAKS))
    told = [line for results in found for line in (results / "summary.md").read_text().splitlines()]
    return all(verdict_of(results)["verdict"] == "valid" for results in found), told


def verdict_of(results: Path) -> dict[str, Any]:
    """A suite's verdict.json."""
    found: dict[str, Any] = json.loads((results / "verdict.json").read_text())
    return found


def main(parts: Sequence[str]) -> int:
    """Run what is named, all where nothing is; 1 where something is not as promised."""
    load, well, page = os.getloadavg()[0], True, ["# Evidence: the CAP table, again and for long", ""]
    with tempfile.TemporaryDirectory() as temporary:
        if not parts or "full" in parts:
            well &= full(Path(temporary) / "full")
        for name, title, part in (
            ("core", f"core, {REPEATS} times", core),
            ("soak", f"{SOAK_SECONDS // 60} minutes under load without a fault", soak),
        ):
            if not parts or name in parts:
                held, lines = part(Path(temporary) / name)
                well &= held
                page += [f"## {title}: {'as promised' if held else 'NOT as promised'}", "", *lines, ""]
    if len(page) > 2:
        page.insert(1, f"\n{made_by(__file__, load)}")
        (EVIDENCE / "cap.md").write_text("\n".join(page))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
