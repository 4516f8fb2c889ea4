"""summary.md and verdict.json: the same tables for a page, the same verdicts for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from caplab.check.finding import State, merge
from caplab.model.fields import Json

from . import brief, words
from .cache_tables import cache_sentence
from .grid import Grid, escaped, in_markdown
from .headline import headline
from .judged import predicted_beside_measured, reasons
from .suite import Repeats, Spread, every_repeat, repeats, tally
from .values import RunReport

_EXACT = 2**53  # larger ones change in readers that use doubles


def summary_markdown(reports: Sequence[RunReport]) -> str:
    """Build the suite's tables, then each run, folded away."""
    blocks = [["# Runs"], [escaped(tally(reports))], _table(_every_run(reports)), _table(every_repeat(reports))]
    for report in reports:
        blocks += _run(report)
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _every_run(reports: Sequence[RunReport]) -> Grid:
    """Build a row for each run: what was done, its verdict with the cost, how long whom was not served."""
    shown = [headline(report) for report in reports]
    rows = tuple((run.title, run.verdict, run.cost, run.served or words.NOTHING) for run in shown)
    return Grid("runs", ("run", "verdict", "what it cost", "how clients were served"), rows, frozenset(range(4)))


def verdict_json(reports: Sequence[RunReport]) -> dict[str, Json]:
    """Return a plain dict: the merged verdict, each run's with its reasons and properties, and how repeats spread.

    Whole numbers over 2^53 are strings.
    """
    return {
        "verdict": merge(report.verdict.state for report in reports).value,
        "runs": [_run_json(report) for report in reports],
        "repeats": [_repeats_json(repeated) for repeated in repeats(reports)],
    }


def _run_json(report: RunReport) -> dict[str, Json]:
    """Return a run with all that identifies it: when it began, and on what."""
    record = report.record
    plain: dict[str, Json] = {
        "run": report.run_id,
        "name": report.name,
        "began": words.iso_time(record.wall_anchor.unix_ns),
        "experiment": record.experiment,
        "has_primary": record.has_primary,
        **report.verdict.to_json(),
        "settings": dict(record.settings),
        "specs": dict(record.specs),
        "versions": dict(record.versions),
        "images": dict(record.images),
    }
    return _exact_fields(plain)


def _run(report: RunReport) -> list[list[str]]:
    """Build a run's section: open if it is not as promised. All other figures are in findings.json."""
    shown = headline(report)
    is_open = "" if shown.state is State.HOLDS else " open"
    notes = [*brief.faults(report.record), shown.served, brief.worst_vantage(report), cache_sentence(report)]
    return [
        [f"<details{is_open}><summary>{escaped(shown.title)}: {escaped(shown.line)}</summary>"],
        [escaped(words.one_line(f"{report.name}{words.DOT}{report.run_id}"))],
        [f"- {escaped(note)}" for note in notes if note],
        _reasons(report),
        [] if report.findings else ["No findings: no history was checked."],
        _table(predicted_beside_measured(report)),
        ["</details>"],
    ]


def _reasons(report: RunReport) -> list[str]:
    if not report.verdict.reasons:
        return []
    lines = [f"- {escaped(reason)}" for reason in reasons(report)]
    return ["Why:", "", *lines]


def _table(grid: Grid) -> list[str]:
    return in_markdown(grid) if grid.rows else []


def _repeats_json(repeated: Repeats) -> dict[str, Json]:
    return {
        "name": repeated.name,
        "n": repeated.n,
        "failover_seconds": _spread_json(repeated.failover_seconds),
        "lost": _spread_json(repeated.lost),
        "ack_ratio": _spread_json(repeated.ack_ratio),
    }


def _spread_json(spread: Spread) -> dict[str, Json]:
    return {
        "n": spread.n,
        "min": _exact(spread.low),
        "median": _exact(spread.median),
        "max": _exact(spread.high),
        "at_least": spread.at_least,
    }


def _exact_fields(value: Mapping[str, Json]) -> dict[str, Json]:
    return {name: _exact(inner) for name, inner in value.items()}


def _exact(value: Json) -> Json:
    """Return the same value, with numbers that doubles cannot hold as strings."""
    if isinstance(value, Mapping):
        return _exact_fields(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_exact(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > _EXACT:
        return str(value)
    return value
