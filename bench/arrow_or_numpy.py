"""Measure the checkers' most frequent tasks in numpy and in pyarrow's compute functions, to choose between them.

Prints a table: seconds of processor time, the minimum of several rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from big_history import make
from pyarrow import compute as pc

from caplab.check.columns import NEVER, among, codes, integers
from caplab.check.durability.adds import within
from caplab.model.history import Table

Way = Callable[[], object]


def tasks(history: Table) -> dict[str, dict[str, Way]]:
    """Return each task, in the ways to do it."""
    adds = history.filter(pc.and_(pc.equal(history.column("op"), "add"), pc.is_valid(history.column("value"))))
    scan = history.filter(pc.equal(history.column("op"), "scan"))
    added, scanned = (table.column("value").combine_chunks() for table in (adds, scan))
    value, element = np.asarray(added), np.asarray(scanned)
    group = codes(history, "vantage")[0] * 8 + codes(history, "op")[0]
    due, returned = integers(history, "scheduled_ns", 0), integers(history, "return_ns", NEVER)
    both = pa.table({"group": group, "due": due})
    return {
        "which operations are acked writes": {
            "numpy": lambda: among(history, "op", ["write"]) & among(history, "outcome", ["ok"]),
            "pyarrow": lambda: pc.and_(
                pc.equal(history.column("op"), "write"), pc.equal(history.column("outcome"), "ok")
            ),
        },
        "which added values a scan has": {
            "numpy": lambda: within(np.sort(value), np.sort(element)),
            "numpy's isin": lambda: np.isin(value, element),
            "pyarrow": lambda: pc.is_in(added, value_set=scanned),
        },
        "operations by series and schedule": {
            "numpy": lambda: np.argsort(group.astype(np.uint16), kind="stable"),
            "numpy's lexsort": lambda: np.lexsort((due, group)),
            "pyarrow": lambda: pc.sort_indices(both, [("group", "ascending"), ("due", "ascending")]),
        },
        "the latest return so far": {
            "numpy": lambda: np.maximum.accumulate(returned),
            "pyarrow": lambda: pc.cumulative_max(pa.array(returned)),
        },
    }


def seconds(way: Way, rounds: int) -> float:
    """Return seconds of processor time, since other work runs beside it."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        way()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    history = make(options.operations).history
    print(f"{history.num_rows:,} operations; numpy {np.__version__}, pyarrow {pa.__version__}")
    for task, ways in tasks(history).items():
        taken = ", ".join(f"{name} {seconds(way, options.rounds):.3f} s" for name, way in ways.items())
        print(f"{task:36} {taken}")


if __name__ == "__main__":
    main()
