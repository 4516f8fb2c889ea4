"""Files of YAML and JSON that somebody wrote: whatever is in them, a value or one sentence comes of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caplab import cli
from caplab.files import documents, results
from caplab.files.documents import parse_yaml, read_json, read_text, read_yaml
from caplab.model.fields import FieldError
from caplab.run import plans, timings
from caplab.run.toolkit import RunFailed, _loaded

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(BOMB, "it expands to over 1,000,000 values", id="aliases"),
        pytest.param("a: &a [*a]", "an alias refers to what contains it", id="an alias of itself"),
        pytest.param("? &a {k: *a}\n: x", "not YAML", id="a key of itself"),
        pytest.param("[" * 20_000, "not YAML", id="depth"),
        pytest.param("a: 2026-13-45", "not YAML: month must be in 1..12", id="no date"),
        pytest.param("a: !!int ''", "not YAML", id="no number"),
        pytest.param("a: !!bool maybe", "not YAML", id="no flag"),
        pytest.param(f"a: {'9' * 6000}", "not YAML", id="a long number"),
        pytest.param("a: !!python/object/apply:os.system ['id']", "not YAML", id="an object"),
        pytest.param("a: =", "not YAML", id="a value"),
        pytest.param("a: \x00", "not YAML", id="a control character"),
    ],
)
def test_yaml_that_is_none_or_stands_for_too_much_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(FieldError, match=r"^f\.yaml: ") as refused:
        parse_yaml(text, "f.yaml")
    assert sentence in str(refused.value)


def test_aliases_that_stand_for_little_are_taken() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: [*a, *a]", "f") == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


@given(st.text(max_size=40) | st.text("[]{}&*!:-?|>%@`'\",\n abc123", max_size=60))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    with suppress(FieldError):
        parse_yaml(text, "f")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, f'{{"a": {"9" * 6000}}}'])
def test_json_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(FieldError, match="f: not JSON: "):
        read_json(tmp_path / "f")


@pytest.mark.parametrize(
    "damage", ["[" * 100_000, "pipe", "[]", '{"caplab": []}', '{"caplab": {"verdict": 1, "seconds": [[]]}}']
)
def test_what_an_earlier_suite_left_damaged_keeps_no_new_one_from_its_runs(tmp_path: Path, damage: str) -> None:
    run = tmp_path / "20260101-000000-core" / "01-redis-control"
    run.mkdir(parents=True)
    for file in (run.parent / plans.PLAN, run / results.JOURNAL):
        if damage == "pipe":
            os.mkfifo(file)
        else:
            file.write_text(damage)
    for name in (results.RECORD, results.HISTORY, results.FINDINGS):
        (run / name).write_text("")
    assert timings.earlier_runs(tmp_path, ["redis/control"]) == []
    assert isinstance(results.is_judged(run), bool)


@pytest.mark.parametrize("name", ["e.yaml", "e.json", "absent.yaml"])
def test_an_experiment_is_read_within_bounds_before_chaos_toolkit_reads_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 10)
    (tmp_path / "e.yaml").write_text(BOMB)
    (tmp_path / "e.json").write_text(json.dumps([]) + "[")
    with pytest.raises(RunFailed, match=name):
        _loaded(tmp_path / name)


def test_what_is_too_long_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 11)
    with pytest.raises(FieldError, match="it is over 10 B long"):
        read_text(tmp_path / "long", 10)
    (tmp_path / "odd").write_bytes(b"\xff")
    with pytest.raises(FieldError, match="it is not UTF-8 text"):
        read_yaml(tmp_path / "odd")


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to a folder"])
def test_what_is_no_ordinary_file_is_one_sentence_with_its_path(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else tmp_path)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for read in (read_text, read_json, read_yaml):
        with pytest.raises(FieldError) as raised:
            read(path)
        assert str(raised.value) == f"{path}: it is not an ordinary file. Hint: use one."
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_record_that_is_a_folder_is_said_by_each_command_that_reads_recorded_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "20261101-000000-smoke" / "01-kill-primary"
    (run / results.RECORD).mkdir(parents=True)
    for name in (results.HISTORY, results.JOURNAL, results.FINDINGS):
        (run / name).write_text("{}")
    for command in (["check", str(run)], ["check", str(run.parent)]):
        assert cli.main(command) == 3
        line = capsys.readouterr().err
        assert f"{run / results.RECORD}: it is not an ordinary file. Hint: use one." in line
        assert line.count("\n") == 1
    for command in (["compare", str(run.parent), str(run.parent)], ["trend", str(tmp_path)]):
        assert cli.main(command) == 3
        assert "there is no run with a verdict. Hint: " in capsys.readouterr().err
    assert not results.is_judged(run)
    assert timings.earlier_runs(tmp_path, ["postgres/kill-primary"]) == []
    with pytest.raises(FieldError, match=r"run\.json: it is not an ordinary file"):
        results.read_record(run)
