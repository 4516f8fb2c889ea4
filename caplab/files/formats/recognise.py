"""Which format a file has, by its first bytes; its name is not asked."""

from __future__ import annotations

import re
from enum import Enum


class Format(Enum):
    """The formats that are told apart; the values are their names in messages and output."""

    PARQUET = "Parquet"
    ARROW = "Arrow"
    ARROW_STREAM = "Arrow stream"
    CSV = "CSV"
    JSON_LINES = "JSON lines"
    JEPSEN_EDN = "Jepsen EDN"
    JEPSEN_JSON = "Jepsen JSON lines"
    ELLE_JSON = "elle-cli JSON"
    JEPSEN_LOG = "jepsen.log"
    JEPSEN_TEXT = "Jepsen history.txt"


BEGIN_BYTES = 1 << 16
_MAGIC = ((b"PAR1", Format.PARQUET), (b"ARROW1", Format.ARROW), (b"\xff\xff\xff\xff", Format.ARROW_STREAM))
_EDN_BLANKS = re.compile(rb"(?:\xef\xbb\xbf)?(?:[\s,]|;[^\n]*(?:\n|\Z))*")
_EDN = re.compile(rb"(?:[\[(][\s,]*(?:;[^\n]*\n[\s,]*)*)?(?:#[\w.][\w./-]*[\s,]*)?\{[\s,]*(?::|\}|;)|[\[(][\s,]*[\])]")
_JSON = re.compile(rb'(\[?)\s*\{\s*(?:"|\})')
_EVENT = re.compile(rb'"(?:type|process|f)"\s*:')
_COLUMN = re.compile(rb'"(?:session|op|invoke_ns|outcome)"\s*:')
_LOG = re.compile(rb"(?:INFO|WARN|DEBUG)\b[^\n]*\bjepsen\b|\bjepsen\.util\s*[:-]", re.IGNORECASE)
_TEXT = re.compile(rb"\s*:?\w+\s+:(?:invoke|ok|fail|info)\s+(?::\S+|nil)", re.MULTILINE)


def format_of(begin: bytes) -> Format:
    """Return the format of a file by its first BEGIN_BYTES; a CSV file is what is none of the others."""
    for magic, kind in _MAGIC:
        if begin.startswith(magic):
            return kind
    text = begin[_EDN_BLANKS.match(begin).end() :]  # type: ignore[union-attr]  # it matches anywhere
    if found := _JSON.match(text):
        return _format_of_json(text, in_array=bool(found[1]))
    return next((kind for is_there, kind in _TEXTS if is_there(text)), Format.CSV)


def _format_of_json(text: bytes, in_array: bool) -> Format:
    """Return whether objects are events or have the columns of a history: what the first ones have says so."""
    if not _EVENT.search(text) and (_COLUMN.search(text) or not in_array):
        return Format.JSON_LINES
    return Format.ELLE_JSON if in_array else Format.JEPSEN_JSON


_TEXTS = ((_EDN.match, Format.JEPSEN_EDN), (_TEXT.match, Format.JEPSEN_TEXT), (_LOG.search, Format.JEPSEN_LOG))
