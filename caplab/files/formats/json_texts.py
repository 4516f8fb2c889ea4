"""JSON values one after the other, in an array or on lines of their own.

Python's own parser reads them exactly, and says what is wrong and where, but it is slow where a field that is there
twice must be refused. So lines are parsed by orjson, a part of the file at a time. Whatever orjson reads in another way
is left to the exact parser: what it refuses (NaN, half characters, values of several lines), whole numbers of more than
64 bits, which it makes floats, and every line with more colons than fields: a field may be there twice, or it has
objects within, or just a text with a colon.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import orjson
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from ..documents import each_once
from .recording import FormatError

_TOO_LONG = "integer string conversion"  # what Python says of a number of over 4,300 digits
_BLANKS = re.compile(r"[\s,]*")
_BLANK_BYTES = b" \t,"
_ARRAY = re.compile(rb"[\s,]*\[")
_PART_BYTES = 1 << 22
_VALUES = 10_000  # of the exact parser, handed on together
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBERS = (b"0" * 20, b"-" + b"0" * 19)  # digits as zeros; others fit into 64 bits, with a sign or without

ColumnsOf: TypeAlias = Callable[[Any], Any]  # of an Arrow buffer

_DECODER = json.JSONDecoder(parse_constant=lambda word: word, object_pairs_hook=each_once)  # NaN is text


def objects(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each value with the line (from 1) on which it begins. FormatError for what is not JSON, or was cut off."""
    for lines, values in parts(path):
        yield from zip(lines, values, strict=True)


def parts(path: Path, columns_of: ColumnsOf | None = None) -> Iterator[tuple[Sequence[int], Any]]:
    """Yield the values as objects does, many at a time where they are plain, with their lines.

    columns_of is given whole lines of the file, and what it returns takes the place of their values, of which there
    must be one a line; None leaves the lines to other readers.
    """
    text = _text_of(path)
    array = _ARRAY.match(text)
    at = array.end() if array else 0
    line = 1 + text.count(b"\n", 0, at)
    if array and (values := _array_on_one_line(text[at:], columns_of)) is not None:
        yield [line] * len(values), values
        return
    with _columns_ahead(text, at, columns_of) as ahead:
        for end, columns in ahead:
            if columns is not None:
                yield range(line, line + len(columns)), columns
                at, line = end, line + len(columns)
                continue
            lines = text[at:end].removesuffix(b"\n").split(b"\n")
            if (plain := _plain_lines(text[at:end], lines, line)) is not None:
                yield plain
            else:
                for place, each in enumerate(lines):
                    values = _values_of_line(each)
                    if values is None:  # it goes on in the next line, or is none
                        done = text[: at + sum(map(len, lines[:place])) + place].decode()
                        exact = exact_objects(text.decode(), len(done), line + place, in_array=bool(array))
                        yield from _together(exact)
                        return
                    yield [line + place] * len(values), values
            at, line = end, line + len(lines)
    if array:
        _refuse_without_end(1 + text.count(b"\n"))


@contextmanager
def _columns_ahead(text: bytes, at: int, columns_of: ColumnsOf | None) -> Iterator[Iterator[tuple[int, Any]]]:
    """Give the end of each part of a text, and its columns, which other threads make ahead."""
    ends = []
    begin = at
    while begin < len(text):
        begin = text.find(b"\n", begin + _PART_BYTES) + 1 or len(text)
        ends.append(begin)
    if columns_of is None:
        yield zip(ends, repeat(None))
        return
    buffer, executor = pa.py_buffer(text), ThreadPoolExecutor(pa.cpu_count())
    try:
        slices = [buffer[begin:end] for begin, end in pairwise([at, *ends])]
        yield zip(ends, executor.map(columns_of, slices), strict=True)
    finally:
        executor.shutdown(cancel_futures=True)


