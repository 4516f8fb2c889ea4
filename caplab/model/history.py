"""A history: every operation that a run's vantages tried, one row an operation.

Probers write SCHEMA; `validate` is the border that checkers stand behind. Times are
CLOCK_MONOTONIC nanoseconds. An operation that could not be started in time is a row too:
outcome fail, error overload, with invoke_ns and return_ns the moment it was given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from pyarrow import compute as pc

Table: TypeAlias = pa.Table
Column: TypeAlias = pa.ChunkedArray | pa.Array

OPS = ("write", "read", "add", "scan", "incr", "cas", "load", "id")
OUTCOMES = ("ok", "fail", "info")  # took effect, surely did not, nobody knows
ERRORS = ("timeout", "refused", "readonly", "no-quorum", "not-primary", "closed", "overload")
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
    ]
)
REQUIRED = ("vantage", "session", "op", "scheduled_ns", "invoke_ns", "return_ns", "outcome")
NEVER_NULL = tuple(name for name in REQUIRED if name != "return_ns")  # null there: it never returned
VOCABULARIES = {"op": OPS, "route": ROUTES, "outcome": OUTCOMES, "error": ERRORS}

_ENCODED = pa.dictionary(pa.int32(), pa.string())
# What `validate` returns: the same columns, strings as codes, so that checkers compare integers.
VALIDATED = pa.schema([(field.name, _ENCODED if field.type == pa.string() else field.type) for field in SCHEMA])


def validate(table: Table) -> Table:
    """The history with every column of VALIDATED, sorted by invoke_ns (ties keep their order).

    Missing optional columns come back as nulls. Strings may be plain, large or dictionary-encoded,
    integers of any width that fits.

    Raises ValueError with the column and the mend: a column that is missing, unknown or of another
    type, a null or a word that is not allowed, an operation that returned before it was invoked, or
    an acknowledged one without a return time.
    """
    _check_names(table.column_names)
    columns = [
        _converted(table, field) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in VALIDATED
    ]
    history = pa.Table.from_arrays(columns, schema=VALIDATED)
    _check_nulls(history)
    _check_words(history)
    _check_times(history)
    return _sorted(history)


def is_validated(table: Table) -> bool:
    """Whether a table has the columns and types that `validate` gives."""
    return bool(table.schema.equals(VALIDATED))


def _check_names(names: list[str]) -> None:
    for name in REQUIRED:
        if name not in names:
            raise ValueError(f"The history has no column '{name}'. Mend: add it ({SCHEMA.field(name).type}).")
    for name in names:
        if name not in SCHEMA.names:
            raise ValueError(f"Column '{name}' is not part of a history. Mend: drop it, or rename it to one of SCHEMA.")
        if names.count(name) > 1:
            raise ValueError(f"Column '{name}' is there twice. Mend: drop one.")


def _converted(table: Table, field: Any) -> Column:
    column = table.column(field.name)
    text = field.type == _ENCODED
    if not _fits(column.type, text):
        wanted = "string" if text else str(field.type)
        raise ValueError(f"Column '{field.name}' is {column.type}. Mend: write it as {wanted}.")
    try:
        if text:
            return column.cast(pa.string()).dictionary_encode().combine_chunks()
        return column.cast(field.type).combine_chunks()
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"Column '{field.name}' does not fit {field.type}: {error}. Mend: write it as {field.type}."
        ) from error


def _fits(found: Any, text: bool) -> bool:
    values = found.value_type if pa.types.is_dictionary(found) else found
    if pa.types.is_null(values):
        return True
    if not text:
        return bool(pa.types.is_integer(found))
    return bool(pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values))


def _check_nulls(history: Table) -> None:
    for name in NEVER_NULL:
        if count := history.column(name).null_count:
            raise ValueError(f"Column '{name}' is null in {count} rows. Mend: give every operation its {name}.")


def _check_words(history: Table) -> None:
    for name, allowed in VOCABULARIES.items():
        words = pc.unique(history.column(name)).to_pylist()
        if strange := sorted(word for word in words if word is not None and word not in allowed):
            raise ValueError(f"Column '{name}' says '{strange[0]}'. Mend: use one of {', '.join(allowed)}.")


def _check_times(history: Table) -> None:
    invoke, returned, outcome = (history.column(name) for name in ("invoke_ns", "return_ns", "outcome"))
    _refuse_rows(
        pc.less(returned, invoke),
        lambda count: f"Column 'return_ns' is before invoke_ns in {count} rows. Mend: take both from one clock.",
    )
    _refuse_rows(
        pc.and_(pc.equal(outcome.cast(pa.string()), "ok"), pc.is_null(returned)),
        lambda count: f"Column 'return_ns' is null in {count} rows that are ok. Mend: what never returned is info.",
    )


def _refuse_rows(bad: Column, sentence: Callable[[int], str]) -> None:
    if count := pc.sum(bad).as_py():
        raise ValueError(sentence(count))


def _sorted(history: Table) -> Table:
    invoke = history.column("invoke_ns").to_numpy()
    if bool(np.all(invoke[1:] >= invoke[:-1])):
        return history
    return history.take(pa.array(np.argsort(invoke, kind="stable")))
