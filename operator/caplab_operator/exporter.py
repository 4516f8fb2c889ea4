"""Figures of the latest runs as gauges for Prometheus; a run's id is no label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from . import metrics_server

PORT = 9188
_RUN = ("experiment", "engine", "mode", "fault")
_WHERE = (*_RUN, "vantage", "route")
VERDICTS = ("valid", "invalid", "unknown")
# Field of a Run's figures -> gauge and what it tells.
_FIGURES = {
    "failoverSeconds": ("failover_seconds", "From the injection to the end of the last outage that began before heal."),
    "attempted": ("attempted_writes", "Writes that were sent."),
    "acked": ("acked_writes", "Writes that were acknowledged."),
    "survived": ("survived_writes", "Acknowledged writes that the final scan found."),
    "lost": ("lost_writes", "Acknowledged writes that the final scan did not find."),
    "unackedFound": ("unacked_found_writes", "Writes that nobody knew of, and the final scan found."),
    "staleReads": ("stale_reads", "Reads that missed a write acknowledged before they began."),
    "ackRatio": ("ack_ratio", "Acknowledged of all that was scheduled."),
}

Body = Mapping[str, Any]


def latest(runs: Iterable[Body]) -> list[Body]:
    """The run that ended last of each experiment, engine, mode and fault."""
    newest: dict[tuple[str, ...], tuple[float, Body]] = {}
    for run in runs:
        if (at := _ended(run)) is None:
            continue
        key = tuple(str(run["spec"].get(name, "")) for name in _RUN)
        if key not in newest or newest[key][0] <= at:
            newest[key] = at, run
    return [run for _, run in newest.values()]


def _ended(run: Body) -> float | None:
    """When a run ended, in Unix seconds; None: it has not, or whoever wrote the Run wrote no time."""
    try:
        return datetime.fromisoformat(run["status"]["endedAt"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def metrics(runs: Sequence[Body]) -> Iterator[Metric]:
    """All gauges of the latest runs; a figure that was not measured has no sample."""
    ended = GaugeMetricFamily("caplab_run_ended_timestamp_seconds", "When the run ended.", labels=_RUN)
    verdicts = GaugeMetricFamily("caplab_run_verdict", "1 for the run's verdict.", labels=(*_RUN, "verdict"))
    for run in runs:
        labels = [run["spec"][name] for name in _RUN]
        ended.add_metric(labels, _ended(run) or 0.0)
        for verdict in VERDICTS:
            verdicts.add_metric([*labels, verdict], float(run["status"].get("verdict") == verdict))
    yield ended
    yield verdicts
    for field, (name, text) in _FIGURES.items():
        yield _family(runs, field, f"caplab_run_{name}", text)


def _family(runs: Sequence[Body], field: str, name: str, text: str) -> Metric:
    """One gauge: of the run as a whole (vantage and route 'all'), and of each vantage and route."""
    family = GaugeMetricFamily(name, text, labels=_WHERE)
    for run in runs:
        labels, status = [run["spec"][name] for name in _RUN], run["status"]
        # By their labels: Prometheus takes nothing at all from who tells one of them twice.
        rows = {(row["vantage"], row["route"]): row for row in status.get("byVantage") or ()}
        rows["all", "all"] = status.get("figures") or {}
        for where, row in rows.items():
            if field in row:
                family.add_metric([*labels, *where], float(row[field]))
    return family


class _Collector:
    def __init__(self, runs: Callable[[], list[Body]]) -> None:
        self._runs = runs

    def collect(self) -> Iterator[Metric]:
        return metrics(latest(self._runs()))


def serve(runs: Callable[[], list[Body]], oldest_round_seconds: Callable[[], float]) -> None:
    """Serve /metrics in a daemon thread."""
    registry = CollectorRegistry()
    oldest = Gauge(
        "caplab_operator_oldest_round_seconds",
        "Since the round that ended the longest ago: far over 1 s, something that the operator does is stuck.",
        registry=registry,
    )
    oldest.set_function(oldest_round_seconds)
    registry.register(_Collector(runs))
    metrics_server.serve(PORT, registry)
