"""Measure the registers checker beside Porcupine: the same histories, one run, the time of checking alone.

Prints a table. Porcupine stops at the first key that is not linearizable; our checker names them all, with witnesses.
Then our checker alone: one hot key, and up to 10 million operations. Takes three minutes.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from porcupine_harness import built, checked, write_csv
from register_histories import Plan, made

from caplab.check import Context, Finding, registers
from caplab.memory import keep_freed
from caplab.model.history import Table

REPEATS = 3  # the best of so many counts, of both
BESIDE = [
    Plan(name=name, operations=operations, keys=keys, stale=stale, info=info)
    for operations in (100_000, 1_000_000)
    for name, keys, stale, info in (
        ("valid", 50, 0.0, 0.0),
        ("valid", 200, 0.0, 0.0),
        ("info writes", 50, 0.0, 0.01),
        ("stale reads", 50, 0.001, 0.0),
        ("stale reads", 200, 0.001, 0.0),
    )
]
# Not beside Porcupine, which ran out of memory on 100,000 operations of one key.
ALONE = [
    Plan(name="one hot key", operations=1_000_000, keys=1),
    *(Plan(name="valid", operations=count * 1_000_000, keys=200) for count in (1, 2, 5, 10)),
]


def ours(history: Table) -> tuple[float, Finding]:
    """Return the seconds of checking a validated history, and the finding."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        finding = registers.check(history, Context())
        best = min(best, time.perf_counter() - began)
    return best, finding


def beside(plan: Plan, program: Path, folder: Path) -> str:
    """Return a row of the table."""
    history = made(plan)
    path = folder / "history.csv"
    write_csv(history, path)
    answers = [checked(program, path) for _ in range(REPEATS)]
    theirs = min(answer["seconds"] for answer in answers)
    seconds, finding = ours(history)
    violating = finding.figures["violating_keys"]
    agree = (answers[0]["result"] == "Ok") == (not violating) and answers[0]["result"] != "Unknown"
    return (
        f"{plan.name:<12} {plan.operations:>10,} {plan.keys:>5} {plan.operations / theirs / 1e6:>10.2f}"
        f" {plan.operations / seconds / 1e6:>8.2f} {theirs / seconds:>6.1f} {str(violating).count(chr(39)) // 2:>10}"
        f"  {'agree' if agree else 'DISAGREE'}"
    )


def main() -> None:
    """Print the tables."""
    program = built()
    keep_freed()
    print(f"load {os.getloadavg()[0]:.1f} at the beginning; best of {REPEATS}; million operations a second")
    print(
        f"{'history':<12} {'operations':>10} {'keys':>5} {'Porcupine':>10} {'ours':>8} {'ratio':>6} {'violating':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for plan in BESIDE:
            print(beside(plan, program, Path(folder)), flush=True)
    for plan in ALONE:
        seconds, _ = ours(made(plan))
        print(
            f"{plan.name:<12} {plan.operations:>10,} {plan.keys:>5} {plan.operations / seconds / 1e6:>19.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
