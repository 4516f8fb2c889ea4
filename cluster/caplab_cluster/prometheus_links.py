"""Ready-made links to Prometheus' own page, for users without Grafana: with the queries of the dashboards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .failure import Failure

# (dashboard's file, panel's title): the panels that show how a run went.
_PANELS = (
    ("overview.json", "Clusters, ready or not"),
    ("overview.json", "Faults"),
    ("run.json", "Acknowledged operations a second"),
    ("run.json", "Since the last acknowledged write"),
    ("run.json", "Members: who is primary"),
    ("run.json", "Latency: p50 and p99"),
)
_OF_ALL = re.compile(r'=~?"\$\{?\w+\}?"')
_BUILT_IN = {"$__interval": "1s", "$__rate_interval": "4s", "$__range": "15m"}


@dataclass(frozen=True, slots=True)
class Link:
    """A page of Prometheus: what it shows, what its values mean, and its address."""

    title: str
    meaning: str
    url: str


def links(folder: Path, address: str) -> list[Link]:
    """Return the links, from the dashboards' JSON. Raises Failure if that is not in this checkout."""
    return [_link(_panel(folder, file, title), address) for file, title in _PANELS]


def _panel(folder: Path, file: str, title: str) -> Mapping[str, Any]:
    try:
        panels = json.loads((folder / file).read_text())["panels"]
        return next(panel for panel in panels if panel.get("title") == title)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise Failure(
            f"dashboards/{file} has no panel '{title}'.", "Restore it: `git checkout dashboards`, or make it anew."
        ) from error


def _link(panel: Mapping[str, Any], address: str) -> Link:
    fields: dict[str, str] = {}
    for number, target in enumerate(panel["targets"]):
        fields |= {
            f"g{number}.expr": of_all(target["expr"]),
            f"g{number}.tab": "0",
            f"g{number}.range_input": "15m",
            f"g{number}.step_input": "1",
        }
    meaning = ", ".join(_meanings(panel["fieldConfig"]["defaults"].get("mappings", [])))
    return Link(panel["title"], meaning, f"{address}/graph?{urlencode(fields)}")


def of_all(expression: str) -> str:
    """Return a dashboard's query without a selection: for every cluster, vantage and run, at one second a step."""
    everything = _OF_ALL.sub('=~".*"', expression)
    for variable, value in _BUILT_IN.items():
        everything = everything.replace(variable, value)
    return everything


def _meanings(mappings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for mapping in mappings:
        for value, shown in mapping["options"].items():
            yield f"{value} {shown['text']}"
