"""What the operator tells Prometheus: clusters, faults, and the latest runs; ids are no labels: docs/metrics.md."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.metrics_core import Metric

from caplab import metrics_port

from . import runs
from .clusters import Members, cluster_metrics
from .faults import fault_metrics

PORT = 9188

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The lab's objects as last heard of; a cluster has the status that was last written."""

    clusters: Sequence[Body] = ()
    faults: Sequence[Body] = ()
    runs: Sequence[Body] = ()


class _Collector:
    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._members = Members()

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        yield from cluster_metrics(now.clusters, self._members)
        yield from fault_metrics(now.faults, now.clusters, datetime.datetime.now(datetime.UTC))
        yield from runs.metrics(runs.latest(now.runs))


def registry_of(snapshot: Callable[[], Snapshot], oldest_round_seconds: Callable[[], float]) -> CollectorRegistry:
    """What /metrics tells."""
    registry = CollectorRegistry()
    oldest = Gauge(
        "caplab_operator_oldest_round_seconds",
        "Since the round that ended the longest ago: far over 1 s, something that the operator does is stuck.",
        registry=registry,
    )
    oldest.set_function(oldest_round_seconds)
    registry.register(_Collector(snapshot))
    ProcessCollector(registry=registry)
    return registry


def serve(snapshot: Callable[[], Snapshot], oldest_round_seconds: Callable[[], float]) -> None:
    """Serve /metrics in a daemon thread."""
    metrics_port.serve(registry_of(snapshot, oldest_round_seconds), PORT)
