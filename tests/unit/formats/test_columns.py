"""Columns as text: CSV with other separators, JSON lines, and values and sessions that are no numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from caplab import cli
from caplab.files.formats.reading import read
from caplab.files.formats.texts import Texts
from caplab.model.disorder import validate_stored

ROWS = [
    ("session", "op", "key", "value", "invoke_ns", "return_ns", "outcome"),
    ("client-1", "write", "x", "red", "0", "5", "ok"),
    ("client-2", "write", "x", "blue", "6", "7", "ok"),
    ("7", "read", "x", "red", "8", "9", "ok"),
    ("7", "read", "y", "", "10", "11", "ok"),
]


def separated(by: str) -> str:
    return "".join(f"{by.join(row)}\n" for row in ROWS)


def as_json_lines() -> str:
    names, *rows = ROWS
    objects: list[dict[str, Any]] = [
        {name: int(cell) if name.endswith("_ns") or (name == "session" and cell.isdigit()) else cell
         for name, cell in zip(names, row, strict=True) if cell}
        for row in rows
    ]  # fmt: skip
    return "\n\n".join(map(json.dumps, objects))


FORMS = {
    "CSV": separated(","),
    "CSV with semicolons": separated(";"),
    "CSV with tabs": separated("\t"),
    "JSON lines": as_json_lines(),
}


@pytest.mark.parametrize("form", FORMS)
def test_text_is_told_apart_and_shown_as_it_is(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history"
    path.write_text(FORMS[form])
    recording = read(path)
    history = validate_stored(recording.table)
    assert recording.format == form
    values = history.column("value").to_pylist()
    assert values[0] == values[2] != values[1]
    assert values[3] is None
    assert cli.main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"history ({form}): 4 operations, VIOLATED" in out
    assert "red was seen on key 'x' after blue had been written over it." in out
    assert "client/client-1  write x = red" in out
    assert "client/7         read x: red" in out
    assert cli.main(["check", str(path), "--json"]) == 1
    (witness,) = json.loads(capsys.readouterr().out)["checkers"]["registers"]["witnesses"]
    assert [each["value"] for each in witness["operations"]] == ["red", "blue", "red"]
    assert [each["session"] for each in witness["operations"]] == ["client-1", "client-2", 7]


def test_a_session_of_text_is_named_by_it_where_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.csv"
    path.write_text("session,op,invoke_ns,return_ns,outcome\nann,read,0,9,ok\nbob,read,1,2,ok\nann,read,3,4,ok\n")
    for command in (["check", str(path)], ["convert", str(path), str(tmp_path / "out.edn")]):
        assert cli.main(command) == 3
        err = capsys.readouterr().err
        assert "history.csv (CSV): Rows 1 and 3: session ann of vantage 'client' has two operations" in err


def test_a_text_at_the_end_of_a_sentence_is_shown() -> None:
    texts = Texts()
    number = texts.value("red")
    assert texts.in_words(f"read {number}. Then {number}.5 and 1{number}") == f"read red. Then {number}.5 and 1{number}"


REFUSED = [
    ('{"session": 1, "op": "read", "invoke_ns": "noon"}', "Line 1: field 'invoke_ns' is no whole number"),
    ('{"session": 1, "op": 3}', "Line 1: field 'op' is no text"),
    ('{"session": 1, "op": "read"}\n[1]', "Line 2: it is not an object"),
    ('{"session": 1, "op": "read", "latency": 1}', "Column 'latency' is not part of a history"),
    ('{"session": 1, "op": "read", "value": {}}', "Line 1: field 'value' is neither a number nor text"),
    ('{"session": 1, "op": "txn", "txn": "no"}', "Line 1: field 'txn' is no list of micro-operations"),
    ('{"session": 1,\n"op": "read"', "Line 1: it is not JSON"),
    ("session,op,key,invoke_ns,return_ns,outcome\n1,read," + "k" * (3 << 20) + ",0,1,ok\n", "a row that is over 1 MiB"),
    ("session;op;value\n1;incr;a\n", "Row 1: column 'value' has the value 'a'"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_what_is_broken_is_refused_with_its_line_and_a_hint(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "history").write_text(text)
    with pytest.raises(ValueError, match=says) as refused:
        validate_stored(read(tmp_path / "history").table)
    assert "Hint: " in str(refused.value)
