"""The suites and experiments that exist, and their settings, for a user who has to name one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files.documents import read_yaml
from .suites import experiments, names, read_suite

_MODE_IN_A_TITLE = re.compile(r" \([^()]*\$\{[^()]*\)")
_PLACE = re.compile(r"\$\{(\w+)\}")


def defaults(experiment: Mapping[str, Any]) -> dict[str, str]:
    """Return an experiment's settings with their default values."""
    configuration = experiment.get("configuration") or {}
    return {name: _default(value) for name, value in configuration.items()}


def listed(folder: Path) -> str:
    """List every suite and experiment of a folder, in a line or two each."""
    return "\n".join(["suites:", *_suites(folder), "", "experiments, and their default settings:",
                      *_experiments(folder)])  # fmt: skip


def _suites(folder: Path) -> Iterator[str]:
    for name in names(folder / "suites"):
        file = folder / "suites" / f"{name}.yaml"
        runs = len(read_suite(folder, file).runs)
        yield f"  {name:<10} {_read(file).get('title', '')} ({runs} run{'' if runs == 1 else 's'})"


def _experiments(folder: Path) -> Iterator[str]:
    for name in experiments(folder):
        experiment = _read(folder / f"{name}.yaml")
        settings = defaults(experiment)
        yield f"  {name:<28} {_title(experiment, settings)}"
        if settings:
            yield "    " + " ".join(f"{setting}={value}" for setting, value in settings.items())


def _title(experiment: Mapping[str, Any], settings: Mapping[str, str]) -> str:
    """Return an experiment's title, without the mode that it is run in."""
    title = _MODE_IN_A_TITLE.sub("", str(experiment.get("title", "")))
    return _PLACE.sub(lambda place: settings.get(place[1], place[0]), title)


def _default(value: Any) -> str:
    return str(value.get("default", "")) if isinstance(value, dict) else str(value)


def _read(file: Path) -> Mapping[str, Any]:
    document = read_yaml(file)
    return document if isinstance(document, dict) else {}
