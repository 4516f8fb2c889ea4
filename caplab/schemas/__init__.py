"""The JSON schemas of the lab's files: what they say about properties is written from the checkers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from caplab.check import CHECKERS, PROPERTIES
from caplab.check.checker import RATIO, SHARE, Checker
from caplab.judging import experiments_folder

_DEFINITIONS = {"": "count", "s": "seconds", SHARE: "share", RATIO: "times"}  # by a property's unit


def _of_expectations(schema: dict[str, Any]) -> None:
    """Put in the names of the properties that a row may give, and of those that it may give for a side of a cut."""
    by_side = [name for name, declared in PROPERTIES.items() if declared.by_side]
    schema["$defs"]["properties"]["propertyNames"]["enum"] = [*PROPERTIES]
    schema["$defs"]["sideProperties"]["propertyNames"]["enum"] = by_side


def _of_findings(schema: dict[str, Any]) -> None:
    """Put in the figures of each checker that its properties are measured by."""
    schema["$defs"]["finding"]["allOf"] = [
        {
            "if": {"properties": {"property": {"const": checker.name}}},
            "then": {"properties": {"figures": {"properties": _figures(checker)}}},
        }
        for checker in CHECKERS.values()
        if checker.properties
    ]


def _figures(checker: Checker) -> dict[str, Any]:
    definitions: dict[str, str] = {}
    for declared in checker.properties:
        definitions[declared.figure] = _DEFINITIONS[declared.unit]
        if declared.of:
            definitions[declared.of] = "count"
    return {figure: {"$ref": f"#/$defs/{definition}"} for figure, definition in definitions.items()}


WRITTEN: Mapping[Path, Callable[[dict[str, Any]], None]] = {
    experiments_folder() / "expectations.schema.json": _of_expectations,
    Path(__file__).parent / "findings.v1.json": _of_findings,
}


def rendered(path: Path) -> str:
    """Return a file of WRITTEN as it should be: its own text, with what the checkers declare."""
    schema = json.loads(path.read_text())
    WRITTEN[path](schema)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
