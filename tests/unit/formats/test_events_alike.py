"""What is one value, one form, one order or one lock, although a file writes it in several ways."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from support.event_files import picked, recording_of, rows_of

from caplab.cli import main
from caplab.files.formats import edn


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("#{1 2}", "#{2 1}"), ("{:a 1, :b [2]}", "{:b [2] :a 1}"), ("[#{:a :b} 1]", "[#{:b :a} 1]"),
        ("{{:a 1 :b 2} 3}", "{{:b 2 :a 1} 3}"),
    ],
)  # fmt: skip
def test_equal_sets_and_maps_are_one_value_and_one_key(one: str, other: str, tmp_path: Path) -> None:
    values = rows_of(tmp_path, f"{{:process 0, :type :invoke, :f :write, :value {one}}}\n"
                               f"{{:process 1, :type :invoke, :f :write, :value {other}}}")  # fmt: skip
    assert values[0]["value"] == values[1]["value"]
    keys = rows_of(tmp_path, f"{{:process 0, :type :invoke, :f :read, :value [{one} nil]}}\n"
                             f"{{:process 1, :type :invoke, :f :read, :value [{other} nil]}}")  # fmt: skip
    assert keys[0]["key"] == keys[1]["key"]


def test_a_text_that_looks_like_a_rows_number_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "history.edn").write_text(
        '{:process 0, :type :ok, :f :write, :value "a"}\n{:process 1, :type :invoke, :f :read}\n'.replace(
            ":ok", ":invoke"
        )
        + '{:process 1, :type :ok, :f :read, :value "the row 2"}\n{:process 0, :type :ok, :f :write}\n'
    )
    assert main(["check", str(tmp_path / "history.edn")]) == 1
    assert "the row 3" not in capsys.readouterr().out


def test_a_string_of_many_letters_is_read_in_little_memory() -> None:
    text = f'{{:value "{"x" * (8 << 20)}", :error "{chr(92)}n{"y" * 100}"}}'
    tracemalloc.start()
    (whole,) = edn.values(text)
    assert tracemalloc.get_traced_memory()[1] < 8 * len(text)
    tracemalloc.stop()
    assert len(whole["value"]) == 8 << 20


JSON_FORMS = [
    ('{\n "type": "invoke",\n "process": 0,\n "f": "write", "value": 1\n}\n', "Jepsen JSON lines"),
    ('[\n{"index": 0,\n "type": "invoke", "process": 0, "f": "write", "value": 1}]', "elle-cli JSON"),
    ('[{"session": 1, "op": "write", "value": 1, "invoke_ns": 0, "outcome": "info"}]', "JSON lines"),
]


@pytest.mark.parametrize(("text", "form"), JSON_FORMS)
def test_json_is_told_apart_by_its_fields_however_it_is_laid_out(text: str, form: str, tmp_path: Path) -> None:
    recording = recording_of(tmp_path, text)
    assert (recording.format, recording.table.num_rows) == (form, 1)


def test_the_order_of_the_file_is_the_order_of_events(tmp_path: Path) -> None:
    """A clock may go back, or stand: what is written first came first."""
    rows = rows_of(
        tmp_path,
        "{:process 0, :type :invoke, :f :write, :value 1, :time 10}\n"
        "{:process 0, :type :ok, :f :write, :value 1, :time 30}\n"
        "{:process 1, :type :invoke, :f :read, :time 20}\n{:process 2, :type :invoke, :f :read, :time 31}\n"
        "{:process 1, :type :ok, :f :read, :value 1, :time 31}\n{:process 1, :type :invoke, :f :read, :time 31}\n",
    )
    assert picked(rows, "invoke_ns", "return_ns") == [(10, 30), (31, 31), (31, None), (32, None)]


@pytest.mark.parametrize(("later", "notes"), [(9, 0), (2_000_000_008, 1)])
def test_times_that_go_back_far_are_noted(later: int, notes: int, tmp_path: Path) -> None:
    text = f"{{:process 0, :type :invoke, :f :read, :time {later}}}\n{{:process 1, :type :invoke, :f :read, :time 8}}"
    recording = recording_of(tmp_path, text)
    assert len(recording.notes) == notes
    assert all(note.startswith("times go back by up to 2 s") for note in recording.notes)


STALE = """\
{:process 0, :type :invoke, :f :write, :value 1, :time 5}
{:process 0, :type :ok, :f :write, :value 1, :time 5}
{:process 0, :type :invoke, :f :read, :value nil, :time 5}
{:process 0, :type :ok, :f :read, :value nil, :time 5}
"""


@pytest.mark.parametrize("time", [":time 5", ":time -1", ":f :same"], ids=["it stands", "Elle's -1", "no times"])
@pytest.mark.parametrize(
    "words",
    [
        {},
        {
            ":f :write": ":f :increment",
            ":f :read, :value nil, :time 5}\n{": ":f :read, :time 5}\n{",
            ":value nil": ":value 0",
        },
        {":f :write": ":f :add", ":value nil": ":value []"},
        {
            ":f :write, :value 1": ":f :txn, :value [[:append x 1]]",
            ":f :read, :value nil": ":f :txn, :value [[:r x nil]]",
        },
    ],
    ids=["register", "counter", "set", "list"],
)
def test_a_client_that_does_not_see_its_own_write_is_found_whatever_its_clock(
    words: dict[str, str], time: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STALE
    for old, new in words.items():
        text = text.replace(old, new)
    (tmp_path / "history.edn").write_text(
        text.replace(":time 5", time) if time != ":f :same" else text.replace(", :time 5", "")
    )
    assert main(["check", str(tmp_path / "history.edn")]) == 1, capsys.readouterr()


def test_completions_alone_are_an_order_of_each_process(tmp_path: Path) -> None:
    """As in Elle's own examples: nothing says when an operation began."""
    recording = recording_of(
        tmp_path,
        "[{:process 0, :type :ok, :value [[:append :x 1]], :time 9}\n"
        "{:process 1, :type :ok, :value [[:append :x 2]], :time 8}\n"
        "{:process 1, :type :fail, :value [[:append :x 3]], :time 7}\n"
        "{:process 2, :type :ok, :value [[:r :x [1 2]]], :time 6}]",
    )
    rows = recording.table.to_pylist()
    assert picked(rows, "session", "outcome", "invoke_ns", "return_ns") == [
        (0, "ok", -1, 0), (1, "ok", -1, 2), (2, "ok", -1, 6), (1, "fail", 3, 4),
    ]  # fmt: skip
    assert recording.rows is not None
    assert recording.rows.tolist() == [0, 1, 3, 2]
    assert recording.notes == (
        "no invocations: an operation may have begun at any time since the last one of its process",
    )
    assert not recording.has_times


def test_locks_of_independent_keys_are_locks_of_their_own(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "{:process 0, :type :invoke, :f :acquire, :value [:a nil]}\n"
        "{:process 0, :type :ok, :f :acquire, :value [:a 7]}\n"
        "{:process 1, :type :invoke, :f :acquire, :value [:b nil]}\n"
        "{:process 1, :type :ok, :f :acquire, :value [:b 8]}\n",
    )
    assert picked(rows, "key", "expected", "value") == [("a", None, 1), ("b", None, 1)]


def test_an_error_in_a_log_that_is_no_edn_leaves_the_value_alone(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "0\t:invoke\t:read\tnil\n0\t:ok\t:read\t5\tat (Client.java\n")
    assert picked(rows, "value") == [(5,)]
