"""The micro-operations of many transactions at once, as columns, where all of them are plain.

Plain is what nearly all files have: a micro-operation has three parts, its key is a number or text, and what it wrote
or read is a whole number, or a list of them, or nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain, compress
from types import NoneType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....check.columns import Integers, Mask
from ....model.transactions import APPEND, MICRO_OPS, READ, WRITE
from ..texts import are_whole

WORDS = {"append": APPEND, "r": READ, "read": READ, "w": WRITE, "write": WRITE}
CODES = {word: MICRO_OPS.index(op) for word, op in WORDS.items()}
READS = MICRO_OPS.index(READ)
NUMBER, LIST, NOTHING, UNKNOWN = range(4)
_KINDS = {int: NUMBER, list: LIST, NoneType: NOTHING}
_WORD_PLACES = {word: place for place, word in enumerate(WORDS)}
_OF_WORD = np.array([CODES[word] for word in WORDS], dtype=np.uint8)
# Of keys, none of which equals another as 1 and true would.
_KEY_TYPES: tuple[set[type], ...] = (set(), {int}, {str}, {int, str})

Codes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroOps:
    """Micro-operations in order.

    counts: how many each transaction has. word: the place among WORDS. kind: whether the third part is a NUMBER, a
    LIST or NOTHING; UNKNOWN: what a read would have found. size: of the list, and elements: those of all lists.
    """

    counts: Integers
    word: Codes
    key: NDArray[np.int32]
    kind: Codes
    number: Integers
    size: Integers
    elements: Integers

    @property
    def op(self) -> Codes:
        """Return the place of each one's operation among MICRO_OPS."""
        return _OF_WORD[self.word]

    def is_plain(self) -> bool:
        """Return whether each writes a number, and a history holds all numbers as they are."""
        written = self.kind[self.op != READS]
        return bool((written == NUMBER).all()) and are_whole(self.number) and are_whole(self.elements)

    def same(self, first: Integers, second: Integers) -> bool:
        """Return whether micro-operations at these places differ by no more than what was read."""
        is_read = self.op[first] == READS
        alike = (self.key[first] == self.key[second]) & (self.op[first] == self.op[second])
        written = (self.word[first] == self.word[second]) & (self.number[first] == self.number[second])
        return bool((alike & (is_read | written)).all())

    def picked(self, at: Integers, counts: Integers, ok: Mask) -> MicroOps:
        """Return those at some places, of which transactions have so many; what one that is not ok read is unknown."""
        known = np.repeat(ok, counts) | (self.op[at] != READS)
        size = np.where(known, self.size[at], 0)
        begins = np.cumsum(self.size) - self.size
        return MicroOps(
            counts=counts,
            word=self.word[at],
            key=self.key[at],
            kind=np.where(known, self.kind[at], UNKNOWN).astype(np.uint8),
            number=self.number[at],
            size=size,
            elements=self.elements[spread(begins[at], size)],
        )


def micro_ops(transactions: Sequence[Any]) -> tuple[MicroOps, list[str | int]] | None:
    """Return the micro-operations of transactions, and their keys, each once; None if one is not plain."""
    if not set(map(type, transactions)) <= {list}:
        return None
    micro = list(chain.from_iterable(transactions))
    if not (set(map(type, micro)) <= {list} and set(map(len, micro)) <= {3}):
        return None
    flat = list(chain.from_iterable(micro))
    words, keys, values = flat[::3], flat[1::3], flat[2::3]
    if not set(map(type, words)) <= {str} or set(map(type, keys)) not in _KEY_TYPES:
        return None
    places, kinds = list(map(_WORD_PLACES.get, words)), list(map(_KINDS.get, map(type, values)))
    if None in places or None in kinds:
        return None
    word, kind = (np.frombuffer(bytes(codes), dtype=np.uint8) for codes in (places, kinds))  # type: ignore[arg-type]
    lists = _chosen(values, kind == LIST)
    numbers, elements = integers(_chosen(values, kind == NUMBER)), integers(list(chain.from_iterable(lists)))
    if numbers is None or elements is None:
        return None
    names = {name: place for place, name in enumerate(dict.fromkeys(keys))}
    micro_columns = filled(
        counts=np.array(list(map(len, transactions)), dtype=np.int64),
        word=word,
        key=np.array(list(map(names.__getitem__, keys)), dtype=np.int32),
        kind=kind,
        numbers=numbers,
        sizes=np.array(list(map(len, lists)), dtype=np.int64),
        elements=elements,
    )
    return micro_columns, list(names)


def filled(
    *,
    counts: Integers,
    word: Codes,
    key: NDArray[np.int32],
    kind: Codes,
    numbers: Integers,
    sizes: Integers,
    elements: Integers,
) -> MicroOps:
    """Return micro-operations, given the numbers and the sizes of those that have one."""
    number, size = np.zeros(len(kind), dtype=np.int64), np.zeros(len(kind), dtype=np.int64)
    number[kind == NUMBER] = numbers
    size[kind == LIST] = sizes
    return MicroOps(counts=counts, word=word, key=key, kind=kind, number=number, size=size, elements=elements)


def joined(parts: Sequence[MicroOps]) -> MicroOps:
    """Return the micro-operations of all parts."""
    columns = (each.name for each in fields(MicroOps))
    return MicroOps(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns})


def spread(begins: Integers, counts: Integers) -> Integers:
    """Return the places begin, begin + 1, ... of each range."""
    ends = np.cumsum(counts)
    places: Integers = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(begins - (ends - counts), counts)
    return places


def _chosen(values: Sequence[Any], mask: Mask) -> list[Any]:
    return list(compress(values, mask.tobytes()))


def integers(numbers: list[Any]) -> Integers | None:
    """Return numbers as a column; None if one is no whole number, or has more than 64 bits."""
    if not set(map(type, numbers)) <= {int}:
        return None
    try:
        return np.array(array("q", numbers), dtype=np.int64)
    except OverflowError:
        return None
