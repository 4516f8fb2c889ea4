"""The parameters that an engine knows, with their types and ranges, and those among them that no spec may name.

The tables (engines/ENGINE/parameters.json) are made from the engines themselves by bench/parameters, and the kinds'
schemas from the tables: what arrives in a spec has been checked by the API server.
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
    unit: str = (
        ""  # what a number without a unit counts: 8kB, ms; '' where the engine takes none or it is a plain count
    )
    minimum: float | None = None  # in `unit`
    maximum: float | None = None
    values: tuple[str, ...] = ()  # of an enum; of letters: each letter
    live: bool = False  # whether the engine takes a change while it runs
    default: str = ""  # the engine's own value, where it tells one
    refused: str = ""  # why no spec may name it; '' where it may


def from_row(name: str, row: Mapping[str, Any]) -> Parameter:
    """A row of the file."""
    return Parameter(name=name, **{**row, "values": tuple(row.get("values", ()))})


@cache
def table(engine: str) -> Mapping[str, Parameter]:
    """All parameters that an engine knows, by name."""
    rows = json.loads((Path(__file__).parent / engine / "parameters.json").read_text())
    return {name: from_row(name, row) for name, row in rows.items()}


@cache
def allowed(engine: str) -> Mapping[str, Parameter]:
    """Those that a spec may name."""
    return {name: parameter for name, parameter in table(engine).items() if not parameter.refused}


def taken(engine: str, named: Mapping[str, str]) -> dict[str, str]:
    """Those of a spec's parameters that reach a member: an object may be older than the API server's rules."""
    return {name: value for name, value in named.items() if name in allowed(engine)}


def not_taken(engine: str, named: Mapping[str, str]) -> dict[str, str]:
    """The others, and why each is refused."""
    parameters = table(engine)
    return {
        name: parameters[name].refused if name in parameters else "no parameter has that name"
        for name in named
        if name not in allowed(engine)
    }
