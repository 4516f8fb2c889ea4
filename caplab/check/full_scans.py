"""Full scans: each reads all elements of a set or a queue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.history import Table

from .columns import NEVER, Integers, Mask, among, codes, integers
from .scans import scan_numbers
from .versions import key_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class FullScans:
    """Scans by their invocation, and the rows that show what each found.

    trusted: the scan shows what all members agree on, as far as the history tells: of scans of all members together,
    of those through the Service, and of others, those of the first kind that exists are. A replica's may be old.
    by_member: there are only others, and so each server's content may be its own.
    """

    row: Integers  # in the history, of every scan
    scan: Integers  # of each of these rows: its scan, as a place in what follows
    first: Integers  # the first row of each scan
    key: Integers
    invoke_ns: Integers
    return_ns: Integers  # NEVER: of some row it is not known
    ok: Mask
    info: Mask
    server: Integers  # -1: none is named
    trusted: Mask
    by_member: bool


def full_scans(history: Table, of: Mask) -> FullScans:
    """Return the scans among these rows; the rows of one share vantage, session, server, key and invoke_ns."""
    row = np.flatnonzero(of & among(history, "op", ["scan"]))
    key = key_codes(history)[0]
    scan, place = scan_numbers(history, row, key[row])
    first = row[place]
    return_ns = np.full(len(first), np.iinfo(np.int64).min)
    np.maximum.at(return_ns, scan, integers(history, "return_ns", NEVER)[row])
    trusted = _trusted(history, first)
    ok, info = (among(history, "outcome", [word])[row] for word in ("ok", "info"))
    return FullScans(
        row=row,
        scan=scan,
        first=first,
        key=key[first],
        invoke_ns=integers(history, "invoke_ns", 0)[first],
        return_ns=return_ns,
        ok=_of_all(scan, ok, len(first)),
        info=~_of_all(scan, ~info, len(first)),
        server=codes(history, "server")[0][first],
        trusted=np.ones(len(first), dtype=np.bool_) if trusted is None else trusted,
        by_member=trusted is None,
    )


def _of_all(scan: Integers, rows: Mask, scans: int) -> Mask:
    """Return for which scans this is so of all their rows."""
    mask: Mask = np.bincount(scan[~rows], minlength=scans) == 0
    return mask


def _trusted(history: Table, first: Integers) -> Mask | None:
    """Return which scans are of the best kind; None if none is of a kind that can be told."""
    for name, word in (("server", "all"), ("route", "service")):
        chosen = among(history, name, [word])[first]
        if chosen.any():
            return chosen
    return None
