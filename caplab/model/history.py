"""A history: every operation that a run's vantages tried, one row for each operation.

Probers write SCHEMA; `validate` guards the checkers, and disorder.validate_stored guards a history in a file, which
must be sorted and have one operation at a time in each session. Times are CLOCK_MONOTONIC nanoseconds. An operation
that could not be started in time is a row too: outcome fail, error overload, with invoke_ns and return_ns the moment at
which it was given up.
"""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from pyarrow import compute as pc

from . import transactions
from .transactions import TXN

Table: TypeAlias = pa.Table
Column: TypeAlias = pa.ChunkedArray | pa.Array

OPS = ("write", "read", "add", "scan", "incr", "cas", "load", "id", "enqueue", "dequeue", TXN)
READS = ("read", "load")  # operations that take a value and change nothing
OUTCOMES = ("ok", "fail", "info")  # took effect, surely did not, unknown
ERRORS = ("timeout", "refused", "readonly", "no-quorum", "not-primary", "closed", "overload", "conflict")
ROUTES = ("primary", "replica", "any", "direct", "service")

SCHEMA = pa.schema(
    [
        ("vantage", pa.string()),
        ("session", pa.int32()),
        ("op", pa.string()),
        ("key", pa.string()),
        ("value", pa.int64()),
        ("expected", pa.int64()),
        ("observed", pa.int64()),
        ("level", pa.string()),
        ("route", pa.string()),
        ("server", pa.string()),
        ("epoch", pa.string()),
        ("scheduled_ns", pa.int64()),
        ("invoke_ns", pa.int64()),
        ("return_ns", pa.int64()),
        ("outcome", pa.string()),
        ("error", pa.string()),
        (TXN, transactions.TRANSACTIONS),
    ]
)
REQUIRED = ("session", "op", "invoke_ns", "return_ns", "outcome")
NEVER_NULL = ("vantage", "session", "op", "scheduled_ns", "invoke_ns", "outcome")
FARTHEST_NS = 1 << 62  # either way: differences fit 64 bits, and the greatest number can mean never
VANTAGE = "client"  # the only vantage of a history without vantages
VOCABULARIES = {"op": OPS, "route": ROUTES, "outcome": OUTCOMES, "error": ERRORS}

_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
_SHOWN = 60  # characters
_MOST_SHOWN = 10  # columns that are named in a message
_ELSEWHERE = {
    "process": "session", "client": "session", "thread": "session",
    "type": "outcome", "status": "outcome", "result": "outcome", "f": "op", "operation": "op",
    "start": "invoke_ns", "end": "return_ns",
}  # fmt: skip  # what others call a column
_ENCODED = pa.dictionary(pa.int32(), pa.string())
# What `validate` returns: the same columns, strings as codes, so that checkers compare integers.
_VALIDATED_TYPES = {pa.string(): _ENCODED, transactions.TRANSACTIONS: transactions.VALIDATED_TRANSACTIONS}
VALIDATED = pa.schema([(field.name, _VALIDATED_TYPES.get(field.type, field.type)) for field in SCHEMA])

_MARK = {b"caplab": os.urandom(16)}  # of this process: no file has it


def validate(table: Table) -> Table:
    """Return the history with every column of VALIDATED, sorted by invoke_ns (ties keep their order).

    Missing optional columns come back as nulls, but for vantage (VANTAGE), scheduled_ns (invoke_ns) and observed
    (what it expected, for an ok cas). Strings may be plain, large or dictionary-encoded, integers of any width that
    fits.

    Raises ValueError with the row (from 1), the column and the hint: a column that is missing, unknown or of another
    type, a null or a word that is not allowed, a time beyond FARTHEST_NS, an operation
    that returned before it was invoked, an acknowledged one without a return time, or a transaction that is none.
    """
    refuse_schema(table.schema)
    columns = [_converted(table, field) for field in VALIDATED]
    history = pa.Table.from_arrays(columns, schema=VALIDATED.with_metadata(_MARK))
    _check_nulls(history)
    _check_words(history)
    _check_times(history)
    transactions.refuse_misplaced(history)
    return _sorted(history)


