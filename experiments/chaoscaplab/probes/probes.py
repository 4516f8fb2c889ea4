"""Chaos Toolkit probes: what clients get right now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ..namespaces import namespace_of
from ..run_context import current_run
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
    """Whether every vantage gets every operation acknowledged, on every route, for so many seconds on end.

    Of the loads on the run's own clusters: what others do to theirs is theirs. ActivityFailed names the vantage,
    operation and route that does not.
    """
    server, namespace = Server(), namespace_of(configuration)
    watched = {vantage: _AckStreak(server, vantage, namespace, seconds) for vantage in vantages}

    def look() -> str:
        return "; ".join(filter(None, (streak.problem() for streak in watched.values())))

    require(f"operations are acknowledged for {seconds:g} s on end", look, within_seconds)
    steady_seconds = min(streak.seconds for streak in watched.values())
    current_run().note_steady(time.time_ns() - round(steady_seconds * 1e9))
    return True


# Operation, route, workload, cluster, outcome -> operations so far.
Counts = Mapping[tuple[str, str, str, str, str], float]


class _AckStreak:
    """One vantage, watched from the last moment at which something was not acknowledged."""

    def __init__(self, server: Server, vantage: str, namespace: str, seconds: float) -> None:
        self._server, self._vantage, self._namespace, self._seconds = server, vantage, namespace, seconds
        self._since, self._first = time.monotonic(), self._counts()

    @property
    def seconds(self) -> float:
        """How long every operation has been acknowledged."""
        return time.monotonic() - self._since

    def problem(self) -> str:
        """What is not acknowledged yet, or not for long enough; '' where it is."""
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
    """Operations so far of every load on the clusters of a namespace, of all levels, from a prober's metrics; pure.

    Without the second clock's, which are no load, and those by the route any, of which replicas refuse the writes.
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
    """What was not acknowledged between two looks; '' where all was: pure."""
    return ", ".join(
        f"{now[series] - before.get(series, 0):g} {series[0]} by {series[1]} ended as {series[-1]}"
        for series in sorted(now)
        if series[-1] != "ok" and now[series] > before.get(series, 0)
    )


def silent_series(before: Counts, now: Counts) -> str:
    """Operations and routes without an acknowledgement between two looks; 'any load' where there is no load: pure."""
    all_series = sorted({series[:-1] for series in now})
    if not all_series:
        return "any load"
    silent = [series for series in all_series if now.get((*series, "ok"), 0) <= before.get((*series, "ok"), 0)]
    return ", ".join(f"{op} by {route}" for op, route, *_ in silent)
