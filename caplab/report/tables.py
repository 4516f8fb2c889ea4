"""The tables of one run: every vantage and route, and the latency by phase."""

from __future__ import annotations

from collections.abc import Iterable

from caplab.check.availability.phases import PHASES
from caplab.check.finding import Context

from . import words
from .grid import Grid
from .values import Figures, RunReport, is_lower_bound, listed, nested, number, text

_Key = tuple[str, str, str]  # vantage, route, op


def vantages_and_routes(report: RunReport) -> Grid:
    """Build a row for each vantage, route and op; only adds are followed to the final scan."""
    series = {_key(row): row for row in listed(report.figures("availability"), "series")}
    adds = {(*_key(row)[:2], "add"): row for row in listed(report.figures("durability"), "by_vantage")}
    ratios = _ratios(listed(report.figures("availability"), "phases"))
    scanned = report.is_conclusive("durability")
    has_fault = Context.of(report.record).injected_ns is not None
    rows = tuple(
        (
            *(words.one_line(part) for part in key),
            _failover(series.get(key, {})) if has_fault else words.NOTHING,
            *_durability(adds.get(key, {}), scanned),
            *(ratios.get((*key, phase), words.NOTHING) for phase in PHASES),
        )
        for key in sorted(series.keys() | adds.keys())
    )
    lasted = words.failover(report.record.has_primary)
    header = ("vantage", "route", "op", lasted, "attempted", "acked", "survived", "lost", "unacked\nfound")
    shares = (f"% acked\n{phase}" for phase in PHASES)
    return Grid("every vantage and route, and the share acked by phase", (*header, *shares), rows, frozenset({0, 1, 2}))


def latencies(report: RunReport) -> Grid:
    """Build a row for each op and route: p50 and p99 of the acked operations, over all vantages."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    by_route = nested(report.figures("availability"), "by_route")
    for route in by_route:
        for row in listed(nested(by_route, route), "phases"):
            cells.setdefault((text(row, "op"), route), {})[text(row, "phase")] = _latency(row)
    rows = tuple(
        (op, words.one_line(route), *(of_phase.get(phase, words.NOTHING) for phase in PHASES))
        for (op, route), of_phase in sorted(cells.items())
    )
    title = "latency p50 / p99 of acked operations, from their scheduled start, by phase"
    return Grid(title, ("op", "route", *PHASES), rows, frozenset({0, 1}))


def _key(figures: Figures) -> _Key:
    return text(figures, "vantage"), text(figures, "route"), text(figures, "op")


def _ratios(rows: Iterable[Figures]) -> dict[tuple[str, str, str, str], str]:
    ratios = {}
    for row in rows:
        share = number(row, "ack_ratio")
        if share is not None:
            ratios[*_key(row), text(row, "phase")] = words.ratio(share)
    return ratios


def _failover(series: Figures) -> str:
    seconds = number(series, "failover_seconds")
    if seconds is None:
        return words.NOTHING
    return words.seconds(seconds, is_lower_bound(series, "failover_seconds"))


def _durability(adds: Figures, scanned: bool) -> list[str]:
    """Return what was sent and acked, and what became of it only if the final scan can be trusted."""
    cells = []
    for name in ("attempted", "acked", "survived", "lost", "unacked_found"):
        count = number(adds, name)
        if count is None:
            cells.append(words.NOTHING)
        else:
            cells.append(words.counted(count) if scanned or name in ("attempted", "acked") else words.UNKNOWN)
    return cells


def _latency(row: Figures) -> str:
    quantiles = [number(row, f"latency_{name}_seconds") for name in ("p50", "p99")]
    measured = [quantile for quantile in quantiles if quantile is not None]
    return words.milliseconds(measured) if measured else words.NOTHING
