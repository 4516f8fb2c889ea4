"""The schema of expectations.yaml says what the program takes: the two are held together here."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from support.chart.json_schema import problems

from caplab.check import PROPERTIES
from caplab.files.expectations_file import SIDES, parse
from caplab.judging import experiments_folder
from caplab.model.expectations import Promise
from caplab.model.fields import FieldError
from caplab.model.history import ROUTES

SCHEMA: dict[str, Any] = json.loads((experiments_folder() / "expectations.schema.json").read_text())
ROW: dict[str, Any] = {
    "engine": "postgres",
    "mode": "quorum",
    "fault": "none",
    "properties": {"lost": "forbidden", "failoverTime": {"atMost": "ttl + 2s"}},
    "why": "So it is.",
    "source": "The manual.",
}


def is_by_side(name: str) -> bool:
    return PROPERTIES[name].by_side


def test_it_names_every_property_promise_and_route_there_is() -> None:
    definitions = SCHEMA["$defs"]
    for name, there in (("properties", [*PROPERTIES]), ("sideProperties", [*filter(is_by_side, PROPERTIES)])):
        named = definitions[name]["propertyNames"]["enum"]
        assert sorted(named) == sorted(there), f"Hint: name those of caplab.check.PROPERTIES in '{name}'"
    assert definitions["row"]["properties"]["sides"]["items"]["properties"]["side"]["enum"] == [*SIDES]
    assert sorted(definitions["route"]["enum"]) == sorted(ROUTES)
    words, _ = definitions["promise"]["oneOf"]
    assert sorted(words["enum"]) == sorted(promise.value for promise in Promise if promise is not Promise.BOUNDED)


def test_the_table_itself_is_valid() -> None:
    table = yaml.safe_load((experiments_folder() / "expectations.yaml").read_text())
    assert problems(table, SCHEMA) == []


def test_a_row_of_sides_is_valid() -> None:
    sides = [
        {"side": "minority", "route": "direct", "properties": {"lost": "must-show"}},
        {"side": "majority", "properties": {"failoverTime": {"atMost": "downAfter + 5s"}}},
    ]
    every: list[dict[str, Any]] = [{"route": "service"}, {"properties": {}}, {}]
    for more in every:
        table = {"rows": [{**ROW, "sides": sides, **more}]}
        assert problems(table, SCHEMA) == []
        parse(yaml.safe_dump(table))


PLANTED: list[tuple[str, Any]] = [
    ("engine", None),
    ("why", " "),
    ("route", "sideways"),
    ("sources", "x"),
    ("properties", {}),
    ("properties", {"lots": "forbidden"}),
    ("properties", {"lost": "allowed"}),
    ("properties", {"lost": {"atMost": "ttl", "atLeast": "ttl"}}),
    ("properties", {"lost": {"atmost": "ttl"}}),
    ("properties", {"lost": {"atMost": 3}}),
]


@pytest.mark.parametrize(("name", "value"), PLANTED)
def test_what_the_program_refuses_the_schema_refuses_too(name: str, value: Any) -> None:
    row = {**copy.deepcopy(ROW), name: value}
    if value is None:
        del row[name]
    assert problems({"rows": [row]}, SCHEMA)
    with pytest.raises(FieldError):
        parse(yaml.safe_dump({"rows": [row]}))


@pytest.mark.parametrize(
    "side",
    [
        {"side": "left", "properties": {"lost": "forbidden"}},
        {"side": "minority"},
        {"side": "minority", "properties": {"failovers": "forbidden"}},
        {"side": "minority", "route": "sideways", "properties": {"lost": "forbidden"}},
        {"side": "minority", "routes": "direct", "properties": {"lost": "forbidden"}},
        "minority",
    ],
)
def test_a_side_that_the_program_refuses_the_schema_refuses_too(side: Any) -> None:
    row = {**ROW, "sides": [side]}
    assert problems({"rows": [row]}, SCHEMA)
    with pytest.raises(FieldError):
        parse(yaml.safe_dump({"rows": [row]}))


def test_a_keyword_that_the_check_does_not_know_is_no_silence() -> None:
    with pytest.raises(KeyError):
        problems({}, {"dependentRequired": {}})
