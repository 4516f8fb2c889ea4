"""Reports for a terminal: at most 110 columns, with colour on request only."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..plain_text import printable
from . import prose, words
from .cache_tables import cache_sentence, readers_and_loads
from .grid import WIDTH, Grid, Painter, in_columns, plain
from .judged import predicted_beside_measured
from .suite import every_repeat, every_run, tally
from .tables import latencies, vantages_and_routes
from .values import RunReport

_GREEN, _RED, _YELLOW, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_TIE = "\N{NO-BREAK SPACE}"
_COLOURS = {
    **dict.fromkeys(("VALID", "ok"), _GREEN),
    **dict.fromkeys(("INVALID", "VIOLATED"), _RED),
    **dict.fromkeys(("UNKNOWN", "unknown"), _YELLOW),
}


def render_run(report: RunReport, *, colour: bool = False) -> str:
    """Render a run, ending in a line end; empty parts are left out."""
    paint = _painted if colour else plain
    blocks = [
        [*_headline(report, paint), *_folded(prose.faults(report.record), "  ")],
        _reasons(report),
        *(_table(grid, paint) for grid in (predicted_beside_measured(report), vantages_and_routes(report))),
        [] if report.findings else ["no findings: no history was checked"],
        _table(latencies(report), paint),
        _table(readers_and_loads(report), paint),
        _folded([cache_sentence(report)]),
        _folded([prose.own_copies(report)]),
        _folded([prose.second_clock(report)]),
        _folded([prose.instrument(report), prose.stages(report)]),
    ]
    return _joined(blocks)


def render_suite(reports: Sequence[RunReport], *, colour: bool = False) -> str:
    """Render a line for each run, how repeats spread, and the count of verdicts as the last line."""
    paint = _painted if colour else plain
    return _joined([_table(every_run(reports), paint), _table(every_repeat(reports), paint), [tally(reports)]])


def _joined(blocks: Sequence[list[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _headline(report: RunReport, paint: Painter) -> list[str]:
    plain_state = f"{words.DOT}{words.of_state(report.verdict.state)}{words.DOT}"
    shown = f"{words.DOT}{paint(words.of_state(report.verdict.state))}{words.DOT}"
    return [line.replace(plain_state, shown) for line in _folded([prose.headline(report)])]


def _reasons(report: RunReport) -> list[str]:
    if not report.verdict.reasons:
        return []
    title = f"why it is {report.verdict.state.value}:"
    return [title, *_folded([f"- {words.one_line(reason)}" for reason in report.verdict.reasons], "  ")]


def _table(grid: Grid, paint: Painter) -> list[str]:
    return in_columns(grid, paint) if grid.rows else []


def _folded(texts: Sequence[str], indent: str = "") -> list[str]:
    """Fold texts, each from a line of its own; further lines are indented, and empty texts are skipped."""
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(_tied(printable(text)), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
    return [line.replace(_TIE, " ") for line in lines]


def _tied(text: str) -> str:
    """Keep the short parts of a text between dots whole when it is folded: a figure stays with its unit."""
    parts = text.split(words.DOT)
    if len(parts) == 1:
        return text
    return words.DOT.join(part.replace(" ", _TIE) if len(part) < WIDTH // 2 else part for part in parts)


def _painted(cell: str) -> str:
    """Colour a verdict's word; the padding stays outside, so that columns keep their width."""
    word = cell.strip()
    colour = _COLOURS.get(word)
    return cell.replace(word, f"{colour}{word}{_RESET}") if colour else cell
