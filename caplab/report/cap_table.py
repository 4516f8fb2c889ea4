"""docs/cap-table.md: every row of the expectations, what it promises beside what was measured of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from caplab.check.finding import State, merge
from caplab.model.expectations import Demand, Expectation, Expectations
from caplab.plain_text import plural
from caplab.verdict import Judgement

from . import words
from .cap_evidence import Evidence, MeasuredRun, newest_by_row
from .cap_overview import overview
from .cap_words import NOT_MEASURED, promised, shown, where
from .grid import Grid, escaped, in_markdown

_Found: TypeAlias = tuple[MeasuredRun, Judgement]
_HEADER = ("mode", "fault", "side, route", "property", "promised", "measured", "verdict", "date")
_PREFACE = """\
Made by `bench/cap_table.py` (`make cap-table`) from `experiments/expectations.yaml` and the verdicts under
`docs/evidence/cap`: change those, not this page.

The first table of each engine has a line a row: what clients went through, and in brackets what was promised. The one
under it has a line a property. *Promised* is what theory and the vendors say, a budget with its value under the
settings in force: *forbidden*, one case is a violation; *must show*, without it the run proves nothing; *possible*, any
value will do. *Measured* is of the row's newest runs. *unknown*: a run that proves nothing, or a property that was not
measured; *promise changed*: it was measured, but judged by what the row said before. Minority and majority are the
sides of a cut; where no side is named it is all clients. Times are as clients saw them."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with its newest evidence; without any, runs is empty."""

    row: Expectation
    evidence: Evidence | None
    runs: tuple[MeasuredRun, ...]

    @property
    def state(self) -> State | None:
        """None: never measured."""
        if self.evidence is None:
            return None
        return merge(_state(_found(self.runs, demand), demand) for demand in self.row.demands)


def cap_table(expectations: Expectations, evidence: Sequence[Evidence], without_primary: Collection[str]) -> str:
    """The page, in Markdown. without_primary: the engines in which nothing fails over."""
    newest = newest_by_row(evidence)
    rows = [_Row(row, *newest.get(row.name, (None, ()))) for row in expectations.rows]
    engines = list(dict.fromkeys(row.row.engine for row in rows))
    blocks = ["# What every mode promises, and what was measured", _PREFACE, f"**{tally(_states(rows))}**"]
    blocks += _suites(evidence, {row.name for row in expectations.rows})
    for engine in engines:
        blocks += _engine(engine, [row for row in rows if row.row.engine == engine], engine not in without_primary)
    return "\n\n".join(blocks) + "\n"


def measured_tables(expectations: Expectations, evidence: Evidence) -> str:
    """What one suite measured, in Markdown: for each engine a line a row, and nothing of rows that it left out."""
    newest = newest_by_row([evidence])
    rows = [_Row(row, *newest[row.name]) for row in expectations.rows if row.name in newest]
    engines = dict.fromkeys(row.row.engine for row in rows)
    tables = (_at_a_glance([row for row in rows if row.row.engine == engine]) for engine in engines)
    return "\n\n".join(
        f"### {escaped(engine)}\n\n" + "\n".join(in_markdown(table))
        for engine, table in zip(engines, tables, strict=True)
    )


def tally(states: Sequence[State | None]) -> str:
    """Such as '20 rows, 12 measured: 10 valid, 1 invalid, 1 unknown'."""
    counts = Counter(states)
    known = len(states) - counts[None]
    said = ", ".join(f"{counts[state]} {state.value}" for state in (State.HOLDS, State.VIOLATED, State.UNKNOWN))
    return f"{plural(len(states), 'row')}, {known} measured: {said}"


def _states(rows: Iterable[_Row]) -> list[State | None]:
    return [row.state for row in rows]


