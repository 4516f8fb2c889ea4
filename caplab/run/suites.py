"""Suites: lists of experiments with settings, read from files; and look-up of experiments by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.documents import read_yaml
from ..model.fields import FieldError, Fields
from ..model.known_names import did_you_mean

_MAX_NAMES = 3
_EXTENSION = "caplab"  # the block of an experiment that says what the lab does
_MAX_SHOWN = 200  # characters of a path


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to be made: an experiment's file, and settings for its configuration."""

    experiment: str  # such as postgres/kill-primary
    file: Path
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """Such as 'postgres/kill-primary durability=quorum'."""
        return described(self.experiment, self.settings)


@dataclass(frozen=True, slots=True)
class Suite:
    """The runs of a suite, in order."""

    name: str
    runs: tuple[Planned, ...]


def described(experiment: str, settings: Mapping[str, str]) -> str:
    """Describe a run by its experiment and settings, such as 'postgres/kill-primary durability=quorum'."""
    return " ".join([experiment, *(f"{name}={value}" for name, value in settings.items())])


def find(folder: Path, name: str, settings: Mapping[str, str]) -> Suite:
    """Find a suite or an experiment of a folder, by name or by path; settings are added to each run's own.

    Raises FieldError with similar names.
    """
    suite = folder / "suites" / f"{name}.yaml"
    if _is_file(suite):
        return _with(settings, read_suite(folder, suite))
    for file in (folder / f"{name}.yaml", Path(name)):
        if _is_file(file):
            return Suite(file.stem, (Planned(_name_of(folder, file), file, dict(settings)),))
    there = "" if not name or not os.path.lexists(name) else ", and what has that path is not an ordinary file"
    raise FieldError(f"There is no suite or experiment '{_shortened(name)}'{there}. Hint: {_suggestion(folder, name)}.")


def read_suite(folder: Path, file: Path, within: tuple[str, ...] = ()) -> Suite:
    """Read a suite's file, with the runs of the suites that it names; FieldError names what is wrong in it.

    within: the suites that led here, each in the one before.
    """
    fields = Fields.of(file.name, read_yaml(file))
    fields.only("title", "runs")
    runs = tuple(run for entry in fields.objects("runs") for run in _runs(folder, entry, (*within, file.stem)))
    if not runs:
        raise FieldError(f"{file.name}: field 'runs' is empty. Hint: name at least one experiment.")
    return Suite(file.stem, runs)


def experiments(folder: Path) -> list[str]:
    """Return the names of a folder's experiments."""
    return sorted(_name_of(folder, file) for file in folder.glob("*/*.yaml") if file.parent.name != "suites")


def names(folder: Path) -> list[str]:
    """Return the names of the files of a folder."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


def row_template(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment's row, its settings unresolved; empty if it names none."""
    blocks = [block for block in experiment.get("extensions") or () if block.get("name") == _EXTENSION]
    row = blocks[0].get("row") if blocks else None
    return row if isinstance(row, dict) else {}


def _runs(folder: Path, fields: Fields, within: tuple[str, ...]) -> tuple[Planned, ...]:
    """Return the runs of one entry: an experiment, or all of another suite."""
    if "suite" not in fields.values:
        return (_planned(folder, fields),)
    fields.only("suite")
    name = fields.text("suite")
    file = folder / "suites" / f"{name}.yaml"
    if name in within:
        raise fields.error("suite", f"none of those that it is in ({' > '.join(within)})")
    if not file.is_file():
        raise fields.error("suite", f"one of {', '.join(names(folder / 'suites'))}")
    return read_suite(folder, file, within).runs


def _planned(folder: Path, fields: Fields) -> Planned:
    fields.only("experiment", "settings")
    name = fields.text("experiment")
    file = folder / f"{name}.yaml"
    if not file.is_file():
        raise fields.error("experiment", f"one of {', '.join(experiments(folder))}")
    return Planned(name, file, fields.text_map("settings"))


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError as error:  # such as a folder that may not be entered, or a name that is too long
        name = _shortened(str(file))
        raise FieldError(
            f"{name} cannot be looked at: {error.strerror}. Hint: name a file that you may read."
        ) from error


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else f"{name[: _MAX_SHOWN - 3]}..."


def _with(settings: Mapping[str, str], suite: Suite) -> Suite:
    runs = (Planned(run.experiment, run.file, {**run.settings, **settings}) for run in suite.runs)
    return Suite(suite.name, tuple(runs))


def _suggestion(folder: Path, name: str) -> str:
    """Suggest names for an unknown one: the most similar, else some of its engine."""
    every = [*names(folder / "suites"), *experiments(folder)]
    engine, slash, _ = name.partition("/")
    of_engine = [name_of_engine for name_of_engine in every if slash and name_of_engine.startswith(f"{engine}/")]
    use = did_you_mean(name, of_engine or every)
    if not use:
        use = f"use {', '.join(of_engine[:_MAX_NAMES])}, or a file's path;" if of_engine else "use a file's path;"
    return f"{use} `caplab list` shows all there are"


def _name_of(folder: Path, file: Path) -> str:
    try:
        return str(file.resolve().relative_to(folder.resolve()).with_suffix(""))
    except ValueError:
        return file.stem
