"""Transactions in histories: what is read, in every format, and what is refused with its row and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from pyarrow import ipc, parquet
from support.checkers.damaged_files import refusals_of_damage

from caplab.files.history_file import read
from caplab.files.transaction_cells import parsed, written
from caplab.model.disorder import validate_stored
from caplab.model.history import SCHEMA, VALIDATED, is_validated, validate
from caplab.model.transactions import TRANSACTIONS, VALIDATED_TRANSACTIONS

CELLS = ['[["append","x",1],["r","y",[1,2]],["w","z",3],["r","z",null]]', "[]", '[["r","y",[]],["r","z",-3]]']


def micro(op: str, key: str | None, value: int | None = None, elements: list[int | None] | None = None) -> Any:
    return {"op": op, "key": key, "value": value, "elements": elements}


def history(*transactions: Any, op: str = "txn", **others: Any) -> Any:
    rows = len(transactions)
    columns = {
        "session": pa.array(range(rows), pa.int32()),
        "op": pa.array([op] * rows),
        "invoke_ns": pa.array(range(rows), pa.int64()),
        "return_ns": pa.array(range(1, rows + 1), pa.int64()),
        "outcome": pa.array(["ok"] * rows),
        "txn": pa.array(transactions, TRANSACTIONS),
    }
    return pa.table(columns | {name: pa.array([value] * rows) for name, value in others.items()})


def write(path: Path, whole: Any) -> None:
    if path.suffix == ".parquet":
        parquet.write_table(whole, path)
    else:
        with (ipc.new_file if path.suffix == ".arrow" else ipc.new_stream)(str(path), whole.schema) as out:
            out.write_table(whole)


PLAIN = history(
    [micro("append", "x", 1), micro("read", "y", None, [1, 2])], [], [micro("write", "z", 3), micro("read", "z", 3)]
)


def test_a_cell_comes_back_as_it_was() -> None:
    assert written(parsed(pa.array([*CELLS, None])).to_pylist()) == [*CELLS, None]


def test_a_csv_has_transactions_as_json_and_other_operations_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    quoted = CELLS[0].replace('"', '""')
    path.write_text(
        "session,op,key,value,invoke_ns,return_ns,outcome,txn\n"
        f'1,txn,,,0,5,ok,"{quoted}"\n2,write,r,3,1,7,ok,\n1,txn,,,6,7,ok,[]\n'
    )
    read_back = validate_stored(read(path)).column("txn").to_pylist()
    assert written(read_back) == [CELLS[0], None, "[]"]


@pytest.mark.parametrize("name", ["parquet", "arrow", "arrows"])
def test_binary_files_keep_transactions(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"history.{name}"
    for whole in (PLAIN, validate(PLAIN), pa.concat_tables([PLAIN, PLAIN])):
        write(path, whole)
        assert validate(read(path)).column("txn").to_pylist() == validate(whole).column("txn").to_pylist()


@pytest.mark.parametrize("name", ["parquet", "arrow", "arrows"])
def test_a_damaged_file_of_transactions_is_read_or_refused_and_ends_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"history.{name}"
    write(path, PLAIN)
    assert refusals_of_damage(path, read, every=13) > 0


def test_a_file_without_the_column_has_no_transactions() -> None:
    table = validate(PLAIN.drop_columns(["txn"]).set_column(1, "op", pa.array(["write"] * 3)))
    assert table.column("txn").null_count == 3
    assert is_validated(table)


def test_ops_and_keys_are_codes_that_are_the_same_throughout() -> None:
    column = validate(pa.concat_tables([PLAIN, PLAIN])).column("txn")
    assert column.type == VALIDATED_TRANSACTIONS
    flat = column.combine_chunks().flatten()
    assert flat.field(0).dictionary.to_pylist() == ["append", "write", "read"]
    assert flat.field(1).dictionary.to_pylist() == ["x", "y", "z"]


def test_other_widths_and_lacking_fields_are_taken() -> None:
    kind = pa.large_list(pa.struct([("key", pa.large_string()), ("op", pa.string()), ("value", pa.uint8())]))
    rows = [[{"key": "x", "op": "write", "value": 200}, {"key": "x", "op": "read", "value": None}], None]
    table = history([], []).set_column(5, "txn", pa.array(rows, kind)).set_column(1, "op", pa.array(["txn", "write"]))
    assert validate(table).column("txn").to_pylist() == [[micro("write", "x", 200), micro("read", "x")], None]


def test_what_is_behind_a_null_is_not_seen() -> None:
    """An Arrow list that is null may have a length all the same."""
    structs = pa.array([micro("append", "x", 1), micro("nonsense", None)], TRANSACTIONS.value_type)
    hidden = pa.ListArray.from_arrays(
        pa.array([0, 1, 2], pa.int32()), structs, type=TRANSACTIONS, mask=pa.array([False, True])
    )
    table = history([], []).set_column(5, "txn", hidden).set_column(1, "op", pa.array(["txn", "write"]))
    assert validate(table).column("txn").to_pylist() == [[micro("append", "x", 1)], None]


def test_rows_are_sorted_with_their_transactions() -> None:
    table = PLAIN.set_column(2, "invoke_ns", pa.array([2, 1, 0])).set_column(3, "return_ns", pa.array([3, 3, 3]))
    assert validate(table).column("txn").to_pylist() == PLAIN.column("txn").to_pylist()[::-1]


@pytest.mark.parametrize(
    ("transactions", "message"),
    [
        ([[], [micro("append", "x", 1), micro("cas", "x", 1)]], "Row 2: micro-operation 2 is 'cas'. Hint: use one of"),
        ([[], None], "Row 2: 'txn' is null. Hint: a transaction of no micro-operations is an empty list"),
        ([[None]], "Row 1: micro-operation 1 is null"),
        ([[micro("read", None)]], "Row 1: micro-operation 1 has no key"),
        ([[], [micro("append", "x")]], "Row 2: micro-operation 1 has no value"),
        ([[micro("append", "x", 1, [1])]], "Row 1: micro-operation 1 has elements"),
        ([[micro("read", "x", 1, [1])]], "Row 1: micro-operation 1 has a value and elements"),
        ([[], [micro("read", "x", None, [1, None])]], "Row 2: micro-operation 1 has a null among its elements"),
        (
            [[micro("append", "x", 1)], [micro("read", "y"), micro("write", "x", 1)]],
            "Row 2: micro-operation 2 treats key 'x' as a register, and another one treats it as a list",
        ),
    ],
)
def test_what_is_no_transaction_is_refused(transactions: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(history(*transactions))


def test_a_transaction_belongs_to_its_op_alone() -> None:
    with pytest.raises(ValueError, match=r"Row 1: it has micro-operations in 'txn'. Hint: its op is then txn"):
        validate(history([], op="write"))
    with pytest.raises(ValueError, match=r"Row 1 \(and 1 more\): a transaction has something in 'value'"):
        validate(history([], [], value=1))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (pa.string(), "Column 'txn' has another type. Hint: write it as list<struct<op"),
        (pa.list_(pa.int64()), "Column 'txn' has another type"),
        (pa.list_(pa.struct([("op", pa.string())])), "Column 'txn' has no field 'key' of the right type"),
        (
            pa.list_(pa.struct([("op", pa.string()), ("key", pa.string()), ("level", pa.string())])),
            "Column 'txn' has a field 'level'",
        ),
    ],
)
def test_a_column_of_another_type_is_refused(kind: Any, message: str) -> None:
    table = PLAIN.set_column(5, "txn", pa.nulls(3, kind))
    with pytest.raises(ValueError, match=message):
        validate(table)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("[[", "Row 2: column 'txn' is not JSON: '\\[\\['. Hint: write it like"),
        ("{}", "is not a list of micro-operations"),
        ('[["r","x"]]', "has something that is not an op, a key and a value"),
        ('[["cas","x",1]]', "has the op 'cas'"),
        ('[["r",1.5,1]]', "has a key that is neither text nor a whole number"),
        ('[["append","x",null]]', "has a value that is not a whole number of 64 bits"),
        ('[["append","x",true]]', "has a value that is not a whole number of 64 bits"),
        ('[["w","x",9223372036854775808]]', "has a value that is not a whole number of 64 bits"),
        ('[["r","x",[1,"2"]]]', "has a value that is not a whole number of 64 bits"),
    ],
)
def test_a_cell_that_is_no_transaction_is_refused(cell: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed(pa.array(["[]", cell]))


def test_a_key_may_be_a_number_in_json() -> None:
    assert written(parsed(pa.array(['[["append",5,1]]'])).to_pylist()) == ['[["append","5",1]]']


def test_the_column_is_part_of_the_schema() -> None:
    assert SCHEMA.field("txn").type == TRANSACTIONS
    assert VALIDATED.field("txn").type == VALIDATED_TRANSACTIONS


def test_a_file_of_the_same_columns_and_types_is_not_taken_for_validated(tmp_path: Path) -> None:
    """Its codes are any: one word may have several."""
    path, validated = tmp_path / "history.parquet", validate(PLAIN)
    write(path, validated)
    assert read(path).schema.equals(VALIDATED)
    assert not is_validated(read(path))
    assert is_validated(validated.filter(pa.array([True, False, True])))
