"""Measure the cost of a prober's metrics: processor time of each operation that is counted, and of a scrape.

Prints a table; ten seconds. Run with PYTHONPATH=probes if the package is not installed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from caplab_probes import clock
from caplab_probes.acked import WRITES_PER_KEY
from caplab_probes.exporter import Exporter, registry_of
from caplab_probes.history.writer import Row
from caplab_probes.load.workloads import REGISTERS
from prometheus_client import generate_latest

OPERATIONS, SCRAPES, ROUNDS = 100_000, 50, 5
_ROUTES = ("service", "direct")
_MILLISECOND_NS = 1_000_000


def adds() -> list[Row]:
    """Return the rows of a set at 1,000 operations a second."""
    return [_row(index, "add", None, index) for index in range(OPERATIONS)]


def registers(stale: bool) -> list[Row]:
    """Return reads and writes in turn, a third of the reads of own keys; stale: reads miss all writes but the first."""
    random, newest = Random(1), dict[str, int]()
    rows = []
    for index in range(OPERATIONS):
        key = f"r/probe/a/{_ROUTES[index // 2 % 2]}/{index // 4 % REGISTERS}"
        if index % 2:
            own = stale or random.random() < 1 / 3
            value = 0 if stale else newest.get(key)
            rows.append(_row(index, "read", key if own else f"of another {key}", value))
        else:
            newest[key] = index
            rows.append(_row(index, "write", key, index))
    return rows


def _row(index: int, op: str, key: str | None, value: int | None) -> Row:
    due = clock.now_ns() + index * _MILLISECOND_NS
    route, took = _ROUTES[index // 2 % 2], 1_500_000
    return Row("a", 1, op, key, value, None, None, None, route, "pg-0", "1", due, due, due + took, "ok", None)


def measured(workload: str, rows: Sequence[Row]) -> tuple[float, float, int]:
    """Return microseconds an operation, milliseconds a scrape, and bytes of it."""
    exporter = Exporter("a")
    registry = registry_of(exporter)
    with exporter.load("postgres", "demo", "pg", workload) as figures, figures.runs(_ROUTES):
        begun = time.thread_time()
        for row in rows:
            figures.observe(row)
        counted = time.thread_time()
        for _ in range(SCRAPES):
            text = generate_latest(registry)
        scraped = time.thread_time()
    return (counted - begun) / len(rows) * 1e6, (scraped - counted) / SCRAPES * 1e3, len(text)


def main() -> None:
    """Measure and print."""
    cases = {
        "set": ("set", adds()),
        "register": ("register", registers(stale=False)),
        f"register, each read misses {WRITES_PER_KEY} writes or more": ("register", registers(stale=True)),
    }
    for name, (workload, rows) in cases.items():
        rounds = [measured(workload, rows) for _ in range(ROUNDS)]
        operation, scrape, size = (min(column) for column in zip(*rounds, strict=True))
        print(f"{name}: {operation:.2f} us an operation, {scrape:.2f} ms a scrape of {size / 1024:.1f} KiB", flush=True)


if __name__ == "__main__":
    main()
