"""Histories in files: what is read, and what is refused with its row and reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from pyarrow import ipc, parquet
from support.checkers.damaged_files import refusals_of_damage
from support.checkers.histories import operation, run_record, table

from caplab.files import results
from caplab.files.formats import reading
from caplab.model.disorder import validate_stored
from caplab.model.history import SCHEMA


def read(path: Path) -> Any:
    return reading.read(path).table


HEADER = "session,op,key,value,invoke_ns,return_ns,outcome\n"
ROWS = "1,write,x,1,0,5,ok\n1,read,x,,5,7,ok\n1,read,x,-1,7,,info\n"
SMALL = table([operation(0, key="x", value=1), operation(5, "info", None, key="y")])


def in_file(folder: Path, text: str | bytes, name: str = "history.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def as_parquet(path: Path, whole: Any) -> None:
    parquet.write_table(whole, path, compression="zstd", write_page_checksum=True)


def as_arrow(path: Path, whole: Any) -> None:
    with ipc.new_file(str(path), whole.schema) as out:
        out.write_table(whole)


def as_stream(path: Path, whole: Any) -> None:
    with ipc.new_stream(str(path), whole.schema) as out:
        out.write_table(whole)


WRITERS = {"history.parquet": as_parquet, "history.arrow": as_arrow, "segment.arrows": as_stream}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_comes_back_as_it_was_whatever_its_file_is_called(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / name, tmp_path / "history"):
        WRITERS[name](path, SMALL)
        assert read(path).cast(SMALL.schema).equals(SMALL)  # text of Parquet is in codes


def test_a_folder_named_like_a_column_adds_none(tmp_path: Path) -> None:
    path = tmp_path / "op=read" / "history.parquet"
    path.parent.mkdir()
    as_parquet(path, SMALL)
    assert read(path).column_names == SCHEMA.names


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_csv_has_nothing_for_null_and_may_end_in_any_way(end: str, line_end: str, tmp_path: Path) -> None:
    text = ((HEADER + ROWS).rstrip() + end).replace("\n", line_end)
    read_back = validate_stored(read(in_file(tmp_path, text)))
    assert read_back.column("value").to_pylist() == [1, None, -1]
    assert read_back.column("return_ns").to_pylist() == [5, 7, None]
    assert read_back.column("key").to_pylist() == ["x", "x", "x"]
    assert read_back.column("error").to_pylist() == [None] * 3


def test_a_csv_may_have_its_columns_in_any_order_quoted_and_with_a_byte_order_mark(tmp_path: Path) -> None:
    text = '\ufeffoutcome,"op",return_ns,invoke_ns,session,key\nok,read,7,5,1,"a,b"\n'
    assert validate_stored(read(in_file(tmp_path, text))).column("key").to_pylist() == ["a,b"]


REFUSED = [
    ("", "The file is empty"),
    (HEADER, "The history has no operations"),
    (HEADER + ROWS + "2,read,x,1,9\n", r"Row 4: it has 5 fields where the header has 7\. Hint: .*cut off"),
    ((HEADER + ROWS)[:-9], "Row 3: it has 4 fields where the header has 7"),
    ((HEADER + ROWS)[:-2], "Row 3: column 'outcome' says 'inf'"),
    (HEADER + ROWS + "2,read,x,1,9,9,ok,\n", "Row 4: it has 8 fields where the header has 7"),
    (
        HEADER + ROWS + "2,read,x,1,9.5,9,ok\n",
        "Row 4: column 'invoke_ns' has the value '9.5'. Hint: write whole",
    ),
    (HEADER + ROWS + "2,read,x,1.0,9,9,ok\n", "Column 'value' says '1.0' and '1', the same number"),
    (HEADER + ROWS + "2,incr,y,1.5,9,9,ok\n", "Row 4: column 'value' has the value '1.5'. Hint: write whole"),
    (HEADER + ROWS + ",read,x,1,9,9,ok\n", "Row 4: column 'session' is null"),
    (HEADER + ROWS + "2,read,x,1,9,,ok\n", "Row 4: it is ok, but return_ns is null"),
    (HEADER + ROWS + "2,read,x,1,9,8,ok\n", "Row 4: return_ns is before invoke_ns"),
    (HEADER + ROWS + "2,read,x,1,6,9,ok\n", "Row 4: invoke_ns 6 is before that of the row above, 7"),
    (HEADER + "1,write,x,1,0,5,ok\n1,read,x,,4,7,ok\n", "Rows 1 and 2: session 1 of vantage 'client'"),
    (HEADER + ROWS + "2,raed,x,1,9,9,ok\n", "Row 4: column 'op' says 'raed'"),
    (HEADER + ROWS + "2,read,x,1,9,9,yes\n", "Row 4: column 'outcome' says 'yes'"),
    (HEADER + ROWS + '2,read,"x,1,9,9,ok\n3,read,x,1,9,9,ok\n', "Row 4: "),
    (
        HEADER + ROWS + '2,read,"x\n",1,9,9,ok\n',
        "Column 'key' has a line end within a text. Hint: close every",
    ),
    ((HEADER + ROWS + "2,read,\N{SNOWMAN},1,9,9,ok\n").encode("utf-16"), "It is UTF-16 text"),
    ((HEADER + ROWS).encode() + b"2,read,\xff,1,9,9,ok\n", "Row 4: column 'key' is not UTF-8 text"),
    (
        HEADER.replace("outcome", "result") + ROWS,
        "Column 'result' is not part of a history. Hint: call 'result' outcome.",
    ),
    (
        HEADER.replace("session", "client").replace("outcome", "status").replace("op", "latency") + ROWS,
        "are not part of a history. Hint: call 'client' session; call 'status' outcome; drop 'latency', or use ",
    ),
    (
        HEADER.replace("session", "Process") + ROWS,
        "Column 'Process' is not part of a history. Hint: call 'Process' session.",
    ),
    (HEADER.replace("key", "op") + ROWS, "Column 'op' occurs twice"),
    ("session,op,key,value,invoke_ns,return_ns\n1,read,x,1,1,2\n", "The history has no column 'outcome'"),
    (ROWS, "No column belongs to a history; the first one is '1'. Hint: name the columns session, "),
    ((HEADER + ROWS).replace(",", "|"), "No column belongs to a history; .*separated by commas"),
    ('{"session": 1}\n', "The history has no column 'op'"),
    (HEADER.replace(",op", ", op") + ROWS, "Column ' op' is not part of a history. Hint: call ' op' op."),
    (
        HEADER.replace("outcome", "Outcome") + ROWS,
        "Column 'Outcome' is not .* call 'Outcome' outcome.",
    ),
    (gzip.compress((HEADER + ROWS).encode()), r"The file is compressed \(gzip\). Hint: unpack it first."),
    (b"PK\x03\x04" + bytes(200), r"The file is compressed \(zip\)"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_a_broken_csv_is_refused_with_the_row_and_the_reason(text: str | bytes, says: str, tmp_path: Path) -> None:
    path = in_file(tmp_path, text)
    with pytest.raises(ValueError, match=says) as refused:
        validate_stored(read(path))
    assert "Hint: " in str(refused.value)


def test_the_row_of_an_error_far_down_is_right(tmp_path: Path) -> None:
    lines = "".join(f"1,read,x,1,{number},{number},ok\n" for number in range(200_000))
    path = in_file(tmp_path, HEADER + lines + "1,read,x,1,200000,z,ok\n")
    with pytest.raises(ValueError, match="Row 200001: column 'return_ns' has the value 'z'"):
        read(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_binary_file_that_was_cut_off_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    whole_file = tmp_path / name
    WRITERS[name](whole_file, SMALL)
    whole = whole_file.read_bytes()
    for length in range(0, len(whole), 7):
        whole_file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="Hint: "):
            read(whole_file)


@pytest.mark.parametrize("name", WRITERS)
def test_a_binary_file_that_is_damaged_anywhere_is_read_or_refused_and_ends_nothing(name: str, tmp_path: Path) -> None:
    """A byte changed in an Arrow file may point outside of it: whoever went there would end the whole process."""
    path = tmp_path / name
    WRITERS[name](path, SMALL)
    assert refusals_of_damage(path, read, every=5) > 0


def test_a_damaged_page_of_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    rows = [operation(number, value=number * 7919 % 1000) for number in range(1000)]
    results.write_run(tmp_path, run_record(), table(rows))
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 3
    whole[middle] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="cannot be read"):
        read(path)


def test_what_is_named_parquet_but_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The file is not Parquet: it does not"):
        read(in_file(tmp_path, HEADER + ROWS, "history.parquet"))


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("write", [as_parquet, as_arrow])
def test_a_column_that_is_no_historys_is_refused_in_any_file(
    write: Callable[[Path, Any], None], tmp_path: Path
) -> None:
    write(tmp_path / "history", SMALL.append_column("latency", pa.array([1, 2])))
    with pytest.raises(ValueError, match="Column 'latency' is not part of a history"):
        validate_stored(read(tmp_path / "history"))


def test_a_run_that_is_kept_unsorted_is_sorted_in_its_file(tmp_path: Path) -> None:
    rows = [operation(9, session=1), operation(0, session=2)]
    results.write_run(tmp_path, run_record(), table(rows))
    record, history = results.read_run(tmp_path)
    assert record == run_record()
    assert validate_stored(history).column("session").to_pylist() == [2, 1]


def test_a_runs_file_keeps_differences_and_every_value(tmp_path: Path) -> None:
    plain = [operation(number, key="x", value=number, session=number % 9) for number in range(500)]
    micro_ops = [{"op": "append", "key": "x", "value": 1, "elements": None}]
    micro_ops += [{"op": "r", "key": "y", "value": None, "elements": [1, 2, 3]}]
    rows = table([*plain, operation(600, op="txn", key=None, value=None) | {"txn": micro_ops}])
    results.write_history(tmp_path / results.HISTORY, rows)
    assert results.read_history(tmp_path).to_pylist() == rows.to_pylist()
    group = parquet.ParquetFile(tmp_path / results.HISTORY).metadata.row_group(0)
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    deltas = {name for name, column in columns.items() if "DELTA_BINARY_PACKED" in column.encodings}
    assert deltas == {field.name for field in rows.schema if pa.types.is_integer(field.type)}
    others = [column for name, column in columns.items() if name not in deltas]
    assert all(column.has_dictionary_page for column in others if column.statistics.null_count < column.num_values)
