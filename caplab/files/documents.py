"""YAML and JSON files written by users: read whole, within bounds, or rejected with the reason."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ..model.bounds import in_words
from ..model.fields import FieldError

MAX_BYTES = 16 << 20
_MAX_NAME_LENGTH = 40  # letters of a file's name in its draft's, within 255 bytes
_DEEPEST = 100  # nested objects and lists; no file of the lab has ten levels
_MAX_VALUES = 1_000_000  # expanded: a few lines of nested aliases can exceed the memory
# Readers also raise these: for `2026-13-45`, `!!int ""`, 5,000 digits, or lists in lists in lists.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def read_text(file: Path, max_bytes: int = MAX_BYTES) -> str:
    """Read an ordinary file's text. OSError if it can't be read, FieldError if it is not text, or over the bound."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FieldError(f"{file}: it is not an ordinary file. Hint: use one.")
    with os.fdopen(descriptor, "rb") as opened:
        content = opened.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise FieldError(f"{file}: it is over {in_words(max_bytes)} long, more than such a file needs.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FieldError(f"{file}: it is not UTF-8 text: {error}") from error


def read_json(file: Path, max_bytes: int = MAX_BYTES, most_digits: int | None = None) -> Any:
    """Read the value in a JSON file. OSError if it can't be read, FieldError if it is not JSON, or over the bound.

    most_digits: of a whole number; without it Python's own bound holds, and arithmetic with one may overflow.
    """
    text = read_text(file, max_bytes)

    def integer(digits: str) -> int:
        if most_digits and len(digits) > most_digits:
            raise ValueError(f"a number has {len(digits):,} digits")
        return int(digits)

    try:
        return within_depth(json.loads(text, object_pairs_hook=each_once, parse_int=integer if most_digits else None))
    except _UNREADABLE as error:
        raise FieldError(f"{file}: not JSON: {error}") from error


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a parsed object of its fields. ValueError if one is there twice: two readers might take either."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has a field twice")
    return fields


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file that the user named, atomically: a reader finds all of it, or what was there before.

    A link is followed, and what is no file, such as /dev/stdout or a pipe, is written to. OSError if it cannot be.
    """
    target = file.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(_encoded(content))
    else:
        replace_whole(target, content)


def replace_whole(file: Path, content: str | bytes) -> None:
    """Write a file of the lab's own, atomically. A link in its place is replaced, and never written through."""
    with replaced(file) as draft:
        draft.write_bytes(_encoded(content))


@contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """Give the path of a draft that replaces a file once it is written; an error leaves what was there."""
    draft = file.with_name(f".{file.name[:_MAX_NAME_LENGTH]}.{os.getpid()}.draft")
    try:
        yield draft
        if file.is_dir() and not file.is_symlink():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def within_depth(value: Any) -> Any:
    """Return a value that recursive functions can process; ValueError if it is nested too deeply."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return value
    raise ValueError(f"it is over {_DEEPEST} levels deep")


def read_yaml(file: Path) -> Any:
    """Read the value in a YAML file. OSError if it can't be read, FieldError if it is not YAML, or too large."""
    return parse_yaml(read_text(file), file.name)


def read_own_yaml(file: Path) -> Any:
    """Read a YAML file of the lab itself, faster. Errors as in read_yaml, but one nested by thousands ends Python."""
    return parse_yaml(read_text(file), file.name, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def parse_yaml(text: str, name: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Parse the value of a YAML text; name is the file's, for messages. FieldError as in read_yaml."""
    try:
        document = yaml.load(text, loader)
        size = _size(document, {})
    except (yaml.YAMLError, *_UNREADABLE) as error:
        raise FieldError(f"{name}: not YAML: {error}") from error
    if size > _MAX_VALUES:
        raise FieldError(f"{name}: it expands to over {_MAX_VALUES:,} values. Hint: use fewer aliases (*).")
    return document


def _size(value: Any, sizes: dict[int, int]) -> int:
    """Count the values, each alias as the values it stands for. ValueError if one refers to itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = -1
        within = [*value, *value.values()] if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(inner, sizes) for inner in within)
    if sizes[id(value)] < 0:
        raise ValueError("an alias refers to what contains it")
    return sizes[id(value)]