def is_validated(table: Table) -> bool:
    """Return whether `validate` made a table, or it is a part of one: a file may have the same columns and types."""
    return bool(table.schema.equals(VALIDATED) and table.schema.metadata == _MARK)


def refuse_schema(schema: Any) -> None:
    """Raise ValueError if these are not a history's columns, or have other types, before the data is read."""
    _check_names(schema.names)
    for field in schema:
        wanted = SCHEMA.field(field.name).type
        if field.name == TXN:
            transactions.refuse_type(field.type)
        elif not (is_text if wanted == pa.string() else is_integer)(field.type):
            raise ValueError(f"Column '{field.name}' is {shown(str(field.type))}. Hint: write it as {wanted}.")


def is_text(kind: Any) -> bool:
    """Return whether a column of this type can hold text: plain, or as codes."""
    words = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_one(words) for is_one in _TEXTS)


def is_integer(kind: Any) -> bool:
    """Return whether a column of this type can hold whole numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_null(kind))


def shown(text: str) -> str:
    """Shorten a long word of a history for messages."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check_names(names: list[str]) -> None:
    if not set(names) & set(SCHEMA.names):
        first = shown(names[0]) if names else ""
        raise ValueError(
            f"No column belongs to a history; the first one is '{first}'. Hint: name the columns {', '.join(REQUIRED)}"
            " and any others; in a CSV in its first line, separated by commas."
        )
    _refuse_foreign([name for name in names if name not in SCHEMA.names])
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Column '{name}' occurs twice. Hint: drop one.")
    for name in REQUIRED:
        if name not in names:
            raise ValueError(f"The history has no column '{name}'. Hint: add it ({SCHEMA.field(name).type}).")


def _refuse_foreign(foreign: list[str]) -> None:
    """Raise ValueError if there are columns that no history has, with what they may be called instead."""
    if not foreign:
        return
    hints = {name: _meant(name) for name in foreign[:_MOST_SHOWN]}
    renamed = [f"call {shown(name)!r} {meant}" for name, meant in hints.items() if meant]
    unknown = [repr(shown(name)) for name, meant in hints.items() if not meant]
    dropped = [f"drop {', '.join(unknown)}, or use {', '.join(SCHEMA.names)}"] if unknown else []
    columns = "Column" if len(foreign) == 1 else "Columns"
    listed = ", ".join(repr(shown(name)) for name in hints) + (", ..." if len(foreign) > len(hints) else "")
    are = "is" if len(foreign) == 1 else "are"
    raise ValueError(f"{columns} {listed} {are} not part of a history. Hint: {'; '.join([*renamed, *dropped])}.")


def _meant(name: str) -> str:
    """Return the column that somebody means by another name; '' if that is not known."""
    plain = name.strip().lower()
    meant = _ELSEWHERE.get(plain, plain)
    return meant if meant in SCHEMA.names else ""


def _converted(table: Table, field: Any) -> Column:
    if field.name not in table.column_names:
        return _filled(table, field)
    column = table.column(field.name)
    if field.name == TXN:
        return transactions.converted(column)
    whole = _text(column) if field.type == _ENCODED else _integers(column, field)
    # One chunk for each column; a single chunk is not copied.
    return whole.chunk(0) if whole.num_chunks == 1 else whole.combine_chunks()


def _filled(table: Table, field: Any) -> Column:
    """Return the default of a missing optional column."""
    if field.name == "scheduled_ns":
        return _converted(table.select(["invoke_ns"]).rename_columns(["scheduled_ns"]), field)
    if field.name == "observed" and "expected" in table.column_names:
        return _found_by_successful_cas(table, field)
    if field.name == "vantage":
        only = pa.array(np.zeros(table.num_rows, dtype=np.int32))
        return pa.DictionaryArray.from_arrays(only, pa.array([VANTAGE]))
    return pa.nulls(table.num_rows, field.type)


