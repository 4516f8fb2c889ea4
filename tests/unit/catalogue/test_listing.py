"""`caplab list`: every suite, experiment, row, fault and checker, with a sentence that exists elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY
from support.runs.fake_runs import experiments_in

from caplab import cli
from caplab.catalogue import docstrings, listing
from caplab.catalogue.experiments import Lab
from caplab.catalogue.listing import Section, rendered, sections
from caplab.catalogue.options import KINDS
from caplab.check import CHECKERS
from caplab.contract.objects import FAULT_KINDS
from caplab.judging import expectations, experiments_folder
from caplab.run import suites

FOLDER = experiments_folder()
CPU_SECONDS = 0.5
Captured = pytest.CaptureFixture[str]


def names(listed: Iterable[Section]) -> list[str]:
    return [name for section in listed for name in section.entries]


def test_all_that_there_is_has_a_name_and_a_sentence() -> None:
    there = {
        "suites": suites.names(FOLDER / "suites"),
        "experiments": suites.experiments(FOLDER),
        "rows": [row.name for row in expectations().rows],
        "faults": [*sorted({row.fault for row in expectations().rows}), *FAULT_KINDS],
        "checkers": sorted(CHECKERS),
    }
    assert tuple(there) == KINDS
    for kind, of_kind in there.items():
        listed = sections([kind], FOLDER)
        assert names(listed) == of_kind
        assert [name for section in listed for name, text in section.entries.items() if not text] == []
        assert "${" not in rendered(listed, 100, str)


def test_without_a_kind_all_are_listed_and_rows_are_counted(capsys: Captured) -> None:
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in names(sections(["suites", "experiments", "faults", "checkers"], FOLDER)):
        assert f"\n  {name} " in shown, name
    assert f"\n  {len(expectations().rows)} rows  " in shown


def test_an_unknown_kind_is_refused_with_those_there_are(capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="3"):
        cli.main(["list", "chekers"])
    assert (
        "there is no list of 'chekers': did you mean checkers? Use one of suites, experiments,"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("width", [80, 110, 200])
def test_a_list_fits_its_width_and_loses_no_word(width: int) -> None:
    listed = sections(KINDS, FOLDER)
    shown = rendered(listed, width, str)
    assert max(map(len, shown.splitlines())) <= width
    words = [word for section in listed for name, text in section.entries.items() for word in f"{name} {text}".split()]
    assert [word for word in words if word not in shown] == []


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = experiments_in(tmp_path)
    hostile = "\x1b[31mred\x1b[0m\r\x07 " + "x" * 10_000
    (folder / "redis" / "control.yaml").write_text(f"title: {hostile!r}\n".replace("'", '"'))
    (folder / "suites" / "two.yaml").write_text('title: "a\\u202eb"\nruns: [{experiment: redis/control}]\n')
    shown = rendered(sections(["suites", "experiments"], folder), 80, str)
    assert all(char.isprintable() for char in shown.replace("\n", ""))
    assert max(map(len, shown.splitlines())) <= 80
    assert "\n  two  a b (1 run)\n" in shown


def test_what_has_no_title_is_listed_by_its_name(tmp_path: Path) -> None:
    folder = experiments_in(tmp_path)
    (folder / "redis" / "control.yaml").write_text("- 1\n")
    (folder / "suites" / "two.yaml").write_text("runs: [{experiment: redis/control}]\n")
    shown = rendered(sections(["experiments", "faults"], folder), 80, str)
    assert "\n  redis/control" in shown
    assert Lab.of(folder).runs == {}


def test_a_fault_is_told_with_the_settings_that_its_title_leaves_out() -> None:
    faults = Lab.of(FOLDER).faults()
    assert "(cut peers, direction in)" in faults["partition-primary-peers-in"]
    assert "while 2 of its replicas" in faults["kill-primary-ahead-of-2"]
    assert "(" not in faults["kill-primary-ahead-of-2"]


def test_what_is_no_package_has_no_docstrings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert docstrings.of_folders("no_such_package") == {}
    (tmp_path / "planted" / "mute").mkdir(parents=True)
    (tmp_path / "planted" / "mute" / "__init__.py").write_text("1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert docstrings.of_folders("planted") == {"mute": ""}


def test_a_sentence_ends_where_it_ends() -> None:
    assert listing.first_sentence("At 1.5 s it\n ends. Then more.") == "At 1.5 s it ends."
    assert listing.first_sentence("no end") == "no end"
    assert listing.after_name("Ids: each once.") == "Each once."


def on_a_terminal(**environment: str) -> str:
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.run([sys.executable, "-m", "caplab", "list", "suites"], stdout=theirs, check=True,
                          cwd=REPOSITORY, env={**inherited, "TERM": "xterm", **environment})  # fmt: skip
    os.close(theirs)
    assert done.returncode == 0
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    return shown


def test_colours_are_for_terminals_that_want_them(capsys: Captured) -> None:
    assert "\x1b[1mcore\x1b[0m" in on_a_terminal()
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(TERM="dumb")
    assert cli.main(["list", "suites"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_list_is_there_at_once() -> None:
    measured = "import resource, sys; from caplab import cli; cli.main(['list']); " \
               "assert not {'numpy', 'pyarrow', 'chaoslib', 'kubernetes'} & sys.modules.keys(); " \
               "u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", measured], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert float(done.stdout.splitlines()[-1]) < 2 * CPU_SECONDS  # a busy machine's caches are cold
