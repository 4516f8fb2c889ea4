"""Live figures for Prometheus, computed at each scrape. Neither keys nor runs are labels: docs/metrics.md."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from . import clock
from .acked import SINGLE_WRITER, AckedWrites
from .history.writer import Row

# Bounds in seconds. prometheus-client has no native histograms.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BOUNDS = (*map(str, BUCKETS), "+Inf")
_OUTCOMES = ("ok", "fail", "info")
_SECOND_NS = 1_000_000_000
_READ, _WRITE = "read", "write"
_LOAD = "load"  # a cache asks its database: neither access is a client's


class Labels(NamedTuple):
    """Labels of every figure of a load. Probes of one workload on one cluster share their series."""

    engine: str
    cluster_namespace: str
    cluster: str
    workload: str
    vantage: str


@dataclass(slots=True)
class _Histogram:
    """A histogram of seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def add(self, other: _Histogram) -> None:
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the cumulated buckets, as Prometheus has them."""
        return list(zip(_BOUNDS, map(float, accumulate(self.buckets)), strict=True))


@dataclass(slots=True)
class _Series:
    """Operations of one route, kind and level. All outcomes exist from the first on: a rate needs to see the 0."""

    first_ns: int
    last_ack_ns: int | None = None
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    latency: _Histogram = field(default_factory=_Histogram)


class LoadFigures:
    """Figures of one load's operations, all under the exporter's lock."""

    def __init__(self, lock: threading.Lock, workload: str) -> None:
        self.loads = 0  # probes that exist
        self.running: Counter[str] = Counter()  # those that start operations, by route
        self.series: dict[tuple[str, str, str], _Series] = {}  # by route, kind and level
        self.staleness: dict[str, _Histogram] = {}  # of stale reads, by route
        self._acked = AckedWrites() if workload in SINGLE_WRITER else None
        self._lock = lock

    @contextmanager
    def runs(self, routes: Iterable[str]) -> Iterator[None]:
        """Count a probe that starts operations on these routes while the block runs."""
        with self._lock:
            self.running.update(routes)
        try:
            yield
        finally:
            with self._lock:
                self.running.subtract(routes)

    def observe(self, row: Row) -> None:
        """Count one operation that has ended."""
        key = (row.route or "", row.op, row.level or "")
        with self._lock:
            series = self.series.get(key)
            if series is None:
                series = self.series[key] = _Series(row.scheduled_ns)
            series.outcomes[row.outcome] += 1
            if row.outcome == "ok" and row.return_ns is not None:
                if series.last_ack_ns is None or row.return_ns > series.last_ack_ns:
                    series.last_ack_ns = row.return_ns
                series.latency.observe((row.return_ns - row.scheduled_ns) / _SECOND_NS)
                if self._acked is not None:
                    self._compare(row, row.return_ns, self._acked)

    def _compare(self, row: Row, return_ns: int, acked: AckedWrites) -> None:
        """Compare a read with the writes acknowledged here before it began, and remember acknowledged writes."""
        if row.key is None:
            return
        if row.op == _WRITE and row.value is not None:
            acked.note(row.key, row.value, row.invoke_ns, return_ns)
        elif row.op == _READ:
            staleness = self.staleness.get(row.route or "")
            if staleness is None:
                staleness = self.staleness[row.route or ""] = _Histogram()
            since_ns = acked.missed_since(row.key, row.value, row.invoke_ns)
            if since_ns is not None:
                staleness.observe((row.invoke_ns - since_ns) / _SECOND_NS)

    def ages(self, now_ns: int) -> dict[tuple[str, str], float]:
        """Return seconds since the last ack, or else the start, by route and access, where probes run."""
        firsts: dict[tuple[str, str], int] = {}
        acks: dict[tuple[str, str], int] = {}
        for (route, op, _), series in self.series.items():
            if op != _LOAD and self.running[route] > 0:
                where = (route, _READ if op == _READ else _WRITE)
                firsts[where] = min(firsts.get(where, series.first_ns), series.first_ns)
                if series.last_ack_ns is not None:
                    acks[where] = max(acks.get(where, 0), series.last_ack_ns)
        return {where: (now_ns - acks.get(where, first)) / _SECOND_NS for where, first in firsts.items()}

    def latencies(self) -> dict[tuple[str, str], _Histogram]:
        """Return the latencies by route and kind, of all levels together."""
        histograms: dict[tuple[str, str], _Histogram] = {}
        for (route, op, _), series in self.series.items():
            histograms.setdefault((route, op), _Histogram()).add(series.latency)
        return histograms


class Exporter:
    """A Prometheus collector of its own, so that the series of an ended load can go. Safe between threads."""

    def __init__(self, vantage: str) -> None:
        self._vantage = vantage
        self._loads: dict[Labels, LoadFigures] = {}
        self._stall_seconds = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def load(self, engine: str, cluster_namespace: str, cluster: str, workload: str) -> Iterator[LoadFigures]:
        """Yield the figures of a load. Its series go with the last probe of it: an age must not grow without end."""
        labels = Labels(engine, cluster_namespace, cluster, workload, self._vantage)
        with self._lock:
            figures = self._loads.setdefault(labels, LoadFigures(self._lock, workload))
            figures.loads += 1
        try:
            yield figures
        finally:
            with self._lock:
                figures.loads -= 1
                if not figures.loads:
                    del self._loads[labels]

    def add_stall(self, seconds: float) -> None:
        """Count a time in which the prober itself stalled."""
        with self._lock:
            self._stall_seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, as prometheus_client asks for them."""
        stall = CounterMetricFamily(
            "caplab_prober_stall_seconds",
            "Time in which the prober's event loop stalled, half a second or more each.",
            labels=("vantage",),
        )
        with self._lock:
            stall.add_metric((self._vantage,), self._stall_seconds)
            families = [stall, *_families(self._loads.items(), clock.now_ns())]
        yield from families