def _found_by_successful_cas(table: Table, field: Any) -> Column:
    """Return what each ok cas found in a history that does not record it: what it expected, for it took effect."""
    successful = pc.and_(pc.equal(table.column("op"), "cas"), pc.equal(table.column("outcome"), "ok"))
    expected = _integers(table.column("expected"), field)
    return _converted(pa.table({field.name: pc.if_else(successful, expected, pa.scalar(None, field.type))}), field)


def _text(column: Column) -> Column:
    """Encode text as codes: the same word has the same code throughout. The text of each row is not expanded."""
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    unified = encoded.cast(_ENCODED).unify_dictionaries()
    words = unified.chunk(0).dictionary if unified.num_chunks else pa.array([], pa.string())
    if not words.null_count and len(words.unique()) == len(words):
        return unified
    distinct = words.drop_null().unique()
    places = pc.index_in(words, value_set=distinct)
    chunks = [pa.DictionaryArray.from_arrays(places.take(chunk.indices), distinct) for chunk in unified.chunks]
    return pa.chunked_array(chunks, _ENCODED)


def _integers(column: Column, field: Any) -> Column:
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        most = 2 ** (field.type.bit_width - 1) - 1
        values = np.asarray(column.fill_null(0))
        row = int(np.flatnonzero((values > most) | (values < -most - 1))[0])
        raise ValueError(
            f"Row {row + 1}: column '{field.name}' says {values[row]}, which does not fit {field.type}."
            " Hint: use smaller numbers."
        ) from error


def _check_nulls(history: Table) -> None:
    for name in NEVER_NULL:
        if history.column(name).null_count:
            where = _rows(pc.is_null(history.column(name)))
            raise ValueError(f"{where}: column '{name}' is null. Hint: give every operation its {name}.")


def _check_words(history: Table) -> None:
    for name, allowed in VOCABULARIES.items():
        column = history.column(name).chunk(0)
        words = pc.unique(column).to_pylist()
        if unknown := sorted(word for word in words if word is not None and word not in allowed):
            where = _rows(pc.equal(column.indices, column.dictionary.index(unknown[0])))
            raise ValueError(
                f"{where}: column '{name}' says '{shown(unknown[0])}'. Hint: use one of {', '.join(allowed)}."
            )


def _check_times(history: Table) -> None:
    for name in ("scheduled_ns", "invoke_ns", "return_ns"):
        column = history.column(name)
        far = pc.or_(pc.greater(column, FARTHEST_NS), pc.less(column, -FARTHEST_NS))
        if pc.any(far).as_py():
            raise ValueError(f"{_rows(far)}: {name} is over 146 years away. Hint: count from a nearer moment.")
    invoke, returned, outcome = (history.column(name) for name in ("invoke_ns", "return_ns", "outcome"))
    backwards = pc.less(returned, invoke)
    if pc.any(backwards).as_py():
        raise ValueError(f"{_rows(backwards)}: return_ns is before invoke_ns. Hint: take both from one clock.")
    unended = pc.and_(pc.is_null(returned), pc.equal(outcome, "ok"))
    if pc.any(unended).as_py():
        raise ValueError(f"{_rows(unended)}: it is ok, but return_ns is null. Hint: what never returned is info.")


def _rows(bad: Column) -> str:
    """List the first of the bad rows, numbered as in the file, and how many more there are."""
    rows = np.flatnonzero(np.asarray(bad.fill_null(False)))
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    return f"Row {rows[0] + 1}{more}"


def _sorted(history: Table) -> Table:
    invoke = history.column("invoke_ns").to_numpy()
    if bool(np.all(invoke[1:] >= invoke[:-1])):
        return history
    return history.take(pa.array(np.argsort(invoke, kind="stable")))
