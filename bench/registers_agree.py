"""Compare the registers checker with Porcupine on thousands of random small histories, each a key of its own.

Prints how many there were and every disagreement; fails if there is one. Takes a minute. Run with PYTHONPATH=tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

from porcupine_harness import built, checked, write_csv
from support.checkers.histories import history
from support.checkers.slow_registers import random_rows

from caplab.check import Context, registers

KEYS = 500  # of one file: each is a history


def disagreements(seed: int, unique: bool, cas: bool, program: Path, folder: Path) -> tuple[int, set[str]]:
    """Return how many of the histories are not linearizable by Porcupine, and the keys on which the two differ."""
    rng = Random(seed)
    rows = [row for number in range(KEYS) for row in random_rows(rng, f"k{number}", unique, cas)]
    table = history([row | {"session": number} for number, row in enumerate(rows)])
    path = folder / "history.csv"
    write_csv(table, path)
    theirs = checked(program, path, "-keys")
    figures = registers.check(table, Context(enough=1)).figures
    named, open_keys = figures["violating_keys"], figures["undecided_keys"]
    assert isinstance(named, list)
    assert isinstance(open_keys, list)
    return len(theirs["illegal"]), (set(named) ^ set(theirs["illegal"])) | set(open_keys) | set(theirs["unknown"])


def main() -> int:
    """Print the counts. Returns 1 if there is a disagreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help=f"each of four kinds of {KEYS} histories")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    program, count, illegal, differing = built(), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seed, arguments.seed + arguments.rounds):
            for unique, cas in ((True, False), (True, True), (False, False), (False, True)):
                illegal_here, differ = disagreements(seed, unique, cas, program, Path(folder))
                count, illegal, differing = count + KEYS, illegal + illegal_here, differing + len(differ)
                for key in sorted(differ):
                    print(f"seed {seed}, unique {unique}, cas {cas}: they differ on {key}")
    print(f"{count} histories, {illegal} of them not linearizable: {differing} disagreements with Porcupine")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
