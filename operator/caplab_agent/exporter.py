"""The agent's Prometheus metrics: the live faults on its node, and whether the API server reaches it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from caplab import metrics_port
from caplab.contract import ports

from .faults import FaultRecord
from .injectors import KINDS, kind_of

PORT = ports.AGENT_METRICS
_log = logging.getLogger(__name__)


class _Collector:
    def __init__(
        self, node: str, live: Callable[[], Iterable[FaultRecord]], seconds_since_event: Callable[[], float]
    ) -> None:
        self._node, self._live, self._seconds_since_event = node, live, seconds_since_event

    def collect(self) -> Iterator[Metric]:
        active = GaugeMetricFamily(
            "caplab_agent_faults_active",
            "Pods of the node that are under a fault of this kind.",
            labels=("node", "kind"),
        )
        counts = Counter(kind_of(record.assignment) for record in self._live())
        for kind in KINDS:
            active.add_metric((self._node, kind), float(counts[kind]))
        yield active
        oldest = GaugeMetricFamily(
            "caplab_agent_oldest_poll_seconds",
            "Seconds since the agent last listed all Faults; over 60, it is cut off from the API server.",
            labels=("node",),
        )
        oldest.add_metric((self._node,), self._seconds_since_event())
        yield oldest


def registry_of(
    node: str, live: Callable[[], Iterable[FaultRecord]], seconds_since_event: Callable[[], float]
) -> CollectorRegistry:
    """Make the registry behind /metrics; live returns the live records."""
    registry = CollectorRegistry()
    registry.register(_Collector(node, live, seconds_since_event))
    ProcessCollector(registry=registry)
    return registry


def serve(registry: CollectorRegistry) -> None:
    """Serve /metrics in a daemon thread. If that fails, the agent goes on without: its heals come first."""
    try:
        metrics_port.serve(registry, PORT)
    except OSError as error:
        _log.error("Cannot serve metrics on port %d: %s", PORT, error)
