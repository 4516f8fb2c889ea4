"""What a page shows of a run's history: the timeline, every anomaly, raw operations around the fault, distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caplab.check import epochs
from caplab.check.columns import NEVER, Integers, among, codes, integers
from caplab.check.finding import Context
from caplab.check.series import UNNAMED
from caplab.model.fields import Json
from caplab.model.history import READS, Table, is_validated, validate

from ..timeline import strips
from ..timeline.bins import StripName, kind_of
from ..timeline.details import Details
from ..timeline.picture import WIDTH, Drawn, drawn, origin_of
from ..values import RunReport
from .anomalies import Anomalies, anomalies_of

MOST_OPERATIONS = 2_000  # drawn one by one
AROUND_SECONDS = 1.0  # on both sides of each moment at which something changed
_POINTS = 49  # of a distribution's curve
WINDOWS = ("before the fault", "while the fault was live", "after it")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryView:
    """picture is the timeline; data is what the page's script draws and lists, plain JSON.

    counts has the anomalies of each kind; raw the operations that are drawn one by one, and those that might have been.
    """

    picture: str
    data: Mapping[str, Json]
    counts: Mapping[str, int]
    raw: tuple[int, int]


def view_of(history: Table, report: RunReport) -> HistoryView:
    """Look through a run's history. ValueError if it is not one."""
    table = history if is_validated(history) else validate(history)
    context, origin_ns = Context.of(report.record), origin_of(table, report)
    anomalies = anomalies_of(table, context, origin_ns)
    picture = drawn(table, report, _details(table, context, anomalies))
    place = {row.strip.name: number for number, row in enumerate(picture.rows)}
    operations, candidates = _operations(table, context, report, origin_ns, place)
    data: dict[str, Json] = {
        "frame": _frame(picture),
        "strips": [_strip(row) for row in picture.rows],
        "marks": [
            [anomaly.kind, round(anomaly.seconds, 3), place.get(anomaly.strip, -1), anomaly.what,
             list(anomaly.operation), list(anomaly.witness or ())]
            for anomaly in anomalies.shown
        ],
        "operations": operations,
        "latency": _latency(table, context),
        "staleness": _staleness(anomalies),
    }  # fmt: skip
    shown = operations["t"]
    raw = (len(shown) if isinstance(shown, list) else 0, candidates)
    return HistoryView(picture=picture.svg, data=data, counts=anomalies.counts, raw=raw)


def _details(history: Table, context: Context, anomalies: Anomalies) -> Details:
    marks: dict[tuple[str, StripName], list[float]] = {}
    for anomaly in anomalies.shown:
        marks.setdefault((anomaly.kind, anomaly.strip), []).append(anomaly.seconds)
    has_epochs = context.has_primary and not epochs.applies(history)
    return Details(marks, epochs.reigns(history) if has_epochs else ())


def _frame(picture: Drawn) -> dict[str, Json]:
    """Return where the plot is in the picture, and which seconds it spans."""
    frame, bins = picture.frame, picture.bins
    return {
        "width": WIDTH, "left": frame.left, "right": frame.right, "top": frame.top, "bottom": frame.bottom,
        "begin": round(frame.begin_seconds, 6), "end": round(frame.end_seconds, 6), "bin": round(bins.bin_seconds, 6),
    }  # fmt: skip


def _strip(row: strips.Row) -> Json:
    """Return a strip's place, its name, and each bin's acked share in per cent and p99 in ms; -1: nothing."""
    share = np.where(np.isnan(row.strip.share), -1, np.floor(100 * np.nan_to_num(row.strip.share)))
    p99_ms = np.where(np.isnan(row.strip.p99_seconds), -1, np.round(1e3 * np.nan_to_num(row.strip.p99_seconds), 1))
    return {
        "name": f"zone {row.strip.vantage}, {strips.named(row.strip)}",
        "top": row.top,
        "bottom": row.top + strips.LANE + strips.BAR,
        "share": [int(value) for value in share],
        "p99": [float(value) if value % 1 else int(value) for value in p99_ms],
    }


