"""The lab's own rules for dashboards, over their JSON: each rule reports which panel breaks it, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from grafana_foundation_sdk.models import units

from . import expressions, links, palette
from .grid import COLUMNS, NARROWEST

Json = Mapping[str, Any]
_UNITS = frozenset(value for name, value in vars(units).items() if name[0].isupper() and isinstance(value, str))
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WINDOWS = frozenset({"3s", "$__rate_interval", "$__range", "$__interval:1s"})
_COLOR = re.compile(r"^#[0-9a-fA-F]{3,8}$")
_COLOR_KEYS = frozenset({"color", "fixedColor", "fill", "iconColor"})
_LINKED = re.compile(r"^/d/([\w-]+)\?")
_MIN_DESCRIPTION = 20
_MIN_HEIGHT = 3
_MAX_TABLE_WIDTH = 1260  # pixels that columns may take together: a laptop's 1366 without Grafana's own margins


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.rule})"


Rule = Callable[[Json, Mapping[str, str]], Iterator[tuple[str, str]]]  # where and what


def check(board: Json, types: Mapping[str, str]) -> list[Violation]:
    """Return every broken rule of a dashboard; types are those of the existing series."""
    title = str(board.get("title", "?"))
    return [
        Violation(name, f"{title}: {where}", what) for name, rule in RULES.items() for where, what in rule(board, types)
    ]


def panels_of(board: Json) -> list[Json]:
    """Return the panels that show something: rows are headings."""
    return [panel for panel in board.get("panels", []) if panel["type"] != "row"]


def targets_of(board: Json) -> Iterator[tuple[str, Json]]:
    """Yield every query of panels and annotations, and where it is."""
    for panel in panels_of(board):
        for target in panel.get("targets", []):
            yield f"{panel.get('title')} {target.get('refId')}", target
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["target"]


def _defaults(panel: Json) -> Json:
    defaults: Json = panel.get("fieldConfig", {}).get("defaults", {})
    return defaults


def _units(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        named = [_defaults(panel).get("unit")]
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            named += [property_["value"] for property_ in override["properties"] if property_["id"] == "unit"]
        for unit in named:
            if unit not in _UNITS:
                yield panel["title"], f"its unit is {unit!r}; name one of Grafana's"


def _descriptions(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        text = panel.get("description") or ""
        if len(text) < _MIN_DESCRIPTION or not text.endswith("."):
            yield panel.get("title") or "?", "it has no description; describe in a sentence what it shows"


def _titles(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    titles: set[str] = set()
    for panel in panels_of(board):
        title = panel.get("title") or ""
        if not title or title in titles:
            yield title or "?", "its title is missing, or is another panel's; give it a title of its own"
        titles.add(title)


def _thresholds(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        steps = _defaults(panel).get("thresholds", {}).get("steps") or []
        values = [step.get("value") for step in steps]
        if not steps or values[0] is not None or values[1:] != sorted(values[1:]):
            yield panel["title"], "it has no thresholds; give it steps, the first without a value, the others ascending"


def _links(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        if not panel.get("links"):
            yield panel["title"], "it has no link; link to another dashboard"
        for link in panel.get("links") or []:
            to = _LINKED.match(link.get("url") or "")
            if not to or to[1] not in links.UIDS:
                yield panel["title"], f"its link {link.get('url')!r} is not to one of the lab's dashboards"
            elif "${__field" in link["url"] or "${__data" in link["url"]:
                yield panel["title"], "its own link uses a series' labels; make it a link of its series"


def _datasources(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    variables = board["templating"]["list"]
    if not variables or variables[0]["type"] != "datasource":
        yield "variables", "the first is not the data source; make it the choice of the Prometheus"
    asked = [(panel["title"], panel) for panel in panels_of(board)] + list(targets_of(board))
    asked += [(variable["name"], variable) for variable in variables if variable["type"] == "query"]
    asked += [(annotation["name"], annotation) for annotation in board["annotations"]["list"]]
    for where, source in asked:
        if source.get("datasource") != _SOURCE:
            yield where, f"its data source is {source.get('datasource')}; make it ${{datasource}}"


def _overlaps(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel, other in combinations(board.get("panels", []), 2):
        a, b = panel["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        if not (beside or below):
            yield panel["title"], f"it overlaps '{other['title']}'; move one of them"


def _widths(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in board.get("panels", []):
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > COLUMNS:
            yield panel["title"], f"it reaches beyond {COLUMNS} columns; move it, or make it narrower"
        if panel["type"] != "row" and (place["w"] < NARROWEST or place["h"] < _MIN_HEIGHT):
            yield panel["title"], f"it is too small to read; make it at least {NARROWEST} by {_MIN_HEIGHT}"
        overrides = panel.get("fieldConfig", {}).get("overrides", [])
        properties = [each for override in overrides for each in override["properties"]]
        taken = sum(each["value"] for each in properties if each["id"] == "custom.width")
        if taken > _MAX_TABLE_WIDTH:
            yield panel["title"], f"its columns take {taken} pixels; make them narrower"


def _steps(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        if panel.get("interval") != "1s" or (panel.get("maxDataPoints") or 0) < COLUMNS * 100:
            yield panel["title"], "a second may not show; let its interval be 1s, and give it a point for each second"


def _rates(board: Json, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for where, target in targets_of(board):
        read = expressions.read(target["expr"])
        for name in sorted(read.rated):
            if types.get(name) not in ("counter", None):
                yield where, f"it takes the rate of {name}, a {types[name]}; take rates of counters only"
            if not name:
                yield where, "it takes the rate of a result; take rates of counters, then add them up"
        for name in sorted(read.metrics - read.rated):
            if types.get(name) == "counter":
                yield where, f"it shows the counter {name} as it is; take its rate"


def _grouping(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for where, target in targets_of(board):
        for name in expressions.read(target["expr"]).ungrouped:
            yield where, f"{name} has no 'by'; name the labels that stay, or by () for none"


def _windows(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for where, target in targets_of(board):
        for window in sorted(expressions.read(target["expr"]).windows - _WINDOWS):
            yield where, f"its window is {window}; take 3s for what must show a second, else $__rate_interval"


def _metrics(board: Json, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    asked = [(where, target["expr"]) for where, target in targets_of(board)]
    variables = [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    asked += [(variable["name"], metric_of(variable)) for variable in variables]
    for where, text in asked:
        for name in sorted(expressions.read(text).metrics - set(types)):
            yield where, f"nothing exports {name}; name a metric of docs/metrics.md or of an engine's exporter"


def metric_of(variable: Json) -> str:
    """Return the series of a variable's label_values(SERIES, LABEL)."""
    query = str(variable["query"]["query"])
    return query.removeprefix("label_values(").rpartition(",")[0]


