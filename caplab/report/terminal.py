"""Reports for a terminal, of a width from 80 columns on, with colour on request only."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..plain_text import printable
from . import brief, prose, words
from .cache_tables import cache_sentence, readers_and_loads
from .grid import WIDTH, Grid, Painter, in_columns, plain
from .headline import RunHeadline, headline
from .judged import predicted_beside_measured, reasons
from .suite import every_figure, every_repeat, every_run, tally
from .tables import latencies, vantages_and_routes
from .values import RunReport

_GREEN, _RED, _YELLOW, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_TIE = "\N{NO-BREAK SPACE}"
_MOST_LINES = 24  # of a run in brief
_COLOURS = {
    **dict(zip(words.VERDICTS.values(), (_GREEN, _RED, _YELLOW), strict=True)),
    "ok": _GREEN,
    "VIOLATED": _RED,
    "unknown": _YELLOW,
}


def render_run(report: RunReport, *, colour: bool = False, verbose: bool = False, width: int = WIDTH) -> str:
    """Render a run, ending in a line end: in at most _MOST_LINES lines, or verbose with every table."""
    paint = _painted if colour else plain
    return (_verbose if verbose else _brief)(report, paint, width)


def render_suite(
    reports: Sequence[RunReport], *, colour: bool = False, verbose: bool = False, width: int = WIDTH
) -> str:
    """Render a line for each run, how repeats spread, and the count of verdicts as the last line."""
    paint = _painted if colour else plain
    grids = [every_run(reports), *([every_figure(reports)] if verbose else []), every_repeat(reports)]
    return _joined([*(_table(grid, paint, width) for grid in grids), [tally(reports)]])


def _brief(report: RunReport, paint: Painter, width: int) -> str:
    """Render verdict, promised beside measured and the worst vantage; rows that do not fit are counted."""
    head = [
        *_headline(headline(report), paint, width),
        *_folded(brief.faults(report.record), width, "  "),
        *_folded([brief.more_reasons(report.verdict.reasons)], width, "  "),
    ]
    below = _folded([brief.none_of(report), brief.worst_vantage(report), cache_sentence(report)], width)
    below += _folded([_where_more(report)], width)
    room = _MOST_LINES - len(head) - len(below) - 2  # two empty lines
    return _joined([head, _within(room, brief.essentials(report), paint, width), below])


def _where_more(report: RunReport) -> str:
    checked = "" if report.findings else f"no findings: no history was checked{words.DOT}"
    return words.one_line(f"{checked}run {report.run_id}{words.DOT}more: --verbose, summary.md")


def _within(room: int, grid: Grid, paint: Painter, width: int) -> list[str]:
    """Render a table in so many lines; the rows that find no room are counted in the last one."""
    rows = len(grid.rows)
    while rows >= 0:
        left = len(grid.rows) - rows
        shown = Grid(grid.title, grid.header, grid.rows[:rows], grid.texts)
        lines = _table(shown, paint, width) + ([f"and {left} more (--verbose)"] if left else [])
        if len(lines) <= room:
            return lines
        rows -= 1
    return []


def _verbose(report: RunReport, paint: Painter, width: int) -> str:
    blocks = [
        [
            *_headline(headline(report), paint, width),
            *_folded([f"{report.name}{words.DOT}{words.one_line(report.run_id)}"], width, "  "),
            *_folded(prose.faults(report.record), width, "  "),
        ],
        _reasons(report, width),
        *(_table(grid, paint, width) for grid in (predicted_beside_measured(report), vantages_and_routes(report))),
        [] if report.findings else ["no findings: no history was checked"],
        _table(latencies(report), paint, width),
        _table(readers_and_loads(report), paint, width),
        _folded([cache_sentence(report)], width),
        _folded([prose.own_copies(report)], width),
        _folded([prose.second_clock(report)], width),
        _folded([prose.instrument(report), prose.stages(report)], width),
    ]
    return _joined(blocks)


def _joined(blocks: Sequence[list[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _headline(shown: RunHeadline, paint: Painter, width: int) -> list[str]:
    """Return what was done, verdict and cost, and how long whom was not served."""
    verdict = [line.replace(shown.verdict, paint(shown.verdict), 1) for line in _folded([shown.line], width)]
    return [*_folded([shown.title], width), *verdict, *_folded([shown.served], width)]


def _reasons(report: RunReport, width: int) -> list[str]:
    if not report.verdict.reasons:
        return []
    return ["why:", *_folded([f"- {reason}" for reason in reasons(report)], width, "  ")]


def _table(grid: Grid, paint: Painter, width: int) -> list[str]:
    return in_columns(grid, paint, width) if grid.rows else []


def _folded(texts: Sequence[str], width: int, indent: str = "") -> list[str]:
    """Fold texts, each from a line of its own; further lines are indented, and empty texts are skipped."""
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(
            _tied(printable(text), width),
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}    ",
            break_on_hyphens=False,
        )
    return [line.replace(_TIE, " ") for line in lines]


def _tied(text: str, width: int) -> str:
    """Keep the short parts of a text between dots whole when it is folded: a figure stays with its unit."""
    parts = text.split(words.DOT)
    if len(parts) == 1:
        return text
    return words.DOT.join(part.replace(" ", _TIE) if len(part) < width // 2 else part for part in parts)


def _painted(cell: str) -> str:
    """Colour a verdict's word; the padding stays outside, so that columns keep their width."""
    word = cell.strip()
    colour = _COLOURS.get(word)
    return cell.replace(word, f"{colour}{word}{_RESET}") if colour else cell
