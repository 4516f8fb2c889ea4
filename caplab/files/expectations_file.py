"""Reads experiments/expectations.yaml into rows; errors name the row and the field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..check import PROPERTIES
from ..check.checker import RATIO
from ..model import budgets
from ..model.expectations import Expectation, Expectations, Promise, PropertyExpectation
from ..model.fields import FieldError, Fields
from ..model.history import ROUTES
from ..model.runs import MAJORITY, MINORITY
from .documents import parse_yaml, read_text

_ROW = ("engine", "mode", "fault", "route", "properties", "sides", "why", "source")
_SIDE = ("side", "route", "properties")
SIDES = (MINORITY, MAJORITY)
_WORDS = {promise.value: promise for promise in Promise if promise is not Promise.BOUNDED}
_BOUNDS = {"atMost": Promise.BOUNDED, "atLeast": Promise.MUST_SHOW}
_HINT = f"Hint: write {', '.join(_WORDS)}, {{atMost: EXPRESSION}}, or {{atLeast: EXPRESSION}}."


def read(path: Path) -> Expectations:
    """Read the table in a file. OSError if it cannot be read, FieldError as in `parse`."""
    return parse(read_text(path), path.name)


def parse(text: str, name: str = "expectations.yaml") -> Expectations:
    """Parse the table in a YAML text.

    Raises FieldError (a ValueError) with the row and the field: a field that is missing, unknown or of another type, an
    unknown property or route, a budget that is not an expression over settings, a duplicate row.
    """
    top = Fields.of(name, parse_yaml(text, name))
    top.only("rows")
    rows = tuple(_row(fields) for fields in top.objects("rows"))
    names = [row.name for row in rows]
    for row in names:
        if names.count(row) > 1:
            raise FieldError(f"{name}: the row '{row}' occurs {names.count(row)} times. Hint: keep one.")
    return Expectations(rows)


def _row(numbered: Fields) -> Expectation:
    engine, mode, fault = (numbered.text(field) for field in ("engine", "mode", "fault"))
    fields = Fields(f"{numbered.where} ({engine} {mode} {fault})", numbered.values)
    fields.only(*_ROW)
    properties = [
        *_property_expectations(fields, None),
        *(expected for side in _sides(fields) for expected in _property_expectations(*side)),
    ]
    if not properties:
        raise fields.error("properties", "at least one property: a row that promises nothing judges nothing")
    return Expectation(
        engine=engine,
        mode=mode,
        fault=fault,
        properties=tuple(properties),
        why=fields.text("why"),
        source=fields.text("source"),
    )


def _sides(fields: Fields) -> list[tuple[Fields, str | None]]:
    """Return the block of each side of a cut with its name, or that of a route (None)."""
    if "sides" not in fields.values:
        return []
    blocks = [(block, block.optional_text("side")) for block in fields.objects("sides")]
    for block, side in blocks:
        block.only(*_SIDE)
        if side is None and "route" not in block.values:
            raise block.error("side", f"one of {', '.join(SIDES)}, where no route is named")
        if side is not None and side not in SIDES:
            raise block.error("side", f"one of {', '.join(SIDES)}")
    return blocks


def _property_expectations(fields: Fields, side: str | None) -> list[PropertyExpectation]:
    """Parse one block of properties."""
    route = fields.optional_text("route")
    if route is not None and route not in ROUTES:
        raise fields.error("route", f"one of {', '.join(ROUTES)}")
    properties = fields.object("properties")
    properties.only(*PROPERTIES)
    if side:
        for name in properties.values:
            if not PROPERTIES[name].by_side:
                raise properties.error(name, "named for the row as a whole: it is not measured by side")
    route_of = {name: route if side or PROPERTIES[name].by_route else None for name in properties.values}
    return [
        replace(_property_expectation(properties, name), side=side, route=route_of[name]) for name in properties.values
    ]


def _property_expectation(properties: Fields, name: str) -> PropertyExpectation:
    value = properties.values[name]
    if isinstance(value, str) and value in _WORDS:
        return PropertyExpectation(property=name, promise=_WORDS[value])
    if not isinstance(value, dict):
        raise FieldError(f"{properties.where}: field '{name}' is {value!r}. {_HINT}")
    bound = properties.object(name)
    bound.only(*_BOUNDS)
    if len(bound.values) != 1:
        raise FieldError(f"{properties.where}: field '{name}' is {value!r}. {_HINT}")
    (side,) = bound.values
    budget = bound.text(side)
    try:
        # A ratio is independent of settings; any other bare number would hold for one set of settings only.
        (budgets.names if PROPERTIES[name].unit == RATIO else budgets.check)(budget)
    except budgets.BudgetError as error:
        raise FieldError(f"{bound.where}.{side}: {error}") from error
    return PropertyExpectation(property=name, promise=_BOUNDS[side], budget=budget)
