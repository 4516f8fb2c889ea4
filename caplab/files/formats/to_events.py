"""A history as Jepsen's events: what each operation is called there, and in which order its events come.

At one moment invocations come before completions, since operations that meet there are concurrent; an operation that
its session invokes at that moment gets a process of its own, as one does after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from ...model.history import SCHEMA, VANTAGE, Table
from ...model.transactions import APPEND, TXN, WRITE
from .columns import ID_SIGN
from .edn import Elements, Form, Keyword, values
from .events import MISMATCH, OURS, PREFIX
from .recording import FormatError, Recording
from .texts import fits_session

_MICRO = {APPEND: "append", WRITE: "w"}
_KINDS = {"write": "registers", "cas": "registers", "add": "sets", "incr": "counters"}
_F = {
    "write": "write",
    "cas": "cas",
    "add": "add",
    "enqueue": "enqueue",
    "dequeue": "dequeue",
    "id": "generate",
    TXN: TXN,
}
_NO_SCAN = "a scan that is no set's"
_EDN_SIGNS = tuple('":#[{(\\+-0123456789')
_EDN_WORDS = ("nil", "true", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """An operation to be: its events' f, the value that is asked and the one that is found, and the row it is of."""

    row: int
    f: str
    asked: Form
    found: Form


def events_of(recording: Recording) -> Iterator[dict[str, Form]]:
    """Yield the events of a validated history in their order. FormatError with the row for what Jepsen has no words."""
    rows = _whole(recording.table).to_pylist()
    operations = _Words(recording, rows).operations()
    processes = _processes(recording, rows, operations)
    moments = _moments(rows, operations)
    for index, (_, ends, place) in enumerate(moments):
        operation = operations[place]
        row = rows[operation.row]
        event: dict[str, Form] = {"index": index}
        if recording.has_times:
            event["time"] = row["invoke_ns"] if not ends or row["return_ns"] is None else row["return_ns"]
        event["type"] = Keyword(row["outcome"] if ends else "invoke")
        event["process"] = processes[place][0]
        event["f"] = Keyword(operation.f)
        event["value"] = operation.found if ends and row["outcome"] == "ok" else operation.asked
        if ends and row.get("error") is not None:
            event["error"] = Keyword(row["error"])
        if not ends:
            event |= _more(recording, row, processes[place][0])
        yield event


def _whole(table: Table) -> Table:
    """Return a table with the columns that every operation is asked for."""
    for name in ("key", "value", "return_ns"):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, SCHEMA.field(name).type))
    return table


def _moments(rows: list[dict[str, Any]], operations: list[_Operation]) -> list[tuple[int, bool, int]]:
    """Return the time of each event, whether it is a completion, and its operation's place; in order."""
    moments = []
    for place, operation in enumerate(operations):
        row = rows[operation.row]
        moments.append((row["invoke_ns"], False, place))
        if row["return_ns"] is not None or row["outcome"] == "fail":
            moments.append((row["invoke_ns"] if row["return_ns"] is None else row["return_ns"], True, place))
    return sorted(moments)


def _processes(
    recording: Recording, rows: list[dict[str, Any]], operations: list[_Operation]
) -> list[tuple[int, bool]]:
    """Return the process of each operation: that of its session while its last operation has ended before."""
    alone = len({row.get("vantage", VANTAGE) for row in rows}) == 1
    sessions = [row["session"] for row in rows]
    plain = alone and all(number >= 0 and fits_session(number) for number in sessions)
    free = max(sessions) + 1 if plain else 0
    now: dict[tuple[str, int], tuple[int, int | None]] = {}  # the session's process, and when it is free
    processes = []
    for operation in operations:
        row = rows[operation.row]
        session = (row.get("vantage", VANTAGE), row["session"])
        process, until = now.get(session, (row["session"] if plain else -1, -(1 << 63)))
        if process < 0 or until is None or until >= row["invoke_ns"]:
            process, free = free, free + 1
        now[session] = process, row["return_ns"]
        processes.append((process, plain and process == row["session"]))
    return processes


def _more(recording: Recording, row: Mapping[str, Any], process: int) -> dict[str, Form]:
    """Return what Jepsen has no word for."""
    more: dict[str, Form] = {}
    for name in OURS:
        cell = row.get(name)
        if cell is None or (name == "vantage" and cell == VANTAGE) or (name == "session" and cell == process):
            continue
        if name == "session":
            cell = recording.texts.text_of_session(cell) or cell
        more[f"{PREFIX}{name}"] = cell
    if row.get("error") is not None and row["return_ns"] is None:  # it has no completion to say so
        more[f"{PREFIX}error"] = row["error"]
    if row["op"] == "cas" and row["outcome"] == "fail" and row.get("error") is None:
        more[f"{PREFIX}{MISMATCH}"] = True
    return more


