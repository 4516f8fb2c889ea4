"""Columns of a table that hold text where a history has numbers: values, and sessions."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from pyarrow import compute as pc

from ...model.history import Table, is_text, shown
from .names import NUMBER_LIKE
from .recording import FormatError
from .texts import Texts, fits_session, is_whole

VALUES = ("value", "expected", "observed")
TEXTUAL = ("session", *VALUES)
_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,18})\Z", re.ASCII)
_COUNTED = ("incr", "load")  # their values are amounts


def with_numbers(table: Table, texts: Texts) -> Table:
    """Return the table with a number for each text. FormatError for an amount that is none, and for 1 beside 1.0."""
    _refuse_amounts(table)
    spellings: dict[str, str] = {}
    for name in TEXTUAL:
        if table.column_names.count(name) != 1 or not _has_text(table.column(name).type):
            continue  # a column that is there twice is refused with all others that do not belong
        column = table.column(name)
        encoded = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        numbers = _numbers(encoded, name, texts, spellings)
        table = table.set_column(table.column_names.index(name), name, numbers)
    return table


def _has_text(kind: Any) -> bool:
    return is_text(kind) and not pa.types.is_null(kind)


def _numbers(encoded: Any, name: str, texts: Texts, spellings: dict[str, str]) -> Any:
    indices = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
    words = encoded.dictionary.to_pylist()
    numbers = np.zeros(len(words) + 1, dtype=np.int64)
    # In the order of the rows: that of the dictionary is any.
    _, first = np.unique(indices, return_index=True)
    for place in indices[np.sort(first)].tolist():
        word = words[place] if place >= 0 else None
        if word is None:
            continue
        if name == "session":
            numbers[place] = _session(word, texts)
        else:
            _refuse_spelling(word, name, spellings)
            numbers[place] = _value(word, texts)
    absent = np.array([*(word is None for word in words), True])
    return pa.array(numbers[indices], pa.int32() if name == "session" else pa.int64(), mask=absent[indices])


def _session(word: str, texts: Texts) -> int:
    number = int(word) if _WHOLE.match(word) else None
    return number if fits_session(number) else texts.session(word)


def _value(word: str, texts: Texts) -> int:
    number = int(word) if _WHOLE.match(word) else None
    return number if is_whole(number) else texts.value(word)


def _refuse_spelling(word: str, name: str, spellings: dict[str, str]) -> None:
    """Refuse a number that is written in two ways: whether 1 and 1.0 are one value is not for us to say."""
    if not NUMBER_LIKE.match(word):
        return
    try:
        number = str(Decimal(word).normalize())
    except InvalidOperation:
        return
    other = spellings.setdefault("0" if number == "-0" else number, word)
    if other != word:
        raise FormatError(
            f"Column '{name}' says '{shown(word)}' and '{shown(other)}', the same number written in two ways."
            " Hint: write every value in one way, whole numbers without point, sign or zeros in front."
        )


def _refuse_amounts(table: Table) -> None:
    """Refuse text where a number is counted with."""
    if any(table.column_names.count(name) != 1 for name in ("op", "value")) or not _has_text(
        table.column("value").type
    ):
        return
    counted = pc.is_in(table.column("op").cast(pa.string()), value_set=pa.array(_COUNTED))
    words = table.column("value").cast(pa.string())
    text = pc.invert(pc.match_substring_regex(words, r"^-?[0-9]{1,19}$"))
    rows = np.flatnonzero(np.asarray(pc.and_(counted, text).fill_null(False)))
    if len(rows):
        word = shown(words[int(rows[0])].as_py())
        raise FormatError(
            f"Row {rows[0] + 1}: column 'value' has the value '{word}'."
            " Hint: write whole numbers (int64), and nothing for null."
        )
