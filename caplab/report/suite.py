"""The tables of several runs, and the spread among runs of one name."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caplab.model.runs import CONTROL

from . import words
from .grid import Grid
from .headline import RunHeadline, headline
from .values import ClockCheck, RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The n runs in which a figure was measured; None if n is 0. at_least: one was only a lower bound."""

    n: int
    low: float | None = None
    median: float | None = None
    high: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Runs of one name: seconds until those that the row judges were served again, acked writes lost, share acked."""

    name: str
    title: str  # what was done, as a sentence
    n: int
    failover_seconds: Spread
    lost: Spread
    ack_ratio: Spread


def repeats(reports: Iterable[RunReport]) -> tuple[Repeats, ...]:
    """Group the runs of every name with more than one run, in the order of their first."""
    by_name: dict[str, list[RunReport]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)
    return tuple(
        Repeats(
            name=name,
            title=headline(runs[0]).title,
            n=len(runs),
            failover_seconds=_outages(runs),
            lost=_spread(runs, "durability", "lost"),
            ack_ratio=_spread(runs, "availability", "ack_ratio"),
        )
        for name, runs in by_name.items()
        if len(runs) > 1
    )


def _outages(runs: Sequence[RunReport]) -> Spread:
    """Return the spread of the outage that each run is judged by; a control has none."""
    outages = [outage for run in runs if (outage := headline(run).outage) is not None]
    return _spread_of([outage.seconds for outage in outages], any(outage.at_least for outage in outages))


def _spread(runs: Sequence[RunReport], checker: str, figure: str) -> Spread:
    return _spread_of([value for run in runs if (value := run.measured(checker, figure)) is not None])


def _spread_of(values: Sequence[float], at_least: bool = False) -> Spread:
    if not values:
        return Spread(n=0)
    median = round(statistics.median(values), 9)
    return Spread(n=len(values), low=min(values), median=median, high=max(values), at_least=at_least)


def every_run(reports: Iterable[RunReport]) -> Grid:
    """Build the grid with a row for each run: what was done, its verdict, and what it cost."""
    header = ("run", "verdict", "not served\nfor", "acked writes\nlost")
    return Grid("runs", header, tuple(_run(report) for report in reports), frozenset({0, 1}))


def _run(report: RunReport) -> tuple[str, ...]:
    shown = headline(report)
    acked, lost = (report.measured("durability", name) for name in ("acked", "lost"))
    losses = words.UNKNOWN if acked is None or lost is None else f"{words.counted(lost)} of {words.counted(acked)}"
    return shown.title, shown.verdict, outage_of(report, shown), losses


def outage_of(report: RunReport, shown: RunHeadline) -> str:
    """Format how long the clients that the row judges were not served; '-' in a control."""
    if shown.outage is None:
        return words.NOTHING if report.record.fault == CONTROL else words.UNKNOWN
    return f"{'≥ ' if shown.outage.at_least else ''}{words.short_seconds(shown.outage.seconds)}"


def every_figure(reports: Iterable[RunReport]) -> Grid:
    """Build the grid with each run's figures beside those of `every_run`."""
    header = ("run", "id", "clocks\napart", "unacked\nfound", "ack ratio")
    return Grid("more figures", header, tuple(_figures(report) for report in reports), frozenset({0, 1}))


def _figures(report: RunReport) -> tuple[str, ...]:
    found, share = report.measured("durability", "unacked_found"), report.measured("availability", "ack_ratio")
    return (
        words.one_line(report.name),
        words.one_line(report.run_id),
        _clock_distance(report.clock),
        words.UNKNOWN if found is None else words.counted(found),
        words.UNKNOWN if share is None else words.ratio(share),
    )


def _clock_distance(clock: ClockCheck | None) -> str:
    """Format the distance between the server's own stamp and the probers' first ack; '-' without both."""
    if clock is None or clock.server_seconds is None or clock.probe_seconds is None:
        return words.NOTHING
    return f"{1000 * abs(clock.probe_seconds - clock.server_seconds):,.0f} ms"


def every_repeat(reports: Iterable[RunReport]) -> Grid:
    """Build a row for each name with several runs, and note where a figure was not measured in all of them."""
    every = tuple(reports)
    rows = tuple(
        (
            repeated.title,
            words.counted(repeated.n),
            _shown(repeated.failover_seconds, repeated.n, words.seconds, " s"),
            _shown(repeated.lost, repeated.n, words.counted),
            _shown(repeated.ack_ratio, repeated.n, words.ratio, " %"),
        )
        for repeated in repeats(every)
    )
    header = ("run", "n", "not served for", "acked writes lost", "ack ratio")
    return Grid("repeats: min / median / max", header, rows, frozenset({0, 2, 3, 4}))


def _shown(spread: Spread, runs: int, show: words.Show, unit: str = "") -> str:
    """Format a spread, such as '≥ 1.000 / 2.000 / 3.000 s (3 of 4)' for 3 of 4 runs; ≥ if any is a lower bound."""
    values = [value for value in (spread.low, spread.median, spread.high) if value is not None]
    text = " / ".join(show(value).removesuffix(unit) for value in values) + unit if values else words.UNKNOWN
    return f"{'≥ ' if spread.at_least else ''}{text}{'' if spread.n == runs else f' ({spread.n} of {runs})'}"


def tally(reports: Iterable[RunReport]) -> str:
    """Count the runs by verdict."""
    counts = Counter(report.verdict.state for report in reports)
    return words.DOT.join(f"{counts[state]} {word.lower()}" for state, word in words.VERDICTS.items())