def _families(loads: Iterable[tuple[Labels, LoadFigures]], now_ns: int) -> list[Metric]:
    running = GaugeMetricFamily(
        "caplab_probe_running", "1 while a probe starts operations, 0 before and after.", labels=Labels._fields
    )
    age = GaugeMetricFamily(
        "caplab_seconds_since_last_ack",
        "Time since the last acknowledged write, or read, while a probe runs.",
        labels=(*Labels._fields, "route", "access"),
    )
    operations = CounterMetricFamily(
        "caplab_operations", "Operations that have ended.", labels=(*Labels._fields, "route", "op", "level", "outcome")
    )
    latency = HistogramMetricFamily(
        "caplab_operation_latency_seconds",
        "From the scheduled start to the acknowledgement.",
        labels=(*Labels._fields, "route", "op"),
    )
    stale = CounterMetricFamily(
        "caplab_stale_reads",
        "Reads that missed a write which this prober had seen acknowledged before they began.",
        labels=(*Labels._fields, "route"),
    )
    staleness = HistogramMetricFamily(
        "caplab_read_staleness_seconds",
        "For stale reads, the time since the oldest write that they missed was acknowledged.",
        labels=(*Labels._fields, "route"),
    )
    for labels, figures in loads:
        running.add_metric(labels, float(any(figures.running.values())))
        for where, seconds in figures.ages(now_ns).items():
            age.add_metric((*labels, *where), seconds)
        for key, series in figures.series.items():
            for outcome, count in series.outcomes.items():
                operations.add_metric((*labels, *key, outcome), count)
        for of, histogram in figures.latencies().items():
            latency.add_metric((*labels, *of), buckets=histogram.cumulative(), sum_value=histogram.sum)
        for route, histogram in figures.staleness.items():
            stale.add_metric((*labels, route), histogram.count)
            staleness.add_metric((*labels, route), buckets=histogram.cumulative(), sum_value=histogram.sum)
    return [running, age, operations, latency, stale, staleness]


def registry_of(exporter: Exporter) -> CollectorRegistry:
    """Return the registry behind /metrics: the probes' figures, and the process' own by the usual names.

    process_cpu_seconds_total is among them: what the prober costs where it runs.
    """
    registry = CollectorRegistry()
    registry.register(exporter)
    ProcessCollector(registry=registry)
    return registry