def _variables(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    texts = [(where, target["expr"]) for where, target in targets_of(board)]
    texts += [(name, metric_of(variable)) for name, variable in variables.items() if variable["type"] == "query"]
    used = {"datasource"}
    for where, text in texts:
        names = {name for name in expressions.read(text).variables if not name.startswith("__")}
        used |= names
        for name in sorted(names - set(variables)):
            yield where, f"there is no variable {name}; add it to the dashboard"
        for name in sorted(names & set(variables)):
            if variables[name].get("multi") and re.search(rf'=\s*"\${name}"', text.replace("=~", "~")):
                yield where, f"{name} may be several; match it by =~"
    for name in sorted(set(variables) - used):
        yield name, "no query uses this variable; remove it"
    for name, variable in variables.items():
        if not variable.get("label") or not variable.get("description"):
            yield name, "the variable has no label or description; describe what it selects"


def _legends(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in panels_of(board):
        for target in panel.get("targets", []):
            if target.get("range") and "__auto" in (target.get("legendFormat") or "__auto"):
                yield panel["title"], "its series have no names; give the query a legend"


def _colors(board: Json, _types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for panel in [*panels_of(board), *board["annotations"]["list"]]:
        for color in sorted(set(colors_in(panel)) - palette.ALL):
            yield (
                panel.get("title") or panel.get("name") or "?",
                f"{color} is not in the palette; one colour, one meaning",
            )


def colors_in(value: Any) -> Iterator[str]:
    """Yield every colour that a panel names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str) and (key in _COLOR_KEYS or _COLOR.match(inner)):
                yield inner
            else:
                yield from colors_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from colors_in(inner)


RULES: Mapping[str, Rule] = {
    "units": _units,
    "descriptions": _descriptions,
    "titles": _titles,
    "thresholds": _thresholds,
    "links": _links,
    "datasources": _datasources,
    "overlaps": _overlaps,
    "widths": _widths,
    "steps": _steps,
    "rates": _rates,
    "grouping": _grouping,
    "windows": _windows,
    "metrics": _metrics,
    "variables": _variables,
    "legends": _legends,
    "colors": _colors,
}
