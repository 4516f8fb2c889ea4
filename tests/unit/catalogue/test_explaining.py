"""`caplab explain`: what a name stands for, with its settings, its promises and what was last measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from caplab import cli
from caplab.catalogue import command
from caplab.catalogue.experiments import Experiment, Lab
from caplab.catalogue.explaining import Library, explained, names
from caplab.check import CHECKERS
from caplab.command_error import CommandError
from caplab.judging import expectations, experiments_folder

Captured = pytest.CaptureFixture[str]
LAB = Lab.of(experiments_folder())
LIBRARY = Library(lab=LAB, rows=expectations().rows, newest={}, width=100)


def shown(capsys: Captured, *name: str) -> str:
    assert cli.main(["explain", *name]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_all_that_is_listed_is_explained_within_the_width() -> None:
    every = names(LIBRARY)
    assert set(every) >= {*LAB.suites, *LAB.experiments, *(row.name for row in LIBRARY.rows), *LAB.faults(), *CHECKERS}
    for name in every:
        text = explained(replace(LIBRARY, width=80), name)
        assert "${" not in text
        assert max(map(len, text.splitlines())) <= 80, name


def test_an_experiment_is_explained_with_settings_rows_and_what_was_measured(capsys: Captured) -> None:
    text = shown(capsys, "postgres/kill-primary")
    assert "Every process of the primary's container is killed" in text
    for name, value in LAB.experiments["postgres/kill-primary"].settings.items():
        assert f" {name} {value} " in text.replace("  ", " ")
    row = expectations().find("postgres", "quorum", "kill-primary")
    assert row.name in text
    assert f"Why: {row.why}" in text
    assert f"Source: {row.source}" in text
    assert "caplab run postgres/kill-primary --set durability=quorum" in text
    assert "when last measured, 2026-" in text
    assert "postgres quorum freeze-primary" not in text


def test_without_evidence_it_says_so(capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "evidence_folder", lambda: tmp_path)
    text = shown(capsys, "redis", "everysec-wait-0", "kill-primary")
    assert "not measured" in text
    assert "No evidence is kept here" in text
    assert "when last measured" not in text


def test_a_name_of_two_things_explains_both(capsys: Captured) -> None:
    text = shown(capsys, "cache")
    assert "cache: a suite" in text
    assert "cache: a checker" in text


def test_faults_checkers_and_properties_are_explained(capsys: Captured) -> None:
    assert "postgres/switchover: " in shown(capsys, "switchover")
    assert "keepDown: boolean (default: True)" in shown(capsys, "kill")
    assert "from: peers, controlPlane, clients, group" in shown(capsys, "partition")
    durability = shown(capsys, "durability")
    assert "no operation is an add" in durability
    assert "lost acked writes lost" in durability
    assert shown(capsys, "lostWindow") == durability


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("durabilty", "did you mean durability?"),
        ("Kill-Primery", "did you mean kill-primary"),
        ("smok", "did you mean smoke?"),
        ("xyzzy", "'xyzzy'. Hint: `caplab list` shows all there are."),
    ],
)
def test_an_unknown_name_is_refused_with_those_like_it(name: str, says: str, capsys: Captured) -> None:
    assert cli.main(["explain", name]) == 3
    assert says in capsys.readouterr().err


def test_an_unknown_command_is_refused_with_those_like_it(capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="3"):
        cli.main(["explian"])
    assert "there is no 'explian': did you mean explain?" in capsys.readouterr().err


def test_hostile_text_stays_text() -> None:
    hostile = {"description": "\x1b[2J" + "y" * 10_000, "configuration": {"a\x1b": {"default": "\x07\r\n1"}}}
    lab = Lab({"x/y": Experiment("x/y", hostile)}, {}, {})
    text = explained(Library(lab=lab, rows=(), newest={}, width=80), "x/y")
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert max(map(len, text.splitlines())) <= 80
    with pytest.raises(CommandError):
        explained(LIBRARY, "x/y")
