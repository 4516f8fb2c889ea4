"""Measure the checker isolation beside adya, on the same files: list appends, valid and with each anomaly planted.

python bench/isolation.py                                # all sizes, printed
python bench/isolation.py --sizes 10000 100000 --keep    # a part; its rows go into docs/evidence/isolation.md

Each history is checked by a process of its own, from the same file (JSON lines of events); the checker also from the
Arrow file that caplab itself writes. Processor time is compared, which other work on the machine changes little. adya
is called through bench/adya, which cargo builds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from caplab_cluster.paths import REPOSITORY, Cache
from evidence import made_by
from isolation_histories import big

from caplab.check import CHECKERS, Context
from caplab.check.columns import integers
from caplab.check.isolation import proofs  # with SciPy, which is else loaded while the first history is checked
from caplab.files.formats.reading import read
from caplab.model.history import Table

PAGE = REPOSITORY / "docs" / "evidence" / "isolation.md"
TITLE = "## How fast"
SIZES = (10_000, 100_000, 1_000_000)
EVERY = 1_000  # of so many transactions one is the place of a planted anomaly
_ROOM = 10  # nanoseconds between two moments of the valid history: planted ones go between

# Concurrent transactions on keys of their own; a number is an append of it, after ? a read of the list, ! a failure.
PLANTED = {
    "g0": ("x1 y1", "x2 y2", "?x1,2 ?y2,1"),
    "g1a": ("!x1", "?x1"),
    "g1b": ("x1 x2", "?x1"),
    "g1c": ("x1 ?y1", "y1 ?x1"),
    "lost_updates": ("?x x1", "?x x2", "?x1,2"),
    "g_single": ("x1 y1", "?x1 ?y"),
    "g_nonadjacent": ("x1", "y1", "?x1 ?y", "?x ?y1"),
    "g2_item": ("?x y1", "?y x1"),
    "stale": ("x1", "|?x"),
}
FIGURES = {"g_nonadjacent": "long_fork", "stale": "g_single_realtime"}  # what they are called where not as themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took, and what it said as JSON: read and check are seconds of processor time."""

    seconds: float
    mebibytes: float
    said: dict[str, Any]


def lines_of(history: Table) -> list[str]:
    """Return the events of a history as lines, in order of time, with room between."""
    invoke, end = integers(history, "invoke_ns", 0) * _ROOM, integers(history, "return_ns", 0) * _ROOM
    count = len(invoke)
    order = np.lexsort((np.repeat((0, 1), count), np.concatenate((invoke, end))))
    begun, ended = [""] * count, [""] * count
    at = 0
    for batch in history.select(["session", "txn"]).to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            values = [(each["op"], each["key"], each["value"], each["elements"]) for each in row["txn"]]
            for place, known, kind in ((begun, False, "invoke"), (ended, True, "ok")):
                micro = [
                    ["r", key, elements if known else None] if op == "read" else ["append", key, value]
                    for op, key, value, elements in values
                ]
                place[at] = _event(kind, row["session"], int((end if known else invoke)[at]), micro)
            at += 1
    return [begun[number] if number < count else ended[number - count] for number in order.tolist()]


def _event(kind: str, process: int, moment: int, micro: list[list[object]]) -> str:
    event = {"type": kind, "f": "txn", "process": process, "time": moment, "value": micro}
    return json.dumps(event, separators=(",", ":")) + "\n"


def planted(anomaly: str, number: int, moment: int) -> Iterator[str]:
    """Yield the events of one anomaly, right after a moment."""
    begins: list[str] = []
    ends: list[str] = []
    for place, text in enumerate(PLANTED[anomaly]):
        late = text.startswith("|")
        failed = text.startswith("!")
        micro = [_micro(word, number) for word in text.lstrip("|!").split()]
        process = 1_000 + number * 10 + place
        blind = [[op, key, None if op == "r" else value] for op, key, value in micro]
        begin = _event("invoke", process, moment + (3 if late else 1), blind)
        end = _event("fail" if failed else "ok", process, moment + (4 if late else 2), blind if failed else micro)
        (ends if late else begins).append(begin)
        ends.append(end)
    yield from begins
    yield from ends


def _micro(word: str, number: int) -> list[object]:
    op, word = ("r", word[1:]) if word.startswith("?") else ("append", word)
    key, values = f"{word[0]}{number}", [int(each) for each in word[1:].split(",") if each]
    return [op, key, values if op == "r" else values[0]]


def write(lines: list[str], anomaly: str, every: int, path: Path) -> None:
    """Write a history, with the anomaly planted after each so many of its events."""
    with path.open("w", encoding="utf-8") as out:
        if not anomaly:
            out.writelines(lines)
            return
        for number, begin in enumerate(range(0, len(lines), every)):
            part = lines[begin : begin + every]
            out.writelines(part)
            out.writelines(planted(anomaly, number, int(json.loads(part[-1])["time"])))


def run(command: list[str]) -> Cost:
    """Run a command, and measure it."""
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for
        out.seek(0)
        said = out.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(seconds=seconds, mebibytes=used.ru_maxrss / 1024, said=json.loads(said))


