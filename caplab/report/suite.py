"""The tables of several runs, and the spread among runs of one name."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caplab.check.finding import State

from . import words
from .grid import Grid
from .values import ClockCheck, RunReport, is_lower_bound, number


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
    """Runs of one name: failover time in seconds at the worst vantage, acked writes lost, share acked."""

    name: str
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
            n=len(runs),
            failover_seconds=_spread(runs, "availability", "failover_seconds"),
            lost=_spread(runs, "durability", "lost"),
            ack_ratio=_spread(runs, "availability", "ack_ratio"),
        )
        for name, runs in by_name.items()
        if len(runs) > 1
    )


def _spread(runs: Sequence[RunReport], checker: str, figure: str) -> Spread:
    measured = [(run, value) for run in runs if (value := run.measured(checker, figure)) is not None]
    if not measured:
        return Spread(n=0)
    values = [value for _, value in measured]
    at_least = any(is_lower_bound(run.figures(checker), figure) for run, _ in measured)
    return Spread(
        n=len(values), low=min(values), median=round(statistics.median(values), 9), high=max(values), at_least=at_least
    )


def every_run(reports: Iterable[RunReport]) -> Grid:
    """Build the grid with a row for each run."""
    every = tuple(reports)
    lasted = "\nor ".join(_recovery_names(every))
    header = ("name", "verdict", lasted, "clocks\napart", "acked", "lost", "unacked\nfound", "ack ratio", "run")
    return Grid("runs", header, tuple(_run(report) for report in every), frozenset({0, 1, 8}))


def _recovery_names(reports: Iterable[RunReport]) -> list[str]:
    """Return the name of the time until clients were served again in these runs."""
    return sorted({words.failover(report.record.has_primary) for report in reports})


def _run(report: RunReport) -> tuple[str, ...]:
    acked = number(report.figures("durability"), "acked")
    failover = report.measured("availability", "failover_seconds")
    share = report.measured("availability", "ack_ratio")
    open_end = is_lower_bound(report.figures("availability"), "failover_seconds")
    ends = (report.measured("durability", name) for name in ("lost", "unacked_found"))
    return (
        words.one_line(report.name),
        words.of_state(report.verdict.state),
        words.UNKNOWN if failover is None else words.seconds(failover, open_end),
        _clock_distance(report.clock),
        words.UNKNOWN if acked is None else words.counted(acked),
        *(words.UNKNOWN if count is None else words.counted(count) for count in ends),
        words.UNKNOWN if share is None else words.ratio(share),
        words.one_line(report.run_id),
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
            words.one_line(repeated.name),
            words.counted(repeated.n),
            _shown(repeated.failover_seconds, repeated.n, words.seconds, " s"),
            _shown(repeated.lost, repeated.n, words.counted),
            _shown(repeated.ack_ratio, repeated.n, words.ratio, " %"),
        )
        for repeated in repeats(every)
    )
    header = ("name", "n", f"{' or '.join(_recovery_names(every))} time", "acked writes lost", "ack ratio")
    return Grid("repeats: min / median / max", header, rows, frozenset({0, 2, 3, 4}))


def _shown(spread: Spread, runs: int, show: words.Show, unit: str = "") -> str:
    """Format a spread, such as '>= 1.000 / 2.000 / 3.000 s (3 of 4)' for 3 of 4 runs; >= if any is a lower bound."""
    values = [value for value in (spread.low, spread.median, spread.high) if value is not None]
    text = " / ".join(show(value).removesuffix(unit) for value in values) + unit if values else words.UNKNOWN
    return f"{'>= ' if spread.at_least else ''}{text}{'' if spread.n == runs else f' ({spread.n} of {runs})'}"


def tally(reports: Iterable[RunReport]) -> str:
    """Count the runs by verdict."""
    counts = Counter(report.verdict.state for report in reports)
    return words.DOT.join(f"{counts[state]} {state.value}" for state in (State.HOLDS, State.VIOLATED, State.UNKNOWN))
