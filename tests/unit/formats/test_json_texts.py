"""Fast readers of JSON beside the exact ones: the same values, lines and refusals, whatever a file has."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from support.effort import cases

from caplab.files.formats import json_texts, reading
from caplab.files.formats.json_texts import exact_objects, objects
from caplab.files.formats.plain.events import PlainEvents, plain_events
from caplab.files.formats.plain.lines import plain_lines
from caplab.files.formats.plain.transactions import plain_columns
from caplab.files.formats.reading import read
from caplab.files.formats.recording import FormatError
from caplab.files.formats.texts import Texts
from caplab.model.bounds import Bounds, TooMuch

EVENT = '{"type":"invoke","process":0,"f":"write","value":1}'
HOSTILE = [
    EVENT, '{"type":"ok","type":"fail","process":0}', '{"a":{"b":1,"b":2}}', '{"a":{"b":1},"a":{}}', '{"a":[{"b":1}]}',
    '{"a":":","b":"\\":"}', '{"a":":"}', '{"v":18446744073709551615}', '{"v":18446744073709551616}',
    '{"v":-9223372036854775809}', '{"v":[9223372036854775808,-9223372036854775808]}', f'{{"v":{"7" * 4301}}}',
    '{"v":123456789012345678901e-2}', '{"v":0.12345678901234567890123}', '{"v":-0}', '{"v":-0.0}', '{"v":1e5}',
    '{"v":1E400}', '{"v":NaN}', '{"v":-Infinity}', '{"v":"\\ud800"}', '{"v":"\\ud83d\\ude00"}', '{"v":"😀é"}',
    '{"v":"\t"}', '{"v":"\x00"}', '{"v":"\x7f"}', '{"v":01}', '{"v":1.}', '{"v":[1,]}', "{'v':1}", '{"v":"\\x41"}',
    '{"v":"a\\u0000b"}', '{"\\u0061":1,"a":2}', '{"":1,"":2}', "{}", "[]", "[1]", "[{}]", "1", "-", "nul", '"text"',
    "{", "}", "[", "]", '{"v":', '{"v":1', '"v":1}', '{"v":"', '":1}', "// no JSON", "\ufeff", "\u2028", "\x0b", "\xa0",
    f'{{"v":{"[" * 3000}{"]" * 3000}}}', f'{{"v":{"[" * 200}{"]" * 200}}}', f'{{"v":{"{" * 3000}', "",
]  # fmt: skip
BETWEEN = ["\n", "\r\n", "\r", ",\n", "\n\n", " \n ", "\n,", ",", " ", "", "\t\n", "}\n{", "\n]\n", "]"]


def outcome_of(values: Any) -> list[tuple[int, str]]:
    """Return what a reader yields, with the types of everything, and the refusal at its end."""
    there = []
    try:
        for line, value in values():
            there.append((line, repr(value)))
    except (FormatError, UnicodeDecodeError) as error:
        there.append((-1, str(error)))
    return there


def exactly(path: Path) -> Any:
    text = path.read_text(encoding="utf-8-sig")
    begin = text.lstrip(" \t\n\r\f\v,")
    at = len(text) - len(begin)
    in_array = begin.startswith("[")
    return exact_objects(text, at + in_array, 1 + text.count("\n", 0, at), in_array=in_array)


def hostile_file(rng: random.Random) -> bytes:
    """Return a file of pieces that readers might take in different ways, most of them between plain events."""
    pieces = [rng.choice(HOSTILE) if rng.random() < 0.4 else EVENT for _ in range(rng.randrange(8))]
    separator = rng.choice(["\n", ",\n", ",", ""])
    text = "".join(piece + (separator or rng.choice(BETWEEN)) for piece in pieces)
    begin, end = rng.choice(["", "", "\ufeff", "[", " [\n", "\n\n"]), rng.choice(["", "\n", "\n]", "]", "]\n"])
    whole = f"{begin}{text}{end}".encode()
    return whole[: max(len(whole) - rng.choice([0, 0, 0, 1, 2, 5]), 3)]  # not within a byte order mark


def test_lines_are_read_as_the_exact_reader_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.jsonl"
    refused = 0
    for seed in range(1_000):
        rng = random.Random(seed)
        monkeypatch.setattr(json_texts, "_PART_BYTES", rng.choice([1, 60, 1 << 20]))
        monkeypatch.setattr(json_texts, "_VALUES", rng.choice([1, 3, 10_000]))
        path.write_bytes(hostile_file(rng))
        expected = outcome_of(lambda: exactly(path))
        assert outcome_of(lambda: objects(path)) == expected, f"seed {seed}: {path.read_bytes()!r}"
        refused += bool(expected) and expected[-1][0] == -1
    assert 200 < refused < 800


@pytest.mark.parametrize("lines_before", [0, 1, 20_000])
@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ('{"type":"ok","process":0,"process":0}', "an object has a field twice"),
        ('{"type":"ok","error":{"a":1,"a":1}}', "an object has a field twice"),
        ('{"type":"ok","\\u0074ype":"ok"}', "an object has a field twice"),
        (f'{{"type":{"7" * 4301}}}', "a number has too many digits"),
        ('{"type":"ok"', "Expecting ',' delimiter"),
        (f'{{"type":{"[" * 200_000}', "it is nested too deeply"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(line: str, refusal: str, lines_before: int, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{EVENT}\n" * lines_before + f"{line}\n{EVENT}\n")
    with pytest.raises(FormatError) as refused:
        list(objects(path))
    assert str(refused.value).startswith(f"Line {lines_before + 1}: ")
    assert refusal in str(refused.value)


def test_whole_numbers_of_any_size_stay_as_they_are(tmp_path: Path) -> None:
    """A parser that made floats of them would take two values for one."""
    numbers = [2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 2**64 + 1, -(2**63) - 1, 10**40, -(10**40)]
    path = tmp_path / "history.jsonl"
    path.write_text("".join(f'{{"v":{number}}}\n' for number in numbers))
    assert [value["v"] for _, value in objects(path)] == numbers


def test_plain_lines_are_not_left_to_the_exact_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it is slow")

    monkeypatch.setattr(json_texts, "exact_objects", refuse)
    path = tmp_path / "history.jsonl"
    path.write_text(f"{EVENT}\n" * 3)
    assert len(list(objects(path))) == 3
    path.write_text(f"{EVENT}\n\n" * 3 + "\n")
    assert [line for line, _ in objects(path)] == [1, 3, 5]
    path.write_text("[" + ",".join([EVENT] * 3) + "]\n")
    assert len(list(objects(path))) == 3
    path.write_text("[" + ",\n".join([EVENT] * 3) + ",\n")
    with pytest.raises(FormatError, match="has no end"):
        list(objects(path))


ODD_VALUES: list[Any] = [
    2**63,
    -(2**63),
    4 * 10**18,
    True,
    None,
    1.0,
    "a",
    "1",
    [1],
    {},
    [2, "b"],
    [2**63],
    [None],
    [],
    [1, 2],
]
ODD_KEYS: list[Any] = ["1", 1, True, None, 1.5, ["x"]]
ODD_WORDS: list[Any] = ["read", "write", "cas", "w", 7, None, ["r"]]
ODD_TRANSACTIONS: list[Any] = [None, 1, [], [1], [[]], [["r", "x"]], [["r"]], {"r": 1}, "r", [["r", "x", None, 1]]]
ODD_FIELDS: list[dict[str, Any]] = [
    {"process": "nemesis", "type": "info"}, {"process": "a"}, {"process": None}, {"process": 2**31}, {"process": True},
    {"process": 2**63}, {"process": -(2**31)}, {"type": "invoke"}, {"type": "ok"}, {"type": "odd"}, {"type": ["ok"]},
    {"time": 5}, {"time": None}, {"time": "1"}, {"time": -(2**63)}, {"time": 2**63}, {"time": 1.5}, {"f": None},
    {"f": "TXN"}, {"f": "read"}, {"f": ["txn"]}, {"error": "timeout"}, {"error": "timed-out"}, {"error": ["a", ":b"]},
    {"index": 7}, {"index": 0}, {"index": -1}, {"index": "1"}, {"caplab/level": "serializable"}, {"other": {"a": 1}},
]  # fmt: skip


def micro_op(rng: random.Random, odds: float) -> list[Any]:
    word: Any = rng.choice(["append", "w", "r", "r"])
    key: Any = rng.choice("xy")
    value: Any = rng.randrange(9)
    if rng.random() < odds:
        value = rng.choice(ODD_VALUES)
    if rng.random() < odds:
        key = rng.choice(ODD_KEYS)
    if rng.random() < odds / 2:
        word = rng.choice(ODD_WORDS)
    return [word, key, [value] if word == "r" and rng.random() < 0.5 else value]


def transactional(rng: random.Random) -> list[dict[str, Any]]:
    """Return events of transactions: many files have nothing odd, most of the others one thing."""
    events: list[dict[str, Any]] = []
    odds = rng.choice([0, 0, 0, 0.03])
    opened: dict[int, Any] = {}
    timed, indexed, clock = rng.random() < 0.7, rng.random() < 0.5, 0
    for number in range(rng.randrange(1, 16)):
        process = rng.randrange(3)
        clock += rng.choice([0, 1, 1, 5]) - (4 if rng.random() < odds else 0)
        if process in opened:
            kind, found = rng.choice(["ok", "ok", "fail", "info"]), opened.pop(process)
            value = found if rng.random() < 0.9 or kind == "ok" else None
        else:
            kind, found = "invoke", [micro_op(rng, odds) for _ in range(rng.randrange(1, 4))]
            if rng.random() < odds:
                found = rng.choice(ODD_TRANSACTIONS)
            opened[process] = value = found
            if isinstance(found, list) and all(isinstance(each, list) and len(each) == 3 for each in found):
                value = [[each[0], each[1], None if each[0] == "r" else each[2]] for each in found]
            if rng.random() < odds:
                value = rng.choice([None, found, [micro_op(rng, 0)]])
        event: dict[str, Any] = {"type": kind, "process": process, "f": "txn", "value": value}
        event |= ({"time": clock} if timed else {}) | ({"index": number} if indexed else {})
        events.append(event | (rng.choice(ODD_FIELDS) if rng.random() < odds else {}))
    return events


def recorded(path: Path) -> Any:
    try:
        recording = read(path)
    except ValueError as error:
        return str(error)
    numbers = range(4 * 10**18, 4 * 10**18 + 50)
    rows = None if recording.rows is None else recording.rows.tolist()
    texts = [recording.texts.text_of_value(number) for number in numbers]
    return recording.table.to_pylist(), rows, recording.notes, recording.has_times, texts


def written(rng: random.Random, events: list[dict[str, Any]]) -> str:
    """Return events on lines, or in an array on one line, as one program or another writes them."""
    names = ["type", "f", "process", "time", "index", "value"]
    rng.shuffle(names)
    separators = rng.choice([(",", ":"), (", ", ": ")])
    fields = [{name: event[name] for name in names if name in event} | event for event in events]
    if rng.random() < 0.2:
        return json.dumps(fields, separators=separators)
    ends = rng.choice(["\n", "\n", ",\n", "\r\n"])
    return ends.join(json.dumps(event, separators=separators) for event in fields) + rng.choice(["", "\n"])


def test_many_events_at_once_are_the_same_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.jsonl"
    taken_apart = plain = refused = 0
    for seed in range(600):
        rng = random.Random(seed)
        path.write_text(written(rng, transactional(rng)), newline="")
        monkeypatch.setattr(json_texts, "_PART_BYTES", rng.choice([1, 300, 1 << 20]))
        taken_apart += all(type(part) is PlainEvents for _, part in reading._parts(path))
        plain += plain_columns(json_texts.parts(path), Texts(), Bounds()) is not None
        by_lines = recorded(path)
        with monkeypatch.context() as patched:
            patched.setattr(reading, "plain_lines", lambda _: None)
            at_once = recorded(path)
            patched.setattr(reading, "plain_columns", lambda *_: None)
            one_by_one = recorded(path)
        assert by_lines == at_once == one_by_one, f"seed {seed}: {path.read_text()}"
        refused += isinstance(one_by_one, str)
    assert taken_apart > 250
    assert plain > 250
    assert refused > 20


CHARACTERS = [
    *'[]{}",:\\0123-.eE+ \t\n\r\x00é',
    "null",
    "true",
    "txn",
    '"r"',
    '"x"',
    "[]",
    "],[",
    '"time"',
    '"error"',
    "9" * 19,
]


def test_a_character_more_or_less_is_read_the_same(tmp_path: Path) -> None:
    """What is no longer plain is left to the other readers, and what is has the values that they find."""
    path = tmp_path / "history.jsonl"
    plain = 0
    for seed in range(cases(4_000)):
        rng = random.Random(seed)
        text = written(
            rng, [event | ({"error": "timeout"} if rng.random() < 0.2 else {}) for event in transactional(rng)][:4]
        )
        for _ in range(rng.choice([0, 1, 1, 2])):
            begin = rng.randrange(len(text))
            text = text[:begin] + rng.choice(["", *CHARACTERS]) + text[begin + rng.choice([0, 0, 1, 2]) :]
        events = plain_lines(pa.py_buffer(text.encode()))
        if events is not None:
            plain += 1
            path.write_text(text, newline="")
            assert repr(events) == repr(plain_events([value for _, value in objects(path)])), f"seed {seed}: {text!r}"
    assert cases(400) < plain < cases(2_000)


def test_a_history_over_the_bounds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    event = '{"process":%d,"f":"txn","type":"invoke","value":[["append","x",1]]}\n'
    path.write_text("".join(event % process for process in range(9)))
    assert read(path, Bounds(rows=9)).table.num_rows == 9
    with pytest.raises(TooMuch, match="9 rows, and at most 8"):
        read(path, Bounds(rows=8))
