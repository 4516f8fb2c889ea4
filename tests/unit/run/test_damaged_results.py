"""Results that were changed since they were judged: no report shows a better verdict than the files support."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.runs.page_suites import write_control, write_suite

from caplab.command_error import CommandError
from caplab.files import results
from caplab.model.fields import FieldError
from caplab.run import plans, reporting
from caplab.run.options import CHARTS, RECORD
from caplab.run.reading import read_report

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "20261129-180000-core")


@pytest.fixture
def run(suite: Path) -> Path:
    """Return the folder of a run that is valid."""
    return suite / "01-postgres-kill-primary"


def change(file: Path, what: Change) -> None:
    content = json.loads(file.read_text())
    what(content)
    file.write_text(json.dumps(content))


def durability(findings: dict[str, Any]) -> dict[str, Any]:
    return next(finding for finding in findings["findings"] if finding["property"] == "durability")


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        (results.JOURNAL, lambda it: it["caplab"]["properties"][2].update(state="invalid", measured=7), "is 7 there"),
        (results.JOURNAL, lambda it: it["caplab"]["properties"][2].update(measured=500), "is 500 there, and 0"),
        (results.JOURNAL, lambda it: [each.update(state="unknown") for each in it["caplab"]["properties"]], "there"),
        (results.JOURNAL, lambda it: it["caplab"].update(properties=[]), "it names no property"),
        (results.JOURNAL, lambda it: it["caplab"].update(reasons=["it was late"]), "against it: it was late"),
        (results.JOURNAL, lambda it: it["caplab"].update(row="redis wait-1 kill"), "of the row 'redis wait-1 kill'"),
        (results.JOURNAL, lambda it: it["caplab"].update(seconds=7), "caplab.seconds"),
        (results.JOURNAL, lambda it: it["caplab"].update(seconds={"load": None}), "field 'load' must be a number"),
        (results.JOURNAL, lambda it: it["caplab"].update(seconds={"load": 10**400}), "a number has 401 digits"),
        (results.JOURNAL, lambda it: it["caplab"].update(seconds={"load": float("nan")}), "'load' must be a number of"),
        (results.JOURNAL, lambda it: it["caplab"].update(run=1), "field 'run' must be a text"),
        (results.RECORD, lambda it: it["fault_windows"][0].update(proven=False), "it is unknown: There is no evidence"),
        (results.RECORD, lambda it: it.update(engine="redis", mode="x"), "and the run of 'redis x kill-primary'"),
        (results.FINDINGS, lambda it: it.update(findings=[]), "it is unknown: "),
        (results.FINDINGS, lambda it: durability(it)["figures"].update(lost=500), "it is invalid: "),
        (results.FINDINGS, lambda it: durability(it)["figures"].update(lost=10**400), "a number has 401 digits"),
    ],
)  # fmt: skip
def test_a_verdict_that_does_not_follow_from_the_files_is_refused(
    run: Path, name: str, what: Change, said: str
) -> None:
    assert read_report(run).verdict.state.value == "valid"
    change(run / name, what)
    with pytest.raises(FieldError) as refused:
        read_report(run)
    assert said in str(refused.value)
    assert str(refused.value).count("Hint: ") == 1


def test_a_report_reads_its_journal_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = results.read_journal
    reads: list[Path] = []

    def counted(folder: Path) -> dict[str, Any]:
        reads.append(folder)
        return read(folder)

    monkeypatch.setattr(results, "read_journal", counted)
    read_report(run)
    assert reads == [run]


def test_a_field_that_is_there_twice_is_refused(run: Path) -> None:
    file = run / results.RECORD
    text = file.read_text()
    file.write_text(text.replace('"proven": true', '"proven": false, "proven": true', 1))
    assert file.read_text() != text
    with pytest.raises(FieldError, match="an object has a field twice"):
        read_report(run)


def test_a_record_lists_the_runs_that_it_lacks(suite: Path) -> None:
    (suite / "02-postgres-kill-primary" / results.JOURNAL).write_text("{")
    (suite / "03-redis-kill-primary" / results.FINDINGS).unlink()
    reporting.report([suite], RECORD)
    first = (suite / results.DRILL).read_text().partition("\n---\n")[0]
    assert "| AS PROMISED: none of 2,800 acknowledged writes lost |" in first
    assert "NO VERDICT: its journal cannot be read: " in first
    assert "NO VERDICT: it ended without a verdict" in first
    assert "NO VERDICT: not made" in first


def test_a_suite_without_a_verdict_says_why_its_first_run_has_none(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    (run,) = folder.glob("01-*")
    (run / results.JOURNAL).write_text("1")
    with pytest.raises(CommandError, match="its journal cannot be read: "):
        reporting.report([folder])


def test_charts_are_not_written_through_a_linked_run(suite: Path, run: Path, tmp_path: Path) -> None:
    elsewhere = run.rename(tmp_path / "elsewhere")
    run.symlink_to(elsewhere)
    with pytest.raises(CommandError, match="it is a link"):
        reporting.report([suite], CHARTS)
    assert not (elsewhere / results.CHARTS).exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda it: it.update(runs=it["runs"][:1] * 3), "field 'runs' must be of runs that have different numbers"),
        (lambda it: it["runs"][1].update(experiment="x" * 10_000), "must be a name of at most 200 characters"),
    ],
)
def test_a_plan_names_each_run_once_and_shortly(suite: Path, what: Change, said: str) -> None:
    change(suite / plans.PLAN, what)
    with pytest.raises(FieldError) as refused:
        reporting.report([suite])
    assert said in str(refused.value)
    assert len(str(refused.value)) < 600
