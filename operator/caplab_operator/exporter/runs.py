"""Gauges of the latest runs' figures, each beside its prediction. A run's id is never a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from caplab.contract.records import Record
from caplab.contract.runs import FigureBounds, Figures, Run, RunStatus, SideFigures, VantageFigures

_RUN = ("experiment", "engine", "mode", "fault")
_WHERE = (*_RUN, "vantage", "route")
VERDICTS = ("valid", "invalid", "unknown")
ALL = "all"
# Field of a Run's status -> gauge and its help text.
_TIMES = {
    "started_at": ("started_timestamp_seconds", "When the run began."),
    "ended_at": ("ended_timestamp_seconds", "When the run ended."),
}
# Field of a Run's figures -> gauge and its help text.
_FIGURES = {
    "failover_seconds": (
        "failover_seconds",
        "From the injection to the end of the last outage that began before heal.",
    ),
    "attempted": ("attempted_writes", "Writes that were sent."),
    "acked": ("acked_writes", "Writes that were acknowledged."),
    "survived": ("survived_writes", "Acknowledged writes that the final scan found."),
    "lost": ("acked_lost_writes", "Acknowledged writes that the final scan did not find."),
    "unacked_found": ("unacked_found_writes", "Writes without an acknowledgement that the final scan found."),
    "stale_reads": ("stale_reads", "Reads that missed a write acknowledged before they began."),
    "ack_ratio": ("ack_ratio", "Share of scheduled operations that were acknowledged."),
}
# The same for its bounds.
_BOUNDS = {
    "failover_seconds": ("failover_bound_seconds", "The longest failover that the settings promise."),
    "lost": ("acked_lost_writes_bound", "The most acknowledged writes that may be lost under the settings."),
    "stale_reads": ("stale_reads_bound", "The most stale reads that there may be under the settings."),
}

Row = tuple[Figures | SideFigures | VantageFigures, FigureBounds]


def latest(runs: Iterable[Run]) -> list[Run]:
    """Return the last run of each experiment, engine, mode and fault; a run whose end can't be read is left out."""
    newest: dict[tuple[str, ...], tuple[float, Run]] = {}
    for run in runs:
        ended = _unix(_status(run).ended_at)
        key = tuple(_labels(run))
        if ended is not None and (key not in newest or newest[key][0] <= ended):
            newest[key] = ended, run
    return [run for _, run in newest.values()]


def metrics(runs: Sequence[Run]) -> Iterator[Metric]:
    """Yield all gauges of the latest runs; a figure that was not measured, or has no bound, has no sample."""
    for field, (name, text) in _TIMES.items():
        yield _moments(runs, field, f"caplab_run_{name}", text)
    verdicts = GaugeMetricFamily("caplab_run_verdict", "1 for the run's verdict.", labels=(*_RUN, "verdict"))
    for run in runs:
        for verdict in VERDICTS:
            verdicts.add_metric([*_labels(run), verdict], float(_status(run).verdict == verdict))
    yield verdicts
    for field, (name, text) in _FIGURES.items():
        yield _family(runs, lambda row: row[0], field, f"caplab_run_{name}", text)
    for field, (name, text) in _BOUNDS.items():
        yield _family(runs, lambda row: row[1], field, f"caplab_run_{name}", text)


def _status(run: Run) -> RunStatus:
    return run.status or RunStatus()


def _labels(run: Run) -> list[str]:
    return [getattr(run.spec, name) for name in _RUN]


def _moments(runs: Sequence[Run], field: str, name: str, text: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=_RUN)
    for run in runs:
        if (moment := _unix(getattr(_status(run), field))) is not None:
            family.add_metric(_labels(run), moment)
    return family


def _family(runs: Sequence[Run], part: Callable[[Row], Record], field: str, name: str, text: str) -> Metric:
    """Build a gauge of the run as a whole (vantage and route 'all'), of each side, and of each vantage and route."""
    family = GaugeMetricFamily(name, text, labels=_WHERE)
    for run in runs:
        for where, row in _rows(_status(run)).items():
            value = getattr(part(row), field, None)
            if value is not None:
                family.add_metric([*_labels(run), *where], float(value))
    return family


def _rows(status: RunStatus) -> dict[tuple[str, str], Row]:
    """Return rows by vantage and route, each once: a Run may repeat them, and Prometheus rejects a whole page then."""
    none = FigureBounds()
    rows: dict[tuple[str, str], Row] = {
        (row.vantage, row.route): (row, row.bounds or none) for row in status.by_vantage or ()
    }
    rows |= {(row.side, row.route): (row, row.bounds or none) for row in status.by_side or ()}
    rows[ALL, ALL] = status.figures or Figures(), status.bounds or none
    return rows


def _unix(moment: str | None) -> float | None:
    """Read a time in RFC 3339 as seconds since 1970; None if it is none, since clients write these statuses."""
    try:
        return datetime.fromisoformat(moment or "").timestamp()
    except (ValueError, OverflowError):
        return None
