"""verdict.json and findings.json are what their schemas say, and the schemas of a version lose nothing."""

from __future__ import annotations

import io
import json
import re
import runpy
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.checkers.histories import adds, scan
from support.checkers.histories import table as history
from support.runs.fake_runs import FakeToolkit, experiments_in

from caplab import schemas
from caplab.check import CHECKERS, PROPERTIES, Context, Property, check_history
from caplab.check.checker import RATIO, SHARE
from caplab.contract.names import FINDINGS_SCHEMA, PREFIX, VERDICT_SCHEMA
from caplab.files import results
from caplab.run import plans, suite_run
from caplab.run.command import RunOptions, run
from caplab.run.plans import Machine

# What readers of version 1 may rely upon: fields may be added here, and none may go.
VERSION_1 = {
    "": {"schema", "suite", "machine", "verdict", "runs", "repeats", "failures"},
    "machine": {"cores", "memory_bytes", "load", "cpu", "architecture", "kernel"},
    "run": {
        "run", "name", "began", "experiment", "has_primary", "verdict", "row", "reasons", "properties",
        "settings", "specs", "versions", "images",
    },
    "property": {
        "property", "side", "route", "promise", "state", "reason", "unit", "measured", "of", "at_least", "budget",
        "limit",
    },
    "repeats": {"name", "n", "failover_seconds", "lost", "ack_ratio"},
    "spread": {"n", "min", "median", "max", "at_least"},
    "finding": {"property", "state", "reason", "figures"},
}  # fmt: skip


# A schema as it is published, and that of findings with the figures of every checker.
SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "verdict": lambda: schemas.published("verdict"),
    "findings": lambda: schemas.published("findings"),
    "every figure": schemas.findings,
}


def strict(part: Any) -> Any:
    """The schema with no room for fields that it does not describe."""
    if isinstance(part, list):
        return [strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {name: inner if name in ("if", "allOf") else strict(inner) for name, inner in part.items()}
    if "required" in part:
        closed["additionalProperties"] = False
    if "required" in part and part.get("allOf"):
        closed["properties"] = {**closed["properties"], "error": {"type": "string"}}
    return closed


def problems(name: str, value: Any) -> list[str]:
    validator = Draft202012Validator(strict(SCHEMAS[name]()))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a suite of three runs, one of them invalid and one that was not made."""
    fake = FakeToolkit(lost={"postgres/kill-primary"})
    fake.instead["redis/control"] = _broken
    experiments = experiments_in(tmp_path / "experiments")
    monkeypatch.setattr(suite_run, "drive", fake)
    monkeypatch.setattr("caplab.run.command.experiments_folder", lambda: experiments)
    run(RunOptions(name="two", folder=tmp_path / "results", repeat=2, keep=True), io.StringIO())
    (folder,) = (tmp_path / "results").iterdir()
    return folder


def _broken(folder: Path) -> dict[str, Any]:
    raise ZeroDivisionError


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name]())
    Draft202012Validator.check_schema(strict(SCHEMAS[name]()))


def test_what_a_suite_leaves_behind_is_as_its_schemas_say(suite: Path) -> None:
    verdict = json.loads((suite / results.VERDICT).read_text())
    assert (verdict["verdict"], len(verdict["runs"]), len(verdict["failures"])) == ("invalid", 4, 2)
    assert verdict["repeats"]
    assert problems("verdict", verdict) == []
    written = sorted(suite.glob(f"*/{results.FINDINGS}"))
    assert len(written) == 4
    for file in written:
        for name in ("findings", "every figure"):
            assert problems(name, json.loads(file.read_text())) == [], file


def test_the_findings_of_every_checker_are_as_the_schema_says(tmp_path: Path) -> None:
    rows = [*adds(range(100), epoch="1"), *scan(range(100))]
    results.write_findings(tmp_path, check_history(history(rows), Context(), CHECKERS))
    findings = json.loads((tmp_path / results.FINDINGS).read_text())
    assert {finding["property"] for finding in findings["findings"]} == set(CHECKERS)
    assert problems("findings", findings) == []
    assert problems("every figure", findings) == []


def unit_in_the_name(figure: str) -> str:
    """The unit that the published schema reads from a figure's name; '' for none."""
    patterns = schemas.published("findings")["$defs"]["finding"]["properties"]["figures"]["patternProperties"]
    definitions = {part["$ref"] for pattern, part in patterns.items() if re.search(pattern, figure)}
    return (
        {"#/$defs/seconds": "s", "#/$defs/share": SHARE, "#/$defs/times": RATIO}[definitions.pop()]
        if definitions
        else ""
    )


@pytest.mark.parametrize("declared", PROPERTIES.values(), ids=PROPERTIES)
def test_the_end_of_a_figures_name_is_its_propertys_unit(declared: Property) -> None:
    assert unit_in_the_name(declared.figure) == declared.unit or (
        declared.unit == RATIO and not unit_in_the_name(declared.figure)
    )
    assert unit_in_the_name(declared.of) == ""


def test_a_schema_of_expectations_is_what_the_checkers_declare(tmp_path: Path) -> None:
    here = schemas.EXPECTATIONS.read_text()
    assert here == schemas.rendered(schemas.expectations()), "Hint: make schemas"
    stale = tmp_path / "stale.json"
    stale.write_text(here.replace('"lostWindow",', ""))
    assert stale.read_text() != schemas.rendered(schemas.expectations(stale)) == here


def test_the_schema_of_findings_is_printed_with_every_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["caplab.schemas", "findings"])
    runpy.run_module("caplab.schemas", run_name="__main__")
    printed = capsys.readouterr().out
    assert json.loads(printed) == schemas.findings()
    for declared in PROPERTIES.values():
        assert f'"{declared.figure}": {{' in printed


