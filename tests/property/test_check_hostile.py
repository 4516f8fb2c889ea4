"""Whatever is in a file, `caplab check` ends with one of its exit codes, a sentence and no control character."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc, parquet
from support.checkers.histories import operation, table
from support.effort import cases

from caplab import cli
from caplab.model.history import SCHEMA

pytestmark = pytest.mark.property
SETTINGS = settings(max_examples=cases(150), deadline=None, suppress_health_check=list(HealthCheck))
WHOLE = table([operation(10 * n, key=f"k{n % 3}", value=n, op="write" if n % 2 else "read") for n in range(40)])


def check(content: bytes, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        path = Path(folder) / "history"
        path.write_bytes(content)
        code = cli.main(["check", str(path), *arguments])
    return code, out.getvalue(), err.getvalue()


def ends_well(content: bytes) -> int:
    code, out, err = check(content)
    assert all(char == "\n" or char.isprintable() for char in out + err)
    assert "Traceback" not in err
    if code == 3:
        assert out == ""
        assert err.count("\n") == 1
        assert not err.startswith("FAILED: unexpected"), err
    else:
        assert code in (0, 1, 2)
        assert err == ""
        assert "The checker '" not in out, out  # that it failed
    return code


def in_memory(write: Callable[[Any], None]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def as_parquet(whole: Any) -> bytes:
    return in_memory(lambda sink: parquet.write_table(whole, sink, compression="zstd", write_page_checksum=True))


def as_arrow(whole: Any, compression: str | None = None) -> bytes:
    def write(sink: Any) -> None:
        with ipc.new_file(sink, whole.schema, options=ipc.IpcWriteOptions(compression=compression)) as out:
            out.write_table(whole)

    return in_memory(write)


def as_stream(whole: Any) -> bytes:
    def write(sink: Any) -> None:
        with ipc.new_stream(sink, whole.schema) as out:
            out.write_table(whole)

    return in_memory(write)


def as_csv(whole: Any) -> bytes:
    rows = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in whole.to_pylist()]
    return "\n".join([",".join(whole.column_names), *rows, ""]).encode()


def as_events(form: str) -> bytes:
    events = [
        {"type": kind, "f": "write" if number % 2 else "read", "value": number // 2 or None, "process": number % 3,
         "time": 10 * number + (kind == "ok"), "error": 'a " b'}
        for number in range(20) for kind in ("invoke", "ok")
    ]  # fmt: skip
    lines = [json.dumps(event) for event in events]
    if form == "elle":
        return f"[{', '.join(lines)}]".encode()
    edn = [re.sub(r'"(\w+)":', r":\1", line).replace("null", "nil") for line in lines]
    return "\n".join(lines if form == "json" else [re.sub(r'"(\w+)"', r":\1", line) for line in edn]).encode()


LOG = b"".join(
    b"INFO  jepsen.util - %d\t:%s\t:write\t%d\n" % (number % 3, kind, number)
    for number in range(20)
    for kind in (b"invoke", b"ok")
)
TRANSACTIONS = b"".join(
    b"{:process 1, :type :%s, :value [[:append x %d] [:r y nil]]}\n" % (kind, number)
    for number in range(20)
    for kind in (b"invoke", b"ok")
)
FILES = {
    "parquet": as_parquet(WHOLE), "arrow": as_arrow(WHOLE), "zstd": as_arrow(WHOLE, "zstd"), "stream": as_stream(WHOLE),
    "csv": as_csv(WHOLE), "semicolons": as_csv(WHOLE).replace(b",", b";"), "edn": as_events("edn"),
    "jsonl": as_events("json"), "elle": as_events("elle"), "log": LOG, "txn": TRANSACTIONS,
    "lines": b"".join(json.dumps(row).encode() + b"\n" for row in WHOLE.to_pylist()),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_whole_file_is_checked(kind: str) -> None:
    assert ends_well(FILES[kind]) in (0, 1, 2)


@SETTINGS
@given(kind=st.sampled_from(sorted(FILES)), data=st.data())
def test_a_file_that_is_damaged_anywhere(kind: str, data: st.DataObject) -> None:
    content = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        # The last bytes are a footer, whose damage goes farthest.
        at = len(content) - 1 - at % 600 if data.draw(st.booleans()) else at
        content[max(at, 0)] = data.draw(st.sampled_from((0, 1, 127, 128, 255)) | st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(content)))
    ends_well(bytes(content[:cut]))


@SETTINGS
@given(
    begin=st.sampled_from((b"", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"session,op\n")),
    rest=st.binary(max_size=300),
    end=st.sampled_from((b"", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff\0\0\0\0", b"\xff\xff\xff\x7fPAR1")),
)
def test_bytes_that_begin_and_end_like_a_history(begin: bytes, rest: bytes, end: bytes) -> None:
    assert ends_well(begin + rest + end) == 3


TEXTS = st.text(max_size=8) | st.sampled_from(
    ["\x1b[2J\x1b]0;x\x07", "\u202egnp", "a\nb", "\r", "\0", "k" * 5000, "<b>", "\ud7ff"]
)


@SETTINGS
@given(keys=st.lists(st.none() | TEXTS, min_size=3, max_size=3), servers=st.lists(TEXTS, min_size=3, max_size=3),
       kind=st.sampled_from(("parquet", "arrow", "json")))  # fmt: skip
def test_text_of_a_history_draws_nothing(keys: list[str | None], servers: list[str], kind: str) -> None:
    rows = [
        operation(10, key=keys[0], value=1), operation(20, key=keys[0], value=2),
        operation(30, key=keys[0], op="read", value=1), operation(40, op="add", key=keys[1], value=7),
        operation(50, op="scan", key=keys[2], value=8),
    ]  # fmt: skip
    whole = table(rows).set_column(SCHEMA.get_field_index("server"), "server", pa.array([*servers, *servers[:2]]))
    code = ends_well(as_arrow(whole) if kind == "arrow" else as_parquet(whole))
    assert code != 0
    if kind == "json" and code != 3:
        _, out, _ = check(as_parquet(whole), "--json")
        assert out.isascii()
        assert json.loads(out)["validity"] != "valid"


EDN = st.sampled_from(
    ["{", "}", "[", "]", "(", ")", "#{", "#_", "#a/b", ";", '"', "\\\"", "\\", ":type", ":invoke",
     ":ok", ":f", ":read", ":write",
     ":value", ":process", ":time", "nil", "0", "1", "-1", "1.5", "9" * 5000, "1/2", "x", ",", "\n", "\0", "\x1b[2J",
     "\u202e", ":info", "[:append x 1]", "[[:r x nil]]", "{:process 0, :type :invoke, :f :read}", "#{1 2}"]
)  # fmt: skip


@SETTINGS
@given(begin=st.sampled_from(("", "{:process 0, :type :invoke, :f :read}\n", "[{:type :ok, ")),
       words=st.lists(EDN, max_size=40))  # fmt: skip
def test_edn_of_anything(begin: str, words: list[str]) -> None:
    ends_well((begin + " ".join(words)).encode())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
FIELDS = ("type", "f", "value", "process", "time", "error", "caplab/session", "caplab/vantage", *SCHEMA.names)


@SETTINGS
@given(objects=st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES | st.sampled_from(
    ["invoke", "ok", "read", "write", "add", "txn", [["append", 1, 2]], [1, 2], 0, 1]), max_size=7), max_size=5),
       array=st.booleans())  # fmt: skip
def test_json_of_anything(objects: list[dict[str, Any]], array: bool) -> None:
    text = json.dumps(objects) if array else "\n".join(map(json.dumps, objects))
    ends_well(text.encode())


TYPES = st.sampled_from(
    [
        *(
            pa.int8(),
            pa.uint64(),
            pa.float64(),
            pa.bool_(),
            pa.null(),
            pa.timestamp("ns"),
            pa.date32(),
            pa.duration("s"),
        ),
        *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.decimal128(5, 2), pa.list_(pa.int64())),
        *(pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()), pa.run_end_encoded(pa.int32(), pa.string())),
        *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int64(), pa.large_string())),
        pa.dictionary(pa.int32(), pa.int64()),
    ]
)


@SETTINGS
@given(name=st.sampled_from(SCHEMA.names), kind=TYPES, rows=st.integers(0, 3), stream=st.booleans(), data=st.data())
def test_a_column_of_any_type(name: str, kind: Any, rows: int, stream: bool, data: st.DataObject) -> None:
    whole = WHOLE.slice(0, rows)
    try:
        cast = whole.column(name).cast(kind)
    except (pa.ArrowException, NotImplementedError):
        cast = pa.nulls(rows, kind) if not pa.types.is_run_end_encoded(kind) else pa.array([None] * rows, kind)
    whole = whole.set_column(SCHEMA.get_field_index(name), name, cast)
    if data.draw(st.booleans()):
        whole = whole.append_column(data.draw(st.sampled_from([name, "more", "\x1b[31m", ""])), cast)
    ends_well(as_stream(whole) if stream else as_arrow(whole))


CELLS = st.sampled_from(
    ["", "1", "-1", "9" * 30, "1.5", "ok", "write", '"', '""', "\x1b[1m", "\0", "\r", "\ufeff", "x" * 70_000]
)


@SETTINGS
@given(
    names=st.lists(st.sampled_from([*SCHEMA.names, "", '"', "more"]), max_size=8),
    tail=st.sampled_from(("", "\n", "\r\n", '"')),
    rows=st.lists(st.lists(CELLS, max_size=8), max_size=4),
)
def test_a_csv_of_anything(names: list[str], tail: str, rows: list[list[str]]) -> None:
    content = "\n".join([",".join(names), *(",".join(row) for row in rows)]) + tail
    ends_well(content.encode("utf-8"))
    ends_well(content.encode("utf-16"))
