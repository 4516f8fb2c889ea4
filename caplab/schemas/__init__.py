"""The JSON schemas of the lab's files: what they say about properties comes from the checkers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from caplab.check import CHECKERS, PROPERTIES
from caplab.check.checker import RATIO, SHARE, Checker
from caplab.judging import experiments_folder

EXPECTATIONS = experiments_folder() / "expectations.schema.json"
_DEFINITIONS = {"": "count", "s": "seconds", SHARE: "share", RATIO: "times"}  # by a property's unit


def published(name: str) -> dict[str, Any]:
    """Return the schema of verdict.json or findings.json (verdict, findings), as the wheel has it."""
    schema: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.v1.json").read_text())
    return schema


def findings() -> dict[str, Any]:
    """Return the schema of findings.json, together with the figures of each checker that its properties name."""
    schema = published("findings")
    schema["$defs"]["finding"]["allOf"] = [
        {
            "if": {"properties": {"property": {"const": checker.name}}},
            "then": {"properties": {"figures": {"properties": _figures(checker)}}},
        }
        for checker in CHECKERS.values()
        if checker.properties
    ]
    return schema


def _figures(checker: Checker) -> dict[str, Any]:
    definitions: dict[str, str] = {}
    for declared in checker.properties:
        definitions[declared.figure] = _DEFINITIONS[declared.unit]
        if declared.of:
            definitions[declared.of] = "count"
    return {figure: {"$ref": f"#/$defs/{definition}"} for figure, definition in definitions.items()}


def expectations(path: Path = EXPECTATIONS) -> dict[str, Any]:
    """Return a schema of expectations.yaml with the properties that a row, or one side of a cut, may name."""
    schema: dict[str, Any] = json.loads(path.read_text())
    by_side = [name for name, declared in PROPERTIES.items() if declared.by_side]
    schema["$defs"]["properties"]["propertyNames"]["enum"] = [*PROPERTIES]
    schema["$defs"]["sideProperties"]["propertyNames"]["enum"] = by_side
    return schema


def rendered(schema: dict[str, Any]) -> str:
    """Return a schema as its file has it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
