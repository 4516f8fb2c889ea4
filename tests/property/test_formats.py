"""A history that goes through another format and back is the same: its operations, values, sessions and times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.effort import cases

from caplab.files.formats import writing
from caplab.files.formats.reading import read
from caplab.files.formats.recording import Recording
from caplab.files.formats.texts import Texts
from caplab.model.disorder import validate_stored
from caplab.model.history import SCHEMA, Table

pytestmark = pytest.mark.property
SETTINGS = settings(max_examples=cases(30), deadline=None, suppress_health_check=list(HealthCheck))
Row = dict[str, Any]

WORDS = ("five", "two words", ":a", '"5"', "1.5", "[1 2]", "Ünïcode", 'say "so"', "a,b;c", "-", "true")
SCALARS = tuple(word for word in WORDS if word != "[1 2]")  # a register of lists is not told from a list
KEYS = st.none() | st.sampled_from(["x", "7", "y z", "-3"])
NUMBERS = st.integers(-3, 9) | st.integers(-(2**63), 2**62).filter(lambda number: not 4 * 10**18 <= number < 5 * 10**18)


def plain(recording: Recording) -> list[Row]:
    """Return the rows with texts as they are, in an order that does not depend on that of one moment's rows."""
    texts = recording.texts

    def value(number: int | None) -> int | str | None:
        return None if number is None else texts.text_of_value(number) or number

    rows = []
    for row in validate_stored(recording.table).to_pylist():
        for name in ("value", "expected", "observed"):
            row[name] = value(row[name])
        row["session"] = texts.text_of_session(row["session"]) or row["session"]
        for micro in row["txn"] or ():
            micro["value"] = value(micro["value"])
            micro["elements"] = None if micro["elements"] is None else [value(each) for each in micro["elements"]]
        rows.append(row)
    return sorted(rows, key=lambda row: (row["invoke_ns"], repr(row)))


def through(recording: Recording, *endings: str) -> Recording:
    with tempfile.TemporaryDirectory() as folder:
        for ending in endings:
            path = Path(folder) / f"history{ending}"
            writing.write(recording, path, writing.ENDINGS[ending])
            recording = read(path)
    return recording


@st.composite
def recordings(draw: st.DrawFn, operation: Callable[[st.DrawFn, Texts], list[Row]], texts_too: bool) -> Recording:
    """Draw a few sessions with operations one after the other; times may meet."""
    texts = Texts()
    rows: list[Row] = []
    names = [texts.session("client a"), texts.session("b")] if texts_too and draw(st.booleans()) else [0, 3]
    vantages = draw(st.sampled_from([("client",), ("a", "b")]))
    for vantage in vantages:
        for session in names:
            now = draw(st.integers(0, 3))
            for _ in range(draw(st.integers(0, 4))):
                took = draw(st.integers(0, 3))
                made = operation(draw, texts)
                outcome = made[0].setdefault("outcome", draw(st.sampled_from(["ok", "ok", "info", "fail"])))
                never = outcome == "info" and draw(st.booleans())
                times = {"invoke_ns": now, "return_ns": None if never else now + took}
                where = {"vantage": vantage, "session": session, "level": draw(st.sampled_from([None, "quorum"]))}
                where |= {"error": "timeout" if outcome == "info" else None}
                rows += [where | times | row | {"outcome": outcome} for row in made]
                now += took + draw(st.integers(not took, 2))
    assume(rows and (all(row["op"] != "scan" for row in rows) or any(row["op"] == "add" for row in rows)))
    rows.sort(key=lambda row: row["invoke_ns"])
    return Recording(table=table_of(rows), format="", texts=texts)


def table_of(rows: list[Row]) -> Table:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    used = [name for name in SCHEMA.names if name == "return_ns" or table.column(name).null_count < len(rows)]
    return table.select(used)


def values(draw: st.DrawFn, texts: Texts, words: tuple[str, ...] = WORDS) -> int:
    return texts.value(draw(st.sampled_from(words))) if draw(st.booleans()) else draw(NUMBERS)


