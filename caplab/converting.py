"""`caplab convert`: writes a history of any format in another one that can hold it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from . import memory
from .command_error import CommandError
from .files import results
from .files.formats import store, writing
from .files.formats.reading import format_name, read
from .files.formats.recognise import Format
from .files.formats.recording import Recording
from .model.bounds import Bounds
from .plain_text import one_line, plural

_WRITING_BYTES = 1 << 31  # beyond the history itself: each operation as an object, and as text


def convert(source: Path, target: Path, bounds: Bounds) -> str:
    """Convert a file, a run's folder or a test's folder of Jepsen's store, and return what was done.

    The format of the target is that of its name's ending. Raises CommandError for what cannot be read, or held by it.
    """
    kind = writing.ENDINGS.get(target.suffix.lower())
    if kind is None:
        endings = ", ".join(writing.ENDINGS)
        raise CommandError(f"{target}: its name does not say the format. Hint: let it end with one of {endings}.")
    _refuse_target(source, target)
    recording = _read(source, bounds)
    try:
        with memory.at_most(bounds.bytes + _WRITING_BYTES):
            writing.write(recording, Path(os.path.realpath(target)), kind)
    except (OSError, MemoryError, pa.ArrowException) as error:
        reason = "there is not enough memory for it" if isinstance(error, MemoryError) else _reason(error)
        raise CommandError(f"{target}: {reason}. Hint: name a place where there is room for it.") from error
    except ValueError as error:
        raise CommandError(f"{source}: {kind.value} cannot hold it: {error}") from error
    return _sentence(source, recording, target, kind)


def _refuse_target(source: Path, target: Path) -> None:
    """Refuse to write where there is no folder, to what is no file, and over what is read: not all of it is kept."""
    if not target.parent.is_dir():
        raise CommandError(f"{target.parent}: there is no such folder. Hint: make it first.")
    if not target.exists():
        return
    if not target.is_file():
        raise CommandError(f"{target}: it is not an ordinary file. Hint: name a file.")
    read_from = source
    with contextlib.suppress(OSError, ValueError):
        if source.is_dir():
            read_from = source / results.HISTORY if (source / results.HISTORY).is_file() else store.history_of(source)
        if target.samefile(read_from):
            raise CommandError(
                f"{target}: it is the history itself, of which a conversion does not keep all. Hint: name another file."
            )


def _read(source: Path, bounds: Bounds) -> Recording:
    try:
        with memory.at_most(bounds.bytes + _WRITING_BYTES):
            recording = _recording(source, bounds)
        recording.validated()
    except MemoryError as error:
        raise CommandError(f"{source}: there is not enough memory for it. Hint: convert a part of it.") from error
    except OSError as error:
        raise CommandError(f"{source}: {_reason(error)}. Hint: name a history that can be read.") from error
    except (ValueError, pa.ArrowException) as error:
        raise CommandError(f"{source}{_format_in_brackets(source)}: {error}") from error
    return recording


def _recording(source: Path, bounds: Bounds) -> Recording:
    if not source.is_dir():
        return read(source, bounds)
    if (source / results.HISTORY).is_file():
        return replace(read(source / results.HISTORY, bounds), notes=(f"{results.RECORD} is left out",))
    if store.is_store(source):
        return store.read_store(source, bounds)
    raise ValueError(f"It has neither {results.HISTORY} nor {store.HISTORIES[0]}. Hint: name a history's file.")


def _format_in_brackets(source: Path) -> str:
    try:
        name = "" if source.is_dir() else format_name(source)
    except OSError:
        name = ""
    return f" ({name})" if name else ""


def _reason(error: BaseException) -> str:
    return str(error.strerror or error) if isinstance(error, OSError) else str(error).rstrip(".")


def _sentence(source: Path, recording: Recording, target: Path, kind: Format) -> str:
    rows = plural(recording.table.num_rows, "row")
    lines = [f"{source} ({recording.format}): {rows} -> {target} ({kind.value}, {target.stat().st_size:,} bytes)"]
    return "\n".join(map(one_line, (*lines, *recording.notes))) + "\n"
