"""Gauges of the latest runs' figures, each beside its prediction. A run's id is never a label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

_RUN = ("experiment", "engine", "mode", "fault")
_WHERE = (*_RUN, "vantage", "route")
VERDICTS = ("valid", "invalid", "unknown")
ALL = "all"
# Field of a Run's status -> gauge and its help text.
_TIMES = {
    "startedAt": ("started_timestamp_seconds", "When the run began."),
    "endedAt": ("ended_timestamp_seconds", "When the run ended."),
}
# Field of a Run's figures -> gauge and its help text.
_FIGURES = {
    "failoverSeconds": ("failover_seconds", "From the injection to the end of the last outage that began before heal."),
    "attempted": ("attempted_writes", "Writes that were sent."),
    "acked": ("acked_writes", "Writes that were acknowledged."),
    "survived": ("survived_writes", "Acknowledged writes that the final scan found."),
    "lost": ("acked_lost_writes", "Acknowledged writes that the final scan did not find."),
    "unackedFound": ("unacked_found_writes", "Writes without an acknowledgement that the final scan found."),
    "staleReads": ("stale_reads", "Reads that missed a write acknowledged before they began."),
    "ackRatio": ("ack_ratio", "Share of scheduled operations that were acknowledged."),
}
# The same for its bounds.
_BOUNDS = {
    "failoverSeconds": ("failover_bound_seconds", "The longest failover that the settings promise."),
    "lost": ("acked_lost_writes_bound", "The most acknowledged writes that may be lost under the settings."),
    "staleReads": ("stale_reads_bound", "The most stale reads that there may be under the settings."),
}

Body = Mapping[str, Any]


def latest(runs: Iterable[Body]) -> list[Body]:
    """Return the last run of each experiment, engine, mode and fault; a run whose end can't be read is left out."""
    newest: dict[tuple[str, ...], tuple[float, Body]] = {}
    for run in runs:
        ended = _unix((run.get("status") or {}).get("endedAt"))
        key = tuple(str(run["spec"].get(name, "")) for name in _RUN)
        if ended is not None and (key not in newest or newest[key][0] <= ended):
            newest[key] = ended, run
    return [run for _, run in newest.values()]


def metrics(runs: Sequence[Body]) -> Iterator[Metric]:
    """Yield all gauges of the latest runs; a figure that was not measured, or has no bound, has no sample."""
    for field, (name, text) in _TIMES.items():
        yield _moments(runs, field, f"caplab_run_{name}", text)
    verdicts = GaugeMetricFamily("caplab_run_verdict", "1 for the run's verdict.", labels=(*_RUN, "verdict"))
    for run in runs:
        for verdict in VERDICTS:
            verdicts.add_metric([*_labels(run), verdict], float(run["status"].get("verdict") == verdict))
    yield verdicts
    for field, (name, text) in _FIGURES.items():
        yield _family(runs, lambda row: row, field, f"caplab_run_{name}", text)
    for field, (name, text) in _BOUNDS.items():
        yield _family(runs, lambda row: row.get("bounds") or {}, field, f"caplab_run_{name}", text)


def _labels(run: Body) -> list[str]:
    return [run["spec"][name] for name in _RUN]


def _moments(runs: Sequence[Body], field: str, name: str, text: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=_RUN)
    for run in runs:
        if (moment := _unix(run["status"].get(field))) is not None:
            family.add_metric(_labels(run), moment)
    return family


def _family(runs: Sequence[Body], part: Any, field: str, name: str, text: str) -> Metric:
    """Build a gauge of the run as a whole (vantage and route 'all'), of each side, and of each vantage and route."""
    family = GaugeMetricFamily(name, text, labels=_WHERE)
    for run in runs:
        for where, row in _rows(run["status"]).items():
            if field in part(row):
                family.add_metric([*_labels(run), *where], float(part(row)[field]))
    return family


def _rows(status: Body) -> dict[tuple[str, str], Body]:
    """Return rows by vantage and route, each once: a Run may repeat them, and Prometheus rejects a whole page then."""
    rows = {(row["vantage"], row["route"]): row for row in status.get("byVantage") or ()}
    rows |= {(row["side"], row["route"]): row for row in status.get("bySide") or ()}
    rows[ALL, ALL] = {**(status.get("figures") or {}), "bounds": status.get("bounds")}
    return rows


def _unix(moment: object) -> float | None:
    """Read a time in RFC 3339 as seconds since 1970; None if it is none, since clients write these statuses."""
    try:
        return datetime.fromisoformat(moment).timestamp()  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
