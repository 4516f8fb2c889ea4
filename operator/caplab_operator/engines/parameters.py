"""The parameters of the engines, with types and ranges, and the ones that no spec may name.

bench/parameters makes the tables (engines/ENGINE/parameters.json) from the engines themselves, and the kinds' schemas
come from the tables: the API server has checked the parameters of a spec.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One row of an engine's table."""

    name: str
    kind: str  # bool, enum, integer, real, size, time, rate, letters, text
    unit: str = ""  # what a number without a unit counts: 8kB, ms; '' for a plain count, or if the engine takes no unit
    minimum: float | None = None  # in `unit`
    maximum: float | None = None
    values: tuple[str, ...] = ()  # of an enum; of letters: each letter
    live: bool = False  # whether the engine takes a change while it runs
    default: str = ""  # the engine's own value, if it reports one
    refused: str = ""  # why no spec may name it; '' if a spec may


def from_row(name: str, row: Mapping[str, Any]) -> Parameter:
    """Parse a row of the file."""
    return Parameter(name=name, **{**row, "values": tuple(row.get("values", ()))})


@cache
def table(engine: str) -> Mapping[str, Parameter]:
    """Return all parameters of an engine, by name."""
    rows = json.loads((Path(__file__).parent / engine / "parameters.json").read_text())
    return {name: from_row(name, row) for name, row in rows.items()}


@cache
def allowed(engine: str) -> Mapping[str, Parameter]:
    """Return the parameters that a spec may name."""
    return {name: parameter for name, parameter in table(engine).items() if not parameter.refused}


def taken(engine: str, named: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a spec that reach a member: an object may be older than the API server's rules."""
    return {name: value for name, value in named.items() if name in allowed(engine)}


def not_taken(engine: str, named: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a spec that do not reach a member, and why each is refused."""
    parameters = table(engine)
    return {
        name: parameters[name].refused if name in parameters else "no parameter has that name"
        for name in named
        if name not in allowed(engine)
    }
