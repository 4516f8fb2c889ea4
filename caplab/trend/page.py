"""The page: one self-contained HTML file, for wide and narrow screens, light and dark. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from caplab.check.finding import State
from caplab.compare.values import MeasuredRun
from caplab.plain_text import plural
from caplab.report import words

from .chart import chart, far_limit, point_text
from .frame import LEGEND, framed
from .series import Line, Row

_MAX_MARKS = 8  # earlier ones are folded away
_OPEN_ROWS = 24  # with more rows than that, only troubled ones are unfolded
_STATES = ((State.HOLDS, "valid"), (State.VIOLATED, "invalid"), (State.UNKNOWN, "unknown"))


def page(rows: Sequence[Row], place: str, unread: Sequence[str], made: str) -> str:
    """Build all rows, by engine. made is the time of the page; place is what was read."""
    body = [
        *_header(rows, place, unread, made),
        *(
            part
            for engine, of_engine in groupby(rows, key=lambda row: row.engine)
            for part in _engine(engine, of_engine, len(rows))
        ),
    ]
    return framed("\n".join(body))


def _header(rows: Sequence[Row], place: str, unread: Sequence[str], made: str) -> list[str]:
    runs = [run for row in rows for run in row.runs]
    states = Counter(run.state for run in runs)
    began = sorted(run.began for run in runs)
    verdicts = words.DOT.join(
        f'<span class="{name}">{states[state]} {words.of_verdict(state).lower()}</span>' for state, name in _STATES
    )
    period = f"{began[0][:10]} to {began[-1][:10]}" if began else ""
    parts = [
        "<header>",
        "<h1>caplab trend</h1>",
        f"<p>{len(runs)} runs of {len(rows)} rows, {period}: {verdicts}</p>",
        f'<p class="muted">From {_text(place)}, made {_text(made)}. A point is a run, one beside the other in the order'
        " in which they began. A numbered line: something changed from there on.</p>",
        LEGEND,
        '<label>Show rows with <input type="search" id="filter" placeholder="postgres kill"></label>',
        "</header>",
    ]
    if unread:
        listed = "".join(f"<li>{_text(file)}</li>" for file in unread)
        summary = f"<summary>files that could not be read: {len(unread)}</summary>"
        parts.append(f'<details class="unread" open>{summary}<ul>{listed}</ul></details>')
    return parts


def _engine(name: str, rows: Iterable[Row], every: int) -> Iterable[str]:
    yield f"<section><h2>{_text(name)}</h2>"
    for row in rows:
        yield from _row(row, every)
    yield "</section>"


def _row(row: Row, every: int) -> Iterable[str]:
    """Draw charts of what differs from run to run, and write a sentence for the rest."""
    newest = row.runs[-1]
    unfolded = every <= _OPEN_ROWS or newest.state is not State.HOLDS
    state = dict(_STATES)[newest.state]
    yield f'<details class="row" data-name="{_text(row.name.lower())}"{" open" if unfolded else ""}>'
    count = f"{plural(len(row.runs), 'run')}, the newest {_when(newest)}"
    badge = f'<span class="badge {state}">{words.of_verdict(newest.state)}</span>'
    yield f'<summary><span class="name">{_text(row.name)}</span> {badge} <span class="muted">{count}</span></summary>'
    yield from _marks(row)
    moving = [line for line in row.lines if line.values and not line.is_flat]
    if moving:
        yield '<div class="cards">'
        for line in moving:
            yield from _card(row, line)
        yield "</div>"
    flat = [_flat(row, line) for line in row.lines if line.is_flat]
    if flat:
        why = (
            "One run so far, and a trend takes two. It measured"
            if len(row.runs) == 1
            else "Not drawn, because the same in every run"
        )
        yield f'<p class="flat"><span class="muted">{why}:</span> {"; ".join(flat)}</p>'
    if not moving and not flat:
        yield '<p class="flat muted">Nothing is drawn: no run of this row measured a figure.</p>'
    yield "</details>"


def _card(row: Row, line: Line) -> Iterable[str]:
    name = _name(row, line)
    measured = [figure for figure in line.figures if figure is not None]
    figures = {"newest": measured[-1].value, "median": statistics.median(line.values), "bound": far_limit(line)}
    summary = ", ".join(
        f"{what} {words.of_unit(value, line.unit)}" for what, value in figures.items() if value is not None
    )
    yield f'<figure><figcaption><b>{_text(name)}</b> <span class="muted">{_text(summary)}</span></figcaption>'
    yield chart(row, line, name)
    newest = next(item for item in zip(reversed(row.runs), reversed(line.figures), strict=True) if item[1] is not None)
    yield f'<p class="readout" aria-live="polite">{_text(point_text(newest[0], measured[-1], line.unit))}</p></figure>'


def _flat(row: Row, line: Line) -> str:
    name = _name(row, line)
    missing = len(line.figures) - len(line.values)
    less = f" (not measured in {missing})" if missing else ""
    return _text(f"{name} {words.of_unit(line.values[-1], line.unit)}{less}")


def _marks(row: Row) -> Iterable[str]:
    """Explain the numbered lines, the newest ones first."""
    items = [
        f'<li value="{number}">{_when(row.runs[mark.index])}: {_text("; ".join(mark.changes))}</li>'
        for number, mark in enumerate(row.marks, 1)
    ][::-1]
    if items:
        yield f'<ol class="marks">{"".join(items[:_MAX_MARKS])}</ol>'
    if len(items) > _MAX_MARKS:
        summary = f"<summary>{len(items) - _MAX_MARKS} earlier changes</summary>"
        older = "".join(items[_MAX_MARKS:])
        yield f'<details class="older">{summary}<ol class="marks">{older}</ol></details>'


def _name(row: Row, line: Line) -> str:
    return words.of_figure(line.key.property, line.key.side, line.key.route, row.runs[-1].has_primary)


def _when(run: MeasuredRun) -> str:
    return _text(f"{run.began[:10]} {run.began[11:16]} UTC")


def _text(content: str) -> str:
    return escape(words.one_line(content))
