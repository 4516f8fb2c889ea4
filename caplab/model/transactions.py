"""Transactions of a history: the micro-operations of each, in its column txn.

A micro-operation appends an element to the list at a key, writes a register, or reads either. What a read found is its
value (of a register; null: nothing was there) or its elements (of a list). In a transaction that is not known to have
committed, a read may have neither: what it found is not known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from numpy.typing import NDArray
from pyarrow import compute as pc

APPEND, WRITE, READ = MICRO_OPS = ("append", "write", "read")
TXN = "txn"  # the op of a transaction, and the column with its micro-operations

_ELEMENTS = pa.list_(pa.int64())
_CODES = pa.dictionary(pa.int32(), pa.string())


def _lists_of(text: Any) -> Any:
    fields = [("op", text), ("key", text), ("value", pa.int64()), ("elements", _ELEMENTS)]
    return pa.list_(pa.struct(fields))


TRANSACTIONS = _lists_of(pa.string())
VALIDATED_TRANSACTIONS = _lists_of(_CODES)  # op: the place in MICRO_OPS; key: the same key has the same code throughout
_SHAPE = "list<struct<op: string, key: string, value: int64, elements: list<int64>>>"


def refuse_type(kind: Any) -> None:
    """Raise ValueError if a column of this type holds no transactions; widths may differ, value or elements lack."""
    if pa.types.is_null(kind):
        return
    if not (_is_list(kind) and pa.types.is_struct(kind.value_type)):
        raise ValueError(f"Column '{TXN}' has another type. Hint: write it as {_SHAPE}.")
    fields = {field.name: field.type for field in kind.value_type}
    right = {
        "op": _is_text(fields.get("op")),
        "key": _is_text(fields.get("key")),
        "value": _is_number(fields.get("value", pa.null())),
        "elements": _is_elements(fields.get("elements", pa.null())),
    }
    if unknown := [name for name in fields if name not in right]:
        raise ValueError(f"Column '{TXN}' has a field '{unknown[0][:60]}'. Hint: write it as {_SHAPE}.")
    if wrong := [name for name, is_right in right.items() if not is_right]:
        raise ValueError(f"Column '{TXN}' has no field '{wrong[0]}' of the right type. Hint: write it as {_SHAPE}.")
    if len(fields) < len(kind.value_type):
        raise ValueError(f"Column '{TXN}' has a field twice. Hint: drop one.")


def converted(column: Any) -> Any:
    """Return a column that refuse_type allows as one array of VALIDATED_TRANSACTIONS.

    Raises ValueError with the row (from 1) of a micro-operation that is null, unknown, or has not what its op needs.
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks == 1 else pa.concat_arrays(whole.chunks)
    if pa.types.is_null(whole.type):
        return pa.nulls(len(whole), VALIDATED_TRANSACTIONS)
    lengths = np.asarray(pc.list_value_length(whole).fill_null(0), dtype=np.int64)
    micro = whole.flatten()
    _refuse_micro(micro.is_null(), lengths, "is null", "drop it")
    op, key, value, elements = _fields(micro, lengths)
    _refuse_mixed(op, key, value, elements, lengths)
    structs = pa.StructArray.from_arrays([op, key, value, elements], fields=list(VALIDATED_TRANSACTIONS.value_type))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), structs, type=VALIDATED_TRANSACTIONS, mask=whole.is_null()
    )


def refuse_misplaced(history: Any) -> None:
    """Raise ValueError if a converted history has a transaction on another operation, or one without its own."""
    is_txn = pc.equal(history.column("op"), TXN)
    has = pc.is_valid(history.column(TXN))
    _refuse_rows(pc.and_(has, pc.invert(is_txn)), f"it has micro-operations in '{TXN}'", f"its op is then {TXN}")
    _refuse_rows(
        pc.and_(is_txn, pc.invert(has)), f"'{TXN}' is null", "a transaction of no micro-operations is an empty list"
    )
    for name in ("key", "value", "expected", "observed"):
        _refuse_rows(
            pc.and_(is_txn, pc.is_valid(history.column(name))),
            f"a transaction has something in '{name}'",
            f"write it in the micro-operations of '{TXN}'",
        )


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: Any) -> bool:
    words = kind.value_type if kind is not None and pa.types.is_dictionary(kind) else kind
    return words is not None and bool(
        pa.types.is_string(words)
        or pa.types.is_large_string(words)
        or pa.types.is_string_view(words)
        or pa.types.is_null(words)
    )


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_elements(kind: Any) -> bool:
    return bool(pa.types.is_null(kind)) or (_is_list(kind) and _is_number(kind.value_type))


