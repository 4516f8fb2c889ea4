"""JSON lines: one operation on each line, an object with the columns of a history as its fields."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from ...model.bounds import Bounds
from ...model.history import SCHEMA, Table, refuse_schema
from ...model.transactions import TXN
from ..transaction_cells import parsed
from .json_texts import objects
from .names import is_plain, text_of
from .recognise import Format
from .recording import FormatError, Recording
from .text_columns import TEXTUAL
from .texts import Texts, fits_session, is_whole

_NUMBERS = tuple(field.name for field in SCHEMA if field.type in (pa.int64(), pa.int32()))
_CODES = pa.dictionary(pa.int32(), pa.string())
_CHECK_EVERY = 1 << 16


def read(path: Path, bounds: Bounds) -> Recording:
    """Read a file. FormatError with the line, TooMuch if it is over the bounds."""
    texts = Texts()
    table, lines = _table(objects(path), texts, bounds)
    return Recording(table=table, format=Format.JSON_LINES.value, texts=texts, rows=np.array(lines) - 1)


def _table(rows: Iterable[tuple[int, Any]], texts: Texts, bounds: Bounds) -> tuple[Table, list[int]]:
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    for line, row in rows:
        if type(row) is not dict:
            _refuse(line, "it is not an object", "write an operation on each line, {...}")
        for name in row.keys() - columns.keys():
            _refuse_name(name)
            columns[name] = [None] * len(lines)
        for name, cells in columns.items():
            cell = row.get(name)
            cells.append(None if cell is None else _cell(line, name, cell, texts))
        lines.append(line)
        if len(lines) % _CHECK_EVERY == 0:
            bounds.refuse_rows(len(lines), at_least=True)
    bounds.refuse_rows(len(lines))
    if columns:
        columns.setdefault("return_ns", [None] * len(lines))  # nothing returned
    arrays = {name: _column(name, columns[name]) for name in SCHEMA.names if name in columns}
    return pa.table(arrays), lines


def _column(name: str, cells: list[Any]) -> Any:
    if name == TXN:
        return parsed(pa.array(cells, pa.string()))
    kind = SCHEMA.field(name).type
    return pa.array(cells, kind) if name in _NUMBERS else pa.array(cells, pa.string()).dictionary_encode()


def _cell(line: int, name: str, cell: Any, texts: Texts) -> Any:
    if name == TXN:
        return _transaction(line, cell, texts)
    if name not in _NUMBERS:
        if not isinstance(cell, str) and not (name == "key" and type(cell) is int):
            _refuse(line, f"field '{name}' is no text", "write it in quotation marks")
        return str(cell)
    if name == "session":
        return cell if fits_session(cell) else _text(line, name, cell, texts.session)
    if not is_whole(cell) and name not in TEXTUAL:
        _refuse(line, f"field '{name}' is no whole number of 64 bits", "write nanoseconds")
    return cell if is_whole(cell) else _text(line, name, cell, texts.value)


def _text(line: int, name: str, cell: Any, number: Any) -> Any:
    if isinstance(cell, dict | list):
        _refuse(line, f"field '{name}' is neither a number nor text", "write one of them")
    if isinstance(cell, float) and cell.is_integer():
        return int(cell) if is_whole(int(cell)) else number(str(cell))
    return number(cell if isinstance(cell, str) and (name == "session" or is_plain(cell)) else text_of(cell))


def _transaction(line: int, cell: Any, texts: Texts) -> str:
    """Return a transaction as the text of a cell, with numbers for texts."""
    try:
        plain = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, list):
        _refuse(line, f"field '{TXN}' is no list of micro-operations", 'write it like [["append","x",1]]')
    for micro in plain:
        if isinstance(micro, list) and len(micro) == 3:
            value = micro[2]
            micro[2] = [_number(each, texts) for each in value] if isinstance(value, list) else _number(value, texts)
    return json.dumps(plain)


def _number(value: Any, texts: Texts) -> Any:
    if value is None or is_whole(value) or isinstance(value, dict | list):
        return value  # what is no value is refused with its row
    return texts.value(value if isinstance(value, str) and is_plain(value) else text_of(value))


def _refuse_name(name: str) -> None:
    if name not in SCHEMA.names:
        refuse_schema(pa.schema([*((each, SCHEMA.field(each).type) for each in ("op",)), (name, pa.int64())]))


def _refuse(line: int, what: str, hint: str) -> NoReturn:
    raise FormatError(f"Line {line}: {what}. Hint: {hint}.")
