"""docs/cap-table.md: every row of the expectations, its promises beside what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from caplab.check.finding import State, merge
from caplab.model.expectations import Expectation, Expectations, PropertyExpectation
from caplab.plain_text import plural
from caplab.verdict import Judgement

from .. import words
from ..grid import Grid, escaped, in_markdown
from .cells import NOT_MEASURED, promised, shown, where
from .evidence import Evidence, MeasuredRun, newest_by_row
from .overview import overview

_RunJudgement: TypeAlias = tuple[MeasuredRun, Judgement]
NewestRuns: TypeAlias = Mapping[str, tuple[Evidence, tuple[MeasuredRun, ...]]]
_HEADER = ("mode", "fault", "side, route", "property", "promised", "measured", "verdict", "date")
_PREFACE = """\
Made by `bench/cap_table.py` (`make cap-table`) from `experiments/expectations.yaml` and the verdicts under
`docs/evidence/cap`: change those, not this page.

The first table of each engine has a line for each row: what clients experienced, and in brackets what was promised.
The second has a line for each property. *Promised* is what theory and the vendors say, a budget with its value under
the settings in force: *forbidden*, one case is a violation; *must show*, without it the run proves nothing; *possible*,
any value is allowed. *Measured* is the result of the row's newest runs. *not proven*: a run that proves nothing, or a
property that was not measured; *promise changed*: it was measured, but judged by what the row said before. Minority and
majority are the sides of a cut; without a side, a figure covers all clients. Times are those that clients measured."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with its newest evidence; without any, runs is empty."""

    row: Expectation
    evidence: Evidence | None
    runs: tuple[MeasuredRun, ...]

    @property
    def state(self) -> State | None:
        """Its merged verdict; None: never measured."""
        if self.evidence is None:
            return None
        return merge(_state(_judgements_of(self.runs, expected), expected) for expected in self.row.properties)


def cap_table(expectations: Expectations, evidence: Sequence[Evidence], without_primary: Collection[str]) -> str:
    """Build the page in Markdown. without_primary: the engines in which nothing fails over."""
    newest = newest_by_row(evidence)
    rows = [_Row(row, *newest.get(row.name, (None, ()))) for row in expectations.rows]
    engines = list(dict.fromkeys(row.row.engine for row in rows))
    blocks = ["# What every mode promises, and what was measured", _PREFACE, f"**{tally(_states(rows))}**"]
    blocks += _suites(evidence, {row.name for row in expectations.rows})
    for engine in engines:
        blocks += _engine(engine, [row for row in rows if row.row.engine == engine], engine not in without_primary)
    return "\n\n".join(blocks) + "\n"


def measured_tables(expectations: Expectations, evidence: Evidence) -> str:
    """Build one suite's results in Markdown: a line for each measured row of each engine."""
    newest = newest_by_row([evidence])
    rows = [_Row(row, *newest[row.name]) for row in expectations.rows if row.name in newest]
    engines = dict.fromkeys(row.row.engine for row in rows)
    tables = (_at_a_glance([row for row in rows if row.row.engine == engine]) for engine in engines)
    return "\n\n".join(
        f"### {escaped(engine)}\n\n" + "\n".join(in_markdown(table))
        for engine, table in zip(engines, tables, strict=True)
    )


def of_row(row: Expectation, newest: NewestRuns, has_primary: bool) -> Grid:
    """Build the table of one row: each property, what is promised, what was last measured."""
    with_evidence = _Row(row, *newest.get(row.name, (None, ())))
    state, evidence = with_evidence.state, with_evidence.evidence
    title = row.name
    if state is not None and evidence:
        title += f": {words.of_verdict(state).lower()} when last measured, {evidence.date[:10]}"
    lines = tuple(line[2:-1] for line in _lines(with_evidence, has_primary))
    return Grid(title, _HEADER[2:-1], lines, frozenset(range(len(_HEADER) - 3)))


def tally(states: Sequence[State | None]) -> str:
    """Count rows, such as '20 rows, 12 measured: 10 as promised, 1 promise broken, 1 not proven'."""
    counts = Counter(states)
    measured = len(states) - counts[None]
    by_state = ", ".join(f"{counts[state]} {word.lower()}" for state, word in words.VERDICTS.items())
    return f"{plural(len(states), 'row')}, {measured} measured: {by_state}"


