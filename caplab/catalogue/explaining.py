"""What a suite, an experiment, a row, a fault or a checker is: what is done, what is promised, what was measured."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..check import CHECKERS, MEASURED_BY
from ..check.checker import Checker
from ..command_error import CommandError
from ..contract.engines import ENGINES
from ..contract.objects import FAULT_KINDS
from ..contract.records import schema_of
from ..model import history
from ..model.expectations import Expectation
from ..model.known_names import did_you_mean
from ..plain_text import one_line, printable
from ..report.cap_table.evidence import Evidence, MeasuredRun
from ..report.cap_table.page import of_row
from ..report.grid import in_columns
from ..run.suites import Planned, described
from . import listing
from .experiments import Experiment, Lab, Suite
from .listing import Painter

_INDENT = "  "
_WITHOUT_PRIMARY = frozenset(engine.name for engine in ENGINES if not engine.has_primary)

Lines = list[str]
Newest = Mapping[str, tuple[Evidence, tuple[MeasuredRun, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """All that can be explained. newest: the last measured runs of each row; empty: no evidence is here."""

    lab: Lab
    rows: Sequence[Expectation]
    newest: Newest
    width: int
    bold: Painter = str


def explained(library: Library, name: str) -> str:
    """Explain whatever has this name, ending in a line end. CommandError with similar names if nothing has."""
    found = [explain() for explain in _explanations(library).get(name, ())]
    if not found:
        question = did_you_mean(name, _explanations(library))
        hint = f"{question} `caplab list` shows all there are." if question else "`caplab list` shows all there are."
        raise CommandError(f"Nothing here is named '{name}'. Hint: {hint}")
    return "\n\n\n".join("\n".join(lines) for lines in found) + "\n"


def names(library: Library) -> list[str]:
    """Return all names that can be explained."""
    return list(_explanations(library))


def _explanations(library: Library) -> dict[str, list[Callable[[], Lines]]]:
    """Return what explains each name; some name several things, such as a suite and a checker."""
    every: dict[str, list[Callable[[], Lines]]] = {}
    for suite in library.lab.suites.values():
        every.setdefault(suite.name, []).append(partial(_suite, library, suite))
    for experiment in library.lab.experiments.values():
        every.setdefault(experiment.name, []).append(partial(_experiment, library, experiment))
    for row in library.rows:
        every.setdefault(row.name, []).append(partial(_row, library, row))
    for fault, what in library.lab.faults().items():
        every.setdefault(fault, []).append(partial(_fault, library, fault, what))
    for kind, what in listing.fault_kinds().items():
        every.setdefault(kind, []).append(partial(_fault_kind, library, kind, what))
    for checker in CHECKERS.values():
        every.setdefault(checker.name, []).append(partial(_checker, library, checker))
    for name, checker in MEASURED_BY.items():
        every.setdefault(name, []).append(partial(_checker, library, checker))
    return every


def _suite(library: Library, suite: Suite) -> Lines:
    return [
        *_heading(library, f"{suite.name}: a suite", suite.title, f"caplab run {suite.name}"),
        "",
        f"its {len(suite.runs)} runs, in order:",
        *_paragraphs(library, (f"caplab run {_set(run)}" for run in suite.runs)),
    ]


def _experiment(library: Library, experiment: Experiment) -> Lines:
    lines = _heading(library, f"{experiment.name}: an experiment", experiment.title({}), experiment.description)
    if experiment.settings:
        lines += ["", "settings and their defaults (caplab run --set NAME=VALUE):"]
        longest = max(map(len, experiment.settings))
        lines += _paragraphs(library, (f"{name:<{longest}}  {value}" for name, value in experiment.settings.items()))
    rows = [row for row in library.rows if any(run.experiment == experiment.name for run in _runs(library, row))]
    return [*lines, *(line for row in rows for line in ("", *_row(library, row)))]


def _row(library: Library, row: Expectation) -> Lines:
    grid = of_row(row, library.newest, row.engine not in _WITHOUT_PRIMARY)
    table = in_columns(grid, width=library.width)
    lines = [
        *map(library.bold, _paragraphs(library, [grid.title], "")),
        *_paragraphs(library, (f"caplab run {_set(run)}" for run in _runs(library, row)[:1])),
    ]
    lines += [*table[1:], *_paragraphs(library, (f"Why: {row.why}", f"Source: {row.source}"))]
    if not library.newest:
        lines += _paragraphs(library, ["No evidence is kept here: what you measure is in results/."])
    return lines


def _fault(library: Library, fault: str, what: str) -> Lines:
    rows = [row for row in library.rows if row.fault == fault]
    made_by = {run.experiment: None for row in rows for run in _runs(library, row)}
    experiments = [library.lab.experiments[name] for name in made_by]
    return [
        *_heading(library, f"{fault}: a fault of experiments", what),
        *(line for each in experiments for line in _paragraphs(library, ["", f"{each.name}: {each.description}"])),
        "",
        "its rows (caplab explain NAME):",
        *listing.entry_lines({row.name: listing.first_sentence(row.why) for row in rows}, library.width, library.bold),
    ]


def _fault_kind(library: Library, kind: str, what: str) -> Lines:
    fields: Mapping[str, Mapping[str, object]] = schema_of(FAULT_KINDS[kind]).get("properties", {})
    return [
        *_heading(library, f"{kind}: a kind of Fault object", what, f"A Fault's spec.{kind} has these fields:"),
        *_paragraphs(library, (_field(name, rules) for name, rules in fields.items())),
        *([] if fields else [f"{_INDENT}none"]),
    ]


def _field(name: str, rules: Mapping[str, object]) -> str:
    values = rules.get("enum")
    of = ", ".join(map(str, values)) if isinstance(values, list | tuple) else str(rules.get("type", ""))
    return f"{name}: {of} (default: {rules['default']})" if "default" in rules else f"{name}: {of}"


def _checker(library: Library, checker: Checker) -> Lines:
    lines = _heading(library, f"{checker.name}: a checker", listing.checkers().get(checker.name, ""))
    for paragraph in (inspect.getdoc(checker.check) or "").split("\n\n"):
        lines += _paragraphs(library, ["", paragraph], "")
    empty = history.validate(history.SCHEMA.empty_table())
    left_out = dict.fromkeys(filter(None, (checker.applies(empty), checker.applies_to_file(()))))
    lines += ["", "it is left out of a history of which one of these is true:", *_paragraphs(library, left_out)]
    if checker.properties:
        lines += ["", "properties that rows may name:"]
        entries = {declared.name: declared.words for declared in checker.properties}
        lines += listing.entry_lines(entries, library.width, library.bold)
    return lines


def _runs(library: Library, row: Expectation) -> list[Planned]:
    return library.lab.runs_of((row.engine, row.mode, row.fault))


def _set(run: Planned) -> str:
    """Return what `caplab run` is called with for a run."""
    return described(run.experiment, {f"--set {name}": value for name, value in run.settings.items()})


def _heading(library: Library, name: str, *paragraphs: str) -> Lines:
    return [library.bold(one_line(name)), *_paragraphs(library, filter(None, paragraphs), "")]


def _paragraphs(library: Library, texts: Iterable[str], indent: str = _INDENT) -> Lines:
    lines: Lines = []
    for text in texts:
        line = printable(text.replace("\n", " "))
        hang = indent * 3
        lines += textwrap.wrap(line, library.width, initial_indent=indent, subsequent_indent=hang,
                               break_on_hyphens=False) or [""]  # fmt: skip
    return lines
