"""The elements of sets, and the scans that showed each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, among, integers, present
from caplab.check.full_scans import FullScans, full_scans
from caplab.check.lines import line_order, packed
from caplab.check.scans import of_sets
from caplab.check.versions import key_codes
from caplab.model.history import Table

LONG_AGO = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """What was added or may have been, each value of a set once, by set and value.

    add: the row of the add that was acked first, or if none was of the one invoked first. acked_ns: NEVER if none was.
    """

    key: Integers
    add: Integers
    acked_ns: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """The ok scans of sets, and which elements they showed: each pair once, by element and place of the scan.

    place: of each scan among those of its set, by invocation. row: of a pair in the history.
    """

    scans: FullScans
    usable: Mask  # of the scans: they are ok
    element: Integers
    scan: Integers
    row: Integers


def elements_of(history: Table) -> Elements:
    """Return the elements of all adds that did not surely fail."""
    rows = np.flatnonzero(
        among(history, "op", ["add"]) & ~among(history, "outcome", ["fail"]) & present(history, "value")
    )
    key, value = key_codes(history)[0][rows], integers(history, "value", 0)[rows]
    ok = among(history, "outcome", ["ok"])[rows]
    acked_ns = np.where(ok, integers(history, "return_ns", NEVER)[rows], NEVER)
    (code,) = packed((key, value))
    order = line_order(code - code.min(initial=0), acked_ns) if len(code) else rows
    code = code[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = code[1:] != code[:-1]
    chosen = order[first]
    return Elements(key=key[chosen], add=rows[chosen], acked_ns=acked_ns[chosen])


def reads_of(history: Table, elements: Elements) -> Reads:
    """Return the scans of sets, with what they showed of these elements."""
    scans = full_scans(history, of_sets(history))
    has_value = present(history, "value")[scans.row] & scans.ok[scans.scan]
    row, scan = scans.row[has_value], scans.scan[has_value]
    value = integers(history, "value", 0)
    added, shown = packed((elements.key, value[elements.add]), (scans.key[scan], value[row]))
    element = np.searchsorted(added, shown)
    known = element < len(added)
    known[known] = added[element[known]] == shown[known]
    row, scan, element = row[known], scan[known], element[known]
    order = line_order(element, scan)
    row, scan, element = row[order], scan[order], element[order]
    once = np.ones(len(row), dtype=np.bool_)
    once[1:] = (element[1:] != element[:-1]) | (scan[1:] != scan[:-1])
    return Reads(scans=scans, usable=scans.ok, element=element[once], scan=scan[once], row=row[once])


def last_absent(elements: Elements, reads: Reads, among_scans: Mask) -> Integers:
    """Return for each element the last of these scans of its set that does not show it; -1 if there is none.

    A scan has a place among those of its set, by invocation. The scans that show an element and are the last ones of
    all have the last places; the one before them is the wanted one.
    """
    chosen = np.flatnonzero(among_scans)
    order = line_order(reads.scans.key[chosen], chosen)
    by_key = chosen[order]
    keys = reads.scans.key[by_key]
    place = np.full(len(among_scans), -1, dtype=np.int64)
    place[by_key] = np.arange(len(by_key))
    pair = among_scans[reads.scan]
    element, at = reads.element[pair], place[reads.scan[pair]]
    ends = np.searchsorted(keys, elements.key, side="right")  # behind the last scan of each element's set
    begins = np.searchsorted(keys, elements.key)
    count = np.bincount(element, minlength=len(elements.key))
    behind = np.cumsum(count)[element] - np.arange(len(element))  # pairs of the element from this one on
    trailing = np.bincount(element[at + behind == ends[element]], minlength=len(elements.key))
    last = ends - 1 - trailing
    absent = np.full(len(elements.key), -1, dtype=np.int64)
    there = last >= begins
    absent[there] = by_key[last[there]]
    return absent


def latest(values: Integers, reads: Reads, elements: int) -> Integers:
    """Return for each element the greatest of its scans' values; LONG_AGO for one that no scan showed."""
    return _reduced(np.maximum, values, reads, elements, LONG_AGO)


def earliest(values: Integers, reads: Reads, elements: int) -> Integers:
    """Return for each element the least of its scans' values; NEVER for one that no scan showed."""
    return _reduced(np.minimum, values, reads, elements, NEVER)


def _reduced(reduce: np.ufunc, values: Integers, reads: Reads, elements: int, nothing: int) -> Integers:
    result = np.full(elements, nothing, dtype=np.int64)
    if len(reads.element):
        begins = np.flatnonzero(np.append(True, reads.element[1:] != reads.element[:-1]))
        result[reads.element[begins]] = reduce.reduceat(values[reads.scan], begins)
    return result
