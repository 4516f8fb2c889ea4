"""Fill the CAP table: every row once, core three times, and a soak without a fault.

python bench/prove_cap.py full core planted soak-postgres soak-redis soak-cassandra

full: the suite of every row. core: three times; every run must agree with its repeats. Both go into docs/cap-table.md.
planted: wrong settings, each of which its row must find. soak-ENGINE: its control run, for 30 minutes.
All but full are kept in pages of their names under docs/evidence. Takes five hours; the lab's cluster must be up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from caplab_cluster.paths import REPOSITORY
from evidence import made_by, printed_by_tests

REPEATS, SOAK_SECONDS = 3, 1800
EVIDENCE = REPOSITORY / "docs" / "evidence"
# The loads of the experiments themselves. One engine after the other, as suites have them: two cores cannot run all.
SOAKS: dict[str, dict[str, str]] = {
    "postgres": {"durability": "quorum", "rate": "60"},
    "redis": {"persistence": "everysec", "wait": "0", "rate": "60"},
    "cassandra": {"write": "QUORUM", "read": "QUORUM", "rate": "40"},
}


def caplab_run(name: str, folder: Path, *more: str) -> Path:
    """Run a suite, which prints to the screen, and return its folder."""
    subprocess.run(
        [sys.executable, "-m", "caplab", "run", name, "--results", str(folder), *more], cwd=REPOSITORY, check=False
    )
    (results,) = folder.iterdir()
    return results


def full(folder: Path) -> bool:
    """Run every row once, into the table; returns whether all are valid."""
    results = caplab_run("full", folder)
    into_table(results)
    return bool(verdict_of(results)["verdict"] == "valid")


def into_table(results: Path) -> None:
    """Copy a suite's verdicts into docs/cap-table.md."""
    subprocess.run([sys.executable, "bench/cap_table.py", "--add", str(results)], cwd=REPOSITORY, check=True)


def core(folder: Path) -> tuple[bool, list[str]]:
    """Run core repeatedly; returns whether the verdicts of all runs agree and are valid, and lines about them."""
    results = caplab_run("core", folder, "--repeat", str(REPEATS))
    into_table(results)
    return of_core(results)


def of_core(results: Path) -> tuple[bool, list[str]]:
    """Summarize a folder of results of core: a line a run with its verdicts and seconds, then the suite's summary."""
    verdicts, seconds = defaultdict(list), seconds_of(results)
    for run in verdict_of(results)["runs"]:
        verdicts[run["name"]].append((run["verdict"], seconds[run["run"]]))
    whole = not verdict_of(results)["failures"] and all(len(runs) == REPEATS for runs in verdicts.values())
    agree = whole and all(verdict == "valid" for runs in verdicts.values() for verdict, _ in runs)
    rounds = [sum(runs[number][1] for runs in verdicts.values()) / 60 for number in range(REPEATS)] if whole else []
    first, *more = [f"{minutes:.1f}" for minutes in rounds] or ["-"]
    lines = [
        f"Each of the {len(verdicts)} runs {REPEATS} times in a row. The first of an engine's runs makes its cluster, "
        f"as in `make chaos`: the first runs of all took {first} minutes, their repeats {' and '.join(more) or '-'}.",
        "",
        "| run | verdicts | seconds |",
        "|---|---|---|",
    ]
    for name, runs in verdicts.items():
        took = ", ".join(f"{seconds_taken:.0f}" for _, seconds_taken in runs)
        lines.append(f"| {name} | {' '.join(verdict for verdict, _ in runs)} | {took} |")
    return agree, [*lines, "", *(results / "summary.md").read_text().splitlines()]


def seconds_of(results: Path) -> dict[str, float]:
    """Return how long each run took, by its id, as junit.xml has it."""
    cases = ElementTree.parse(results / "junit.xml").iter("testcase")
    return {
        str(property_.attrib["value"]): float(case.attrib["time"])
        for case in cases
        for property_ in case.iter("property")
        if property_.attrib["name"] == "run"
    }


def planted(folder: Path) -> tuple[bool, list[str]]:
    """Run settings that contradict their rows; returns whether each ends invalid by its own, and a line a run."""
    del folder  # the tests keep their runs among their own
    passed, printed = printed_by_tests("tests/kind/test_planted.py", "-m", "long")
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    return passed, ["| run | claims to be | verdict | why |", "|---|---|---|---|", *rows]


def soak(folder: Path, engine: str) -> tuple[bool, list[str]]:
    """Run an engine without a fault under the experiments' loads; returns whether all is well, and the summary."""
    settings = {**SOAKS[engine], "seconds": str(SOAK_SECONDS)}
    options = [part for setting, value in settings.items() for part in ("--set", f"{setting}={value}")]
    results = caplab_run(f"{engine}/control", folder, *options)
    return verdict_of(results)["verdict"] == "valid", (results / "summary.md").read_text().splitlines()


def verdict_of(results: Path) -> dict[str, Any]:
    """Return a suite's verdict.json."""
    verdict: dict[str, Any] = json.loads((results / "verdict.json").read_text())
    return verdict


def keep(part: str, title: str, well: bool, lines: Sequence[str], load: float) -> None:
    """Write the results of a part as its page of evidence."""
    page = [f"# {title}: {'as promised' if well else 'NOT as promised'}", "", made_by(__file__, load), "", *lines]
    (EVIDENCE / f"{part}.md").write_text("\n".join(page) + "\n")


def main(parts: Sequence[str]) -> int:
    """Run the named parts, or all. Returns 1 if a promise is broken."""
    load, well = os.getloadavg()[0], True
    proofs: dict[str, tuple[str, Callable[[Path], tuple[bool, list[str]]]]] = {
        "core": (f"The suite core, {REPEATS} times", core),
        "planted": ("Wrong settings, each found out by its row", planted),
    }
    for engine in SOAKS:
        title = f"{engine}, {SOAK_SECONDS // 60} minutes under load without a fault"
        proofs[f"soak-{engine}"] = (title, partial(soak, engine=engine))
    # Kept: if a promise is broken, its histories show why.
    folder = REPOSITORY / "results" / f"prove-{time.strftime('%Y%m%d-%H%M%S')}"
    if not parts or "full" in parts:
        well &= full(folder / "full")
    for part, (title, prove) in proofs.items():
        if not parts or part in parts:
            held, lines = prove(folder / part)
            well &= held
            keep(part, title, held, lines, load)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
