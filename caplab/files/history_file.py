"""A history file: Parquet, Arrow or CSV, read whole or rejected with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from pyarrow import compute as pc
from pyarrow import csv, ipc, parquet

from ..model.bounds import Bounds, Budget, TooMuch, in_words
from ..model.history import SCHEMA, Table, is_text, refuse_schema
from ..model.transactions import TXN
from .formats.text_columns import TEXTUAL
from .transaction_cells import parsed

_PARQUET, _ARROW, _STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_BINARY_NAMES = {".parquet": "Parquet", ".arrow": "Arrow", ".arrows": "Arrow", ".feather": "Arrow"}
_COMPRESSED = {
    "gzip": b"\x1f\x8b", "zip": b"PK\x03\x04", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00",
}  # fmt: skip
_BEGIN_BYTES = 4096
_HEADER_BYTES = 65536
_BLOCK_BYTES = 1 << 20
_BATCH_ROWS = 1 << 17
_MAX_FOOTER_BYTES = 16 << 20  # a footer of 20 million rows in groups of 65,536 has 1 MiB
_DEFAULT = Bounds()
_DELIMITERS = (",", ";", "\t")
_CUT = "Hint: copy it again, whole."
# The forms of pyarrow's errors; its rows count the header.
_FIELDS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_CONVERSION = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid (value '.*'|UTF8 data)", re.DOTALL)


def read(path: Path, bounds: Bounds = _DEFAULT) -> Table:
    """Read the table in a file, with any columns (see model.history for the required ones).

    The format is found by its first bytes, not by its name: Parquet, an Arrow IPC file or stream, else CSV with a
    header, whole numbers, and empty fields for nulls. Text of a Parquet file and of CSV comes back as codes.

    Raises OSError if there is no such file, TooMuch if it is over the bounds, which is found out before it is in
    memory, and ValueError with the reason if it is broken or truncated.
    """
    if path.exists() and not path.is_file():
        raise ValueError("It is not an ordinary file. Hint: save the history as one.")
    with path.open("rb") as file:
        begin = file.read(_BEGIN_BYTES)
    bounds.refuse_bytes(path.stat().st_size)
    try:
        table = _reader(path, begin)(path, bounds)
        table.validate(full=True)  # a damaged Arrow file may point outside itself, which would crash the process
        return table
    except pa.ArrowMemoryError as error:
        raise _no_memory(bounds) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # OSError: pyarrow's error for damaged files
        if "malloc of size" in str(error) or "realloc of size" in str(error):
            raise _no_memory(bounds) from error
        raise ValueError(f"The file cannot be read: {str(error).rstrip('.')}. {_CUT}") from error


def delimiter_of(begin: bytes) -> str:
    """Return what separates the columns of a CSV file, by its first bytes: that which gives the most known names."""
    header = begin.partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    return max(_DELIMITERS, key=lambda sign: sum(name.strip('" \r') in SCHEMA.names for name in header.split(sign)))


def _refuse_schema(schema: Any) -> None:
    """Refuse what no history has. Values and sessions may be text: formats.text_columns gives each a number."""
    fields = [
        pa.field(field.name, SCHEMA.field(field.name).type) if field.name in TEXTUAL and is_text(field.type) else field
        for field in schema
    ]
    refuse_schema(pa.schema(fields))


def _no_memory(bounds: Bounds) -> TooMuch:
    return TooMuch(
        f"There is not enough memory for the file's content, of which at most {in_words(bounds.bytes)} are allowed."
        " Hint: check a part of it, or allow more with --max-bytes if there is memory for it."
    )


def _reader(path: Path, begin: bytes) -> Callable[[Path, Bounds], Table]:
    if not begin:
        raise ValueError("The file is empty. Hint: write a header and a row for each operation.")
    if begin.startswith(_PARQUET):
        return _parquet
    if begin.startswith(_ARROW):
        return _arrow_file
    if begin.startswith(_STREAM):
        return _arrow_stream
    _refuse_what_is_no_text(path, begin)
    return _csv


def _refuse_what_is_no_text(path: Path, begin: bytes) -> None:
    for name, magic in _COMPRESSED.items():
        if begin.startswith(magic):
            raise ValueError(f"The file is compressed ({name}). Hint: unpack it first.")
    if kind := _BINARY_NAMES.get(path.suffix):
        raise ValueError(f"The file is not {kind}: it does not begin like one. {_CUT}")
    if b"\0" in begin:
        raise ValueError(
            "The file is no text, and neither Parquet nor Arrow. Hint: write the history in a format that is read."
        )


def _parquet(path: Path, bounds: Bounds) -> Table:
    if _end(path, len(_PARQUET)) != _PARQUET:
        raise ValueError(f"The Parquet file has no footer: it was cut off, or its writer never closed it. {_CUT}")
    if (footer := int.from_bytes(_end(path, 8)[:4], "little")) > _MAX_FOOTER_BYTES:
        raise ValueError(f"The Parquet file's footer has {footer:,} bytes, which no history needs. {_CUT}")
    # Not read_table: that would make columns of folders named key=value.
    with parquet.ParquetFile(path) as file:
        _refuse_schema(file.schema_arrow)
        bounds.refuse_rows(file.metadata.num_rows)
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        texts = [field.name for field in file.schema_arrow if is_text(field.type)]
        leaves = [file.schema.column(place).path for place in range(len(file.schema))]
        texts += [path for path in leaves if path.startswith(f"{TXN}.") and path.endswith((".op", ".key"))]
        bounds.refuse_bytes(sum(max(0, group.total_byte_size) for group in groups))
    # Words are kept once, as in the file: expanded for each row, kilobytes would become gigabytes.
    with parquet.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True, pre_buffer=False) as file:
        budget, schema = Budget(bounds), file.schema_arrow
        return pa.Table.from_arrays([_column(file, name, budget) for name in schema.names], names=schema.names)


def _column(file: Any, name: str, budget: Budget) -> Any:
    """Read a column by itself, in one piece: its parts are freed before the next column is read."""
    budget.begin_column()
    batches = [budget.take(batch) for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[name])]
    column = pa.chunked_array([batch.column(0) for batch in batches], file.schema_arrow.field(name).type)
    return column.unify_dictionaries().combine_chunks()


def _arrow_file(path: Path, bounds: Bounds) -> Table:
    if _end(path, len(_ARROW)) != _ARROW:
        raise ValueError(f"The Arrow file has no footer: it was cut off. {_CUT}")
    with pa.OSFile(str(path)) as file, ipc.open_file(file) as reader:
        _refuse_schema(reader.schema)
        return _gathered(map(reader.get_batch, range(reader.num_record_batches)), reader.schema, bounds)


def _arrow_stream(path: Path, bounds: Bounds) -> Table:
    if _end(path, len(_STREAM_END)) != _STREAM_END:
        raise ValueError(f"The Arrow stream has no end: it was cut off, or its writer never closed it. {_CUT}")
    with pa.OSFile(str(path)) as file, ipc.open_stream(file) as reader:
        _refuse_schema(reader.schema)
        return _gathered(reader, reader.schema, bounds)


def _gathered(batches: Iterable[Any], schema: Any, bounds: Bounds) -> Table:
    budget = Budget(bounds)
    return pa.Table.from_batches([budget.take(_sound(batch)) for batch in batches], schema=schema)


def _sound(batch: Any) -> Any:
    """Return the batch if its nested lists stay inside it: to count their bytes is to follow them."""
    if TXN in batch.schema.names:
        batch.column(TXN).validate(full=True)
    return batch


def _end(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(size, path.stat().st_size), 2)
        return file.read()


def _csv(path: Path, bounds: Bounds) -> Table:
    bounds.refuse_rows(_lines(path))
    with path.open("rb") as file:
        delimiter = delimiter_of(file.read(_BEGIN_BYTES))
    try:
        table = _csv_table(path, delimiter, _TYPES)
    except pa.ArrowInvalid as error:
        if not _is_text_for_number(path, delimiter, str(error)):
            raise ValueError(_unreadable(path, delimiter, str(error))) from error
        try:
            table = _csv_table(path, delimiter, _TYPES | dict.fromkeys(TEXTUAL, _CODES))
        except pa.ArrowInvalid as other:
            raise ValueError(_unreadable(path, delimiter, str(other))) from other
    _refuse_lines(table)
    return _with_transactions(table)


def _csv_table(path: Path, delimiter: str, types: Mapping[str, Any]) -> Table:
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False),  # with threads it does not report the row of an error
        parse_options=csv.ParseOptions(delimiter=delimiter),
        convert_options=csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )


def _with_transactions(table: Table) -> Table:
    """Parse the cells of transactions, if there are any."""
    if TXN not in table.column_names:
        return table
    place = table.column_names.index(TXN)
    return table.set_column(place, TXN, parsed(table.column(place)))


def _lines(path: Path) -> int:
    """Return the most rows that a CSV file may have, without its header."""
    ends = returns = 0
    with path.open("rb") as file:
        header = file.readline(_HEADER_BYTES)
        if len(header) == _HEADER_BYTES:
            raise ValueError(f"The first line is over {_HEADER_BYTES:,} bytes long. Hint: write a header.")
        while block := file.read(_BLOCK_BYTES):
            ends += block.count(b"\n")
            returns += block.count(b"\r")
    return max(ends, returns)


_CODES = pa.dictionary(pa.int32(), pa.string())
_TYPES = {field.name: _CODES if field.type == pa.string() else field.type for field in SCHEMA} | {TXN: pa.string()}


def _is_text_for_number(path: Path, delimiter: str, error: str) -> bool:
    """Return whether pyarrow found text where it may stand for a number."""
    conversion = _CONVERSION.search(error)
    return (
        conversion is not None
        and conversion[3] != "UTF8 data"
        and _column_name(path, delimiter, int(conversion[1])) in TEXTUAL
    )


def _column_name(path: Path, delimiter: str, place: int) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        names = file.readline().rstrip("\r\n").split(delimiter)
    return names[place].strip('"')


def _unreadable(path: Path, delimiter: str, error: str) -> str:
    """Return pyarrow's error with the row and the column as the file's author knows them."""
    if few := _FIELDS.search(error):
        return (
            f"Row {int(few[1]) - 1}: it has {few[3]} fields where the header has {few[2]}."
            " Hint: write every field of every row; a file that was cut off, copy again."
        )
    if "straddl" in error:
        return (
            "The CSV file has a row that is over 1 MiB long, and a part of it is read at a time."
            " Hint: write each operation on a line of its own, and close every quotation mark."
        )
    conversion = _CONVERSION.search(error)
    if conversion is None:
        return f"The CSV file cannot be read: {error.rstrip('.')}. Hint: write a header and a row for each operation."
    name = _column_name(path, delimiter, int(conversion[1]))
    where = f"Row {int(conversion[2]) - 1}: column '{name}'"
    if conversion[3] == "UTF8 data":
        return f"{where} is not UTF-8 text. Hint: write it as UTF-8."
    return (
        f"{where} has the {conversion[3]}. Hint: write whole numbers ({SCHEMA.field(name).type}), and nothing for null."
    )


def _refuse_lines(table: Table) -> None:
    """Reject a quotation mark without its other half: it takes all that follows into one field."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not is_text(column.type):
            continue
        words = pc.unique(column).cast(pa.string())
        if pc.any(pc.match_substring(words, "\n")).as_py():
            raise ValueError(f"Column '{name}' has a line end within a text. Hint: close every quotation mark.")
