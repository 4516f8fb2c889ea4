"""Reads a history of any format: found by its first bytes, read within bounds, or refused with the line and a hint."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...model.bounds import Bounds
from ...plain_text import plural
from .. import history_file
from . import json_lines, log_lines
from .columns import Columns
from .edn import EdnError, forms
from .events import Operations, paired
from .json_texts import objects, parts
from .plain.lines import plain_lines
from .plain.transactions import Part, plain_columns
from .recognise import BEGIN_BYTES, Format, format_of
from .recording import FormatError, Recording
from .text_columns import with_numbers
from .texts import Texts
from .workloads import columns_of

_DEFAULT = Bounds()
_DELIMITED = {";": "CSV with semicolons", "\t": "CSV with tabs"}
_MIN_BACK_NS = 10**9  # less is a clock that was read by several threads
_UTF_16 = "It is UTF-16 text. Hint: write it as UTF-8."
_NOT_READ = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"JEPSEN": "It is Jepsen's binary file. Hint: check the history.edn beside it.",
}
_IN_JSON = (Format.JEPSEN_JSON, Format.ELLE_JSON)
_COLUMNAR = (Format.PARQUET, Format.ARROW, Format.ARROW_STREAM, Format.CSV)


def format_name(path: Path) -> str:
    """Return the name of the format that a file is read as; '' if it is empty or none. OSError if it cannot be read."""
    with path.open("rb") as file:
        begin = file.read(BEGIN_BYTES)
    return _name(format_of(begin), begin) if begin and not begin.startswith(tuple(_NOT_READ)) else ""


def _name(kind: Format, begin: bytes) -> str:
    name: str = kind.value
    return name if kind is not Format.CSV else _DELIMITED.get(history_file.delimiter_of(begin), name)


def read(path: Path, bounds: Bounds = _DEFAULT) -> Recording:
    """Read a file. OSError if there is none, TooMuch if it is over the bounds, ValueError with the line and a hint."""
    begin = _begin_of(path)
    kind = format_of(begin)
    if kind in _COLUMNAR:
        return _columnar(path, _name(kind, begin), bounds)
    bounds.refuse_bytes(path.stat().st_size)
    try:
        with _without_collection():
            return json_lines.read(path, bounds) if kind is Format.JSON_LINES else _of_events(path, kind, bounds)
    except EdnError as error:
        raise ValueError(
            f"Line {error.line}: {error}. Hint: write one map after the other, as Jepsen does; a file that was cut off,"
            " copy again."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"It is not UTF-8 text: {error}. Hint: write it as UTF-8.") from error
    except UnicodeEncodeError as error:
        raise ValueError(
            "A text in it has half a character (a surrogate, \\ud800 to \\udfff, alone). Hint: write whole characters."
        ) from error
    except RecursionError as error:
        raise ValueError("It is nested too deeply. Hint: write events as Jepsen does.") from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python from looking for reference cycles: events have none, and each search walks all that there are."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _begin_of(path: Path) -> bytes:
    """Return the first bytes of a file that may be a history."""
    if path.exists() and not path.is_file():
        raise ValueError("It is not an ordinary file. Hint: save the history as one.")
    with path.open("rb") as file:
        begin = file.read(BEGIN_BYTES)
    for magic, what in _NOT_READ.items():
        if begin.startswith(magic):
            raise ValueError(what)
    return begin


def _columnar(path: Path, name: str, bounds: Bounds) -> Recording:
    texts = Texts()
    table = with_numbers(history_file.read(path, bounds), texts)
    return Recording(table=table, format=name, texts=texts)


def _of_events(path: Path, kind: Format, bounds: Bounds) -> Recording:
    texts = Texts()
    plain = plain_columns(_parts(path), texts, bounds) if kind in _IN_JSON else None
    ops, columns = plain or _one_by_one(path, kind, texts, bounds)
    table, of = columns.table(bounds)
    bounds.refuse_bytes(table.nbytes)
    return Recording(
        table=table,
        format=kind.value,
        texts=texts,
        rows=np.array(ops.event, dtype=np.int64)[of],
        notes=_notes(ops),
        has_times=ops.has_times,
    )


def _parts(path: Path) -> Iterator[Part]:
    """Yield the events of a file in parts, as far as it can be read."""
    with suppress(FormatError):
        yield from parts(path, plain_lines)
        return
    yield [0], [None]  # no event: the file is not plain


def _one_by_one(path: Path, kind: Format, texts: Texts, bounds: Bounds) -> tuple[Operations, Columns]:
    ops = paired(_READERS[kind](path), texts, bounds)
    if not len(ops):
        skipped = f" ({_skipped(ops)})" if ops.skipped else ""
        raise FormatError(f"The history has no operations of clients{skipped}. Hint: record some.")
    return ops, columns_of(ops, texts)


def _notes(ops: Operations) -> tuple[str, ...]:
    notes = [f"left out: {_skipped(ops)}"] if ops.skipped else []
    if ops.back_ns >= _MIN_BACK_NS:
        notes.append(
            f"times go back by up to {ops.back_ns / 1e9:.3g} s: the order of the file was taken for that of events"
        )
    if not ops.has_invocations:
        notes.append("no invocations: an operation may have begun at any time since the last one of its process")
    if "generate" in ops.f:
        notes.append("ids are compared as text: they have no order")
    return tuple(notes)


def _skipped(ops: Operations) -> str:
    counted = [f"{name}: {count:,}" for name, count in sorted(ops.skipped.items())[:5]]
    return f"{plural(sum(ops.skipped.values()), 'non-client event')} ({', '.join(counted)})"


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        yield from file


_READERS: dict[Format, Callable[[Path], Iterator[tuple[int, Any]]]] = {
    Format.JEPSEN_EDN: lambda path: forms(_lines(path)),
    Format.JEPSEN_JSON: objects,
    Format.ELLE_JSON: objects,
    Format.JEPSEN_LOG: lambda path: log_lines.events(_lines(path), logged=True),
    Format.JEPSEN_TEXT: lambda path: log_lines.events(_lines(path), logged=False),
}
