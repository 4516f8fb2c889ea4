"""Files of YAML and JSON that somebody wrote: whatever is in them, a value or one sentence comes of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_what_is_no_ordinary_file_is_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(FieldError, match="it is not an ordinary file"):
            read_text(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)
    (tmp_path / "long").write_bytes(b"x" * 11)
    with pytest.raises(FieldError, match="it is over 10 B long"):
        read_text(tmp_path / "long", 10)
    (tmp_path / "odd").write_bytes(b"\xff")
    with pytest.raises(FieldError, match="it is not UTF-8 text"):
        read_yaml(tmp_path / "odd")


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