def test_a_version_loses_no_field() -> None:
    verdict, findings = schemas.published("verdict"), schemas.published("findings")
    every = {"": verdict, **verdict["$defs"], **findings["$defs"]}
    for name, fields in VERSION_1.items():
        assert fields <= set(every[name]["required"]), name
        assert fields <= set(every[name]["properties"]), name
    assert verdict["properties"]["schema"]["const"] == VERDICT_SCHEMA
    assert findings["properties"]["schema"]["const"] == FINDINGS_SCHEMA
    assert set(findings["required"]) == {"schema", "findings"}


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    def change(verdict: dict[str, Any]) -> None:
        del verdict["runs"][0][name]

    return change


def _with(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(verdict: dict[str, Any]) -> None:
        verdict["runs"][0]["properties"][0][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without("versions"), "'versions' is a required property"),
        (_without("began"), "'began' is a required property"),
        (_with("new", 1), "'new' was unexpected"),
        (_with("measured", True), "True is not valid"),
        (_with("state", "fine"), "'fine' is not one of"),
        (_with("unit", "ms"), "'ms' is not one of"),
        (lambda verdict: verdict.update(schema=f"{PREFIX}verdict/v2"), f"'{VERDICT_SCHEMA}' was expected"),
    ],
)
def test_a_file_that_drifted_from_its_schema_is_seen(
    suite: Path, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    verdict = json.loads((suite / results.VERDICT).read_text())
    drifted = deepcopy(verdict)
    change(drifted)
    assert any(says in problem for problem in problems("verdict", drifted))


@pytest.mark.parametrize(
    ("name", "figure", "value", "says"),
    [
        ("every figure", "lost", 0.5, "0.5 is not of type 'integer', 'array', 'null'"),
        ("every figure", "lost_window_seconds", "3", "'3' is not of type 'number', 'null'"),
        ("findings", "lost_window_seconds", "3", "'3' is not of type 'number', 'null'"),
        ("findings", "anything_seconds", -1, "-1 is less than the minimum of 0"),
        ("findings", "lower_bounds", "lost", "'lost' is not of type 'array'"),
    ],
)
def test_a_figure_of_another_kind_is_seen(name: str, figure: str, value: object, says: str) -> None:
    finding = {"property": "durability", "state": "valid", "reason": "", "figures": {figure: value}}
    sentences = problems(name, {"schema": FINDINGS_SCHEMA, "findings": [finding]})
    assert {*sentences} == {f"$.findings[0].figures.{figure}: {says}"}


def test_a_plan_of_an_older_version_is_read_and_the_machine_here_is_told(tmp_path: Path) -> None:
    machine = Machine.here()
    assert machine.architecture
    assert machine.kernel
    plan = {"suite": "s", "name": "s", "settings": {}, "repeat": 1, "runs": []}
    (tmp_path / plans.PLAN).write_text(json.dumps({**plan, "machine": {"cores": 2, "memory_bytes": 9, "load": 0.5}}))
    assert plans.read(tmp_path).machine == Machine(cores=2, memory_bytes=9, load=0.5)
    cpus = tmp_path / "cpuinfo"
    cpus.write_text("processor : 0\nmodel name\t: A  Fast(R)\tOne\nmodel name : other\n")
    assert plans._cpu(cpus) == "A Fast(R) One"
    assert plans._cpu(tmp_path / "none") == ""
