"""`caplab run` of a suite whose experiments are stood in for: what is kept and counted, and how it is gone on with."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from support.runs.fake_runs import SUITE, FakeToolkit, experiments_in, interrupted, journal, left_behind, record_of

from caplab.cli import main
from caplab.files import results
from caplab.model.fields import FieldError
from caplab.run import places, plans, resuming, suite_run
from caplab.run.command import RunOptions, run
from caplab.run.toolkit import RunFailed


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeToolkit:
    fake = FakeToolkit()
    monkeypatch.setattr(suite_run, "drive", fake)
    experiments = experiments_in(tmp_path / "experiments")
    monkeypatch.setattr("caplab.run.command.experiments_folder", lambda: experiments)
    return fake


def made(tmp_path: Path, **options: Any) -> tuple[int, str]:
    """The exit code of a run of the suite 'two', and what is shown."""
    out = io.StringIO()
    values: dict[str, Any] = {"name": "two", "folder": tmp_path / "results", "keep": True}
    code = run(RunOptions(**(values | options)), out)
    return code, out.getvalue()


def suite_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "results").iterdir()
    return folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def verdict(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return read


def crashing(folder: Path) -> dict[str, Any]:
    raise ZeroDivisionError("planted\nin two lines")


def not_judged(folder: Path) -> dict[str, Any]:
    left_behind(folder, record_of("redis/control"))
    return {"status": "completed"}


def lab_failure(folder: Path) -> dict[str, Any]:
    raise RunFailed("no prober")


THREE = ["01-postgres-kill-primary", "02-postgres-control", "03-redis-control"]


def test_a_suite_is_run_in_order_and_kept_with_its_plan_and_reports(tmp_path: Path, toolkit: FakeToolkit) -> None:
    code, shown = made(tmp_path)
    folder = suite_folder(tmp_path)
    assert (code, names(folder)) == (0, THREE)
    assert [run["verdict"] for run in verdict(folder)["runs"]] == ["valid"] * 3
    assert (folder / "summary.md").read_text().startswith("# Runs")
    plan = plans.read(folder)
    assert [run.folder for run in plan.runs] == THREE
    assert (plan.suite, plan.repeat, plan.runs[0].settings) == ("two", 1, {"durability": "quorum"})
    assert plan.machine.cores >= 1
    assert Xml.parse(folder / "junit.xml").getroot().attrib["tests"] == "3"
    assert "to make them" not in shown


def test_a_run_is_shown_in_brief_and_with_every_figure_if_asked(tmp_path: Path, toolkit: FakeToolkit) -> None:
    _, brief = made(tmp_path / "brief")
    _, verbose = made(tmp_path / "verbose", verbose=True)
    assert "AS PROMISED" in brief
    assert "every vantage and route" not in brief
    assert "every vantage and route" in verbose
    assert "\x1b" not in brief + verbose  # no colours: it is no terminal


def test_each_run_is_announced_with_the_time_that_is_left(tmp_path: Path, toolkit: FakeToolkit) -> None:
    made(tmp_path)
    for run_folder in suite_folder(tmp_path).iterdir():
        if run_folder.is_dir():
            results.write_journal(run_folder, journal(seconds={"all": 600.0}))
    first = suite_folder(tmp_path)
    first.rename(first.with_name("20200101-000000-two"))
    _, shown = made(tmp_path)
    lines = [line for line in shown.splitlines() if line.startswith("[")]
    assert lines[0] == "[1/3] postgres/kill-primary durability=quorum   about 30 min left"
    assert re.fullmatch(r"\[3/3\] redis/control   about 10 min left", lines[2])


def test_of_what_was_never_run_no_time_is_guessed(tmp_path: Path, toolkit: FakeToolkit) -> None:
    _, shown = made(tmp_path)
    assert "[1/3] postgres/kill-primary durability=quorum   time left unknown" in shown
    assert "[3/3] redis/control   time left unknown" in shown


def test_a_run_that_the_lab_cannot_make_stops_none_of_the_others(tmp_path: Path, toolkit: FakeToolkit) -> None:
    toolkit.instead["postgres/kill-primary"] = lab_failure
    code, shown = made(tmp_path)
    folder = suite_folder(tmp_path)
    assert code == 3
    assert toolkit.driven == ["postgres/kill-primary", "postgres/control", "redis/control"]
    assert verdict(folder)["failures"] == ["postgres/kill-primary durability=quorum: no prober"]
    assert len(verdict(folder)["runs"]) == 2
    assert f"1 of 3 runs have no verdict; to make them: caplab run two --resume {folder}" in shown


def test_an_unexpected_exception_is_that_runs_failure_and_its_traceback_is_in_its_log(
    tmp_path: Path, toolkit: FakeToolkit
) -> None:
    toolkit.instead["postgres/control"] = crashing
    code, shown = made(tmp_path)
    folder = suite_folder(tmp_path)
    assert (code, len(toolkit.driven)) == (3, 3)
    (failure,) = verdict(folder)["failures"]
    assert "postgres/control durability=quorum: unexpected ZeroDivisionError: planted" in failure
    log = (folder / THREE[1] / "run.log").read_text()
    assert log.startswith("Traceback")
    assert "ZeroDivisionError: planted" in log
    assert "Traceback" not in shown


def test_a_run_without_a_record_or_with_an_error_is_a_failure(tmp_path: Path, toolkit: FakeToolkit) -> None:
    toolkit.instead["postgres/kill-primary"] = lambda folder: {"status": "aborted"}
    toolkit.instead["postgres/control"] = lambda folder: journal(error="it could not be judged")
    toolkit.instead["redis/control"] = not_judged
    code, _ = made(tmp_path)
    failures = verdict(suite_folder(tmp_path))["failures"]
    assert code == 3
    assert "ended as aborted, and left no record" in failures[0]
    assert "it could not be judged" in failures[1]
    assert "ended as completed, and was not judged" in failures[2]


def begun_and_interrupted(tmp_path: Path, toolkit: FakeToolkit, at: str = "postgres/control") -> Path:
    toolkit.instead[at] = interrupted
    code, _ = made(tmp_path)
    assert code == 3
    toolkit.instead.clear()
    toolkit.driven.clear()
    return suite_folder(tmp_path)


def test_a_suite_that_was_interrupted_is_gone_on_with(tmp_path: Path, toolkit: FakeToolkit) -> None:
    toolkit.lost.add("postgres/kill-primary")
    folder = begun_and_interrupted(tmp_path, toolkit)
    code, shown = made(tmp_path, resume=resuming.NEWEST)
    assert toolkit.driven == ["postgres/control", "redis/control"]
    assert f"resuming {folder}: 2 of 3 runs are left" in shown
    assert "[1/3] postgres/kill-primary durability=quorum   kept: PROMISE BROKEN" in shown
    # Exit code and reports are of all the runs: the one that was kept lost a write.
    assert code == 1
    assert [run["verdict"] for run in verdict(folder)["runs"]] == ["invalid", "valid", "valid"]
    assert Xml.parse(folder / "junit.xml").getroot().attrib["tests"] == "3"
    # What the interrupted run left is set aside.
    assert names(folder) == [*THREE[:2], f"{THREE[1]}.aside-1", THREE[2]]
    assert "half made" in (folder / f"{THREE[1]}.aside-1" / "run.log").read_text()


def test_a_kept_run_is_judged_anew(tmp_path: Path, toolkit: FakeToolkit) -> None:
    folder = begun_and_interrupted(tmp_path, toolkit)
    record = folder / THREE[0] / "run.json"
    record.write_text(record.read_text().replace('"proven": true', '"proven": false'))
    code, shown = made(tmp_path, resume=resuming.NEWEST)
    assert "kept: NOT PROVEN" in shown
    assert code == 2


@pytest.mark.parametrize("broken", ["run.json", "history.parquet", "journal.json", "findings.json"])
def test_a_run_with_a_broken_or_missing_file_is_run_again(tmp_path: Path, toolkit: FakeToolkit, broken: str) -> None:
    folder = begun_and_interrupted(tmp_path, toolkit)
    if broken == "findings.json":
        (folder / THREE[0] / broken).unlink()
    else:
        (folder / THREE[0] / broken).write_bytes(b"{")
    code, _ = made(tmp_path, resume=resuming.NEWEST)
    assert (code, toolkit.driven) == (0, ["postgres/kill-primary", "postgres/control", "redis/control"])
    assert (folder / f"{THREE[0]}.aside-1").is_dir()


def test_a_lab_failure_is_run_again_and_set_aside_each_time(tmp_path: Path, toolkit: FakeToolkit) -> None:
    toolkit.instead["redis/control"] = crashing
    made(tmp_path)
    code, _ = made(tmp_path, resume=resuming.NEWEST)
    assert code == 3
    toolkit.instead.clear()
    toolkit.driven.clear()
    code, _ = made(tmp_path, resume=str(suite_folder(tmp_path)))
    assert (code, toolkit.driven) == (0, ["redis/control"])
    assert names(suite_folder(tmp_path))[-2:] == [f"{THREE[2]}.aside-1", f"{THREE[2]}.aside-2"]


def test_a_run_of_an_experiment_that_has_changed_is_made_again(tmp_path: Path, toolkit: FakeToolkit) -> None:
    folder = begun_and_interrupted(tmp_path, toolkit)
    (tmp_path / "experiments" / "postgres" / "kill-primary.yaml").write_text("title: another\n")
    made(tmp_path, resume=resuming.NEWEST)
    assert toolkit.driven[0] == "postgres/kill-primary"
    assert (folder / f"{THREE[0]}.aside-1").is_dir()


@pytest.mark.parametrize(
    ("suite", "says"),
    [
        (SUITE.replace("quorum", "async", 1), "run 1 was 'postgres/kill-primary durability=quorum' and is 'postgres/"),
        (SUITE + "- {experiment: redis/control}\n", "run 4, 'redis/control', is new"),
        (SUITE.replace("- {experiment: redis/control}\n", ""), "run 3, 'redis/control', no longer exists"),
    ],
)
def test_a_suite_that_has_changed_is_not_gone_on_with(
    tmp_path: Path, toolkit: FakeToolkit, suite: str, says: str
) -> None:
    folder = begun_and_interrupted(tmp_path, toolkit)
    experiments_in(tmp_path / "experiments", suite)
    with pytest.raises(FieldError, match=f"'two' has changed since .*: {re.escape(says)}.*Hint: put the suite's file"):
        made(tmp_path, resume=resuming.NEWEST)
    assert toolkit.driven == []
    assert names(folder) == THREE[:2]


def test_settings_and_repeats_are_gone_on_with_too(tmp_path: Path, toolkit: FakeToolkit) -> None:
    toolkit.instead["redis/control"] = interrupted
    made(tmp_path, repeat=2, settings={"rate": "20"})
    toolkit.instead.clear()
    toolkit.driven.clear()
    code, shown = made(tmp_path, resume=resuming.NEWEST)
    assert (code, toolkit.driven) == (0, ["redis/control"] * 2)
    assert "[6/6] redis/control rate=20" in shown


def test_the_newest_that_is_not_finished_is_gone_on_with(tmp_path: Path, toolkit: FakeToolkit) -> None:
    older = begun_and_interrupted(tmp_path, toolkit)
    older = older.rename(older.with_name("20200101-000000-two"))
    made(tmp_path)
    other = tmp_path / "results" / "20990101-000000-not-two"
    other.mkdir()
    code, shown = made(tmp_path, resume=resuming.NEWEST)
    assert (code, f"resuming {older}" in shown) == (0, True)
    with pytest.raises(FieldError, match=r"Nothing to resume: all runs of .* have their verdict. Hint: run it"):
        made(tmp_path, resume=resuming.NEWEST)
    with pytest.raises(FieldError, match="Nothing to resume: all runs of"):
        made(tmp_path, resume=str(older))


def test_where_there_is_nothing_to_go_on_with_it_is_said(tmp_path: Path, toolkit: FakeToolkit) -> None:
    with pytest.raises(FieldError, match=r"has no suite 'two' with a plan. Hint: run it without --resume"):
        made(tmp_path, resume=resuming.NEWEST)
    with pytest.raises(FieldError, match=r"it has no plan.json. Hint: name a folder"):
        made(tmp_path, resume=str(tmp_path))
    folder = begun_and_interrupted(tmp_path, toolkit)
    with pytest.raises(FieldError, match=r"is of 'two', not of 'redis/control'. Hint"):
        made(tmp_path, name="redis/control", resume=str(folder))


@pytest.mark.parametrize(
    ("of", "says"),
    [("{", "not JSON"), ("{}", "field 'runs' is missing"), ('{"rums": []}', "no such field 'rums'")],
)
def test_a_broken_plan_is_refused_by_name(tmp_path: Path, toolkit: FakeToolkit, of: str, says: str) -> None:
    (begun_and_interrupted(tmp_path, toolkit) / "plan.json").write_text(of)
    with pytest.raises(FieldError, match=rf"plan.json: .*{says}.* Hint: "):
        made(tmp_path, resume=resuming.NEWEST)


def test_a_suite_at_which_somebody_is_at_work_is_left_alone(tmp_path: Path, toolkit: FakeToolkit) -> None:
    folder = begun_and_interrupted(tmp_path, toolkit)
    with resuming.held(folder), pytest.raises(FieldError, match="Another `caplab run` is working in"):
        made(tmp_path, resume=resuming.NEWEST)
    assert made(tmp_path, resume=resuming.NEWEST)[0] == 0


def test_the_command_line_goes_on_with_a_suite(
    tmp_path: Path, toolkit: FakeToolkit, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "none")
    monkeypatch.setattr(places, "choose_lab", lambda: "the lab")
    folder = begun_and_interrupted(tmp_path, toolkit)
    asked = ["run", "two", "--keep", "--results", str(tmp_path / "results"), "--resume"]
    assert main([*asked, "--repeat", "2"]) == 3
    assert "leave out --set and --repeat" in capsys.readouterr().err
    assert main(asked) == 0
    assert main([*asked, str(folder)]) == 3
    assert "FAILED: Nothing to resume" in capsys.readouterr().err


def test_a_run_is_judged_by_its_control_alone_and_the_suite_needs_no_history(
    tmp_path: Path, toolkit: FakeToolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_history(folder: Path) -> dict[str, Any]:
        verdict = left_behind(folder, record_of("postgres/kill-primary"), lost=True)
        (folder / results.HISTORY).unlink()
        return journal(**verdict)

    toolkit.instead["postgres/kill-primary"] = without_history
    monkeypatch.setattr(suite_run, "judge_folder", _second_judge)
    code, shown = made(tmp_path)
    folder = suite_folder(tmp_path)
    assert (code, [run["verdict"] for run in verdict(folder)["runs"]]) == (1, ["invalid", "valid", "valid"])
    assert re.search("acked writes lost +forbidden", shown)
    assert [(folder / name / results.TIMELINE).exists() for name in THREE] == [False, True, True]


def _second_judge(folder: Path) -> None:
    raise AssertionError(f"{folder} is judged twice")


@pytest.mark.parametrize(
    "planted", [{"verdict": "fine"}, {"properties": [{}]}, {"properties": None}, {"row": ""}, {"reasons": 1}]
)
def test_a_verdict_that_is_damaged_is_that_runs_failure(
    tmp_path: Path, toolkit: FakeToolkit, planted: dict[str, Any]
) -> None:
    toolkit.instead["postgres/kill-primary"] = lambda folder: journal(
        **{**left_behind(folder, record_of("postgres/kill-primary")), **planted}
    )
    code, _ = made(tmp_path)
    (failure,) = verdict(suite_folder(tmp_path))["failures"]
    assert code == 3
    assert "journal.json: caplab" in failure
