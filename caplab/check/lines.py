"""Sorted numbers on many lines (a line is a key, a session, a pair of them), searched all at once.

Lines are small whole numbers. A line and a number on it are packed into one integer, so that one sort or one binary
search serves all lines: that is what makes checkers fast without a loop over keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .columns import NEVER, Integers

Pair: TypeAlias = tuple[Integers, Integers]  # lines, and a number on each

_LIMIT = 2**63
_NARROW = 2**16  # numpy sorts 16-bit integers by radix
_TABLE = 2**22  # up to so many codes are counted in a table; more are sorted


def packed(*pairs: Pair) -> list[Integers]:
    """Pack each pair into integers that sort by line, then by number; those of all pairs can be compared."""
    full = [number for _, number in pairs if len(number)]
    if not full:
        return [line for line, _ in pairs]
    low = min(int(number.min()) for number in full)
    span = max(int(number.max()) for number in full) - low + 1
    lines = max(int(line.max()) for line, _ in pairs if len(line)) + 1
    if lines * span >= _LIMIT:
        ranks = np.unique(np.concatenate(full))
        return packed(*((line, np.searchsorted(ranks, number)) for line, number in pairs))
    return [line * span + (number - low) for line, number in pairs]


def by_line(line: Integers) -> Integers:
    """Return the order by line; rows of one line keep theirs."""
    narrow = line.astype(np.uint16) if len(line) and int(line.max()) < _NARROW else line
    return np.argsort(narrow, kind="stable")


def line_order(line: Integers, *numbers: Integers) -> Integers:
    """Return the order by line, then by the numbers, in nearly linear time if the first is nearly sorted."""
    first, *ties = numbers
    order = np.argsort(first, kind="stable")
    order = order[by_line(line[order])]
    if ties:
        tied = (line[order[1:]] == line[order[:-1]]) & (first[order[1:]] == first[order[:-1]])
        if tied.any():
            return np.lexsort((*ties[::-1], first, line))
    return order


def dense(code: Integers) -> tuple[Integers, Integers]:
    """Replace codes (not negative) by numbers from 0 in their order, without gaps; also return each number's code."""
    if not len(code) or int(code.max()) >= _TABLE:
        distinct, number = np.unique(code, return_inverse=True)
        return number, distinct
    there = np.bincount(code) > 0
    return (np.cumsum(there, dtype=np.int64) - 1)[code], np.flatnonzero(there)


@dataclass(frozen=True, slots=True, kw_only=True)
class Climbs:
    """Heights on each line in their order of arrival, searched for the first one above a level.

    place is what was given with each height, and NEVER at last: the index of that one stands for no such height.
    """

    place: Integers
    codes: Integers  # of the lines, sorted
    _line: Integers  # of each height, as a place in codes; -1 at the end
    _highest: Integers  # so far on its line, packed with it
    _span: int

    @classmethod
    def of(cls, code: Integers, place: Integers, height: Integers) -> tuple[Climbs, Integers]:
        """Build the index from heights (not negative) and the codes of their lines; also return the order by line."""
        line, distinct = dense(code)
        order = by_line(line)
        line, height = line[order], height[order]
        span = int(height.max(initial=0)) + 2
        highest = np.maximum.accumulate(line * span + height)
        return cls(
            place=np.append(place[order], NEVER),
            codes=distinct,
            _line=np.append(line, -1),
            _highest=highest,
            _span=span,
        ), order

    def first_above(self, code: Integers, level: Integers) -> Integers:
        """Return, for each line by its code and level (from -1), the index of the first height above the level."""
        none = len(self._highest)
        if not none:
            return np.zeros(len(code), dtype=np.int64)
        line = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        # No height of a line is above span - 2.
        at = np.searchsorted(self._highest, line * self._span + np.minimum(level, self._span - 2), side="right")
        here = (self.codes[line] == code) & (self._line[at] == line)
        return np.where(here, at, none)
