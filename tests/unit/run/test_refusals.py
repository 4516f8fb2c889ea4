"""What `caplab run` refuses before it asks a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY

from caplab import cli
from caplab.contract import bounds
from caplab.judging import experiments_folder
from caplab.model.fields import FieldError
from caplab.run import places, suites
from caplab.run.refusals import refuse_unfit

FOLDER = experiments_folder()
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a cluster has come too far."""

    def asked() -> str:
        raise AssertionError("a cluster was asked")

    monkeypatch.setattr(places, "choose_lab", asked)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["postgres/kill-primery"], "experiment 'postgres/kill-primery'. Hint: did you mean postgres/kill-primary"),
        (["postgres/x"], "There is no suite or experiment 'postgres/x'. Hint: use postgres/control, postgres/"),
        (["nothing-like-it"], "Hint: use a file's path; `caplab list` shows all there are."),
        (["postgres/kill-primary", "--set", "durabilty=async"],
         "has no setting 'durabilty'. Hint: did you mean durability? Use one of namespace, durability, rate,"),
        (["postgres/kill-primary", "--set", "durability=asynk"],
         "no row promises anything about kill-primary with mode 'asynk', so a run could not be judged. Hint: choose"
         " --set values (durability) that give one of these modes: async, quorum, sync, quorum-fast,"
         " async-fast, sync-fast."),
        (["redis/kill-primary", "--set", "wait=3"], "choose --set values (persistence, wait) that give one of"),
        (["redis/kill-primary", "--set", "wait=2"], "about kill-primary with mode 'everysec-wait-2'"),
        (["postgres/control", "--set", "rate=fast"], "setting 'rate' is a number, not 'fast'"),
        (["postgres/control", "--set", "rate=nan"], "setting 'rate' is a number, not 'nan'"),
        (["postgres/control", "--set", "seconds=1.5"], "setting 'seconds' is a whole number, not '1.5'"),
        (["core", "--set", "durability=async"], "redis/control has no setting 'durability'"),
        (["core", "--resume", "nowhere"], "Nothing to resume in nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_before_a_cluster_is_asked(words: list[str], says: str, capsys: Captured) -> None:
    assert cli.main(["run", *words]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("FAILED: ")
    assert says in line


def test_at_most_three_names_are_suggested(capsys: Captured) -> None:
    assert cli.main(["run", "redis/nonsense"]) == 3
    hint = capsys.readouterr().err.partition("Hint: ")[2].partition(", or a file's path")[0]
    assert hint.count("redis/") == 3


def test_every_suite_is_one_that_can_be_run() -> None:
    for name in suites.names(FOLDER / "suites"):
        refuse_unfit(suites.find(FOLDER, name, {"rate": "5.5", "seed": "-3"}))


def test_a_setting_of_the_environment_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPLAB_DURABILITY", "asynk")
    with pytest.raises(FieldError, match="mode 'asynk'"):
        refuse_unfit(suites.find(FOLDER, "postgres/kill-primary", {}))
    refuse_unfit(suites.find(FOLDER, "postgres/kill-primary", {"durability": "async"}))


@pytest.mark.parametrize(
    "text", ["configuration: 5\n", "configuration: {}\n", "configuration: {}\nextensions: [{name: caplab}]\n"]
)
def test_what_is_no_whole_experiment_is_left_to_the_run(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    refuse_unfit(suites.find(tmp_path, str(file), {}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"\x00", "not YAML"),
        (b"a: [", "not YAML"),
        (b"", "it is not an experiment, but None. Hint: "),
        (b"[1, 2]", "it is not an experiment, but [1, 2]. Hint: "),
    ],
)
def test_a_file_that_is_alone_and_cannot_be_read_has_no_plan(
    tmp_path: Path, capsys: Captured, content: bytes, says: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    assert cli.main(["run", str(file), "--plan"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "mine.yaml: " in shown.err
    assert says in shown.err


def test_a_file_that_may_not_be_read_has_no_plan(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: mine\n")

    def refused(*_: object) -> object:
        raise PermissionError(13, "Permission denied", str(file))  # root may read everything

    monkeypatch.setattr("caplab.files.documents.os.open", refused)
    assert cli.main(["run", str(file), "--plan"]) == 3
    assert f"{file} cannot be read: Permission denied. Hint: " in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "below a file", "too long"])
def test_what_is_no_ordinary_file_has_no_plan(tmp_path: Path, capsys: Captured, kind: str) -> None:
    path = tmp_path / "mine.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "below a file":
        path.touch()
        path /= "inner.yaml"
    else:
        path = tmp_path / ("x" * 300)
    assert cli.main(["run", str(path), "--plan"]) == 3
    line = capsys.readouterr().err
    says = {"below a file": "no suite or experiment", "too long": "File name too long"}
    assert says.get(kind, "what has that path is not an ordinary file") in line
    assert "Hint: " in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("command", [["run", "smoke", "--plan"], ["nightly", "run", "smoke", "--namespace", "n"]])
@pytest.mark.parametrize("count", ["1001", "100000000", "9" * 5000])
def test_too_many_repeats_are_refused(capsys: Captured, command: list[str], count: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--repeat", count])
    assert ended.value.code == 3
    line = capsys.readouterr().err
    assert "repeats are too many. Hint: make at most 1,000 at once, and compare several results" in line
    assert len(line) < 2000


def test_as_many_repeats_as_the_charts_schedule_takes_are_made(capsys: Captured) -> None:
    schema = json.loads((REPOSITORY / "charts/caplab/values.schema.json").read_text())
    assert cli.main(["run", "postgres/kill-primary", "--plan", "--repeat", "1000"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1000
    assert schema["properties"]["schedule"]["properties"]["repeat"]["maximum"] == bounds.RUN_REPEATS == 1000


def test_a_line_without_a_name_says_what_is_missing(capsys: Captured) -> None:
    for words, says in (
        ([], "name a suite or an experiment"),
        (["--resume", "core"], "--resume took 'core' for a folder"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", *words])
        assert ended.value.code == 3
        assert says in capsys.readouterr().err


def test_a_plan_is_the_runs_that_would_be_made(capsys: Captured) -> None:
    assert cli.main(["run", "smoke", "--repeat", "2", "--plan"]) == 0
    first, again, *rest = capsys.readouterr().out.splitlines()
    assert first == again == "postgres/kill-primary durability=quorum rate=20"
    assert len(rest) == 4
    assert cli.main(["run", "smokey", "--plan"]) == 3


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here: the lab's images have none")
def test_make_chaos_finds_a_typo_before_it_brings_a_cluster_up(tmp_path: Path) -> None:
    command = ["make", "-s", "chaos", "EXPERIMENT=postgres/kill-primery", f"VENV={tmp_path}", "PYTHON=/bin/false"]
    command += ["-o", f"{tmp_path}/ready"]  # it is there
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "caplab").write_text(f'#!/bin/sh\nexec {sys.executable} -m caplab "$@"\n')
    (tmp_path / "bin" / "caplab").chmod(0o755)
    done = subprocess.run(
        [*command, "-o", f"{tmp_path}/ready"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2  # as make says it of whatever failed
    assert "There is no suite or experiment 'postgres/kill-primery'" in done.stderr
    assert done.stdout == ""