def _operations(
    history: Table, context: Context, report: RunReport, origin_ns: int, place: Mapping[StripName, int]
) -> tuple[dict[str, Json], int]:
    """Return columns of the operations near the moments at which something changed, and how many there are in all.

    Too many of them are thinned evenly, those that were not acknowledged last.
    """
    load = ~among(history, "op", ["scan"])
    scheduled_ns = integers(history, "scheduled_ns", 0)
    near = np.zeros(len(scheduled_ns), dtype=np.bool_)
    for moment_ns in _moments(context, report, origin_ns):
        near |= np.abs(scheduled_ns - moment_ns) <= AROUND_SECONDS * 1e9
    outcome = among(history, "outcome", ["ok"])
    failed, acked = np.flatnonzero(load & ~outcome), np.flatnonzero(load & near & outcome)
    some_failed = _thinned(failed, MOST_OPERATIONS // 2)
    rows = np.sort(np.concatenate((some_failed, _thinned(acked, MOST_OPERATIONS - len(some_failed)))))
    return _columns(history, rows, origin_ns, place), len(failed) + len(acked)


def _moments(context: Context, report: RunReport, origin_ns: int) -> list[int]:
    failover = report.measured("availability", "failover_seconds")
    if context.injected_ns is None:
        return [origin_ns]
    ends = [window.healed_ns for window in context.fault_windows]
    served = [] if failover is None else [context.injected_ns + round(1e9 * failover)]
    return [context.injected_ns, *served, *(end for end in ends if end is not None)]


def _thinned(rows: Integers, most: int) -> Integers:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _columns(history: Table, rows: Integers, origin_ns: int, place: Mapping[StripName, int]) -> dict[str, Json]:
    part = history.take(rows)
    scheduled_ns, return_ns = integers(part, "scheduled_ns", 0), integers(part, "return_ns", NEVER)
    never = return_ns == NEVER
    latency_ms = np.where(never, -1, np.round((np.where(never, 0, return_ns) - scheduled_ns) / 1e6, 2))
    texts: dict[str, tuple[Integers, tuple[str, ...]]] = {
        name: codes(part, name) for name in ("vantage", "op", "route", "server", "error", "outcome")
    }
    strip = [
        place.get((vantage, kind_of(op), route or UNNAMED), -1)
        for vantage, op, route in zip(*(_words(*texts[name]) for name in ("vantage", "op", "route")), strict=True)
    ]
    return {
        "t": [round(float(seconds), 3) for seconds in (scheduled_ns - origin_ns) / 1e9],
        "ms": [float(value) if value % 1 else int(value) for value in latency_ms],
        "strip": list(strip),
        **{name: texts[name][0].tolist() for name in ("op", "server", "error", "outcome")},
        "words": {name: list(texts[name][1]) for name in ("op", "server", "error", "outcome")},
    }


def _words(code: Integers, names: Sequence[str]) -> list[str]:
    named = (*names, "")
    return [named[number] for number in code.tolist()]


def _latency(history: Table, context: Context) -> list[Json]:
    """Return the distribution of the acked operations' latency from their scheduled start, by kind and window."""
    scheduled_ns, return_ns = integers(history, "scheduled_ns", 0), integers(history, "return_ns", NEVER)
    acked = among(history, "outcome", ["ok"]) & (return_ns != NEVER) & ~among(history, "op", ["scan"])
    if context.steady_ns is not None:
        acked &= scheduled_ns >= context.steady_ns
    reads = among(history, "op", READS)
    edges = [edge for edge in (context.injected_ns, context.healed_ns) if edge is not None]
    window = np.searchsorted(np.array(edges, dtype=np.int64), scheduled_ns, side="right")
    rows: list[Json] = []
    for kind, of_kind in (("reads", reads), ("writes", ~reads)):
        for number, name in enumerate(WINDOWS if edges else ("the whole run",)):
            chosen = acked & of_kind & (window == number)
            rows += _curve(f"{kind}, {name}", (return_ns - scheduled_ns)[chosen])
    return rows


def _curve(name: str, values_ns: Integers) -> list[Json]:
    """Return points of a distribution, by the share of operations that took at least as long."""
    if not len(values_ns):
        return []
    least = max(1 / len(values_ns), 1e-5)
    shares: NDArray[np.float64] = np.unique(np.geomspace(least, 1, _POINTS))
    values = np.quantile(values_ns, 1 - shares, method="inverted_cdf") / 1e6
    return [
        {"of": name, "share": float(f"{100 * share:.4g}"), "ms": float(f"{max(value, 0.001):.4g}")}
        for share, value in zip(shares, values, strict=True)
    ]


def _staleness(anomalies: Anomalies) -> list[Json]:
    return _curve("stale reads", anomalies.behind_ns)
