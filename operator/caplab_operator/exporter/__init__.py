"""The operator's metrics: clusters, faults, and the latest runs (docs/metrics.md). Ids are never labels."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric

from caplab import metrics_port
from caplab.contract import ports
from caplab.contract.objects import Fault
from caplab.contract.runs import Run

from . import runs
from .clusters import Members, cluster_metrics
from .faults import fault_metrics

PORT = ports.OPERATOR_METRICS

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The lab's objects as last seen; a cluster has the status that was last written."""

    clusters: Sequence[Body] = ()
    faults: Sequence[Fault] = ()
    runs: Sequence[Run] = ()


class _LiveCollector:
    """Clusters and faults, which may change from one scrape to the next."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._members = Members()

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        yield from cluster_metrics(now.clusters, self._members)
        yield from fault_metrics(now.faults, now.clusters, datetime.datetime.now(datetime.UTC))


class _RunsCollector:
    def __init__(self, all_runs: Sequence[Run]) -> None:
        self._runs = all_runs

    def collect(self) -> Iterator[Metric]:
        return runs.metrics(runs.latest(self._runs))


class MetricsPage:
    """The page /metrics. Not safe between threads.

    A lab with many runs has ten times as many samples of runs as of all else, and they seldom change: they are
    generated again only if they did.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], oldest_round_seconds: Callable[[], float]) -> None:
        self._snapshot = snapshot
        self._live = live_registry(snapshot, oldest_round_seconds)
        self._runs: Sequence[Run] = ()
        self._of_runs = generate_latest(runs_registry(()))

    def __call__(self) -> bytes:
        """Return the page in Prometheus' text format."""
        now = self._snapshot().runs
        if len(now) != len(self._runs) or any(
            run is not previous for run, previous in zip(now, self._runs, strict=True)
        ):
            self._of_runs = generate_latest(runs_registry(now))
            self._runs = now
        return generate_latest(self._live) + self._of_runs


def live_registry(snapshot: Callable[[], Snapshot], oldest_round_seconds: Callable[[], float]) -> CollectorRegistry:
    """Build the registry of everything but the runs."""
    registry = CollectorRegistry()
    oldest = Gauge(
        "caplab_operator_oldest_round_seconds",
        "The longest time since any of the operator's loops ended a round: if it is far over 1 s, a loop is stuck.",
        registry=registry,
    )
    oldest.set_function(oldest_round_seconds)
    registry.register(_LiveCollector(snapshot))
    ProcessCollector(registry=registry)
    return registry


def runs_registry(all_runs: Sequence[Run]) -> CollectorRegistry:
    """Build the registry of the latest of these runs."""
    registry = CollectorRegistry()
    registry.register(_RunsCollector(all_runs))
    return registry


def serve(snapshot: Callable[[], Snapshot], oldest_round_seconds: Callable[[], float]) -> None:
    """Serve /metrics in a daemon thread."""
    text = MetricsPage(snapshot, oldest_round_seconds)
    metrics_port.serve_page(metrics_port.Page("/metrics", CONTENT_TYPE_LATEST, text), PORT)
