"""The record of a drill, as an auditor asks for it: one page a run, in Markdown and as HTML that prints well."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt

from caplab.check.finding import State
from caplab.model.expectations import Promise
from caplab.verdict import Judgement

from . import brief, prose, words
from .grid import Grid, escaped, in_markdown
from .headline import NO_COST, RunHeadline, headline
from .judged import measured, predicted, predicted_beside_measured, reasons
from .tables import vantages_and_routes
from .values import RunReport

_TIMES = ("failoverTime", "writeOutage", "readOutage")
_LOSSES = ("lost", "lostWindow")
_MET = {State.HOLDS: "met", State.VIOLATED: "NOT MET", State.UNKNOWN: "NOT PROVEN"}
_KEYS = 3  # columns that name the clients of a row
_EXPECTED = "as expected"  # a cost that these settings must show: nobody's objective
_OF_THE_LAB = (
    "caplab",
    "caplab-sources",
    "chaostoolkit",
    "chaostoolkit-lib",
    "python",
)  # versions that are no system's
_SIGNED = ("Carried out by", "Reviewed by")
_BLOCK = re.compile(r"^(?P<before>\d*)(?P<mark>[#>+=~_.)-])")
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#1d2733;"
    "background:#fff}h1{font-size:1.5em;margin-top:1.5em}h2{font-size:1.1em;margin:1.4em 0 .4em}"
    "table{border-collapse:collapse;margin:.5em 0;display:block;overflow-x:auto;font-size:.92em}"
    "td,th{border:1px solid #c8d0d8;padding:.2em .5em;text-align:left;vertical-align:top}th:empty{padding:0}"
    "p,li,h1,h2{overflow-wrap:anywhere}td{overflow-wrap:break-word}hr{border:0;margin:3em 0}"
    "@media(max-width:600px){body{margin:1em auto;padding:0 .6em}table{font-size:.75em}td,th{padding:.2em .25em}}"
    # Of a sheet of A4, with room for the widest table.
    "@page{size:A4;margin:12mm}@media print{body{margin:0;padding:0;max-width:none;font-size:9.5pt}"
    "hr{break-after:page;margin:0}table{display:table;font-size:7pt}td,th{padding:.15em .3em}"
    "tr,li{break-inside:avoid}h2{break-after:avoid}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawHistory:
    """The file of every operation: its name, size in bytes, SHA-256 in hex, and how many operations it holds."""

    name: str
    size: int
    sha256: str
    operations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A judged run as a drill. command repeats it, machine is what it ran on; '' where they are not known.

    description is the experiment's own; raw None: the history is gone.
    """

    report: RunReport
    lab_version: str
    command: str = ""
    machine: str = ""
    description: str = ""
    raw: RawHistory | None = None


def drill_markdown(drills: Sequence[Drill], missing: Sequence[tuple[str, str]] = ()) -> str:
    """Build the page of all drills, each under a heading of its own, after a list of them if there are several.

    missing: the planned runs that have no verdict, and why; they are listed too.
    """
    pages = [_drill(drill) for drill in drills]
    if len(drills) + len(missing) > 1:
        pages.insert(0, _contents(drills, missing))
    return "\n\n---\n\n".join(pages) + "\n"


def _contents(drills: Sequence[Drill], missing: Sequence[tuple[str, str]]) -> str:
    """Build the first page of several drills: what came of each."""
    told = [headline(drill.report) for drill in drills]
    rows = [(shown.title, shown.line) for shown in told]
    rows += [(name, f"NO VERDICT: {why}") for name, why in missing]
    grid = Grid("results", ("drill", "result"), tuple(rows), frozenset({0, 1}))
    return "\n\n".join(("# Drill records", "\n".join(_table(grid))))


