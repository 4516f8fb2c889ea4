"""Suites, experiments and rows as they are in files, and which experiment makes the runs of which row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.documents import read_own_yaml
from ..plain_text import one_line
from ..run import suites
from ..run.suites import Planned

_MODE_IN_A_TITLE = re.compile(r" \([^()]*\$\{[^()]*\)")
_PLACE = re.compile(r"\$\{(\w+)\}")
_ROW = ("engine", "mode", "fault")

Row = tuple[str, str, str]  # engine, mode and fault


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment's file: what a user may know of it before it is run."""

    name: str
    document: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, str]:
        """Its settings with their default values."""
        configuration = self.document.get("configuration")
        every = configuration.items() if isinstance(configuration, dict) else ()
        return {name: _default(value) for name, value in every}

    @property
    def description(self) -> str:
        """What is done, and why; '' if it does not say."""
        return one_line(str(self.document.get("description") or ""))

    def title(self, settings: Mapping[str, str]) -> str:
        """Return its title without the mode; settings override the defaults."""
        return one_line(self._filled(_MODE_IN_A_TITLE.sub("", str(self.document.get("title") or "")), settings))

    def row(self, settings: Mapping[str, str]) -> Row | None:
        """Return engine, mode and fault of the row that judges a run with these settings; None if it names none."""
        template = suites.row_template(self.document)
        if not set(_ROW) <= template.keys():
            return None
        engine, mode, fault = (self._filled(str(template[field]), settings) for field in _ROW)
        return engine, mode, fault

    def fault_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return those settings that make its fault, and that its title does not name."""
        places = _PLACE.findall(str(suites.row_template(self.document).get("fault", "")))
        in_title = _PLACE.findall(_MODE_IN_A_TITLE.sub("", str(self.document.get("title") or "")))
        values = {**self.settings, **settings}
        return {name: values[name] for name in places if name in values and name not in in_title}

    def _filled(self, text: str, settings: Mapping[str, str]) -> str:
        values = {**self.settings, **settings}
        return _PLACE.sub(lambda place: str(values.get(place[1], place[0])), text)


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite: its runs are in the order in which they are made."""

    name: str
    title: str
    runs: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Lab:
    """All experiments and suites, by name, and the runs of all suites, by the row that judges them."""

    experiments: Mapping[str, Experiment]
    suites: Mapping[str, Suite]
    runs: Mapping[Row, tuple[Planned, ...]]

    @classmethod
    def of(cls, folder: Path) -> Lab:
        """Read a folder of experiments. FieldError names a file that is damaged."""
        files = {name: folder / "suites" / f"{name}.yaml" for name in suites.names(folder / "suites")}
        experiments = {name: Experiment(name, _read(folder / f"{name}.yaml")) for name in suites.experiments(folder)}
        every = {name: Suite(name, _title(file), suites.read_suite(folder, file).runs) for name, file in files.items()}
        runs: dict[Row, tuple[Planned, ...]] = {}
        for run in _each_once(every.values()):
            if (experiment := experiments.get(run.experiment)) and (row := experiment.row(run.settings)):
                runs[row] = (*runs.get(row, ()), run)
        return cls(experiments, every, runs)

    def runs_of(self, row: Row) -> list[Planned]:
        """Return the runs of all suites that a row judges, each once, those with the fewest settings first."""
        return sorted(self.runs.get(row, ()), key=lambda run: len(run.settings))

    def faults(self) -> dict[str, str]:
        """Return what is done under each fault that a suite's run has: the titles of its experiments."""
        titles: dict[str, dict[str, None]] = {}
        by_name = {run.name: (run, fault) for (_, _, fault), runs in self.runs.items() for run in runs}
        for _, (run, fault) in sorted(by_name.items()):
            titles.setdefault(fault, {})[self._what_is_done(run)] = None
        return {fault: "; ".join(titles[fault]) for fault in sorted(titles)}

    def _what_is_done(self, run: Planned) -> str:
        experiment = self.experiments[run.experiment]
        made_by = experiment.fault_settings(run.settings)
        settings = ", ".join(f"{name} {value}" for name, value in made_by.items())
        return f"{experiment.title(run.settings)}{f' ({settings})' if settings else ''}"


def _each_once(every: Iterable[Suite]) -> list[Planned]:
    return sorted({run.name: run for suite in every for run in suite.runs}.values(), key=lambda run: run.name)


def _default(value: Any) -> str:
    return one_line(str(value.get("default", "")) if isinstance(value, dict) else str(value))


def _title(file: Path) -> str:
    return one_line(str(_read(file).get("title") or ""))


def _read(file: Path) -> Mapping[str, Any]:
    document = read_own_yaml(file)
    return document if isinstance(document, dict) else {}
