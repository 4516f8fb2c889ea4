"""Jepsen's events in each of their forms: what they are in a history, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.event_files import picked, recording_of, rows_of

REGISTER = """\
{:type :invoke, :f :read, :value nil, :process 0, :time 3291485317, :index 0}
{:type :info, :f :start, :value nil, :process :nemesis, :time 3291500000, :index 1}
{:type :invoke, :f :write, :value 3, :process 1, :time 3296209422, :index 2}
{:type :ok, :f :read, :value nil, :process 0, :time 3297000000, :index 3}
{:type :info, :f :write, :value 3, :process 1, :time 3365403674, :index 4, :error :timed-out}
{:type :invoke, :f :cas, :value [3 4], :process 2, :time 3400000000, :index 5}
{:type :ok, :f :cas, :value [3 4], :process 2, :time 3500000000, :index 6}
{:type :invoke, :f :cas, :value [3 1], :process 2, :time 3510000000, :index 7}
{:type :fail, :f :cas, :value [3 1], :process 2, :time 3520000000, :index 8}
{:type :invoke, :f :write, :value 5, :process 6, :time 3530000000, :index 9}
"""
ROWS = [
    {"session": 0, "op": "read", "value": None, "outcome": "ok", "invoke_ns": 3291485317, "return_ns": 3297000000},
    {"session": 1, "op": "write", "value": 3, "outcome": "info", "error": "timeout", "return_ns": 3365403674},
    {"session": 2, "op": "cas", "expected": 3, "value": 4, "observed": 3, "outcome": "ok"},
    {"session": 2, "op": "cas", "expected": 3, "value": 1, "observed": None, "outcome": "fail", "error": "refused"},
    {"session": 6, "op": "write", "value": 5, "outcome": "info", "return_ns": None},
]


def as_json(edn: str) -> str:
    """Return events that have no more than words, numbers and vectors as JSON lines."""
    lines = []
    for line in edn.splitlines():
        cells = [cell.split(" ", 1) for cell in line[1:-1].split(", ")]
        text = [f'"{name[1:]}":{json_cell(cell)}' for name, cell in cells]
        lines.append("{" + ",".join(text) + "}")
    return "\n".join(lines) + "\n"


def json_cell(cell: str) -> str:
    if cell.startswith(":"):
        return json.dumps(cell[1:])
    return "null" if cell == "nil" else cell.replace(" ", ",")


FORMS = {
    "Jepsen EDN": REGISTER,
    "a vector": "; knossos\n[" + REGISTER.replace("\n", ",\n ") + "]\n",
    "on one line": f"({REGISTER.replace(chr(10), ' ')})",
    "records": "".join(f"#jepsen.history.Op{line}\n" for line in REGISTER.splitlines()),
    "spread": REGISTER.replace(", ", ",\n "),
    "Jepsen JSON lines": as_json(REGISTER),
    "elle-cli JSON": "[" + as_json(REGISTER).strip().replace("\n", ",\n") + "]",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_register_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    recording = recording_of(tmp_path, FORMS[form])
    assert recording.format == (form if "JSON" in form else "Jepsen EDN")
    rows = recording.table.to_pylist()
    assert [{name: row[name] for name in wanted} for row, wanted in zip(rows, ROWS, strict=True)] == ROWS
    assert recording.rows is not None
    assert recording.rows.tolist() == [0, 2, 5, 7, 9]
    assert recording.notes == ("left out: 1 non-client event (nemesis: 1)",)
    assert recording.has_times


def test_the_log_has_the_same_without_its_other_lines(tmp_path: Path) -> None:
    log = (
        "2021-02-26 23:39:00,300{GMT}\tINFO\t[main] jepsen.core: Command line:\nlein run test\n"
        "2021-02-26 23:39:01,300{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:invoke\t:write\t[0 2]\n"
        "2021-02-26 23:39:01,301{GMT}\tINFO\t[jepsen nemesis] jepsen.util: :nemesis\t:info\t:start\tnil\n"
        "2021-02-26 23:39:01,303{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:ok\t:write\t[0 2]\n"
        "2021-02-26 23:39:01,526{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:read\t[0 nil]\n"
        "2021-02-26 23:39:01,527{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:info\t:read\t[0 nil]\t:timed-out\n"
    )
    recording = recording_of(tmp_path, log)
    assert recording.format == "jepsen.log"
    rows = recording.table.to_pylist()
    assert picked(rows, "op", "key", "value", "outcome") == [("write", "0", 2, "ok"), ("read", "0", None, "info")]
    assert rows[0]["return_ns"] - rows[0]["invoke_ns"] == 3_000_000
    assert rows[1]["error"] == "timeout"


OLD_LOG = """\
INFO  jepsen.core - Worker 2 starting
INFO  jepsen.util - 4\t:invoke\t:read\tnil
INFO  jepsen.util - 4\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:write\t1
INFO  jepsen.util - 2\t:invoke\t:cas\t[2 4]
INFO  jepsen.util - 1\t:ok\t:write\t1
INFO  jepsen.util - 2\t:info\t:cas\t:timed-out
"""


@pytest.mark.parametrize("form", ["jepsen.log", "Jepsen history.txt"])
def test_lines_without_times_have_an_order_only(form: str, tmp_path: Path) -> None:
    text = OLD_LOG if form == "jepsen.log" else "".join(OLD_LOG.splitlines(keepends=True)[1:]).replace(
        "INFO  jepsen.util - ", ""
    )  # fmt: skip
    recording = recording_of(tmp_path, text)
    assert recording.format == form
    assert not recording.has_times
    rows = recording.table.to_pylist()
    assert picked(rows, "op", "value", "expected", "outcome") == [
        ("read", None, None, "ok"), ("write", 1, None, "ok"), ("cas", 4, 2, "info"),
    ]  # fmt: skip
    assert rows[0]["return_ns"] < rows[1]["invoke_ns"] < rows[2]["invoke_ns"] < rows[1]["return_ns"]


def test_independent_keys_are_keys(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "{:process 0, :type :invoke, :f :write, :value [:x 1]}\n{:process 0, :type :ok, :f :write, :value [:x 1]}\n"
        "{:process 0, :type :invoke, :f :cas, :value [:x [1 2]]}\n{:process 0, :type :ok, :f :cas, :value [:x [1 2]]}\n"
        "{:process 0, :type :invoke, :f :read, :value [7 nil]}\n{:process 0, :type :ok, :f :read, :value [7 2]}\n",
    )
    assert picked(rows, "key", "expected", "value") == [("x", None, 1), ("x", 1, 2), ("7", None, 2)]


def test_a_set_is_added_to_and_scanned(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "{:type :invoke, :f :add, :value 1, :process 0, :time 1}\n{:type :ok, :f :add, :value 1, :process 0, :time 2}\n"
        "{:type :invoke, :f :add, :value 2, :process 1, :time 3}\n{:type :invoke, :f :read, :process 2, :time 4}\n"
        "{:type :ok, :f :read, :value #{1 2}, :process 2, :time 5}\n"
        "{:type :invoke, :f :read, :process 2, :time 6}\n{:type :ok, :f :read, :value #{}, :process 2, :time 7}\n"
        "{:type :invoke, :f :read, :process 2, :time 8}\n{:type :fail, :f :read, :process 2, :time 9}\n",
    )
    assert picked(rows, "op", "value", "outcome", "invoke_ns") == [
        ("add", 1, "ok", 1), ("add", 2, "info", 3), ("scan", 1, "ok", 4), ("scan", 2, "ok", 4),
        ("scan", None, "ok", 6), ("scan", None, "fail", 8),
    ]  # fmt: skip


def test_a_counter_is_added_to_and_read(tmp_path: Path) -> None:
    events = [("add", 1, 1), ("add", -2, -2), ("read", None, -1)]
    text = "".join(
        f"{json.dumps({'type': kind, 'f': f, 'value': value, 'op-index': 1, 'process': 0})}\n"
        for f, asked, found in events
        for kind, value in (("invoke", asked), ("ok", found))
    )
    assert picked(rows_of(tmp_path, text), "op", "value") == [("incr", 1), ("incr", -2), ("read", -1)]


def test_ids_are_names_without_an_order(tmp_path: Path) -> None:
    text = "".join(
        f"{{:type :invoke, :f :generate, :process {number}}}\n"
        f"{{:type :ok, :f :generate, :value {id_}, :process {number}}}\n"
        for number, id_ in enumerate((9, '"a-1"', 5))
    )
    recording = recording_of(tmp_path, text)
    numbers = recording.table.column("value").to_pylist()
    assert [recording.texts.text_of_value(number) for number in numbers] == ["#9", "a-1", "#5"]
    assert numbers == sorted(numbers)
    assert recording.notes == ("ids are compared as text: they have no order",)


def test_a_keyword_that_invokes_is_a_client(tmp_path: Path) -> None:
    recording = recording_of(
        tmp_path,
        "{:process :a, :type :invoke, :f :write, :value 1}\n{:process :clock, :type :info, :f :bump}\n"
        "{:process :a, :type :info, :f :write, :value 1}\n{:process :nemesis, :type :invoke, :f :start}\n",
    )
    assert picked(recording.table.to_pylist(), "op", "value", "outcome") == [("write", 1, "info")]
    assert "clock: 1" in recording.notes[0]
    assert "nemesis: 1" in recording.notes[0]


def test_a_mutex_is_a_register_that_one_client_takes(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "{:process 0, :type :invoke, :f :acquire}\n{:process 0, :type :ok, :f :acquire}\n"
        "{:process 0, :type :invoke, :f :release}\n{:process 0, :type :ok, :f :release}\n",
    )
    assert picked(rows, "op", "expected", "value") == [("cas", None, 1), ("cas", 1, None)]


@pytest.mark.parametrize("f", [":f :txn, ", ""])
def test_transactions_of_lists_and_registers(f: str, tmp_path: Path) -> None:
    asked, found = "[[:append x 1] [:r y nil] [:w 7 3] [:r 7]]", "[[:append x 1] [:r y [1 2]] [:w 7 3] [:r 7 3]]"
    empty = "[[:r x nil]]"
    rows = rows_of(
        tmp_path,
        f"{{:process 0, :type :invoke, {f}:value {asked}}}\n{{:process 0, :type :ok, {f}:value {found}}}\n"
        f"{{:process 1, :type :invoke, {f}:value {empty}}}\n{{:process 1, :type :ok, {f}:value {empty}}}\n"
        f"{{:process 1, :type :invoke, {f}:value {empty}}}\n{{:process 1, :type :info, {f}:value {empty}}}\n",
    )
    nothing = {"value": None, "elements": None}
    assert [row["txn"] for row in rows] == [
        [
            {"op": "append", "key": "x", "value": 1, "elements": None},
            {"op": "read", "key": "y", "value": None, "elements": [1, 2]},
            {"op": "write", "key": "7", "value": 3, "elements": None},
            {"op": "read", "key": "7", "value": 3, "elements": None},
        ],
        [{"op": "read", "key": "x", "value": None, "elements": []}],
        [{"op": "read", "key": "x"} | nothing],
    ]
    assert picked(rows, "op", "outcome") == [("txn", "ok"), ("txn", "ok"), ("txn", "info")]


def test_a_long_forks_reads_and_writes_are_transactions(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "{:process 0, :type :invoke, :f :write, :value [[:w 0 1]]}\n"
        "{:process 0, :type :ok, :f :write, :value [[:w 0 1]]}\n"
        "{:process 0, :type :invoke, :f :read, :value [[:r 0 nil]]}\n"
        "{:process 0, :type :ok, :f :read, :value [[:r 0 1]]}\n",
    )
    assert picked(rows, "op") == [("txn",), ("txn",)]


def test_values_that_are_no_numbers_are_told_apart(tmp_path: Path) -> None:
    values = ["5", '"5"', ":a", '"a"', '":a"', "1.5", "[1 2]", "true", '"true"', "x", "2.0", '"two words"']
    text = "".join(
        f"{{:process {place}, :type :invoke, :f :write, :value {value}}}\n" for place, value in enumerate(values)
    )
    recording = recording_of(tmp_path, text)
    numbers = recording.table.column("value").to_pylist()
    assert len(set(numbers)) == len(values)
    shown = [recording.texts.shown(number, "value") for number in numbers]
    assert shown == [
        5, '"5"', ":a", "a", '":a"', "1.5", "[1 2]", "true", '"true"', "x", 2, "two words",
    ]  # fmt: skip


REFUSED = [
    ("{:valid? true}", "Line 1: it is not an event: it has no :process and no :type"),
    ("JEPSEN", "It is Jepsen's binary file"),
    ("INFO jepsen.util - 0\t:invoke\t:write\t[1\n2]\n", "Line 1: its value is no EDN"),
    ("0\t:invoke\t:write\t1 2\n", "Line 1: its value is several forms"),
    ("2021-02-31 23:59:59,999 INFO jepsen.util - 0\t:invoke\t:write\t1\n", "Line 1: its time is none: day is out"),
    (
        "{:index 2, :process 1, :type :invoke, :f :read}\n{:index 0, :process 0, :type :invoke, :f :read}",
        "Line 2: field :index is 0, and an event before it has 2",
    ),
    ('{"type":"invoke","process":0,"f":"write","value":' + "9" * 5000 + "}", "Line 1: .*too many digits"),
    (
        "{:process 1, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :read}",
        "Line 2: process 0 has completed an operation that it had not invoked",
    ),
    (
        "{:process 0, :type :ok, :f :read}\n{:process 1, :type :invoke, :f :read}",
        "Line 1: a process has completed an operation that it had not invoked",
    ),
    *(
        (
            f"{{:process 0, :type :invoke, :f {f}, :value {asked}}}\n{{:process 0, :type :ok, :f {f}, :value {found}}}",
            f"Line 1: .*{says}",
        )
        for f, asked, found, says in (
            (":txn", "[[:r x nil]]", "nil", "does not say what it read"),
            (":txn", "[[:append x 1] [:append x 2]]", "[[:append x 1]]", "other micro-operations"),
            (":txn", "[[:append x 1]]", "[[:append x 2]]", "other micro-operations"),
            (":txn", "[[:append x 1]]", "[[:append y 1]]", "other micro-operations"),
            (":txn", "[[:r x nil]]", "[[:w x 1]]", "other micro-operations"),
            (":txn", "3", "[[:w x 1]]", "other micro-operations"),
            (":txn", "[[:r x nil]]", "[[:r x #{1 2}]]", "has read a set"),
            (":write", "1", "2", "completed with another value"),
            (":cas", "[1 2]", "[1 3]", "completed with another value"),
            (":read", "[:x nil]", "[:y 1]", "completed with another key"),
            (":acquire", ":a", ":a", "which lock it is"),
        )
    ),
    ("{:process 0, :type :invoke, :f :write, :value 1, :value 2}", "Line 1: a map has a key twice"),
    ('{"process":0,"type":"invoke","f":"write","value":1,"value":2}', "Line 1: .*an object has a field twice"),
    ("{:process 0, :type :invoke, :f :write, :value ^{:a 1} [2]}", r"Line 1: '\^' begins no form of EDN"),
    ("{:process 0, :type :invoke, :f :read}\n" * 2, "Line 2: process 0 invokes .* line 1 has not ended"),
    (
        "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :write}",
        "Line 2: process 0 has completed :write, and had invoked 'read' in line 1",
    ),
    ("{:process 0, :type :sleep, :f :read}", "Line 1: field :type is :sleep"),
    ("{:type :invoke, :f :read}", "Line 1: the event has no :process"),
    ("{:process 1.5, :type :invoke, :f :read}", "Line 1: field :process is 1.5"),
    ("{:process 0, :type :invoke, :f 3}", "Line 1: field :f is 3"),
    ("{:process 0, :type :invoke, :f :read, :time :noon}", "Line 1: field :time is :noon"),
    ("{:process 0, :type :invoke, :f :read, :time 9e99}", "Line 1: field :time is 9e"),
    (f"{{:process 0, :type :invoke, :f :read, :time {1 << 63}}}", "Line 1: field :time is"),
    ("{:process 0, :type :invoke, :f :transfer, :value {:from 1}}", "Line 1: .*the history of a bank"),
    ("{:process 0, :type :invoke, :f :echo, :value 1}", "Line 1: field :f says 'echo', which no checker knows"),
    ("{:process 0, :type :invoke, :value 1}", "Line 1: the event has no :f"),
    ("{:process 0, :type :invoke, :f :cas, :value 1}", r"Line 1: the value of a cas is no \[old new\]"),
    ("{:process 0, :type :invoke, :f :txn, :value [[:pop 1 2]]}", "Line 1: a transaction has what is no micro-op"),
    ("{:process 0, :type :invoke, :f :txn, :value [[:append x nil]]}", "Line 1: a micro-operation writes nothing"),
    (
        "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 1, :type :invoke, :f :add, :value 1}",
        "Line 2: field :f says 'add' where others say 'write'",
    ),
    (
        "{:process 0, :type :invoke, :f :read, :value [1 nil]}\n{:process 1, :type :invoke, :f :write, :value 1}",
        r"Line 2: its value is no \[key value\]",
    ),
    ("{:process 0, :type :invoke, :f :read, :time 1}\n{:process 1, :type :invoke, :f :read}", "1 of 2 events have no"),
    (
        "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :read, :value {0 10, 1 10}}",
        "Line 1: a read returned a collection, and nothing says of what",
    ),
    ("{:process :nemesis, :type :info, :f :start}", r"no operations of clients \(1 non-client event"),
    (chr(0xFEFF) + "{:process 0, :type :invoke, :f :read}", "It is UTF-16 text"),
    ('{"process":0,"type":"invoke","f":"read","value":["\\ud800",null]}', "half a character"),
    ("{:process 0, :type :invoke, :f :read", "Line 1: the file ends within what line 1 begins"),
    ("[{:process 0, :type :invoke, :f :read}\n", "Line 1: the file ends within"),
    ("{:process 0, :type :invoke, :f :read]", r"Line 1: '\{' is closed by '\]'"),
    ("{:process 0, :type}", "Line 1: a map has a key without a value"),
    ('{:process 0, :type :invoke, :f "read}', "Line 1: a quotation mark is not closed"),
    ("{:a " + "[" * 200, "Line 1: it is over 100 levels deep"),
    ("{:process 0, :type :invoke, :f :read}}", "Line 1: '}' closes nothing"),
    ("[{:process 0, :type :invoke, :f :read}] 3 {}", "something follows the end|it is not an event"),
    ('[{"process":0,"type":"invoke","f":"read"}', "Line 1: the array has no end"),
    ('[{"process":0,"type":"invoke","f":"read"', "Line 1: it is not JSON"),
    ('{"process":0,"type":"invoke","f":' + "[" * 100_000, "nested too deeply|it is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_a_broken_history_is_refused_with_its_line_and_a_hint(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        recording_of(tmp_path, text)
    assert "Hint: " in str(refused.value)
