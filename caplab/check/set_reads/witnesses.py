"""Witnesses of the set reads checker: elements that were known, and a scan that does not show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, integers
from caplab.check.finding import Context
from caplab.check.witness import MAX_WITNESSES, shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table

from .elements import Elements, Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """What became of each element.

    known_ns: from when on scans must show it; NEVER: it is not known to be there. absent: the last scan that lacks it,
    as a place in scans, which began at absent_ns. shown_from_ns: when the last scan began that shows it.
    """

    known_ns: Integers
    absent: Integers
    absent_ns: Integers
    lost: Mask
    vanished: Mask
    seen: Mask
    stable: Mask
    stale: Mask
    shown_from_ns: Integers


def witnesses(history: Table, context: Context, elements: Elements, reads: Reads, fates: Fates) -> list[Json]:
    """Show at most MAX_WITNESSES elements: those lost or vanished first, and those that were stale for longest."""
    stale = np.flatnonzero(fates.stale)
    longest = stale[np.argsort((fates.known_ns - fates.absent_ns)[stale], kind="stable")]
    kinds = [np.flatnonzero(fates.lost), np.flatnonzero(fates.vanished), longest]
    kinds[:2] = [kind[np.argsort(elements.add[kind])] for kind in kinds[:2]]
    chosen = zip(kinds, shares([min(MAX_WITNESSES, len(kind)) for kind in kinds]), strict=True)
    value = integers(history, "value", 0)
    shown = []
    for place in [int(place) for kind, count in chosen for place in kind[:count]]:
        acked = elements.acked_ns[place] != NEVER and elements.acked_ns[place] == fates.known_ns[place]
        known = "was acked" if acked else "was seen"
        ending = ", and no scan after it either" if not fates.stale[place] else ""
        what = f"The value {value[elements.add[place]]} {known} before a scan began that does not show it{ending}."
        rows = [int(elements.add[place]), *_seen(reads, place), int(reads.scans.first[fates.absent[place]])]
        shown.append(witness(history, what, rows, context))
    return shown


def _seen(reads: Reads, element: int) -> list[int]:
    """Return the rows that show an element in the scan that ended first, and in the one that began last."""
    first, end = np.searchsorted(reads.element, [element, element + 1])
    if first == end:
        return []
    scans = reads.scan[first:end]
    earliest = int(np.argmin(reads.scans.return_ns[scans]))
    return [int(reads.row[first + place]) for place in {earliest, len(scans) - 1}]