def drill_html(markdown: str, title: str) -> str:
    """Convert the page to HTML without scripts; markup in it stays text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(words.one_line(title))}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _drill(drill: Drill) -> str:
    report, told = drill.report, headline(drill.report)
    blocks = [
        [f"# Drill record: {escaped(told.title)}"],
        _table(_summary(drill, told)),
        ["## Objectives"],
        _table(objectives(report, told)),
        ["## What was done"],
        _list([drill.description, *brief.faults(report.record)]),
        ["## Who saw what"],
        _list([told.served and f"{told.served[:1].upper()}{told.served[1:]}."]),
        *(_table(part) for part in _by_client(vantages_and_routes(report))),
        ["## Deviations"],
        _list(_deviations(report)) or ["None: everything was as promised."],
        ["## Everything that was promised"],
        _table(predicted_beside_measured(report)),
        ["## Evidence"],
        _list(_evidence(drill)),
        ["## Settings in force and versions"],
        _table(_settings(report)),
        ["## Signed"],
        _list(f"{who}: {'.' * 24} on {'.' * 16}" for who in _SIGNED),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _summary(drill: Drill, told: RunHeadline) -> Grid:
    record = drill.report.record
    began = min((window.injected_ns for window in record.fault_windows), default=record.wall_anchor.monotonic_ns)
    rows = {
        "Date": words.wall_time(began, record.wall_anchor),
        "System": words.DOT.join((record.engine, record.mode, *_versions(record.versions))),
        "Scenario": f"{told.title} ({drill.report.name})",
        "Result": told.line,
        "Ran on": drill.machine or "not known",
        "Measured by": f"caplab {drill.lab_version}, run {drill.report.run_id}",
        "To repeat it": drill.command or f"not known; the seed was {record.seed}",
    }
    return _facts("summary", ("", ""), rows.items())


def _versions(versions: Mapping[str, str]) -> list[str]:
    return [f"{name} {version}" for name, version in versions.items() if name not in _OF_THE_LAB]


def objectives(report: RunReport, told: RunHeadline) -> Grid:
    """Build recovery time and data loss beside their objectives; without one in the row, what was measured alone."""
    header = ("objective", "promised", "measured", "")
    rows = [
        *_objective("recovery time", _TIMES, report, _recovery(told)),
        *_objective("data loss", _LOSSES, report, _loss(report)),
    ]
    return Grid("recovery time and data loss", header, tuple(rows), frozenset(range(4)))


def _objective(name: str, properties: Sequence[str], report: RunReport, otherwise: str) -> list[tuple[str, ...]]:
    every = [judgement for judgement in report.verdict.judgements if judgement.expected.property in properties]
    binding = [judgement for judgement in every if judgement.expected.promise is not Promise.POSSIBLE]
    rows = [_beside(name, judgement, report) for judgement in binding]
    return rows or [(name, "no objective", otherwise, "")]


def _beside(name: str, judgement: Judgement, report: RunReport) -> tuple[str, ...]:
    what = words.of_expected(judgement.expected, report.record.has_primary)
    is_cost = judgement.expected.promise is Promise.MUST_SHOW and judgement.state is State.HOLDS
    met = _MET[State.UNKNOWN if report.verdict.state is State.UNKNOWN else judgement.state]
    mark = _EXPECTED if is_cost and met == _MET[State.HOLDS] else met
    return (f"{name}: {what}", predicted(judgement), measured(judgement), mark)


def _recovery(told: RunHeadline) -> str:
    outage = told.outage
    if outage is None:
        return "not measured"
    return words.seconds(outage.seconds, outage.at_least) if outage.seconds else "served throughout"


def _loss(report: RunReport) -> str:
    lost, acked = report.measured("durability", "lost"), report.measured("durability", "acked")
    return "not measured" if lost is None or acked is None else words.of_writes(lost, acked)


def _by_client(grid: Grid) -> tuple[Grid, Grid]:
    """Split what each zone saw into writes and shares: so many columns fit neither a sheet nor a telephone."""
    header = ("zone, route, operation", *grid.header[_KEYS:])
    rows = [(", ".join(row[:_KEYS]), *row[_KEYS:]) for row in grid.rows]
    names = [name.replace("\n", " ") for name in header]
    shares = next(place for place, name in enumerate(names) if name.startswith("% "))
    texts = frozenset({0})
    return (
        Grid(grid.title, tuple(names[:shares]), tuple(row[:shares] for row in rows), texts),
        Grid(grid.title, (names[0], *names[shares:]), tuple((row[0], *row[shares:]) for row in rows), texts),
    )


def _deviations(report: RunReport) -> list[str]:
    """List what was not as promised, or proves nothing, and what cost clients something though it may happen."""
    broken = reasons(report)
    costs = [
        f"{words.of_expected(judgement.expected, report.record.has_primary)}: {measured(judgement)}, which may happen"
        for judgement in report.verdict.judgements
        if judgement.state is State.HOLDS
        and judgement.measured
        and judgement.expected.promise in (Promise.POSSIBLE, Promise.BOUNDED)
        and judgement.expected.property not in NO_COST
    ]
    return [*broken, *costs]


def _evidence(drill: Drill) -> list[str]:
    record, raw = drill.report.record, drill.raw
    seen = [f"{window.target}: {line}" for window in record.fault_windows for line in window.evidence]
    clocks = filter(None, (prose.second_clock(drill.report), prose.instrument(drill.report)))
    history = "The raw history is gone: nothing can be checked again."
    if raw is not None:
        history = (
            f"raw history: {raw.name}, {words.counted(raw.operations)} operations, {words.counted(raw.size)} bytes, "
            f"SHA-256 {raw.sha256}"
        )
    return [*seen, *clocks, history, f"seed {record.seed}, boot {record.boot_id}"]


def _settings(report: RunReport) -> Grid:
    record = report.record
    rows = [
        *((name, value if isinstance(value, str) else json.dumps(value, default=str))
          for name, value in record.settings.items()),
        *((f"version of {name}", version) for name, version in record.versions.items()),
        *((f"image of {name}", image) for name, image in record.images.items()),
    ]  # fmt: skip
    return _facts("as read back from what ran", ("setting", "value"), rows)


def _facts(title: str, header: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Grid:
    facts = tuple((words.one_line(name), words.one_line(value)) for name, value in rows)
    return Grid(title, header, facts, frozenset({0, 1}))


def _table(grid: Grid) -> list[str]:
    return in_markdown(grid)[2:] if grid.rows else []  # the heading above it is its title


def _list(lines: Iterable[str]) -> list[str]:
    return [f"- {_inline(escaped(words.one_line(line)))}" for line in lines if line]


def _inline(text: str) -> str:
    """Escape what would make a text at the start of a line a heading, a quotation, a list or a rule."""
    return _BLOCK.sub(r"\g<before>\\\g<mark>", text)
