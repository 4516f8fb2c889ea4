"""`caplab demo`: recorded runs are checked and judged anew without a cluster, and what others own stays as it is."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import time
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import record_demo
from support.runs.page_suites import write_control

from caplab import cli
from caplab.command_error import CommandError
from caplab.files import results
from caplab.files.packaged import experiments_folder, recorded_folder
from caplab.plain_text import SteadyWriter
from caplab.run import demo, pages, plans, stored
from caplab.run.demo import DemoOptions, has_desktop
from caplab.run.suites import find

_SECONDS = 30  # ten on a machine that is not busy, beside many other tests


@dataclass(frozen=True)
class Shown:
    """A demo: its folder, what it printed, its exit code, and how long it took in seconds."""

    folder: Path
    text: str
    code: int
    seconds: float


@pytest.fixture(scope="module", autouse=True)
def no_library() -> Iterator[None]:
    """Spare the bundling of the charts: test_page_in_browser.py has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "chart_library", lambda: "")
        yield


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder, out, began = tmp_path_factory.mktemp("demo") / "caplab-demo", io.StringIO(), time.monotonic()
    code = demo.demo(DemoOptions(folder=folder, may_open=False), out)
    return Shown(folder, out.getvalue(), code, time.monotonic() - began)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses for which a browser would have been opened."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def figures(shown: Shown, name: str) -> dict[str, float]:
    """Return the largest figure of a name of each run: of its sides and routes."""
    runs = json.loads((shown.folder / results.VERDICT).read_text())["runs"]
    return {run["name"]: max((_measured(entry, name) for entry in run["properties"]), default=0) for run in runs}


def _measured(entry: Mapping[str, Any], name: str) -> float:
    return entry["measured"] or 0 if entry["property"] == name else 0


def test_every_line_fits_eighty_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "report_columns", lambda: 80)
    out = io.StringIO()
    demo.demo(DemoOptions(folder=Path("caplab-demo"), may_open=False), out)
    assert [line for line in out.getvalue().split("\n") if len(line) > 80] == []


def test_what_settings_change_about_a_cut_network_is_seen(shown: Shown) -> None:
    assert shown.code == 0
    assert "4 as promised · 0 promise broken · 0 not proven" in shown.text
    lost, stale = figures(shown, "lost"), figures(shown, "stale")
    redis, postgres, one, quorum = lost
    assert (redis.split()[0], postgres.split()[0], one.split()[0]) == ("redis", "postgres", "cassandra")
    assert lost[redis] > 100
    assert lost[postgres] == 0
    assert stale[one] > 100
    assert stale[quorum] == 0


def test_everything_is_made_anew_and_the_page_is_there(shown: Shown) -> None:
    recorded = {file.relative_to(recorded_folder()) for file in recorded_folder().rglob("*") if file.is_file()}
    assert {path.name for path in recorded} == {plans.PLAN, results.RECORD, results.HISTORY, results.JOURNAL}
    assert shown.text.count(" operations checked and judged in ") == 4
    assert f"report: {shown.folder / results.PAGE}" in shown.text
    assert (shown.folder / results.PAGE).stat().st_size > 100_000
    assert shown.seconds < _SECONDS


def test_the_recording_is_small_and_of_the_suite_that_makes_it(shown: Shown) -> None:
    assert record_demo.size(recorded_folder()) < record_demo.MAX_BYTES
    plan, suite = plans.read(recorded_folder()), find(experiments_folder(), "demo", {})
    assert [(run.experiment, run.settings) for run in plan.runs] == [
        (run.experiment, run.settings) for run in suite.runs
    ]
    journals = "".join(file.read_text() for file in recorded_folder().glob(f"*/{results.JOURNAL}"))
    assert '"folder"' not in journals


def test_an_earlier_demo_is_made_again_and_anything_else_is_left_alone(tmp_path: Path, shown: Shown) -> None:
    folder = tmp_path / "again"
    shutil.copytree(shown.folder, folder)
    (folder / results.PAGE).unlink()
    demo.demo(DemoOptions(folder=folder, may_open=False), io.StringIO())
    assert (folder / results.PAGE).exists()
    mine = write_control(tmp_path / "mine")
    before = {file: file.read_bytes() for file in mine.rglob("*") if file.is_file()}
    with pytest.raises(CommandError, match=r"it holds something else\. Hint: name another folder"):
        demo.demo(DemoOptions(folder=mine, may_open=False), io.StringIO())
    assert {file: file.read_bytes() for file in mine.rglob("*") if file.is_file()} == before


