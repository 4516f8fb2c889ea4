"""Events of transactions that are JSON on lines of their own, taken apart by Arrow, many lines at a time.

One regular expression checks each line from its begin to its end, so that what follows may cut it at commas and
brackets: names of keys have none. What does not match is left to the other readers. Several threads can do this at
once, as Arrow does not hold Python's lock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from pyarrow import compute as pc

from ....check.columns import Integers
from ....model.transactions import TXN
from .events import KINDS, NEEDED, VALUED, PlainEvents, error_words
from .micro_ops import LIST, NOTHING, NUMBER, WORDS, Codes, MicroOps, filled

_NUMBER = "(?:0|-?[1-9][0-9]{0,17}|-?[1-8][0-9]{18})"  # all of them have 64 bits
_STRING = r'"[^"\\\x00-\x1f]*"'
_KEY = r'"[^"\\\x00-\x1f,\[\]]*"'
_NUMBERS = ("process", "time", "index")
_PATTERNS = {
    "type": f'"(?:{"|".join(KINDS)})"',
    "f": f'"{TXN}"',
    **dict.fromkeys(_NUMBERS, _NUMBER),
    "value": "",  # that depends on how lists are written
}
_MAX_BYTES = (1 << 31) - 1  # of Arrow's arrays of text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How lines are written.

    begins: what each field begins with; value: how many there are up to the value; error: what an error begins with,
    which follows all others on few lines; whole: the pattern of a line.
    """

    begins: dict[str, str]
    value: int
    comma: str
    error: str
    whole: str


def plain_lines(text: Any) -> PlainEvents | None:
    """Return the events on the lines of a buffer; None if one of them is not plain."""
    if not 0 < len(text) <= _MAX_BYTES:
        return None
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    if not len(ends) or ends[-1] < len(text):
        ends = np.append(ends, len(text))
    layout = _layout_of(text[: int(ends[0])].to_pybytes())
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), text)
    if layout is None or not pc.all(pc.match_substring_regex(lines, layout.whole)).as_py():
        return None
    errors: dict[int, Any] = {}
    if layout.error.encode() in text.to_pybytes():
        lines, errors = _without_errors(lines, layout.error)
    return _events(lines, errors, layout)


def _layout_of(line: bytes) -> _Layout | None:
    """Return the layout of lines of which this is one; None if they are not plain."""
    try:
        event = orjson.loads(line.rstrip(b",\n"))
    except orjson.JSONDecodeError:
        return None
    names = [name for name in event if name != "error"] if type(event) is dict else []
    if not NEEDED.issubset(names) or not _PATTERNS.keys() >= set(names):
        return None
    return _layout(tuple(names), " " if b'": ' in line else "")


@lru_cache
def _layout(names: tuple[str, ...], blank: str) -> _Layout:
    comma, colon = f",{blank}", f":{blank}"
    begins = {name: f'{"" if place else "{"}"{name}"{colon}' for place, name in enumerate(names)}
    numbers = rf"\[(?:{_NUMBER}(?:{comma}{_NUMBER})*)?\]"
    micro = rf'\["(?:{"|".join(WORDS)})"{comma}(?:{_KEY}|{_NUMBER}){comma}(?:null|{_NUMBER}|{numbers})\]'
    value = rf"(?:null|\[{micro}(?:{comma}{micro})*\])"
    fields = comma.join(re.escape(begin) + (_PATTERNS[name] or value) for name, begin in begins.items())
    error = f'{comma}"error"{colon}'
    with_error = rf"(?:{error}(?:null|{_STRING}|\[{_STRING}(?:{comma}{_STRING})*\]))?"
    return _Layout(
        begins=begins,
        value=names.index("value") + 1,
        comma=comma,
        error=error,
        whole=rf"\A{fields}{with_error}\}},?\n?\z",
    )


def _events(lines: Any, errors: dict[int, Any], layout: _Layout) -> PlainEvents | None:
    pieces = _pieces(lines, layout.comma, layout.value)
    if after := len(layout.begins) - layout.value:
        pieces[-1:] = _pieces(pc.ascii_rtrim(pieces[-1], "},\n"), layout.comma, after + 1, reverse=True)
    fields = dict(zip(layout.begins, pieces, strict=True))
    kind = _places(fields["type"], tuple(f'{layout.begins["type"]}"{word}"' for word in KINDS))
    values, begin = fields["value"].filter(np.isin(kind, VALUED)), layout.begins["value"] + "["
    if not pc.all(pc.starts_with(values, begin)).as_py():
        return None
    values = pc.utf8_slice_codeunits(pc.ascii_rtrim(values, "]},\n"), len(begin) + 1)
    micro, names = _micro_ops(values, layout.comma)
    numbers = {
        name: _integers(pc.utf8_slice_codeunits(fields[name], len(begin)))
        for name, begin in layout.begins.items()
        if name in _NUMBERS
    }
    return PlainEvents(
        kind=kind,
        process=numbers["process"],
        time=numbers.get("time"),
        index=numbers.get("index"),
        errors=error_words(errors.items(), kind),
        micro=micro,
        names=names,
    )


def _without_errors(lines: Any, error: str) -> tuple[Any, dict[int, Any]]:
    """Return lines without their errors and what follows these, and the errors."""
    cut = pc.split_pattern(lines, error, max_splits=1)
    places = np.flatnonzero(np.asarray(pc.list_value_length(cut)) > 1).tolist()
    return pc.list_element(cut, 0), {at: orjson.loads(cut[at][1].as_py().rstrip("},\n")) for at in places}


def _micro_ops(values: Any, comma: str) -> tuple[MicroOps, list[str | int]]:
    """Return the micro-operations of texts such as "r","x",[1,2]],["append","x",3 and their keys, each once."""
    transactions = pc.split_pattern(values, f"]{comma}[")
    word, key, third = _pieces(transactions.flatten(), comma, 3)
    is_list, is_nothing = (np.asarray(each) for each in (pc.starts_with(third, "["), pc.equal(third, "null")))
    kind = np.where(is_list, LIST, np.where(is_nothing, NOTHING, NUMBER)).astype(np.uint8)
    lists = pc.ascii_trim(third.filter(is_list), "[]")
    is_filled = np.asarray(pc.not_equal(lists, ""))
    elements = pc.split_pattern(lists.filter(is_filled), comma)
    sizes = np.zeros(len(lists), dtype=np.int64)
    sizes[is_filled] = pc.list_value_length(elements)
    keys = key.dictionary_encode()
    micro = filled(
        counts=np.asarray(pc.list_value_length(transactions), dtype=np.int64),
        word=_places(pc.ascii_trim(word, '"'), tuple(WORDS)),
        key=np.asarray(keys.indices),
        kind=kind,
        numbers=_integers(third.filter(kind == NUMBER)),
        sizes=sizes,
        elements=_integers(elements.flatten()),
    )
    return micro, orjson.loads(f"[{','.join(keys.dictionary.to_pylist())}]")


def _pieces(texts: Any, comma: str, count: int, *, reverse: bool = False) -> list[Any]:
    """Return the first pieces of texts, the second ones, and so on; the last one, or in reverse the first, has more."""
    pieces = pc.split_pattern(texts, comma, max_splits=count - 1, reverse=reverse).flatten()
    return [pieces.take(pa.array(np.arange(place, len(pieces), count))) for place in range(count)]


def _places(texts: Any, words: tuple[str, ...]) -> Codes:
    return np.asarray(pc.index_in(texts, value_set=pa.array(words))).astype(np.uint8)


def _integers(texts: Any) -> Integers:
    return np.asarray(texts.cast(pa.int64()))
