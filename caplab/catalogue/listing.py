"""Lists of what there is, an entry a line: pure but for the files that are read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..contract.objects import FAULT_KINDS
from ..files.documents import read_own_yaml
from ..files.packaged import expectations_path
from ..model.fields import Fields
from ..plain_text import one_line, plural
from . import docstrings
from .experiments import Lab
from .options import CHECKERS, EXPERIMENTS, FAULTS, KINDS, ROWS, SUITES

_SENTENCE = re.compile(r".*?[.?!](?=\s|$)")
_INDENT = "  "
_MAX_NAME_SHARE = 0.4  # of the width; longer names have a line of their own

Painter = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Section:
    """A titled list of names, each with a sentence."""

    title: str
    entries: Mapping[str, str]


def sections(kinds: Iterable[str], folder: Path) -> list[Section]:
    """Return the sections of these kinds; without any, all of them, but the rows only counted. folder: experiments."""
    chosen = tuple(kinds)
    lab = cache(lambda: Lab.of(folder))
    readers: Mapping[str, Callable[[], list[Section]]] = {
        SUITES: lambda: _suites(lab()),
        EXPERIMENTS: lambda: _experiments(lab()),
        ROWS: _rows if chosen else _count_of_rows,
        FAULTS: lambda: _faults(lab()),
        CHECKERS: _checkers,
    }
    return [section for kind in chosen or KINDS for section in readers[kind]()]


def rendered(listed: Iterable[Section], width: int, bold: Painter) -> str:
    """Render sections as lines of at most this width, ending in a line end."""
    blocks = [[bold(section.title), *entry_lines(section.entries, width, bold)] for section in listed]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def first_sentence(text: str) -> str:
    """Return the first sentence of a text in one line; all of it if it has no end."""
    line = one_line(text)
    sentence = _SENTENCE.match(line)
    return sentence[0] if sentence else line


def after_name(docstring: str) -> str:
    """Return what a package says of itself, without its name before the colon."""
    _, _, text = docstring.partition(": ")
    text = one_line(text or docstring)
    return text[:1].upper() + text[1:]


def row_names() -> dict[str, str]:
    """Return why each row promises what it does, by its name, without checking the table."""
    rows = Fields.of(expectations_path().name, read_own_yaml(expectations_path())).objects("rows")
    return {" ".join(row.text(field) for field in ("engine", "mode", "fault")): row.text("why") for row in rows}


def checkers() -> dict[str, str]:
    """Return what each checker holds a history to, by its name."""
    return {name: after_name(text) for name, text in docstrings.of_folders("caplab.check").items()}


def fault_kinds() -> dict[str, str]:
    """Return what each kind of Fault object does, by its name."""
    said = docstrings.of_folders("caplab_agent", "injectors")
    return {kind: after_name(said.get(kind, "")) for kind in FAULT_KINDS}


def _suites(lab: Lab) -> list[Section]:
    entries = {name: f"{suite.title} ({plural(len(suite.runs), 'run')})" for name, suite in lab.suites.items()}
    return [Section("Suites (caplab run NAME)", entries)]


def _experiments(lab: Lab) -> list[Section]:
    entries = {name: experiment.title({}) for name, experiment in lab.experiments.items()}
    return [Section("Experiments (caplab run NAME)", entries)]


def _rows() -> list[Section]:
    entries = {name: first_sentence(why) for name, why in row_names().items()}
    return [Section("Rows: engine, mode and fault (caplab explain NAME)", entries)]


def _count_of_rows() -> list[Section]:
    return [Section("Rows", {plural(len(row_names()), "row"): "What each mode promises: caplab list rows"})]


def _faults(lab: Lab) -> list[Section]:
    return [
        Section("Faults of experiments (caplab explain NAME)", lab.faults()),
        Section("Kinds of Fault objects (kubectl apply)", {n: first_sentence(t) for n, t in fault_kinds().items()}),
    ]


def _checkers() -> list[Section]:
    entries = {name: first_sentence(text) for name, text in checkers().items()}
    return [Section("Checkers (caplab check HISTORY --checker NAME)", entries)]


def entry_lines(entries: Mapping[str, str], width: int, bold: Painter) -> list[str]:
    """Return names, each with its sentence beside it, or below it where the names are long."""
    names = {name: one_line(name) for name in entries}
    longest = max(map(len, names.values()), default=0)
    beside = longest <= width * _MAX_NAME_SHARE
    hang = " " * (len(_INDENT) + longest + 2) if beside else _INDENT * 2
    lines = []
    for name, sentence in entries.items():
        text = textwrap.wrap(one_line(sentence), width - len(hang), break_on_hyphens=False)
        if beside:
            padding = " " * (longest - len(names[name]) + 2)
            lines.append(f"{_INDENT}{bold(names[name])}{padding}{''.join(text[:1])}".rstrip())
        else:
            lines += [f"{_INDENT}{bold(part)}" for part in textwrap.wrap(names[name], width - len(_INDENT))]
        lines += [f"{hang}{line}" for line in text[beside:]]
    return lines
