"""Measure the checkers on a big history: seconds, and each one's peak memory, beside the history's own size.

Every checker runs in a process of its own, which reads the history from an Arrow file first. Its peak memory is that
of the whole process, with Python and the history. Prints a table. Ten million operations take two minutes and 4 GB of
memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import big_moves
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from big_history import make
from pyarrow import ipc

from caplab.check import CHECKERS, Context
from caplab.memory import keep_freed
from caplab.model.disorder import validate_stored
from caplab.model.history import Table
from caplab.model.runs import FaultWindow, FinalScan

NAMES = ("durability", "staleness", "sessions", "epochs", "availability")
OF_ITS_OWN = {"queue": big_moves.queues, "set_reads": big_moves.scanned_set}  # each on a history of its own
READING = "reading"  # the file read, and nothing else
VALIDATION = "validation"  # and validated as a stored history
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of one checker: seconds by the clock and of processor time, peak memory in bytes, and its finding."""

    what: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    result: str


def measure(file: Path, what: str) -> Cost:
    """Measure it in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(what=what, **json.loads(done.stdout))


def measured(file: Path, what: str) -> dict[str, object]:
    """Read the history, run the checker, and return what that cost."""
    keep_freed()  # as caplab check does
    with pa.OSFile(str(file)) as source:
        history = ipc.open_file(source).read_all()
    context = _context(json.loads(file.with_suffix(".json").read_text()))
    began, cpu_began = time.perf_counter(), time.process_time()
    result = _do(what, history, context)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "peak_bytes": _peak_bytes(),
        "result": result,
    }


def _do(what: str, history: Table, context: Context) -> str:
    if what == READING:
        return ""
    if what == VALIDATION:
        return f"{validate_stored(history).num_rows:,} operations"
    finding = CHECKERS[what].check(history, context)
    return f"{finding.state.value}: {finding.reason}"


def _peak_bytes() -> int:
    """Return this process' peak memory. getrusage would return the parent's if that is higher."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def _context(facts: dict[str, int]) -> Context:
    if not facts:
        return Context()
    window = FaultWindow(
        kind="kill",
        target="pg-0",
        injected_ns=facts["injected_ns"],
        healed_ns=facts["healed_ns"],
        evidence=("cgroup empty",),
        proven=True,
    )
    return Context(
        fault_windows=(window,),
        final_scan=FinalScan(converged=True, elements=facts["elements"], server="pg-1", invoke_ns=facts["begun_ns"]),
    )


def write(folder: Path, operations: int, seed: int) -> Path:
    """Write a history and its context as files."""
    made = make(operations, seed)
    file, scan = folder / "history.arrow", made.context.final_scan
    with ipc.new_file(str(file), made.history.schema) as out:
        out.write_table(made.history)
    assert scan
    facts = {
        "injected_ns": made.context.injected_ns,
        "healed_ns": made.context.healed_ns,
        "elements": scan.elements,
        "begun_ns": scan.invoke_ns,
    }
    file.with_suffix(".json").write_text(json.dumps(facts))
    return file


def of_its_own(folder: Path, what: str, operations: int, seed: int) -> Cost:
    """Measure a checker on a history that has something for it."""
    history = OF_ITS_OWN[what](operations, seed)
    file = folder / f"{what}.arrow"
    with ipc.new_file(str(file), history.schema) as out:
        out.write_table(history)
    file.with_suffix(".json").write_text("{}")
    print(f"{history.num_rows:,} operations, {file.stat().st_size / MIB:,.0f} MiB as an Arrow file, for {what}")
    del history
    cost = measure(file, what)
    file.unlink()
    return cost


def show(rows: Sequence[Cost], size: int) -> None:
    """Print the table; the sum is of the checkers."""
    checkers = [row for row in rows if row.what in NAMES]
    print(f"{'':12} {'seconds':>8} {'processor':>9} {'most memory':>12} {'x Arrow':>8}")
    for row in rows:
        _line(row, size)
    print(f"{'all checkers':12} {sum(row.seconds for row in checkers):8.2f}", end=" ")
    print(f"{sum(row.cpu_seconds for row in checkers):9.2f}", end=" ")
    most = max((row.peak_bytes for row in checkers), default=0)
    print(f"{most / MIB:8,.0f} MiB {most / size:8.2f}")


def _line(row: Cost, size: int) -> None:
    print(
        f"{row.what:12} {row.seconds:8.2f} {row.cpu_seconds:9.2f} {row.peak_bytes / MIB:8,.0f} MiB"
        f" {row.peak_bytes / size:8.2f}  {row.result}"
    )


def main() -> None:
    """Make the history, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checker", action="append", default=[], help="only this one; again for more")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(Path(options.measure[1]), options.measure[0])))
        return
    with tempfile.TemporaryDirectory(prefix="caplab-bench-") as folder:
        file = write(Path(folder), options.operations, options.seed)
        size = file.stat().st_size
        print(f"{options.operations:,} operations, {size / MIB:,.0f} MiB as an Arrow file (text as codes);", end=" ")
        print(f"numpy {np.__version__}, pyarrow {pa.__version__}")
        names = options.checker or (*NAMES, *OF_ITS_OWN)
        shared = [name for name in names if name not in OF_ITS_OWN]
        show([measure(file, what) for what in (READING, VALIDATION, *shared)], size)
        file.unlink()
        for what in [name for name in names if name in OF_ITS_OWN]:
            _line(of_its_own(Path(folder), what, options.operations, options.seed), size)


if __name__ == "__main__":
    main()
