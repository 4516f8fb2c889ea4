"""Measure the prober against a server of its own: lateness, processor time, and the clients it was chosen from.

Needs the engine's programs: Postgres' (--bin, or the newest of Debian's), or redis-server on the path. Prints a
table; takes five minutes. Run with PYTHONPATH=probes if the package is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from caplab_probes.engines.redis.wire import Wire, pack
from caplab_probes.history.writer import read_folder
from own_servers import DATABASE, PROGRAMS, dsn, own_postgres, own_redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

INSERT = "INSERT INTO bench VALUES (%s)"
CLIENTS = 32  # connections of the comparison: enough for a stall of 160 ms at 200/s
ON_TIME_MS = 5.0

_C = TypeVar("_C")


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured: an engine's server on a port, at a rate, for so long."""

    engine: str
    port: int
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Lateness of starts in milliseconds, and processor time as a share of one core."""

    what: str
    operations: int
    on_time: float  # the share that started within ON_TIME_MS
    median_ms: float
    p99_ms: float
    worst_ms: float
    cores: float
    acked: str = ""

    def line(self) -> str:
        """Format a row of the table."""
        late = f"{self.median_ms:>7.2f} {self.p99_ms:>7.2f} {self.worst_ms:>8.2f} {self.on_time:>9.3%}"
        return f"{self.what:<34} {self.operations:>6} {late} {self.cores:>6.3f}  {self.acked}"


def figures(what: str, late_seconds: list[float], cores: float, acked: str = "") -> Figures:
    """Return the figures of one measurement."""
    late = sorted(1000 * seconds for seconds in late_seconds)
    on_time = sum(milliseconds <= ON_TIME_MS for milliseconds in late) / len(late)
    median, p99 = statistics.median(late), late[int(0.99 * len(late))]
    return Figures(
        what=what,
        operations=len(late),
        on_time=on_time,
        median_ms=median,
        p99_ms=p99,
        worst_ms=late[-1],
        cores=cores,
        acked=acked,
    )


def prober(bench: Bench, workload: str, *options: str) -> Figures:
    """Measure the whole prober in a process of its own: schedule, sessions, history and metrics; without its start."""
    start_seconds = run_prober(bench, "set", 1, 1.0)[0]
    used, rows = run_prober(bench, workload, bench.rate, bench.seconds, *options)
    late = [(row["invoke_ns"] - row["scheduled_ns"]) / 1e9 for row in rows]
    acked = sum(row["outcome"] == "ok" for row in rows)
    latency = sorted((row["return_ns"] - row["scheduled_ns"]) / 1e6 for row in rows if row["outcome"] == "ok")
    summary = f"acked {acked}/{len(rows)}, latency p50 {latency[len(latency) // 2]:.1f} ms"
    what = " ".join(["prober,", f"{workload},", *options[1:], f"{bench.rate:g}/s"])
    return figures(what, late, (used - start_seconds) / bench.seconds, summary)


def run_prober(
    bench: Bench, workload: str, rate: float, seconds: float, *options: str
) -> tuple[float, list[dict[str, Any]]]:
    """Run it, and return its processor time in seconds, and its rows."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "caplab_probes", "--vantage", "a", "--folder", folder]
        # Room enough, so that lateness is the prober's and not this disk's.
        command += ["--in-flight", str(CLIENTS), "run", "--engine", bench.engine]
        command += ["--run-id", "bench", "--workload", workload, "--rate", str(rate), "--seconds", str(seconds)]
        command += ["--routes", "service", "direct", "--service", f"localhost:{bench.port}"]
        command += ["--member", f"m0=127.0.0.1:{bench.port}", "--user", "bench", "--database", DATABASE, *options]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows = read_folder(Path(folder) / "bench").to_pylist()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, rows


def psycopg_async(bench: Bench) -> Figures:
    """Measure psycopg's AsyncConnection."""

    async def connect() -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(dsn(bench.port), autocommit=True)

    async def insert(connection: psycopg.AsyncConnection, value: int) -> None:
        await connection.execute(INSERT, (value,))

    return asyncio.run(on_asyncio("only psycopg AsyncConnection", bench, connect, insert))