class _Words:
    """Finds Jepsen's words for operations."""

    def __init__(self, recording: Recording, rows: list[dict[str, Any]]) -> None:
        self._texts, self._rows = recording.texts, rows
        # A value that is itself two values would look like a key and a value.
        self._keyed = any(row.get("key") is not None for row in rows) or self._has_pairs()
        kinds = [(_KINDS[row["op"]], place) for place, row in enumerate(rows) if row["op"] in _KINDS]
        for kind, place in kinds:
            if kind != kinds[0][0]:
                self._refuse(
                    place,
                    f"it is of {kind} where others are of {kinds[0][0]}, and a read of Jepsen's does not say of which",
                    "convert them to .jsonl, .csv or .parquet, or keep each in a file of its own",
                )
        self._kind = kinds[0][0] if kinds else "registers"

    def _has_pairs(self) -> bool:
        values = {row[name] for row in self._rows for name in ("value", "expected") if row.get(name) is not None}
        return any(isinstance(form, list) and len(form) == 2 for form in map(self._value, values))

    def operations(self) -> list[_Operation]:
        """Return all operations in the order of their rows."""
        operations: list[_Operation] = []
        scans: dict[tuple[Any, ...], _Operation] = {}
        counted = any(row["op"] == "read" and row["value"] is not None for row in self._rows)
        for place, row in enumerate(self._rows):
            if row["op"] == "scan":
                self._scan(place, row, scans, operations)
                continue
            asked, found = self._values(place, row)
            f = "read" if row["op"] == "read" else _F.get(row["op"], "add" if counted else "increment")
            operations.append(_Operation(row=place, f=f, asked=asked, found=found))
        return operations

    def _scan(
        self,
        place: int,
        row: Mapping[str, Any],
        scans: dict[tuple[Any, ...], _Operation],
        operations: list[_Operation],
    ) -> None:
        """Take one row of a scan, whose other rows have the same session, key and times."""
        if self._kind != "sets":
            self._refuse(
                place, f"it is {_NO_SCAN}, for which Jepsen has no word", "convert to .jsonl, .csv or .parquet"
            )
        same = tuple(cell for name, cell in row.items() if name != "value")
        operation = scans.get(same)
        if operation is None:
            elements = Elements()
            operation = scans[same] = _Operation(row=place, f="read", asked=self._tuple(row, None), found=elements)
            operations.append(operation)
            if self._keyed:
                operation = scans[same] = operations[-1] = _Operation(
                    row=place, f="read", asked=operation.asked, found=self._tuple(row, elements)
                )
        if row["value"] is not None:
            (operation.found[1] if self._keyed else operation.found).append(self._value(row["value"]))

    def _values(self, place: int, row: Mapping[str, Any]) -> tuple[Form, Form]:
        """Return what an operation asks, and what it finds if it is ok."""
        op, value = row["op"], self._value(row["value"])
        if op == TXN:
            return self._transaction(row, known=False), self._transaction(row, known=True)
        if op == "load":
            self._refuse(place, "it is a load, for which Jepsen has no word", "convert to .jsonl, .csv or .parquet")
        if op == "read" and self._kind == "sets":
            self._refuse(place, "it is a read where others are of sets", "convert to .jsonl, .csv or .parquet")
        if op in ("read", "dequeue", "id"):
            return self._tuple(row, None), self._tuple(row, self._id(value) if op == "id" else value)
        if op == "incr" and value is None:
            value = 1
        if op == "cas":
            value = [self._expected(place, row), value]
        whole = self._tuple(row, value)
        return whole, whole

    def _expected(self, place: int, row: Mapping[str, Any]) -> Form:
        observed, expected = row.get("observed"), row.get("expected")
        ok = row["outcome"] == "ok"
        if (observed is not None and not ok) or (ok and "observed" in row and observed != expected):
            self._refuse(
                place,
                "it is a cas that found another value than it expected; Jepsen's either succeed or fail",
                "convert to .jsonl, .csv or .parquet",
            )
        return self._value(expected)

    def _tuple(self, row: Mapping[str, Any], value: Form) -> Form:
        return [_key(row["key"]), value] if self._keyed and row["op"] != TXN else value

    def _transaction(self, row: Mapping[str, Any], known: bool) -> list[Form]:
        return [self._micro(each, known) for each in row[TXN]]

    def _micro(self, each: Mapping[str, Any], known: bool) -> list[Form]:
        word = _MICRO.get(each["op"], "r")
        value: Form = None
        if word != "r" or known:
            elements = each["elements"]
            value = self._value(each["value"]) if elements is None else [self._value(element) for element in elements]
        return [Keyword(word), _key(each["key"]), value]

    def _value(self, number: int | None) -> Form:
        """Return a value as a form: its text, if it has one."""
        text = None if number is None else self._texts.text_of_value(number)
        return number if text is None else form_of(text)

    @staticmethod
    def _id(value: Form) -> Form:
        is_number = isinstance(value, str) and value.startswith(ID_SIGN) and value[1:].removeprefix("-").isdecimal()
        return int(value[1:]) if is_number else value

    @staticmethod
    def _refuse(place: int, what: str, hint: str) -> NoReturn:
        raise FormatError(f"Row {place + 1}: {what}. Hint: {hint}.")


def form_of(text: str) -> Form:
    """Return the form that a value's text stands for; what is written like no other form is a string."""
    if text.startswith(_EDN_SIGNS) or text in _EDN_WORDS:
        try:
            whole = values(text)
        except ValueError:
            return text
        if len(whole) == 1 and whole[0] is not None:
            return whole[0]
    return text


def _key(name: str | None) -> Form:
    if name is not None and name.removeprefix("-").isdigit() and name.isascii() and str(int(name[:18])) == name:
        return int(name)
    return name


def has_repeats(elements: list[Form]) -> bool:
    """Return whether elements repeat: a set cannot hold them."""
    return len({repr(element) for element in elements}) < len(elements)