def register(draw: st.DrawFn, texts: Texts) -> list[Row]:
    key = draw(KEYS)
    op = draw(st.sampled_from(["read", "write", "cas"]))
    outcome = draw(st.sampled_from(["ok", "info", "fail"]))
    if op == "read":
        return [{"op": op, "key": key, "outcome": outcome, "value": values(draw, texts) if outcome == "ok" else None}]
    if op == "write":
        return [{"op": op, "key": key, "value": values(draw, texts), "outcome": outcome}]
    expected = draw(st.none() | st.just(values(draw, texts)))
    found = expected if outcome == "ok" else None
    return [{"op": op, "key": key, "value": values(draw, texts), "expected": expected, "observed": found,
             "outcome": outcome}]  # fmt: skip


def element(draw: st.DrawFn, texts: Texts) -> list[Row]:
    key = draw(KEYS)
    if draw(st.booleans()):
        return [{"op": "add", "key": key, "value": values(draw, texts)}]
    elements: list[int | None] = [values(draw, texts) for _ in range(draw(st.integers(0, 3)))]
    return [{"op": "scan", "key": key, "value": each, "outcome": "ok"} for each in elements or [None]]


def amount(draw: st.DrawFn, _texts: Texts) -> list[Row]:
    if draw(st.booleans()):
        return [{"op": "incr", "key": draw(KEYS), "value": draw(st.integers(-3, 3))}]
    return [{"op": "read", "key": draw(KEYS), "value": draw(st.integers(-9, 9)), "outcome": "ok"}]


def handed_out(draw: st.DrawFn, texts: Texts) -> list[Row]:
    return [{"op": "id", "value": texts.value(draw(st.sampled_from([*WORDS, "#9", "#-1"]))), "outcome": "ok"}]


def transaction(draw: st.DrawFn, texts: Texts) -> list[Row]:
    outcome = draw(st.sampled_from(["ok", "info", "fail"]))
    micro = [_micro(draw, texts, outcome == "ok") for _ in range(draw(st.integers(0, 3)))]
    return [{"op": "txn", "outcome": outcome, "txn": micro}]


def _micro(draw: st.DrawFn, texts: Texts, known: bool) -> Row:
    op = draw(st.sampled_from(["append", "write", "read"]))
    of_list = op == "append" or (op == "read" and draw(st.booleans()))
    row: Row = {"op": op, "key": draw(st.sampled_from(["l1", "5"] if of_list else ["r1", "6"]))}
    if op != "read":
        return row | {"value": values(draw, texts, SCALARS), "elements": None}
    if not known:
        return row | {"value": None, "elements": None}
    if of_list:
        return row | {
            "value": None,
            "elements": [values(draw, texts, SCALARS) for _ in range(draw(st.integers(0, 2)))],
        }
    return row | {"value": draw(st.none() | st.just(values(draw, texts, SCALARS))), "elements": None}


WORKLOADS = {"register": register, "set": element, "counter": amount, "ids": handed_out, "txn": transaction}
COLUMNS = (".parquet", ".arrow", ".arrows", ".csv", ".jsonl")


@pytest.mark.parametrize("workload", WORKLOADS)
@SETTINGS
@given(data=st.data())
def test_columns_of_any_kind_hold_every_history(workload: str, data: st.DataObject) -> None:
    recording = data.draw(recordings(WORKLOADS[workload], texts_too=True))
    endings = [".jsonl"] if workload == "txn" else data.draw(st.permutations(COLUMNS))
    assert plain(through(recording, *endings)) == plain(recording)


@pytest.mark.parametrize("workload", WORKLOADS)
@SETTINGS
@given(data=st.data())
def test_jepsens_events_hold_every_workload(workload: str, data: st.DataObject) -> None:
    recording = data.draw(recordings(WORKLOADS[workload], texts_too=True))
    assert plain(through(recording, ".edn")) == plain(recording)


@pytest.mark.parametrize("workload", sorted(WORKLOADS.keys() - {"ids"}))
@SETTINGS
@given(data=st.data())
def test_elle_clis_json_holds_what_has_numbers(workload: str, data: st.DataObject) -> None:
    numbers = WORKLOADS[workload]
    recording = data.draw(recordings(lambda draw, _: numbers(draw, _Numbers()), texts_too=False))
    assert plain(through(recording, ".json", ".edn", ".json")) == plain(recording)


class _Numbers(Texts):
    """Texts that are numbers."""

    def value(self, text: str) -> int:
        return len(text)
