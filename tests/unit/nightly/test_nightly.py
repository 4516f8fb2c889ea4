"""What a pipeline calls around a suite: what came of it, its page, and which folders are kept."""

from __future__ import annotations

import datetime
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from caplab import cli
from caplab.compare.options import COMPARED
from caplab.model.fields import FieldError
from caplab.nightly import folders
from caplab.nightly.folders import Bounds, StoredSuite
from caplab.nightly.outcomes import Codes, Outcome, judge, wanted, workflow_commands
from caplab.nightly.summary import Parts, bounded, page

EVERY = frozenset(Outcome)
NOW = datetime.datetime(2026, 11, 29, 2, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("codes", "outcomes", "exit_code"),
    [
        (Codes(0), (), 0),
        (Codes(0, 0), (), 0),
        (Codes(0, 2), (), 0),
        (Codes(1, 0), (Outcome.INVALID,), 1),
        (Codes(2, 0), (Outcome.UNKNOWN,), 2),
        (Codes(2, 1), (Outcome.UNKNOWN, Outcome.REGRESSED), 1),
        (Codes(0, 3), (Outcome.UNCOMPARED,), 2),
        (Codes(3, 1), (Outcome.FAILED, Outcome.REGRESSED), 3),
        (Codes(124), (Outcome.FAILED,), 3),
        (Codes(137), (Outcome.FAILED,), 3),
    ],
)
def test_exit_codes_say_what_came_of_it(codes: Codes, outcomes: tuple[Outcome, ...], exit_code: int) -> None:
    judgement = judge(codes, EVERY)
    assert judgement.outcomes == outcomes
    assert judgement.exit_code == exit_code
    assert judge(codes, frozenset()).exit_code == 0


def test_only_what_is_named_fails_the_job() -> None:
    judgement = judge(Codes(2, 1), wanted("failed regressed"))
    assert judgement.failing == (Outcome.REGRESSED,)
    warning, error = workflow_commands(judgement, Codes(2, 1))
    assert warning.startswith("::warning title=caplab%3A unknown::")
    assert error.startswith("::error title=caplab%3A regression::")


@pytest.mark.parametrize("text", ["", "invalid,none", "violated"])
def test_words_that_are_none_are_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(FieldError, match=r"Hint: use invalid, unknown, failed, regressed, uncompared"):
        wanted(text)


def test_a_page_that_is_too_long_is_cut_at_a_line_and_says_so() -> None:
    parts = Parts(suite="core", changes="what changed", runs="a line of a run\n" * 1000)
    whole = page(parts, judge(Codes(1), EVERY), Codes(1), 10**6)
    cut = page(parts, judge(Codes(1), EVERY), Codes(1), 2000)
    assert len(cut.encode()) <= 2000
    assert cut.endswith("\n\n*Cut here: the rest is in the artifacts.*\n")
    assert whole.startswith(cut.partition("\n\n*Cut")[0])
    assert "what changed" in cut
    assert bounded("äöü\n" * 100, 200).encode().decode()


def kept(days_ago: float, size: int = 1, suite: str = "core") -> StoredSuite:
    begun = NOW - datetime.timedelta(days=days_ago)
    return StoredSuite(Path(f"{begun:%Y%m%d-%H%M%S}-{suite}"), begun, suite, size)


def test_the_oldest_go_by_age_size_and_number_and_the_newest_never() -> None:
    every = [kept(3, 10), kept(2, 10), kept(1, 10), kept(0.5, 10, "smoke")]
    assert folders.to_prune(every, Bounds(), NOW) == []
    assert folders.to_prune(every, Bounds(age=datetime.timedelta(days=1.5)), NOW) == every[:2]
    assert folders.to_prune(every, Bounds(size_bytes=25), NOW) == every[:2]
    assert folders.to_prune(every, Bounds(last=2), NOW) == every[:1]
    assert folders.to_prune(every, Bounds(datetime.timedelta(0), 0, 1), NOW) == every[:3]
    assert folders.to_prune([], Bounds(size_bytes=0), NOW) == []


