"""How a report tells of a cache: phase by phase, and what sustains an outage that does not end."""

from __future__ import annotations

from typing import Any

from support.checkers.cache_histories import loads, reads
from support.checkers.histories import Row, kill, killed_run, report_of

from caplab.report import RunReport, render_run, summary_markdown
from caplab.report.cache_tables import cache_sentence, readers_and_loads

OUTAGE: dict[str, Any] = {
    "experiment": "cache/outage",
    "engine": "cache",
    "mode": "none",
    "fault": "outage",
    "fault_windows": (kill(10_000, 20_000),),
}


def report_on(*rows: list[Row]) -> RunReport:
    return report_of([row for some in rows for row in some], **OUTAGE)


def outage() -> RunReport:
    """Readers get nothing from the fault on; what the database is asked for comes too late from heal on."""
    return report_on(
        reads(0, 10), reads(10, 40, 950, "fail"), loads(0, 10, 1), loads(10, 20, 50), loads(20, 40, 100, "fail")
    )


def test_each_phase_has_its_row_and_what_was_never_answered_has_no_number() -> None:
    assert readers_and_loads(outage()).rows == (
        ("before", "10.000 s", "1,000", "100 %", "1.0 ms", "1.0 ms", "10", "1.0", "0"),
        ("during", "10.000 s", "1,000", "0 %", "never", "never", "500", "50.0", "0"),
        ("after", "19.990 s", "2,000", "0 %", "never", "never", "2,000", "100.1", "2,000"),
    )


def test_what_sustains_the_outage_is_told_with_what_a_miss_costs() -> None:
    sentence = cache_sentence(outage())
    assert sentence.startswith("cache: It does not end by itself: 100 loads a second, 100 % of which came too late")
    assert "misses, " in sentence
    assert "loads each" in sentence


def test_terminal_and_summary_show_both() -> None:
    verbose = render_run(outage(), verbose=True)
    for text in (render_run(outage()), verbose, summary_markdown([outage()])):
        assert "It does not end by itself: 100 loads a second" in " ".join(text.split())
    assert "readers of the cache and loads of the database behind it, by phase" in verbose


def test_a_ratio_that_is_a_lower_bound_says_so() -> None:
    fields = OUTAGE | {"experiment": "cache/expire-hot-key", "fault": "expire-hot-key"}
    rows = [*reads(0, 10), *reads(10, 11, 1, "fail"), *reads(11, 40), *loads(0, 40, 1)]
    shown = render_run(report_of(rows, **fields), verbose=True)
    (line,) = [line for line in shown.split("\n") if line.startswith("p99 of reads over the normal p99")]
    assert "≥ 29,990.0 times" in line


def test_a_run_without_a_cache_has_none_of_it() -> None:
    report = report_of(killed_run())
    assert readers_and_loads(report).rows == ()
    assert cache_sentence(report) == ""
    assert "cache" not in render_run(report, verbose=True)
