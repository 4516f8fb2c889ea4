"""Checks of values against a kind's schema, for the few keywords that the lab's kinds use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip


def status_schema(crd: Path) -> Mapping[str, Any]:
    """Read the schema of a kind's status, from the file of its definition."""
    versions = yaml.safe_load(crd.read_text())["spec"]["versions"]
    schema: Mapping[str, Any] = versions[0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


def misfits(schema: Mapping[str, Any], value: Any, where: str = "status") -> list[str]:
    """Return what the API server would refuse, and where; [] if nothing."""
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (kind in ("integer", "number") and isinstance(value, bool)):
        return [f"{where}: {value!r} is no {kind}"]
    return [*_of_its_own(schema, value, where), *_below(schema, value, where)]


def _of_its_own(schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
    problems = []
    if isinstance(value, str | list) and len(value) > schema.get("maxLength", schema.get("maxItems", len(value))):
        problems.append(f"{where}: too long")
    if "enum" in schema and value not in schema["enum"]:
        problems.append(f"{where}: {value!r} is none of {schema['enum']}")
    if schema["type"] == "integer" and not -(2**63) <= value < 2**63:
        problems.append(f"{where}: {value} does not fit")
    return problems + [f"{where}: lacks {name}" for name in schema.get("required", ()) if name not in value]


def _below(schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
    if isinstance(value, list):
        return [
            problem
            for number, item in enumerate(value)
            for problem in misfits(schema["items"], item, f"{where}[{number}]")
        ]
    if not isinstance(value, dict):
        return []
    parts = schema.get("properties", {})
    return [problem for name, item in value.items() for problem in (
        misfits(parts[name], item, f"{where}.{name}") if name in parts else [f"{where}: no field {name}"])]  # fmt: skip
