"""Measure the read routings of Postgres on a primary and two replicas of its own, one of which replays late.

A routing's row must have 0 for what it promises; the row of plain shows how often that is broken without it. Needs
Postgres' programs (--bin, or the newest of Debian's). Prints a table; two minutes. Run with PYTHONPATH=probes if the
package is not installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from caplab_probes.history.writer import read_folder
from own_servers import DATABASE, PROGRAMS, dsn, own_postgres

from caplab.check import Context, State
from caplab.check.sessions import check as check_sessions
from caplab.check.staleness import check as check_staleness
from caplab.contract.objects import READ_ROUTINGS
from caplab.model.history import Table, validate

_LAST = ("causal", "stale", "keys left out")
LATE_MS = 300  # how long the second replica waits before it replays a commit
PROMISES = {"read-your-writes": "read_your_writes", "monotonic": "monotonic_reads", "causal": "causal"}
OPTIONS = {"lag-aware": ("--max-lag-bytes", "2000"), "causal": ("--replica-wait-ms", "50")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Acked reads, the share that a replica answered, violations by guarantee, and latencies in milliseconds."""

    reads: int
    on_replicas: float
    violations: dict[str, int]
    median_ms: float
    p99_ms: float

    def line(self, routing: str) -> str:
        """Format a row of the table."""
        cells = [f"{routing:<17} {self.reads:>6} {self.on_replicas:>11.0%} {self.median_ms:>7.1f} {self.p99_ms:>7.1f}"]
        return " ".join([*cells, *(f"{count:>16}" for count in self.violations.values())])


def probe(routing: str, port: int, rate: float, seconds: float) -> Table:
    """Return a prober's history with a routing, on the route replica only."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "caplab_probes", "--vantage", "a", "--folder", folder, "--metrics-port", "0"]
        command += ["--in-flight", "32", "run", "--run-id", f"bench-{routing}", "--workload", "register"]
        command += ["--rate", str(rate), "--seconds", str(seconds), "--routes", "replica"]
        command += ["--service", f"127.0.0.1:{port}", "--user", "bench", "--database", DATABASE]
        for number in range(3):
            command += ["--member", f"m{number}=127.0.0.1:{port + number}"]
        command += ["--read-routing", routing, *OPTIONS.get(routing, ())]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        table = read_folder(Path(folder) / f"bench-{routing}")
    return validate(table.sort_by("invoke_ns"))


def measure(history: Table) -> Measured:
    """Return what a history shows."""
    rows = history.to_pylist()
    reads = [row for row in rows if row["op"] == "read" and row["outcome"] == "ok"]
    latency = sorted((row["return_ns"] - row["invoke_ns"]) / 1e6 for row in reads)
    context = Context(enough=1)
    sessions, staleness = check_sessions(history, context), check_staleness(history, context)
    if State.UNKNOWN in (sessions.state, staleness.state):
        raise SystemExit(f"The run proves nothing: {sessions.reason} {staleness.reason} Hint: use a calmer machine.")
    violations: dict[str, Any] = {name: sessions.figures[name] for name in ("read_your_writes", "monotonic_reads")}
    violations |= {"causal": not_causal(rows), "stale": staleness.figures["stale"]}
    violations["keys left out"] = staleness.figures["keys_skipped"]  # of 16: two writes overlapped
    return Measured(
        reads=len(reads),
        on_replicas=sum(row["server"] != "m0" for row in reads) / len(reads),
        violations=violations,
        median_ms=latency[len(latency) // 2],
        p99_ms=latency[int(0.99 * len(latency))],
    )


def not_causal(rows: Sequence[dict[str, Any]]) -> int:
    """Return reads that show less than what the vantage had written or read before, in any session."""
    done = [row for row in rows if row["outcome"] == "ok"]
    moments = [(row["invoke_ns"], 1, row) for row in done] + [(row["return_ns"], 0, row) for row in done]
    newest: defaultdict[str, int] = defaultdict(int)
    count = 0
    for _, begins, row in sorted(moments, key=lambda moment: moment[:2]):
        if begins:
            count += row["op"] == "read" and (row["value"] or 0) < newest[row["key"]]
        else:
            newest[row["key"]] = max(newest[row["key"]], row["value"] or 0)
    return count


def main() -> int:
    """Measure and print. Returns 0 if every routing keeps its promise and plain breaks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=PROGRAMS, help="where initdb and pg_ctl are")
    parser.add_argument("--port", type=int, default=55490)
    parser.add_argument("--rate", type=float, default=80.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cpus, load {os.getloadavg()[0]:.1f}; {options.rate:g}/s for {options.seconds:g} s")
    names = " ".join(f"{name:>16}" for name in ("read_your_writes", "monotonic_reads", *_LAST))
    print(f"{'':<17} {'reads':>6} {'on replicas':>11} {'p50 ms':>7} {'p99 ms':>7} {names}")
    measurements: dict[str, Measured] = {}
    with own_postgres(options.bin, options.port, replicas=2):
        with psycopg.connect(dsn(options.port + 2), autocommit=True) as late:
            late.execute(f"ALTER SYSTEM SET recovery_min_apply_delay = {LATE_MS}")
            late.execute("SELECT pg_reload_conf()")
        for routing in READ_ROUTINGS:
            measurements[routing] = measure(probe(routing, options.port, options.rate, options.seconds))
            print(measurements[routing].line(routing), flush=True)
    kept = all(measurements[routing].violations[promise] == 0 for routing, promise in PROMISES.items())
    shown = all(measurements["plain"].violations[promise] > 0 for promise in PROMISES.values())
    return 0 if kept and shown else 1


if __name__ == "__main__":
    sys.exit(main())