def built() -> str:
    """Return the program that calls adya, built if it is not up to date."""
    cache = Cache.from_environment()
    command = ["cargo", "build", "--release", "--quiet", "--target-dir", str(cache.root / "adya")]
    subprocess.run(command, cwd=Path(__file__).with_name("adya"), check=True)
    return str(cache.root / "adya" / "release" / "adya-bench")


def one(path: Path) -> None:
    """Check a history, and print what it took and what was found."""
    assert proofs is not None
    began = time.process_time()
    history = read(path).validated()
    done = time.process_time()
    finding = CHECKERS["isolation"].check(history, Context())
    figures = {name: value for name, value in finding.figures.items() if name != "witnesses"}
    print(json.dumps({"read": done - began, "check": time.process_time() - done, "figures": figures}))


def compared(anomaly: str, count: int, path: Path, adya: str) -> str:
    """Return a row of the table."""
    here = [sys.executable, __file__, "--one"]
    mine, arrow, other = run([*here, str(path)]), run([*here, str(path.with_suffix(".arrow"))]), run([adya, str(path)])
    figures, name = mine.said["figures"], FIGURES.get(anomaly, anomaly)
    cells = (
        anomaly or "valid",
        f"{count:,}",
        f"{other.said['read']:.2f}",
        f"{other.said['check']:.2f}",
        f"{other.seconds:.1f}",
        f"{mine.said['read']:.2f}",
        f"{mine.said['check']:.2f}",
        f"{mine.seconds:.1f}",
        f"{other.said['check'] / mine.said['check']:.1f}",
        f"{arrow.said['read'] + arrow.said['check']:.2f}",
        f"{arrow.seconds:.1f}",
        f"{other.mebibytes:,.0f}",
        f"{mine.mebibytes:,.0f}",
        f"{arrow.mebibytes:,.0f}",
        f"{figures[name]:,} {name}" if anomaly else str(figures["model"]),
        ", ".join(f"{number:,} {kind}" for kind, number in other.said["anomalies"].items()) or "valid",
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print the table, and keep it if asked to. Returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--anomalies", nargs="*", choices=("valid", *PLANTED), default=("valid", *PLANTED))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="add the rows to docs/evidence/isolation.md")
    parser.add_argument("--files", type=Path, help="keep the histories here, and use those that are there")
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return 0
    load = os.getloadavg()[0]
    if arguments.files:
        arguments.files.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(arguments, arguments.files or Path(folder)))
    if arguments.keep:
        keep(rows, load)
    return 0


def measured(arguments: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield the rows, and print each when it is there."""
    adya = built()
    print("\n".join(HEAD))
    for count in arguments.sizes:
        paths = {name: folder / f"{name}-{count}.jsonl" for name in arguments.anomalies}
        if missing := [name for name, path in paths.items() if not path.exists()]:
            lines = lines_of(big(count))
            for name in missing:
                write(lines, "" if name == "valid" else name, 2 * EVERY, paths[name])
                _write_arrow(paths[name])
            del lines
        for name, path in paths.items():
            row = compared("" if name == "valid" else name, count, path, adya)
            print(row, flush=True)
            yield row


def _write_arrow(path: Path) -> None:
    table = read(path).validated()
    with pa.ipc.new_file(path.with_suffix(".arrow"), table.schema) as writer:
        writer.write_table(table)


HEAD = (
    "| planted | transactions | adya reads | checks | wall | caplab reads | checks | wall | ratio |"
    " from Arrow | wall | adya, MiB | caplab, MiB | from Arrow, MiB | caplab found | adya found |",
    "| :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | :-- | :-- |",
)


def keep(rows: list[str], load: float) -> None:
    """Write the rows into the page, in place of those of the same history."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# What the checker isolation finds\n"
    before, _, part = text.partition(TITLE)
    kept = {_history(row): row for row in part.splitlines() if row.startswith("| ") and row.count("|") > 8}
    kept |= {_history(row): row for row in rows}
    for head in HEAD:
        kept.pop(_history(head), None)
    table = [kept[key] for key in sorted(kept, key=lambda key: (int(key[1].replace(",", "")), key[0] != "valid"))]
    said = (
        "Both on the same files of JSON lines (`bench/isolation.py`): seconds of processor time of reading and of"
        " checking, the seconds of the whole process (wall; caplab's with Python's start, and it reads with every"
        " core), the ratio of the times of checking, and the most memory of the whole process. From Arrow: reading and"
        " checking the same history as caplab itself writes it, and the seconds of that whole process."
        f" One anomaly is planted for every {EVERY:,} transactions."
    )
    PAGE.write_text(
        "\n\n".join(
            [
                before.rstrip(),
                TITLE,
                said,
                made_by(__file__, load).replace(" (`make prove`)", ""),
                "\n".join([*HEAD, *table]),
            ]
        )
        + "\n",
        encoding="utf-8",
    )


def _history(row: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in row.split("|")]
    return cells[1], cells[2]


if __name__ == "__main__":
    sys.exit(main())
