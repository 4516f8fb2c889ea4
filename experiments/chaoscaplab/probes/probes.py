"""Chaos Toolkit probes of what clients get right now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from caplab.model.transactions import TXN
from caplab.run_context import current_run

from ..namespaces import namespace_of
from ..server import Server
from ..waiting import require

__all__ = ["acknowledged"]

_OPERATIONS = "caplab_operations_total"  # probes/caplab_probes/exporter.py
_COUNTED_BY = ("op", "route", "workload", "cluster", "outcome")


def acknowledged(
    vantages: Sequence[str],
    seconds: float = 3,
    within_seconds: float = 20,
    configuration: Mapping[str, Any] | None = None,
) -> bool:
    """Wait until every vantage gets every operation acknowledged, on every route, for the given seconds in a row.

    within_seconds: how long that may take. Only loads on the run's own clusters count. Returns True. Raises
    ActivityFailed, which names the vantage, operation and route that fails.
    """
    run = current_run()
    server, namespace = Server(run), namespace_of(run, configuration)
    watched = {vantage: _AckStreak(server, vantage, namespace, seconds) for vantage in vantages}

    def look() -> str:
        return "; ".join(filter(None, (streak.problem() for streak in watched.values())))

    require(f"all operations are acknowledged for {seconds:g} s in a row", look, within_seconds)
    steady_seconds = min(streak.seconds for streak in watched.values())
    run.state.note_steady(time.time_ns() - round(steady_seconds * 1e9))
    return True


# Operation, route, workload, cluster, outcome -> operations so far.
Counts = Mapping[tuple[str, str, str, str, str], float]


class _AckStreak:
    """One vantage's streak: the time since an operation was last not acknowledged."""

    def __init__(self, server: Server, vantage: str, namespace: str, seconds: float) -> None:
        self._server, self._vantage, self._namespace, self._seconds = server, vantage, namespace, seconds
        self._since, self._first = time.monotonic(), self._counts()

    @property
    def seconds(self) -> float:
        """The seconds for which every operation has been acknowledged."""
        return time.monotonic() - self._since

    def problem(self) -> str:
        """Return what is not acknowledged, or not for long enough; '' if all is."""
        now, counts = time.monotonic(), self._counts()
        if troubles := unacknowledged(self._first, counts):
            self._since, self._first = now, counts
            return f"zone {self._vantage}: {troubles}"
        if now - self._since < self._seconds:
            return f"zone {self._vantage} has been steady for {now - self._since:.1f} s"
        silent = silent_series(self._first, counts)
        return f"zone {self._vantage}: nothing was acknowledged of {silent}" if silent else ""

    def _counts(self) -> Counts:
        return counts_of(self._server.fetch(self._vantage, "metrics").decode(), self._namespace)


def counts_of(text: str, namespace: str) -> Counts:
    """Count the operations so far of all loads on the clusters of a namespace, by a prober's metrics: pure.

    All levels count. The second clock does not: it is no load. Nor does the route any: there replicas refuse writes.
    """
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _OPERATIONS and _counts_for(sample.labels, namespace):
                op, route, workload, cluster, outcome = (sample.labels[name] for name in _COUNTED_BY)
                counts[op, route, workload, cluster, outcome] += int(sample.value)
    return counts


def _counts_for(labels: Mapping[str, str], namespace: str) -> bool:
    return labels["cluster_namespace"] == namespace and labels["workload"] != "clock" and labels["route"] != "any"


def unacknowledged(before: Counts, now: Counts) -> str:
    """Return what was not acknowledged between two observations; '' if all was: pure.

    A transaction that fails may have met another one: that is no fault, as long as others are acknowledged.
    """
    return ", ".join(
        f"{now[series] - before.get(series, 0):g} {series[0]} ({series[1]}) ended as {series[-1]}"
        for series in sorted(now)
        if series[-1] != "ok"
        and not (series[2] == TXN and series[-1] == "fail")
        and now[series] > before.get(series, 0)
    )


def silent_series(before: Counts, now: Counts) -> str:
    """Return operations and routes without an ack between two observations; 'any load' if there is no load: pure."""
    all_series = sorted({series[:-1] for series in now})
    if not all_series:
        return "any load"
    silent = [series for series in all_series if now.get((*series, "ok"), 0) <= before.get((*series, "ok"), 0)]
    return ", ".join(f"{op} ({route})" for op, route, *_ in silent)
