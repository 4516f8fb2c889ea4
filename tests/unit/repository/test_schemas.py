"""verdict.json and findings.json are what their schemas say, and the schemas of a version lose nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.checkers.histories import adds, scan
from support.checkers.histories import table as history
from support.runs.fake_runs import FakeToolkit, experiments_in

from caplab import schemas
from caplab.check import CHECKERS, Context, check_history
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


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(resources.files("caplab").joinpath("schemas", f"{name}.v1.json").read_text())
    return read


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
    validator = Draft202012Validator(strict(schema(name)))
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


@pytest.mark.parametrize("name", ["verdict", "findings"])
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    Draft202012Validator.check_schema(strict(schema(name)))


def test_what_a_suite_leaves_behind_is_as_its_schemas_say(suite: Path) -> None:
    verdict = json.loads((suite / results.VERDICT).read_text())
    assert (verdict["verdict"], len(verdict["runs"]), len(verdict["failures"])) == ("invalid", 4, 2)
    assert verdict["repeats"]
    assert problems("verdict", verdict) == []
    written = sorted(suite.glob(f"*/{results.FINDINGS}"))
    assert len(written) == 4
    for file in written:
        assert problems("findings", json.loads(file.read_text())) == [], file


def test_the_findings_of_every_checker_are_as_the_schema_says(tmp_path: Path) -> None:
    rows = [*adds(range(100), epoch="1"), *scan(range(100))]
    results.write_findings(tmp_path, check_history(history(rows), Context(), CHECKERS))
    findings = json.loads((tmp_path / results.FINDINGS).read_text())
    assert {finding["property"] for finding in findings["findings"]} == set(CHECKERS)
    assert problems("findings", findings) == []


def test_every_figure_that_a_row_may_name_is_described() -> None:
    described = {
        (part["if"]["properties"]["property"]["const"], figure)
        for part in schema("findings")["$defs"]["finding"]["allOf"]
        for figure in part["then"]["properties"]["figures"]["properties"]
    }
    named = {
        (checker.name, figure)
        for checker in CHECKERS.values()
        for declared in checker.properties
        for figure in (declared.figure, declared.of)
        if figure
    }
    assert described == named


@pytest.mark.parametrize("path", schemas.WRITTEN, ids=lambda path: path.name)
def test_what_a_schema_says_about_properties_is_what_the_checkers_declare(path: Path) -> None:
    assert path.read_text() == schemas.rendered(path), "Hint: make schemas"


def test_a_schema_that_lacks_a_declared_figure_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "findings.v1.json"
    stale.write_text(json.dumps({"$defs": {"finding": {"allOf": []}}}))
    monkeypatch.setattr(schemas, "WRITTEN", {stale: schemas.WRITTEN[Path(schemas.__file__).parent / stale.name]})
    assert stale.read_text() != schemas.rendered(stale)
    assert '"lost_window_seconds": {' in schemas.rendered(stale)


def test_a_version_loses_no_field() -> None:
    verdict, findings = schema("verdict"), schema("findings")
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


def test_a_figure_of_another_kind_is_seen() -> None:
    finding = {"property": "durability", "state": "valid", "reason": "", "figures": {"lost": 0.5}}
    sentences = problems("findings", {"schema": FINDINGS_SCHEMA, "findings": [finding]})
    assert sentences == ["$.findings[0].figures.lost: 0.5 is not of type 'integer', 'array', 'null'"]


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