def _states(rows: Iterable[_Row]) -> list[State | None]:
    return [row.state for row in rows]


def _suites(evidence: Sequence[Evidence], rows: Collection[str]) -> list[str]:
    """List the sources of the figures, and those for which there is no row any more."""
    if not evidence:
        return []
    lines = tuple(
        (
            suite.suite,
            suite.date,
            f"{suite.cores} cores, {suite.memory_bytes / 2**30:.0f} GiB",
            _load(suite),
            str(len(suite.runs)),
        )
        for suite in sorted(evidence, key=lambda suite: (suite.date, suite.suite))
    )
    grid = Grid("suites", ("suite", "begun", "machine", "load at the beginning", "runs"), lines, frozenset({0, 1, 2}))
    blocks = ["\n".join(in_markdown(grid))]
    if gone := sorted({run.row for suite in evidence for run in suite.runs} - set(rows)):
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

    def judged(of: Expectation, expected: PropertyExpectation) -> list[Judgement]:
        return [judgement for _, judgement in _judgements_of(by_name[of.name].runs, expected)]

    states = [(row.row, "-" if row.state is None else words.of_verdict(row.state).lower()) for row in rows]
    return overview(tally(_states(rows)), states, judged)


def _folded(summary: str, body: str) -> str:
    """Fold a text away in Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _lines(row: _Row, has_primary: bool) -> list[tuple[str, ...]]:
    """Build a line for each property; cells equal to those above are left out."""
    made: list[tuple[str, ...]] = []
    above = ""
    for expected in row.row.properties:
        of, mode_and_fault = where(expected), (row.row.mode, row.row.fault)
        date = row.evidence.date[:10] if row.evidence else ""
        named = words.of_property(expected.property, has_primary)
        first = not made
        beside = (of if of != above else "", named, *_judged(row, expected), date if first else "")
        made.append((*(mode_and_fault if first else ("", "")), *beside))
        above = of
    return made


def _judged(row: _Row, expected: PropertyExpectation) -> tuple[str, str, str]:
    """Return what was promised, what was measured, and the verdict on it."""
    run_judgements = _judgements_of(row.runs, expected)
    judged, fits = [judgement for _, judgement in run_judgements], _fits(run_judgements, expected)
    promise = promised(expected, judged if fits else ())
    if not judged:
        return promise, NOT_MEASURED, words.NOTHING
    if not fits:
        return promise, shown(judged), "promise changed"
    state = _state(run_judgements, expected)
    word = words.of_verdict(state)
    return promise, shown(judged), word if state is State.VIOLATED else word.lower()


def _state(run_judgements: Sequence[_RunJudgement], expected: PropertyExpectation) -> State:
    """Return the verdict on a property by today's row; a run that does not test its row is unknown."""
    if not _fits(run_judgements, expected):
        return State.UNKNOWN
    return merge(State.UNKNOWN if run.doubtful else judgement.state for run, judgement in run_judgements)


def _fits(run_judgements: Sequence[_RunJudgement], expected: PropertyExpectation) -> bool:
    """Return whether a property was judged at all, and by what the row says today."""
    return bool(run_judgements) and all(judgement.expected == expected for _, judgement in run_judgements)


def _judgements_of(runs: Iterable[MeasuredRun], expected: PropertyExpectation) -> list[_RunJudgement]:
    """Return a property's judgements, of the same side and route, in every run that has it."""
    sought = (expected.property, expected.side, expected.route)
    every = ((run, judgement) for run in runs for judgement in run.judgements)
    return [
        (run, judgement)
        for run, judgement in every
        if (judgement.expected.property, judgement.expected.side, judgement.expected.route) == sought
    ]


def _reasons(rows: Sequence[_Row]) -> str:
    """Explain why the rows promise what they do, with sources; rows that share them are named together."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        names.setdefault((row.row.why, row.row.source), []).append(f"{row.row.mode} {row.row.fault}")
    lines = [_reason(of, *texts) for texts, of in names.items()]
    return _folded("why each row promises this, and where that comes from", "\n".join(lines))


def _reason(names: Iterable[str], why: str, source: str) -> str:
    return f"- **{escaped(', '.join(names))}**: {escaped(why)} *Source: {escaped(source)}*"
