"""Measures the prober against a Postgres of its own: lateness, processor time, and the clients it was chosen from.

Needs Postgres' programs (--bin, or the newest of Debian's). Prints a table; takes three minutes.
Run with PYTHONPATH=probes where the package is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from caplab_probes.writer import read_folder

DATABASE = "bench"
INSERT = "INSERT INTO bench VALUES (%s)"
CLIENTS = 32  # connections of the comparison: enough for a stall of 160 ms


@dataclass(frozen=True, slots=True)
class Figures:
    """Lateness of starts in milliseconds, and processor time as a share of one core."""

    what: str
    operations: int
    median_ms: float
    p99_ms: float
    worst_ms: float
    cores: float
    acked: str = ""

    def line(self) -> str:
        """As a row of the table."""
        late = f"{self.median_ms:>7.2f} {self.p99_ms:>7.2f} {self.worst_ms:>8.2f}"
        return f"{self.what:<34} {self.operations:>6} {late} {self.cores:>6.3f}  {self.acked}"


def figures(what: str, late_seconds: list[float], cores: float, acked: str = "") -> Figures:
    """Figures of one measurement."""
    late = sorted(1000 * seconds for seconds in late_seconds)
    return Figures(what, len(late), statistics.median(late), late[int(0.99 * len(late))], late[-1], cores, acked)


@contextmanager
def own_postgres(programs: Path, port: int) -> Iterator[None]:
    """A fresh Postgres on a port of loopback, stopped and removed in the end."""
    with tempfile.TemporaryDirectory(prefix="caplab-bench-") as folder:
        as_user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if as_user:
            shutil.chown(folder, **as_user)
        data = f"{folder}/data"
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **as_user}
        run: Callable[..., object] = subprocess.run
        run([programs / "initdb", "-D", data, "-A", "trust", "-U", "bench"], **quiet)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        run([programs / "pg_ctl", "-D", data, "-w", "-l", f"{data}/log", "-o", options, "start"], **quiet)
        try:
            with psycopg.connect(dsn(port, "postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            with psycopg.connect(dsn(port), autocommit=True) as connection:
                connection.execute("CREATE TABLE bench (value bigint)")
            yield
        finally:
            run([programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], **quiet)


def dsn(port: int, database: str = DATABASE) -> str:
    """How to reach it."""
    return f"host=127.0.0.1 port={port} user=bench dbname={database}"


def prober(port: int, workload: str, rate: float, seconds: float) -> Figures:
    """The whole prober in a process of its own: schedule, sessions, history and metrics."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "caplab_probes", "--vantage", "a", "--folder", folder]
        # Room enough, so that what is late is the prober and not this disk.
        command += ["--in-flight", str(CLIENTS), "run"]
        command += ["--run-id", "bench", "--workload", workload, "--rate", str(rate), "--seconds", str(seconds)]
        command += ["--routes", "service", "direct", "--service", f"localhost:{port}"]
        command += ["--member", f"m0=127.0.0.1:{port}", "--user", "bench", "--database", DATABASE]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows = read_folder(Path(folder) / "bench").to_pylist()
    late = [(row["invoke_ns"] - row["scheduled_ns"]) / 1e9 for row in rows]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    acked = sum(row["outcome"] == "ok" for row in rows)
    latency = sorted((row["return_ns"] - row["scheduled_ns"]) / 1e6 for row in rows if row["outcome"] == "ok")
    said = f"acked {acked}/{len(rows)}, latency p50 {latency[len(latency) // 2]:.1f} ms"
    return figures(f"prober, {workload}, {rate:g}/s", late, used / seconds, said)


def psycopg_async(port: int, rate: float, seconds: float) -> Figures:
    """Of psycopg: its AsyncConnection, with the least possible around it."""

    async def measure() -> Figures:
        free = [await psycopg.AsyncConnection.connect(dsn(port), autocommit=True) for _ in range(CLIENTS)]
        late: list[float] = []
        tasks: set[asyncio.Task[None]] = set()

        async def insert(value: int, due: float) -> None:
            if not free:  # this disk stalls for longer than CLIENTS can hold
                return
            late.append(time.monotonic() - due)
            connection = free.pop()
            await connection.execute(INSERT, (value,))
            free.append(connection)

        cpu, anchor = time.process_time(), time.monotonic()
        for value in range(round(rate * seconds)):
            due = anchor + value / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(insert(value, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        return figures("only psycopg AsyncConnection", late, (time.process_time() - cpu) / seconds)

    return asyncio.run(measure())


def psycopg_threads(port: int, rate: float, seconds: float) -> Figures:
    """Of psycopg: its Connection, a thread each, with the least possible around it."""
    due: queue.SimpleQueue[tuple[int, float] | None] = queue.SimpleQueue()
    late: list[float] = []

    def work(connection: psycopg.Connection) -> None:
        while (one := due.get()) is not None:
            late.append(time.monotonic() - one[1])
            connection.execute(INSERT, (one[0],))

    connections = [psycopg.connect(dsn(port), autocommit=True) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
    cpu, anchor = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for value in range(round(rate * seconds)):
        at = anchor + value / rate
        time.sleep(max(0.0, at - time.monotonic()))
        due.put((value, at))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    return figures("only psycopg Connection, threads", late, (time.process_time() - cpu) / seconds)


def main() -> int:
    """Measure and print; 0 where the prober keeps its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))
    parser.add_argument("--bin", type=Path, default=newest, help="where initdb and pg_ctl are")
    parser.add_argument("--port", type=int, default=55499)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    arguments = (asked.port, asked.rate, asked.seconds)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cpus, load {load:.1f} at the start; lateness in ms, processor time in cores")
    print(f"{'':<34} {'starts':>6} {'p50':>7} {'p99':>7} {'worst':>8} {'cores':>6}")
    ours: list[Figures] = []
    with own_postgres(asked.bin, asked.port):
        for workload in ("set", "register", "clock"):
            ours.append(prober(asked.port, workload, asked.rate, asked.seconds))
            print(ours[-1].line(), flush=True)
        for measure in (psycopg_async, psycopg_threads):
            print(measure(*arguments).line(), flush=True)
    return 0 if all(one.p99_ms <= 5 and one.cores <= 0.2 for one in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
