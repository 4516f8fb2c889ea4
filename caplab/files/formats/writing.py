"""Writes a history in any format that can hold it; what a format cannot hold is refused with the row and a hint."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from pyarrow import csv, ipc, parquet

from ...model.history import Table
from ...model.transactions import TXN
from ..transaction_cells import written
from .edn import Elements, Form, printed
from .names import is_plain
from .recognise import Format
from .recording import FormatError, Recording
from .text_columns import TEXTUAL
from .texts import Texts
from .to_events import events_of, has_repeats

ENDINGS = {
    ".parquet": Format.PARQUET, ".arrow": Format.ARROW, ".feather": Format.ARROW, ".arrows": Format.ARROW_STREAM,
    ".csv": Format.CSV, ".jsonl": Format.JSON_LINES, ".ndjson": Format.JSON_LINES, ".edn": Format.JEPSEN_EDN,
    ".json": Format.ELLE_JSON,
}  # fmt: skip
_MAX_NAME_LENGTH = 40
_AT_ONCE = 1 << 16  # rows


def write(recording: Recording, path: Path, kind: Format) -> None:
    """Write a validated history as a whole file, or none. OSError if it cannot be, FormatError if it cannot be held."""
    draft = path.with_name(f".{path.name[:_MAX_NAME_LENGTH]}.{os.getpid()}.draft")
    with _removed_if_terminated(draft):
        try:
            _WRITERS[kind](recording, draft)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _removed_if_terminated(draft: Path) -> Iterator[None]:
    """Remove the draft if SIGTERM ends this process, which then ends by it."""

    def end(number: int, _: object) -> None:
        draft.unlink(missing_ok=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parquet(recording: Recording, path: Path) -> None:
    table = _with_texts(recording.table, recording.texts)
    parquet.write_table(table, path, compression="zstd", write_page_checksum=True)


def _arrow(recording: Recording, path: Path) -> None:
    table = _with_texts(recording.table, recording.texts)
    with ipc.new_file(str(path), table.schema) as out:
        out.write_table(table)


def _arrow_stream(recording: Recording, path: Path) -> None:
    table = _with_texts(recording.table, recording.texts)
    with ipc.new_stream(str(path), table.schema) as out:
        out.write_table(table)


def _csv(recording: Recording, path: Path) -> None:
    table = _with_texts(recording.table, recording.texts)
    for name in table.column_names:
        if name == TXN:
            cells = pa.array(written(table.column(name).to_pylist()), pa.string())
        elif pa.types.is_dictionary(table.column(name).type):
            cells = table.column(name).cast(pa.string())
        else:
            continue
        table = table.set_column(table.column_names.index(name), name, cells)
    _refuse_unquotable(table)
    csv.write_csv(table, path)


def _refuse_unquotable(table: Table) -> None:
    """Refuse what a CSV cannot hold: an empty text is nothing there, and a text has no line ends."""
    for name in table.column_names:
        column = table.column(name)
        if not pa.types.is_string(column.type):
            continue
        for word in column.unique().to_pylist():
            if word is not None and (not word or "\n" in word or "\r" in word):
                raise FormatError(
                    f"Column '{name}' has {'an empty text' if not word else 'a line end within a text'},"
                    " which a CSV cannot hold. Hint: convert to .jsonl or .parquet."
                )


def _json_lines(recording: Recording, path: Path) -> None:
    texts = recording.texts
    with path.open("w", encoding="utf-8") as out:
        for batch in recording.table.to_batches(max_chunksize=_AT_ONCE):
            for row in batch.to_pylist():
                cells = {name: _json_cell(name, cell, texts) for name, cell in row.items() if cell is not None}
                out.write(json.dumps(cells, ensure_ascii=False, separators=(",", ":")) + "\n")


def _json_cell(name: str, cell: Any, texts: Texts) -> Any:
    if name == TXN:
        (text,) = written([cell])
        plain = json.loads(text or "[]")
        for micro in plain:
            value = micro[2]
            micro[2] = (
                [_json_value(each, texts) for each in value] if isinstance(value, list) else _json_value(value, texts)
            )
        return plain
    if name == "session":
        return texts.text_of_session(cell) or cell
    return _json_value(cell, texts) if name in TEXTUAL else cell


def _json_value(number: Any, texts: Texts) -> Any:
    """Return a value: a number, or its text; a text that is a number, such as 1.5, is one."""
    text = texts.text_of_value(number) if type(number) is int else None
    if text is None:
        return number
    try:
        return text if is_plain(text) else json.loads(text)
    except ValueError:
        return text


def _edn(recording: Recording, path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        for event in events_of(recording):
            out.write("{" + ", ".join(f":{name} {_edn_form(form)}" for name, form in event.items()) + "}\n")


def _edn_form(form: Form) -> str:
    if isinstance(form, Elements) and has_repeats(form):
        return printed(list(form))
    return "[" + " ".join(map(_edn_form, form)) + "]" if type(form) is list else printed(form)


def _elle(recording: Recording, path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        for index, line in enumerate(_json_events(recording)):
            out.write(("[" if index == 0 else ",\n") + line)
        out.write("]\n")


def _json_events(recording: Recording) -> Iterator[str]:
    for event in events_of(recording):
        yield json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


def _with_texts(table: Table, texts: Texts) -> Table:
    """Return the table with text columns where a number stands for a text."""
    for name in TEXTUAL:
        if name not in table.column_names:
            continue
        text_of = texts.text_of_session if name == "session" else texts.text_of_value
        if not (texts.has_sessions() if name == "session" else texts.has_values()):
            continue
        distinct, inverse = np.unique(np.asarray(table.column(name).fill_null(0)), return_inverse=True)
        words = [text_of(number) or str(number) for number in distinct.tolist()]
        if all(text_of(number) is None for number in distinct.tolist()):
            continue
        absent = np.asarray(table.column(name).is_null(), dtype=np.bool_)
        cells = pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32), mask=absent), pa.array(words))
        table = table.set_column(table.column_names.index(name), name, cells.cast(pa.string()))
    if texts.has_values() and TXN in table.column_names:
        _refuse_texts_of_transactions(table, texts)
    return table


def _refuse_texts_of_transactions(table: Table, texts: Texts) -> None:
    for place, micro in enumerate(table.column(TXN).to_pylist()):
        for each in micro or ():
            numbers = [each["value"], *(each["elements"] or ())]
            if any(number is not None and texts.text_of_value(number) is not None for number in numbers):
                raise FormatError(
                    f"Row {place + 1}: a transaction has a value that is text, and its column holds numbers."
                    " Hint: convert to .edn, .json or .jsonl."
                )


_WRITERS: dict[Format, Callable[[Recording, Path], None]] = {
    Format.PARQUET: _parquet,
    Format.ARROW: _arrow,
    Format.ARROW_STREAM: _arrow_stream,
    Format.CSV: _csv,
    Format.JSON_LINES: _json_lines,
    Format.JEPSEN_EDN: _edn,
    Format.ELLE_JSON: _elle,
}