def _fields(micro: Any, lengths: NDArray[np.int64]) -> tuple[Any, Any, Any, Any]:
    """Return the four fields in their types, each checked against the op."""
    by_name = dict(zip((field.name for field in micro.type), micro.flatten(), strict=True))
    nothing = pa.nulls(len(micro))
    op, key = (_coded(by_name[name]) for name in ("op", "key"))
    for name, text in (("op", op), ("key", key)):
        _refuse_micro(text.is_null(), lengths, f"has no {name}", f"give it its {name}")
    op = _micro_ops(op, lengths)
    value = _numbers(by_name.get("value", nothing), lengths)
    elements = _elements(by_name.get("elements", nothing), lengths)
    read = pc.equal(op.indices, MICRO_OPS.index(READ))
    has_value, has_elements = value.is_valid(), elements.is_valid()
    _refuse_micro(
        pc.and_(pc.invert(read), pc.invert(has_value)), lengths, "has no value", "write what it appends or writes"
    )
    _refuse_micro(
        pc.and_(pc.invert(read), has_elements), lengths, "has elements", "an append has one element, in value"
    )
    _refuse_micro(
        pc.and_(has_value, has_elements), lengths, "has a value and elements", "a register has a value, a list elements"
    )
    return op, key, value, elements


def _coded(text: Any) -> Any:
    """Encode text; each word has one code."""
    if pa.types.is_dictionary(text.type):
        text = text.dictionary_decode()
    encoded = text.cast(pa.string()).dictionary_encode()
    return encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded


def _micro_ops(op: Any, lengths: NDArray[np.int64]) -> Any:
    for word in op.dictionary.to_pylist():
        if word not in MICRO_OPS:
            unknown = pc.equal(op.indices, op.dictionary.index(word))
            _refuse_micro(unknown, lengths, f"is '{word[:60]}'", f"use one of {', '.join(MICRO_OPS)}")
    places = pc.index_in(op.dictionary, value_set=pa.array(MICRO_OPS)).take(op.indices)
    return pa.DictionaryArray.from_arrays(places, pa.array(MICRO_OPS))


def _numbers(numbers: Any, lengths: NDArray[np.int64] | None) -> Any:
    try:
        return numbers.cast(pa.int64())
    except pa.ArrowInvalid as error:  # unsigned ones of 64 bits
        far = pc.greater(numbers, np.iinfo(np.int64).max)
        if lengths is not None:
            _refuse_micro(far, lengths, "has a number that does not fit int64", "use smaller numbers")
        raise ValueError(
            f"Column '{TXN}' has an element that does not fit int64. Hint: use smaller numbers."
        ) from error


def _elements(lists: Any, lengths: NDArray[np.int64]) -> Any:
    """Return lists of elements, without anything behind a null."""
    if pa.types.is_null(lists.type):
        return pa.nulls(len(lists), _ELEMENTS)
    counts = np.asarray(pc.list_value_length(lists).fill_null(0), dtype=np.int64)
    elements = _numbers(lists.flatten(), None)
    if elements.null_count:
        of_list = np.repeat(np.arange(len(counts)), counts)
        holed = np.zeros(len(counts), dtype=np.bool_)
        holed[of_list[np.asarray(elements.is_null(), dtype=np.bool_)]] = True
        _refuse_micro(pa.array(holed), lengths, "has a null among its elements", "drop it")
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, elements, type=_ELEMENTS, mask=lists.is_null())


def _refuse_mixed(op: Any, key: Any, value: Any, elements: Any, lengths: NDArray[np.int64]) -> None:
    """Refuse a key that is a list in one micro-operation and a register in another."""
    codes, ops = np.asarray(key.indices), np.asarray(op.indices)
    has_elements, has_value = (np.asarray(column.is_valid(), dtype=np.bool_) for column in (elements, value))
    appended = ops == MICRO_OPS.index(APPEND)
    as_list = appended | has_elements
    as_register = has_value & ~appended
    lists = np.zeros(len(key.dictionary), dtype=np.bool_)
    lists[codes[as_list]] = True
    mixed = as_register & lists[codes]
    if mixed.any():
        name = key.dictionary[int(codes[np.argmax(mixed)])].as_py()
        _refuse_micro(
            pa.array(mixed),
            lengths,
            f"treats key '{name[:60]}' as a register, and another one treats it as a list",
            "give each its own keys",
        )


def _refuse_micro(bad: Any, lengths: NDArray[np.int64], what: str, hint: str) -> None:
    """Raise ValueError for the first of the bad micro-operations, if there is one."""
    places = np.flatnonzero(np.asarray(bad.fill_null(False), dtype=np.bool_))
    if not len(places):
        return
    ends = np.cumsum(lengths)
    row = int(np.searchsorted(ends, places[0], side="right"))
    place = int(places[0] - (ends[row] - lengths[row]))
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    raise ValueError(f"Row {row + 1}: micro-operation {place + 1} {what}{more}. Hint: {hint}.")


def _refuse_rows(bad: Any, what: str, hint: str) -> None:
    rows = np.flatnonzero(np.asarray(bad.fill_null(False), dtype=np.bool_))
    if len(rows):
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise ValueError(f"Row {rows[0] + 1}{more}: {what}. Hint: {hint}.")
