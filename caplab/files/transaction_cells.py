"""Transactions as text, one JSON array each, as elle-cli writes them: [["append","x",1],["r","y",[1,2]]].

A micro-operation is an array of its op (append, w, r), its key and its value; what a read found is a number, a list of
the elements, or null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from ..model.transactions import APPEND, READ, TRANSACTIONS, TXN, WRITE

_OPS = {"append": APPEND, "r": READ, "read": READ, "w": WRITE, "write": WRITE}
_SHORT = {APPEND: "append", READ: "r", WRITE: "w"}
_FARTHEST = 1 << 63
_SHOWN = 60  # characters of a cell in messages
_HINT = 'Hint: write it like [["append","x",1],["r","y",[1,2]],["w","z",3],["r","z",null]].'


def parsed(cells: Any, first_row: int = 1) -> Any:
    """Parse a column of text (null stays null) into one array of TRANSACTIONS.

    Raises ValueError with the row, the first being first_row, and the reason if a cell is not such a transaction.
    """
    chunks = cells.chunks if isinstance(cells, pa.ChunkedArray) else [cells]
    parts, row = [], first_row
    for chunk in chunks:  # so that few are Python objects at one time
        parts.append(_parsed(chunk.to_pylist(), row))
        row += len(chunk)
    return pa.concat_arrays(parts) if parts else pa.array([], TRANSACTIONS)


def written(transactions: Iterable[list[dict[str, Any]] | None]) -> list[str | None]:
    """Return the cells of transactions, given as the plain lists of dicts that an Arrow column's to_pylist gives."""
    return [None if micro is None else _written(micro) for micro in transactions]


def _written(micro: list[dict[str, Any]]) -> str:
    plain = [
        [_SHORT[each["op"]], each["key"], each["value"] if each["elements"] is None else each["elements"]]
        for each in micro
    ]
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def _parsed(cells: list[str | None], first_row: int) -> Any:
    offsets, ops, keys, values, elements = [0], [], [], [], []
    for place, cell in enumerate(cells):
        for op, key, value in [] if cell is None else _micro_ops(cell, first_row + place):
            ops.append(op)
            keys.append(key)
            is_list = isinstance(value, list)
            values.append(None if is_list else value)
            elements.append(value if is_list else None)
        offsets.append(len(ops))
    kinds = [field.type for field in TRANSACTIONS.value_type]
    arrays = [pa.array(part, kind) for part, kind in zip((ops, keys, values, elements), kinds, strict=True)]
    structs = pa.StructArray.from_arrays(arrays, fields=list(TRANSACTIONS.value_type))
    nulls = pa.array([cell is None for cell in cells], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs, type=TRANSACTIONS, mask=nulls)


def _micro_ops(cell: str, row: int) -> list[tuple[str, str, Any]]:
    try:
        plain = json.loads(cell)
    except (ValueError, RecursionError):
        _refuse(cell, row, "is not JSON")
    if type(plain) is not list:
        _refuse(cell, row, "is not a list of micro-operations")
    return [_micro_op(each, cell, row) for each in plain]


def _micro_op(plain: Any, cell: str, row: int) -> tuple[str, str, Any]:
    if type(plain) is not list or len(plain) != 3:
        _refuse(cell, row, "has something that is not an op, a key and a value")
    op, key, value = plain
    if not isinstance(op, str) or op not in _OPS:
        _refuse(cell, row, f"has the op '{str(op)[:_SHOWN]}'")
    if type(key) not in (str, int):
        _refuse(cell, row, "has a key that is neither text nor a whole number")
    word = _OPS[op]
    if not _is_whole(value) and not (word == READ and (value is None or _are_whole(value))):
        _refuse(cell, row, "has a value that is not a whole number of 64 bits")
    return word, str(key), value


def _is_whole(value: Any) -> bool:
    return type(value) is int and -_FARTHEST <= value < _FARTHEST


def _are_whole(value: Any) -> bool:
    return type(value) is list and all(map(_is_whole, value))


def _refuse(cell: str, row: int, what: str) -> NoReturn:
    text = cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}..."
    raise ValueError(f"Row {row}: column '{TXN}' {what}: '{text}'. {_HINT}")