def _together(exact: Iterator[tuple[int, Any]]) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield values many at a time; those before a refusal come before it."""
    lines: list[int] = []
    values: list[Any] = []
    try:
        for line, value in exact:
            lines.append(line)
            values.append(value)
            if len(values) == _VALUES:
                yield lines, values
                lines, values = [], []
    except FormatError:
        yield lines, values
        raise
    yield lines, values


def exact_objects(text: str, at: int = 0, line: int = 1, *, in_array: bool) -> Iterator[tuple[int, Any]]:
    """Yield each value from a place on by Python's own parser, as objects does; line: that of the place.

    in_array: an array has begun before, whose end must come.
    """
    blanks, decode, counted = _BLANKS.match, _DECODER.raw_decode, at
    while True:
        at = blanks(text, at).end()  # type: ignore[union-attr]  # it matches anywhere
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]" and in_array:
            break
        if at >= len(text):
            if in_array:
                _refuse_without_end(line)
            return
        try:
            value, at = decode(text, at)
        except RecursionError as error:
            raise FormatError(f"Line {line}: it is nested too deeply. Hint: write events as Jepsen does.") from error
        except ValueError as error:
            why = "a number has too many digits" if _TOO_LONG in str(error) else str(error)[:120]
            raise FormatError(
                f"Line {line}: it is not JSON: {why}. Hint: write one object after the other; a file that"
                " was cut off, copy again."
            ) from error
        yield line, value
    if text[at + 1 :].strip():
        raise FormatError(f"Line {line}: something follows the array. Hint: keep one array in a file.")


def _refuse_without_end(line: int) -> NoReturn:
    raise FormatError(f"Line {line}: the array has no end: it was cut off. Hint: copy it again, whole.")


def _text_of(path: Path) -> bytes:
    """Return a file's text as UTF-8, with one sign at the end of every line. UnicodeDecodeError if it is not UTF-8."""
    text = path.read_bytes()
    if not text.isascii():
        text.decode("utf-8-sig")
        text = text.removeprefix(codecs.BOM_UTF8)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def _plain_values(part: bytes, texts: list[bytes] | bytes) -> list[Any] | None:
    """Return the object of each text, or those of one that is an array: all that is in a part of the file.

    None if orjson might read one in another way than the exact parser. Every field has its colon: with as many colons
    as fields no field is there twice, and no object has others within.
    """
    try:
        values: list[Any] = orjson.loads(texts) if isinstance(texts, bytes) else list(map(orjson.loads, texts))
    except orjson.JSONDecodeError:
        return None
    if set(map(type, values)) != {dict} or sum(map(len, values)) != part.count(b":"):
        return None
    digits = part.translate(_AS_ZEROS)
    return None if any(number in digits for number in _LONG_NUMBERS) else values


def _plain_lines(part: bytes, lines: list[bytes], line: int) -> tuple[Sequence[int], list[Any]] | None:
    """Return the objects on lines, of which the first has this number, with their lines; None as _plain_values does."""
    if b"" not in lines:
        values = _plain_values(part, lines)
        return None if values is None else (range(line, line + len(lines)), values)
    values = _plain_values(part, list(filter(None, lines)))
    return None if values is None else ([place for place, each in enumerate(lines, line) if each], values)


def _array_on_one_line(text: bytes, columns_of: ColumnsOf | None) -> Any:
    """Return what is in an array, or its columns; text is all after its bracket. None if that is not plain."""
    text = text.rstrip()
    if b"\n" in text or not text.endswith(b"]"):
        return None
    if columns_of is not None:
        lines = text[:-1].replace(b"},{", b"},\n{").replace(b"}, {", b"},\n{")
        if (columns := columns_of(pa.py_buffer(lines))) is not None:
            return columns
    return _plain_values(text, b"[" + text)


def _values_of_line(text: bytes) -> list[Any] | None:
    """Return what is on a line; None if that does not end on it, or is not JSON."""
    text = text.strip(_BLANK_BYTES)
    plain = _plain_values(text, [text])
    if plain is not None:
        return plain
    try:
        return [value for _, value in exact_objects(text.decode(), in_array=False)]
    except FormatError:
        return None
