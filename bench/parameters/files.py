"""Paths of the tables and the schemas, and how they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caplab_cluster.paths import REPOSITORY
from caplab_operator.engines.parameters import from_row

from .refusals import BOUNDS, reason
from .rules import rules

BEGIN = "# Made by bench/parameters from engines/{engine}/parameters.json."
END = "# The end of what bench/parameters made."


def table_file(engine: str) -> Path:
    """Return the path of the engine's table."""
    return REPOSITORY / "operator" / "caplab_operator" / "engines" / engine / "parameters.json"


def schema_file(engine: str) -> Path:
    """Return the path of the definition of the engine's kind."""
    return REPOSITORY / "charts" / "caplab" / "templates" / "crds" / f"{engine}cluster.yaml"


def decided(engine: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merge the engine's report of its parameters with the decisions on them."""
    decisions = {}
    for name, row in sorted(rows.items()):
        minimum, maximum = BOUNDS[engine].get(name, (None, None))
        narrower = {"minimum": minimum, "maximum": maximum} if minimum is not None else {}
        why = row.get("refused") or reason(engine, name, row["kind"])
        decisions[name] = {**row, **narrower, **({"refused": why} if why else {})}
    return decisions


def as_text(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Format a table as in its file: a line a parameter."""
    lines = (f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_table(engine: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write an engine's table."""
    table_file(engine).write_text(as_text(decided(engine, rows)))


def fragment(engine: str) -> str:
    """Return the lines of the kind's definition that are made from the table."""
    table = {name: from_row(name, row) for name, row in json.loads(table_file(engine).read_text()).items()}
    lines = [BEGIN.format(engine=engine)]
    for rule in rules(engine, table):
        for number, (key, value) in enumerate(rule.as_yaml().items()):
            lines.append(f"{'  ' if number else '- '}{key}: {json.dumps(value)}")
    return "\n".join([*lines, END])


def with_fragment(text: str, engine: str) -> str:
    """Return a kind's definition with the lines between the two marks replaced."""
    begin, end = BEGIN.format(engine=engine), END
    pattern = re.compile(rf"^( *){re.escape(begin)}.*?{re.escape(end)}$", re.DOTALL | re.MULTILINE)
    (match,) = pattern.finditer(text)
    made = "\n".join(f"{match[1]}{line}" for line in fragment(engine).splitlines())
    return text[: match.start()] + made + text[match.end() :]


def write_schema(engine: str) -> bool:
    """Write a kind's definition; returns whether it changed."""
    file = schema_file(engine)
    old = file.read_text()
    new = with_fragment(old, engine)
    if new != old:
        file.write_text(new)
    return new != old