def redis_py(bench: Bench) -> Figures:
    """Measure redis-py's asyncio Connection, told not to retry."""

    async def connect() -> Connection:
        connection = Connection(host="127.0.0.1", port=bench.port, retry=Retry(NoBackoff(), 0))
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def push(connection: Connection, value: int) -> None:
        await connection.send_command("RPUSH", "bench", value)
        await connection.read_response()

    return asyncio.run(on_asyncio("only redis-py asyncio Connection", bench, connect, push))


def own_wire(bench: Bench) -> Figures:
    """Measure the prober's own connection to Redis."""

    async def connect() -> Wire:
        return await Wire.open("127.0.0.1", bench.port)

    async def push(wire: Wire, value: int) -> None:
        await wire.ask(pack(("RPUSH", "bench", value)), 1)

    return asyncio.run(on_asyncio("only the prober's own connection", bench, connect, push))


async def on_asyncio(
    what: str, bench: Bench, connect: Callable[[], Awaitable[_C]], act: Callable[[_C, int], Awaitable[None]]
) -> Figures:
    """Measure a client with the least possible around it: no history, no sessions, no time-outs."""
    free = [await connect() for _ in range(CLIENTS)]
    late: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def operate(value: int, due: float) -> None:
        if not free:  # this disk stalls for longer than CLIENTS can hold
            return
        late.append(time.monotonic() - due)
        connection = free.pop()
        await act(connection, value)
        free.append(connection)

    cpu, anchor = time.process_time(), time.monotonic()
    for value in range(round(bench.rate * bench.seconds)):
        due = anchor + value / bench.rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(operate(value, due)))
    await asyncio.gather(*tasks)
    return figures(what, late, (time.process_time() - cpu) / bench.seconds)


def psycopg_threads(bench: Bench) -> Figures:
    """Measure psycopg's Connection, a thread each, with the least possible around it."""
    due: queue.SimpleQueue[tuple[int, float] | None] = queue.SimpleQueue()
    late: list[float] = []

    def work(connection: psycopg.Connection) -> None:
        while (item := due.get()) is not None:
            late.append(time.monotonic() - item[1])
            connection.execute(INSERT, (item[0],))

    connections = [psycopg.connect(dsn(bench.port), autocommit=True) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
    cpu, anchor = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for value in range(round(bench.rate * bench.seconds)):
        at = anchor + value / bench.rate
        time.sleep(max(0.0, at - time.monotonic()))
        due.put((value, at))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    return figures("only psycopg Connection, threads", late, (time.process_time() - cpu) / bench.seconds)


_ALL = (("set",), ("register",), ("register-multi",), ("counter",), ("cas",), ("ids",))
# For each engine: what the prober is asked to do, and the clients beside it.
PROBERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "postgres": (*_ALL, ("clock",)),
    "redis": (*_ALL, ("clock",), ("set", "--write-level", "wait-1")),
}
CLIENTS_OF: dict[str, tuple[Callable[[Bench], Figures], ...]] = {
    "postgres": (psycopg_async, psycopg_threads),
    "redis": (redis_py, own_wire),
}


def main() -> int:
    """Measure and print. Returns 0 if the prober keeps its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=list(PROBERS), default="postgres")
    parser.add_argument("--bin", type=Path, default=PROGRAMS, help="where initdb and pg_ctl are")
    parser.add_argument("--port", type=int, default=55499)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    bench = Bench(options.engine, options.port, options.rate, options.seconds)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cpus, load {load:.1f} at the start; lateness in ms, processor time in cores")
    print(f"{'':<34} {'starts':>6} {'p50':>7} {'p99':>7} {'worst':>8} {'in 5 ms':>9} {'cores':>6}")
    ours: list[Figures] = []
    with own_postgres(options.bin, options.port) if options.engine == "postgres" else own_redis(options.port):
        for workload in PROBERS[options.engine]:
            ours.append(prober(bench, *workload))
            print(ours[-1].line(), flush=True)
        for measure in CLIENTS_OF[options.engine]:
            print(measure(bench).line(), flush=True)
    most_cores = 0.25 * max(1, options.rate / 1000)
    return 0 if all(figure.on_time >= 0.99 and figure.cores <= most_cores for figure in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