def test_a_verdict_that_has_changed_since_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = tmp_path / "recorded"
    shutil.copytree(recorded_folder(), recorded)
    first = next(recorded.glob("01-*"))
    outcome = results.read_journal(first)["caplab"]
    results.write_journal(first, {"caplab": {**outcome, "verdict": "invalid"}})
    monkeypatch.setattr(demo, "recorded_folder", lambda: recorded)
    out = io.StringIO()
    assert demo.demo(DemoOptions(folder=tmp_path / "shown", may_open=False), out) == 0
    assert "note: when it was recorded, it was invalid" in out.getvalue()


def test_what_cannot_be_written_or_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert cli.main(["demo", "--output", str(tmp_path / "file")]) == 3
    assert "--output FOLDER" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
    monkeypatch.setattr(demo, "recorded_folder", lambda: tmp_path / "nothing")
    with pytest.raises(CommandError, match="No recorded runs came with this installation"):
        demo.demo(DemoOptions(folder=tmp_path / "shown", may_open=False), io.StringIO())
    assert not (tmp_path / "shown").exists()


def test_a_browser_opens_on_a_desktop_alone(tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "has_desktop", lambda system, environment: True)
    demo.demo(DemoOptions(folder=tmp_path / "one", may_open=False), io.StringIO())
    assert opened == []
    demo.demo(DemoOptions(folder=tmp_path / "two"), io.StringIO())
    assert opened == [(tmp_path / "two" / results.PAGE).as_uri()]


@pytest.mark.parametrize(
    ("system", "environment", "answer"),
    [
        ("darwin", {}, True),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {}, False),
    ],
)
def test_what_a_desktop_is(system: str, environment: dict[str, str], answer: bool) -> None:
    assert has_desktop(system, environment) is answer


def test_only_a_whole_and_small_suite_is_kept_as_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "kept"
    with pytest.raises(ValueError, match="not a whole suite 'demo'"):
        record_demo.record(write_control(tmp_path / "control"), target)
    whole = tmp_path / "whole"
    demo.demo(DemoOptions(folder=whole, may_open=False), io.StringIO())
    monkeypatch.setattr(record_demo, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="are more than 1,000"):
        record_demo.record(whole, target)
    assert not target.exists()
    monkeypatch.undo()
    assert record_demo.record(whole, target) == record_demo.size(target)
    (next(whole.glob("04-*")) / results.FINDINGS).unlink()
    with pytest.raises(ValueError, match="not a whole suite 'demo'"):
        record_demo.record(whole, target)
    assert target.exists()


def test_links_in_an_earlier_demo_are_replaced_and_lead_nobody_to_what_is_elsewhere(
    tmp_path: Path, shown: Shown
) -> None:
    folder, mine = tmp_path / "again", tmp_path / "mine"
    shutil.copytree(shown.folder, folder)
    mine.write_text("mine")
    run = folder / plans.read(folder).runs[0].folder
    linked = [run / name for name in (results.HISTORY, results.JOURNAL, results.FINDINGS, results.TIMELINE)]
    linked += [folder / name for name in (results.VERDICT, results.SUMMARY, results.JUNIT, results.PAGE)]
    for file in linked:
        file.unlink()
        file.symlink_to(mine)
    demo.demo(DemoOptions(folder=folder, may_open=False), io.StringIO())
    assert mine.read_text() == "mine"
    assert not any(file.is_symlink() for file in linked)


def test_a_linked_folder_is_somebody_elses(tmp_path: Path, shown: Shown) -> None:
    folder, other = tmp_path / "again", tmp_path / "other"
    shutil.copytree(shown.folder, folder)
    run = folder / plans.read(folder).runs[0].folder
    shutil.rmtree(run)
    other.mkdir()
    run.symlink_to(other)
    with pytest.raises(CommandError, match="it holds something else"):
        demo.demo(DemoOptions(folder=folder, may_open=False), io.StringIO())
    assert list(other.iterdir()) == []


def test_a_name_that_is_no_utf_8_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"a\xff")
    with pytest.raises(CommandError, match="its name is not UTF-8"):
        demo.demo(DemoOptions(folder=folder, may_open=False), io.StringIO())
    assert not folder.exists()


def test_a_full_disk_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stored, "write_reports", full)
    with pytest.raises(CommandError, match=r"caplab-demo: No space left on device\. Hint: "):
        demo.demo(DemoOptions(folder=tmp_path / "caplab-demo", may_open=False), io.StringIO())


def test_a_closed_stdout_ends_nothing() -> None:
    out = SteadyWriter(None)
    print("said to nobody", file=out, flush=True)
    assert (out.isatty(), out.problem) == (False, "")