def _suites(evidence: Sequence[Evidence], rows: Collection[str]) -> list[str]:
    """Where the figures are from; and which of them no row is left for."""
    if not evidence:
        return []
    lines = tuple(
        (one.suite, one.date, f"{one.cores} cores, {one.memory_bytes / 2**30:.0f} GiB", _load(one), str(len(one.runs)))
        for one in sorted(evidence, key=lambda one: (one.date, one.suite))
    )
    grid = Grid("suites", ("suite", "begun", "machine", "load at the beginning", "runs"), lines, frozenset({0, 1, 2}))
    blocks = ["\n".join(in_markdown(grid))]
    if gone := sorted({run.row for one in evidence for run in one.runs} - set(rows)):
        blocks.append(f"Measured, but no row of the table any more: {escaped(', '.join(gone))}.")
    return blocks


def _load(evidence: Evidence) -> str:
    return words.UNKNOWN if evidence.load is None else f"{evidence.load:.1f}"


def _engine(engine: str, rows: Sequence[_Row], has_primary: bool) -> list[str]:
    lines = tuple(line for row in rows for line in _lines(row, has_primary))
    grid = Grid(tally(_states(rows)), _HEADER, lines, frozenset(range(len(_HEADER))))
    return [
        f"## {escaped(engine)}",
        "\n".join(in_markdown(_at_a_glance(rows))),
        _folded("every property of every row", "\n".join(in_markdown(grid))),
        _reasons(rows),
    ]


def _at_a_glance(rows: Sequence[_Row]) -> Grid:
    by_name = {row.row.name: row for row in rows}

    def judged(of: Expectation, demand: Demand) -> list[Judgement]:
        return [one for _, one in _found(by_name[of.name].runs, demand)]

    said = [(row.row, "-" if row.state is None else row.state.value) for row in rows]
    return overview(tally(_states(rows)), said, judged)


def _folded(summary: str, body: str) -> str:
    """Shown when it is asked for."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _lines(row: _Row, has_primary: bool) -> list[tuple[str, ...]]:
    """A line a property; what a line shares with the one above is left out."""
    made: list[tuple[str, ...]] = []
    above = ""
    for demand in row.row.demands:
        of, told = where(demand), (row.row.mode, row.row.fault)
        date = row.evidence.date[:10] if row.evidence else ""
        named = words.of_property(demand.property, has_primary)
        first = not made
        beside = (of if of != above else "", named, *_judged(row, demand), date if first else "")
        made.append((*(told if first else ("", "")), *beside))
        above = of
    return made


def _judged(row: _Row, demand: Demand) -> tuple[str, str, str]:
    """What was promised, what was measured, and the verdict on it."""
    found = _found(row.runs, demand)
    judged, fits = [one for _, one in found], _fits(found, demand)
    said = promised(demand, judged if fits else ())
    if not judged:
        return said, NOT_MEASURED, words.NOTHING
    if not fits:
        return said, shown(judged), "promise changed"
    state = _state(found, demand)
    return said, shown(judged), words.of_state(state) if state is State.VIOLATED else state.value


def _state(found: Sequence[_Found], demand: Demand) -> State:
    """The verdict on one property by today's row; of a run that is no case of its row nothing is known."""
    if not _fits(found, demand):
        return State.UNKNOWN
    return merge(State.UNKNOWN if run.doubtful else one.state for run, one in found)


def _fits(found: Sequence[_Found], demand: Demand) -> bool:
    """Whether a property was judged at all, and by what the row says today."""
    return bool(found) and all(one.demand == demand for _, one in found)


def _found(runs: Iterable[MeasuredRun], demand: Demand) -> list[_Found]:
    """A property, of the same side and route, of every run that has it."""
    sought = (demand.property, demand.side, demand.route)
    every = ((run, one) for run in runs for one in run.judgements)
    return [(run, one) for run, one in every if (one.demand.property, one.demand.side, one.demand.route) == sought]


def _reasons(rows: Sequence[_Row]) -> str:
    """Why the rows promise what they do, and the sources; rows that share them are named together."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        names.setdefault((row.row.why, row.row.source), []).append(f"{row.row.mode} {row.row.fault}")
    lines = [_reason(of, *texts) for texts, of in names.items()]
    return _folded("why each row promises this, and where that comes from", "\n".join(lines))


def _reason(names: Iterable[str], why: str, source: str) -> str:
    return f"- **{escaped(', '.join(names))}**: {escaped(why)} *Source: {escaped(source)}*"
