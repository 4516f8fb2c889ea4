"""JSON values one after the other, in an array or on lines of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .recording import FormatError

_TOO_LONG = "integer string conversion"  # what Python says of a number of over 4,300 digits
_BLANKS = re.compile(r"[\s,]*")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has a field twice")
    return fields


_DECODER = json.JSONDecoder(parse_constant=lambda word: word, object_pairs_hook=_object)  # NaN is text


def objects(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each value with the line (from 1) on which it begins. FormatError for what is not JSON, or was cut off."""
    text = path.read_text(encoding="utf-8-sig")
    blanks, decode = _BLANKS.match, _DECODER.raw_decode
    at = blanks(text).end()  # type: ignore[union-attr]  # it matches anywhere
    wrapped = text[at : at + 1] == "["
    at, line, counted = at + wrapped, 1, 0
    while True:
        at = blanks(text, at).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]" and wrapped:
            break
        if at >= len(text):
            if wrapped:
                raise FormatError(f"Line {line}: the array has no end: it was cut off. Hint: copy it again, whole.")
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
