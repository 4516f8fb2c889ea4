"""What a cache's readers and the database behind it experienced; empty for a run without a cache."""

from __future__ import annotations

from . import words
from .grid import Grid
from .values import Figures, RunReport, is_lower_bound, listed, nested, number, text

_NEVER = "never"


def readers_and_loads(report: RunReport) -> Grid:
    """Build the grid with a row for each phase of the fault."""
    phases = listed(report.figures("cache"), "phases") if _has_cache(report) else ()
    rows = tuple(_row(phase) for phase in phases)
    header = ("phase", "lasted", "reads", "acked", "p50", "p99", "loads", "loads a\nsecond", "too late")
    return Grid("readers of the cache and loads of the database behind it, by phase", header, rows, frozenset({0}))


def cache_sentence(report: RunReport) -> str:
    """Describe whether it ends by itself and what sustains it, and the cost of a miss; '' without a cache."""
    cache, loads = report.finding("cache"), report.figures("load")
    if cache is None or not _has_cache(report):
        return ""
    misses, factor = number(loads, "misses"), nested(loads, "factor")
    mean, worst = number(factor, "mean"), number(factor, "max")
    parts = [cache.reason.rstrip(".")]
    if misses is not None and mean is not None and worst is not None:
        parts.append(f"{words.counted(misses)} misses, {mean:.1f} loads each, {words.counted(worst)} at worst")
    return words.one_line(f"cache: {words.DOT.join(parts)}")


def _has_cache(report: RunReport) -> bool:
    """Return whether anything was loaded from behind a cache."""
    return bool(number(report.figures("cache"), "loads"))


def _row(phase: Figures) -> tuple[str, ...]:
    return (
        words.one_line(text(phase, "phase")),
        _shown(phase, "seconds", words.seconds),
        _shown(phase, "reads", words.counted),
        _shown(phase, "acked_share", words.ratio),
        _wait(phase, "p50_seconds"),
        _wait(phase, "p99_seconds"),
        _shown(phase, "loads", words.counted),
        _shown(phase, "loads_per_second", "{:,.1f}".format),
        _shown(phase, "wasted", words.counted),
    )


def _shown(phase: Figures, name: str, show: words.Show) -> str:
    value = number(phase, name)
    return words.NOTHING if value is None else show(value)


def _wait(phase: Figures, name: str) -> str:
    if is_lower_bound(phase, name):
        return _NEVER
    return _shown(phase, name, lambda seconds: words.milliseconds([seconds]))
