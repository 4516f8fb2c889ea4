"""`caplab run` leaves report.html beside the verdicts, and one that cannot be made changes nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from support.runs.fake_runs import FakeToolkit, experiments_in, interrupted

from caplab.files import results
from caplab.run import pages, suite_run
from caplab.run.command import RunOptions, run


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeToolkit:
    fake = FakeToolkit()
    monkeypatch.setattr(suite_run, "drive", fake)
    experiments = experiments_in(tmp_path / "experiments")
    monkeypatch.setattr("caplab.run.command.experiments_folder", lambda: experiments)
    return fake


def made(tmp_path: Path) -> tuple[int, str, Path]:
    """Return the exit code of a run of the suite 'two', what is shown, and its folder."""
    out = io.StringIO()
    code = run(RunOptions(name="two", folder=tmp_path / "results", keep=True), out)
    (folder,) = (tmp_path / "results").iterdir()
    return code, out.getvalue(), folder


def test_a_suite_ends_with_its_page(tmp_path: Path, toolkit: FakeToolkit) -> None:
    code, shown, folder = made(tmp_path)
    text = (folder / results.PAGE).read_text()
    assert code == 0
    assert f"report: {folder / results.PAGE}" in shown
    assert text.count('data-label="verdict"') == 3


def test_an_interrupted_suite_has_a_page_that_says_what_is_missing(tmp_path: Path, toolkit: FakeToolkit) -> None:
    toolkit.instead["postgres/control"] = interrupted
    _, _, folder = made(tmp_path)
    text = (folder / results.PAGE).read_text()
    assert "postgres/control durability=quorum" in text
    assert "interrupted" in text
    assert "not made" in text  # the run after it


def test_a_page_that_cannot_be_made_is_noted_and_the_verdict_stands(
    tmp_path: Path, toolkit: FakeToolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path, failures: object) -> Path:
        raise ValueError("planted")

    monkeypatch.setattr(pages, "write_suite", broken)
    code, shown, folder = made(tmp_path)
    assert code == 0
    assert "note: no report.html: ValueError: planted (its traceback is in the run's run.log)" in shown
    assert (folder / results.VERDICT).is_file()
