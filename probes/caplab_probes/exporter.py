"""Live figures for Prometheus, computed when they are scraped; keys and runs are no labels."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from . import clock
from .writer import Row

LABELS = ("vantage", "op", "route", "workload")
# Seconds. prometheus-client has no native histograms.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RATIO_SECONDS = 10  # what the ack ratio looks back on
_SECOND_NS = 1_000_000_000

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class _Series:
    """What is known of one combination of labels."""

    last_ack_ns: int
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: dict[int, list[int]] = field(default_factory=dict)  # second of the clock -> acked, all
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    latency_sum: float = 0.0

    def observe(self, row: Row, now_ns: int) -> None:
        self.outcomes[row.outcome] += 1
        second = self.seconds.setdefault(now_ns // _SECOND_NS, [0, 0])
        second[1] += 1
        if row.outcome == "ok" and row.return_ns is not None:
            second[0] += 1
            self.last_ack_ns = max(self.last_ack_ns, row.return_ns)
            seconds = (row.return_ns - row.scheduled_ns) / _SECOND_NS
            self.buckets[bisect_left(BUCKETS, seconds)] += 1
            self.latency_sum += seconds
        if len(self.seconds) > RATIO_SECONDS + 1:
            del self.seconds[min(self.seconds)]

    def ack_ratio(self, now_ns: int) -> float | None:
        """Acked of all that ended in the last RATIO_SECONDS; None where nothing did."""
        since = now_ns // _SECOND_NS - RATIO_SECONDS
        recent = [counts for second, counts in self.seconds.items() if second > since]
        ended = sum(counts[1] for counts in recent)
        return sum(counts[0] for counts in recent) / ended if ended else None


class Exporter:
    """A collector of its own, so that the series of an ended probe can go. Safe between threads."""

    def __init__(self) -> None:
        self._series: dict[Key, _Series] = {}
        self._standstill_seconds = 0.0
        self._lock = threading.Lock()

    def observe(self, row: Row, workload: str) -> None:
        """Count one operation that has ended."""
        now_ns = clock.now_ns()
        key = (row.vantage, row.op, row.route or "", workload)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                # The age of the last ack counts from the first operation until there is one.
                series = self._series[key] = _Series(last_ack_ns=row.scheduled_ns)
            series.observe(row, now_ns)

    def stood_still(self, seconds: float) -> None:
        """Count a time in which the prober itself did nothing."""
        with self._lock:
            self._standstill_seconds += seconds

    def forget(self, workload: str) -> None:
        """Drop the series of a workload: an age that grows for ever would say that something is wrong."""
        with self._lock:
            for key in [key for key in self._series if key[3] == workload]:
                del self._series[key]

    def collect(self) -> Iterator[Metric]:
        """The metrics, as prometheus_client asks for them."""
        now_ns = clock.now_ns()
        age = GaugeMetricFamily(
            "caplab_probe_last_ack_age_seconds", "Time since the last acknowledged operation.", labels=LABELS
        )
        ratio = GaugeMetricFamily(
            "caplab_probe_ack_ratio",
            f"Share acknowledged of the operations of the last {RATIO_SECONDS} s.",
            labels=LABELS,
        )
        latency = HistogramMetricFamily(
            "caplab_probe_latency_seconds", "From the scheduled start to the acknowledgement.", labels=LABELS
        )
        operations = CounterMetricFamily(
            "caplab_probe_operations", "Operations that have ended.", labels=(*LABELS, "outcome")
        )
        standstill = CounterMetricFamily(
            "caplab_prober_standstill_seconds",
            "Time in which the prober itself stood still, half a second or more each.",
        )
        with self._lock:
            standstill.add_metric((), self._standstill_seconds)
            for key, series in self._series.items():
                age.add_metric(key, (now_ns - series.last_ack_ns) / _SECOND_NS)
                acked = series.ack_ratio(now_ns)
                if acked is not None:
                    ratio.add_metric(key, acked)
                counts = zip((*map(str, BUCKETS), "+Inf"), accumulate(series.buckets), strict=True)
                latency.add_metric(key, buckets=list(counts), sum_value=series.latency_sum)
                for outcome, count in series.outcomes.items():
                    operations.add_metric((*key, outcome), count)
        yield from (age, ratio, latency, operations, standstill)


def registry_of(exporter: Exporter) -> CollectorRegistry:
    """What /metrics tells: the probes' figures, and the process' own by the names that all Prometheus clients use.

    process_cpu_seconds_total among them: the prober's cost where it runs.
    """
    registry = CollectorRegistry()
    registry.register(exporter)
    ProcessCollector(registry=registry)
    return registry
