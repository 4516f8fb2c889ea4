"""Measure the history writer in a whole prober: its share of the processor time, memory, and the cost of a SIGKILL.

The load is a set on a Redis of its own (redis-server on the path). Prints two tables; five minutes by default. Run with
PYTHONPATH=probes if the package is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest import mock

from caplab_probes import clock, probe
from caplab_probes.engines import factory_for
from caplab_probes.exporter import Exporter
from caplab_probes.history.meta import read_metas
from caplab_probes.history.recorder import Recorder
from caplab_probes.history.writer import SegmentWriter, read_folder
from caplab_probes.links import Endpoint, Result, Topology
from caplab_probes.load.sessions import Attempt, session_numbers
from caplab_probes.load.workloads import Operation, index_of
from caplab_probes.outcomes import OK
from caplab_probes.spec import Limits, ProbeSpec
from own_servers import own_redis

from caplab.contract.engines import REDIS

RUN = "bench"
SHARE_MAX = 0.05  # of the prober's processor time
LOST_SECONDS_MAX = 1.0  # before a kill
GROWTH_MAX = 1.1  # of the memory, from a quarter of the time on
_LOGIN = {"username": "default", "password": ""}

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(slots=True)
class CpuTime:
    """Processor time spent in writing, in nanoseconds."""

    ns: int = 0

    def counted(self, call: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return the same call, with its time counted in whichever thread it runs."""

        def timed(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            begun = time.thread_time_ns()
            try:
                return call(*args, **kwargs)
            finally:
                self.ns += time.thread_time_ns() - begun

        return timed


async def put_on_load(folder: Path, port: int, rate: float, seconds: float | None) -> dict[str, object]:
    """Run a prober in this process; returns what it cost, and its memory (bytes) every second."""
    spec = ProbeSpec(
        run_id=RUN, workload="set", rate=rate, routes=("service", "direct"), vantages=("a",), seed=1, seconds=seconds
    )
    topology = Topology(Endpoint("service", "127.0.0.1", port), (Endpoint("m0", "127.0.0.1", port),))
    limits = Limits(in_flight=64)  # the writer is measured, whatever else this machine does
    around = probe.ProberContext(
        vantage="a", folder=folder, limits=limits, exporter=Exporter("a"), numbers=session_numbers()
    )
    client = factory_for(REDIS.kind).client(_LOGIN, limits, lambda: topology, spec.client)
    running = asyncio.create_task(probe.Probe(spec, around, client, lambda: topology).run())
    memory: list[int] = []
    used = time.process_time()
    while not running.done():
        await asyncio.wait({running}, timeout=1.0)
        memory.append(resident_bytes())
    return {"cores_seconds": time.process_time() - used, "memory": memory}


def resident_bytes() -> int:
    """Return this process' resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def child(folder: Path, port: int, rate: float, seconds: float | None) -> None:
    """Run the load with the writer's calls timed, and print what it cost."""
    spent = CpuTime()
    with (
        mock.patch.object(SegmentWriter, "write", spent.counted(SegmentWriter.write)),
        mock.patch.object(SegmentWriter, "close", spent.counted(SegmentWriter.close)),
    ):
        usage = asyncio.run(put_on_load(folder, port, rate, seconds))
    writing = spent.ns / 1e9 + rate * (seconds or 0) * seconds_a_row()
    print(json.dumps({**usage, "writing_seconds": writing}))


def seconds_a_row() -> float:
    """Return the time to make a row and hand it over; measured alone, since reading the clock takes as long."""
    rows, idle = 100_000, mock.create_autospec(SegmentWriter, instance=True)
    taken = Recorder(idle)
    operation = Operation(index=1, op="add", route="service", value=5, workload="set")
    attempt = Attempt(
        operation=operation,
        session=7,
        scheduled_ns=1,
        invoke_ns=2,
        return_ns=3,
        result=Result(outcome=OK, server="m0", epoch="8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"),
    )
    begun = time.thread_time()
    for _ in range(rows):
        taken.add(probe.row_of(attempt, "a"))
    return (time.thread_time() - begun) / rows


def begin(folder: Path, port: int, rate: float, seconds: float | None) -> subprocess.Popen[str]:
    """Start a prober in a process of its own."""
    command = [sys.executable, __file__, "--child", str(folder), "--port", str(port), "--rate", str(rate)]
    length = [] if seconds is None else ["--seconds", str(seconds)]
    return subprocess.Popen([*command, *length], stdout=subprocess.PIPE, text=True)


def cost(port: int, rate: float, seconds: float) -> bool:
    """Print processor time and memory; returns whether they are within bounds."""
    with tempfile.TemporaryDirectory() as name:
        usage = json.loads(begin(Path(name), port, rate, seconds).communicate()[0])
        rows = read_folder(Path(name) / RUN).num_rows
        size = sum(path.stat().st_size for path in (Path(name) / RUN).iterdir())
    share = usage["writing_seconds"] / usage["cores_seconds"]
    memory = [bytes_ / 2**20 for bytes_ in usage["memory"]]
    early, late = memory[len(memory) // 4], max(memory)
    cores, writing = usage["cores_seconds"] / seconds, usage["writing_seconds"] / seconds
    print("    rows bytes/row prober's cores of them writing share  MiB at a quarter   most")
    print(f"{rows:>8} {size / rows:>9.0f} {cores:>14.3f} {writing:>15.4f} {share:>5.1%} {early:>17.0f} {late:>6.0f}")
    return bool(share <= SHARE_MAX and late <= GROWTH_MAX * early)


def kills(port: int, rate: float, times: int, seconds: float) -> bool:
    """Kill probers; returns whether all rows but those of the last moment are there."""
    print(f"\n{'kill':>4} {'rows':>7} {'missing before the last second':>30} {'newest row before the kill, s':>29}")
    fine = [_kill(number, port, rate, seconds) for number in range(1, times + 1)]
    return all(fine)


def _kill(number: int, port: int, rate: float, seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / RUN
        process = begin(Path(name), port, rate, None)
        while not read_metas(folder):
            time.sleep(0.05)
        time.sleep(seconds + 0.137 * number)  # not at one place of a segment's second
        killed_ns = clock.now_ns()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (meta,) = read_metas(folder)
        table = read_folder(folder)
    recorded = {index_of(value) for value in table.column("value").to_pylist()}
    surely = int((killed_ns - meta.schedule.anchor_ns - LOST_SECONDS_MAX * 1e9) * rate / 1e9)
    missing = len(set(range(surely)) - recorded)
    gap = (killed_ns - max(table.column("invoke_ns").to_pylist())) / 1e9
    print(f"{number:>4} {table.num_rows:>7} {missing:>30} {gap:>29.3f}", flush=True)
    return missing == 0 and gap < LOST_SECONDS_MAX


def main() -> int:
    """Measure and print. Returns 0 if the writer keeps its bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=55498)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.port, options.rate, options.seconds)
        return 0
    seconds = options.seconds or 240.0
    print(f"{os.cpu_count()} cpus, load {os.getloadavg()[0]:.1f} at the start; {options.rate:g}/s for {seconds:g} s")
    with own_redis(options.port):
        fine = cost(options.port, options.rate, seconds)
        fine &= kills(options.port, options.rate, options.kills, 5.0)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