def test_pruning_touches_nothing_that_is_no_suites_folder(tmp_path: Path) -> None:
    others = ["20261101-020000-core.part", "notes", "20269999-020000-core"]
    for name in ("20261101-020000-core", "20261102-020000-core", *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "verdict.json").write_text("{}")
    (tmp_path / "20261001-000000-core").symlink_to(tmp_path / "notes")
    gone = folders.prune(tmp_path, Bounds(size_bytes=0), NOW)
    assert [suite.path.name for suite in gone] == ["20261101-020000-core", "20261101-020000-core.part"]
    assert (tmp_path / "notes" / "verdict.json").exists()
    assert (tmp_path / "20269999-020000-core").exists()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "as promised"),
        ("0", "as promised, and nothing regressed"),
        ("2", "whether anything regressed is not known"),
    ],
)
def test_no_more_is_said_than_the_comparison_can_tell(capsys: pytest.CaptureFixture[str], code: str, says: str) -> None:
    for step in (["judge"], ["summary", "--suite", "core"]):
        assert cli.main(["nightly", *step, "--run", "0", "--compare", code]) == 0
        output = capsys.readouterr().out
        assert says in output
        assert ("nothing regressed" in output) is (code == "0")


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        command = [sys.executable, "-m", "caplab", "nightly", "summary", "--suite", "core", "--run", "0"]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["nightly", "serve", "--results", str(tmp_path), "--port", port]) == 3
    output = capsys.readouterr()
    assert output.out == ""
    assert f"the page cannot listen on 127.0.0.1:{port}: Address already in use. Hint:" in output.err


def test_what_was_compared_has_one_heading_and_what_was_not_its_reason() -> None:
    codes = Codes(0, 0)
    text = page(
        Parts(suite="core", changes=f"{COMPARED}\n\n20 runs\n", runs="# Runs"), judge(codes, frozenset()), codes
    )
    assert "## What changed\n\n20 runs\n" in text
    assert COMPARED not in text
    codes = Codes(3)
    text = page(Parts(suite="core"), judge(codes, frozenset()), codes)
    assert "Not compared: the suite left no results." in text


def test_a_suite_is_added_to_a_baseline_without_its_histories_whole_or_not_at_all(tmp_path: Path) -> None:
    suite = tmp_path / "20261129-020000-core"
    (suite / "01-x").mkdir(parents=True)
    for name in ("history.parquet", "timeline.svg", "findings.json"):
        (suite / "01-x" / name).write_text(name)
    baseline = tmp_path / "baseline"
    (baseline / f".{suite.name}.part" / "left").mkdir(parents=True)  # by one that was interrupted
    for _ in range(2):
        assert cli.main(["nightly", "keep", str(suite), "--into", str(baseline)]) == 0
    assert [folder.name for folder in baseline.iterdir()] == [suite.name]
    assert [file.name for file in (baseline / suite.name / "01-x").iterdir()] == ["findings.json"]


def test_what_is_missing_is_said_and_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nightly", "newest", str(tmp_path)]) == 3
    assert "has no suite's folder. Hint:" in capsys.readouterr().err
    assert cli.main(["nightly", "keep", str(tmp_path), "--into", str(tmp_path / "b")]) == 3
    assert "is not a suite's folder. Hint:" in capsys.readouterr().err
    gone = str(tmp_path / "gone")
    assert cli.main(["nightly", "summary", gone, "--run", "0"]) == 3
    assert f"there is no folder '{gone}'. Hint:" in capsys.readouterr().err
    assert cli.main(["nightly", "serve", "--results", gone]) == 3
    assert f"there is no folder '{gone}'. Hint:" in capsys.readouterr().err
    assert cli.main(["nightly", "judge", "--fail-on", "everything"]) == 3
    assert "fail-on names 'everything'" in capsys.readouterr().err


def test_a_code_of_thousands_of_digits_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["nightly", "judge", "--run", "1" * 5000])
    assert "is not an exit code" in capsys.readouterr().err
