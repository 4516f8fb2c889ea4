"""Registers and counters in a history without a run's record: the last scan of each, as the rows show it.

A scan is what one session asked one server at one moment. Scans that have keys in common are of one collection, which
each of them shows whole; scans of different keys say nothing about each other's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.history import Table

from .columns import NEVER, Integers, Mask, among, codes, integers, present
from .keyed_scans import KeyedScan
from .scans import of_queues, of_sets, scan_numbers
from .versions import key_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scans:
    """Rows of scans, and the scans themselves."""

    row: Integers
    key: Integers
    value: Integers
    shows: Mask
    scan: Integers  # of each row
    invoke_ns: Integers  # of each scan
    end_ns: Integers
    server: Integers
    rank: Integers  # how well it can decide
    failed: Mask
    collection: Integers


def standalone_keyed_scan(history: Table, of: Mask) -> KeyedScan | str:
    """Return the last scans of the wanted keys (a mask of rows), or why there are none to judge by."""
    if among(history, "op", ["add"]).any():
        of = of & ~of_sets(history)
    else:
        of = of | ~(present(history, "key") | present(history, "value"))  # one that found nothing at all
    scans = _scans(history, of & ~of_queues(history))
    if not len(scans.row):
        return "There is no final scan of keys."
    names = len(key_codes(history)[1])
    begin_ns, end_ns, covered = np.full(names, -NEVER), np.full(names, -NEVER), np.zeros(names, dtype=np.bool_)
    rows, problems = [np.zeros(0, dtype=np.int64)], []
    collections = np.unique(scans.collection).tolist()
    for collection in collections:
        deciding = _deciding(scans, np.flatnonzero(scans.collection == collection))
        if isinstance(deciding, str):
            problems.append(deciding)
            continue
        keys = np.unique(scans.key[(scans.collection == collection)[scans.scan] & scans.shows])
        mine = (scans.scan == deciding) & scans.shows
        if len(collections) == 1 and (mine.sum() > 1 or not mine.any()):
            keys = np.arange(names)
        covered[keys], begin_ns[keys], end_ns[keys] = True, scans.invoke_ns[deciding], scans.end_ns[deciding]
        rows.append(scans.row[mine])
    if not covered.any():
        return problems[0]
    return KeyedScan(rows=np.sort(np.concatenate(rows)), begin_ns=begin_ns, end_ns=end_ns, covered=covered)


def _scans(history: Table, of: Mask) -> _Scans:
    row = np.flatnonzero(among(history, "op", ["scan"]) & of)
    key, names = key_codes(history)
    key, value = key[row], integers(history, "value", 0)[row]
    invoke_ns, return_ns = integers(history, "invoke_ns", 0)[row], integers(history, "return_ns", NEVER)[row]
    server = codes(history, "server")[0][row]
    scan, first = scan_numbers(history, row)
    count = len(first)
    ok, shows = among(history, "outcome", ["ok"])[row], present(history, "value")[row] | (key != len(names) - 1)
    end_ns = np.full(count, -NEVER)
    np.maximum.at(end_ns, scan, return_ns)
    rank = np.zeros(count, dtype=np.int64)
    for better, (name, word) in enumerate((("route", "service"), ("server", "all")), 1):
        rank[scan[among(history, name, [word])[row]]] = better
    return _Scans(
        row=row,
        key=key,
        value=value,
        shows=shows,
        scan=scan,
        invoke_ns=invoke_ns[first],
        end_ns=end_ns,
        server=server[first],
        rank=rank,
        failed=np.bincount(scan[~ok], minlength=count) > 0,
        collection=_collections(scan[shows], key[shows], count, len(names)),
    )


def _collections(scan: Integers, key: Integers, scans: int, keys: int) -> Integers:
    """Return, for each scan, the number of its collection: the least of the scans that it has keys in common with."""
    label = np.arange(scans)
    shows_nothing = np.bincount(scan, minlength=scans) == 0
    while True:
        of_key = np.full(keys, scans)
        np.minimum.at(of_key, key, label[scan])
        lower = label.copy()
        np.minimum.at(lower, scan, of_key[key])
        if (lower == label).all():
            break
        label = lower
    # One that found nothing is of the only collection that there is.
    others = np.unique(label[~shows_nothing])
    if len(others) <= 1:
        label[shows_nothing] = others[0] if len(others) else 0
    return label


def _deciding(scans: _Scans, some: Integers) -> int | str:
    """Return the scan that decides of some, or why none does: of the best kind, the one that began last."""
    best = some[scans.rank[some] == scans.rank[some].max()]
    last = best[scans.invoke_ns[best] == scans.invoke_ns[best].max()]
    if scans.failed[last].any():
        return "The final scan failed: rows of it are not ok."
    chosen = last.tolist()
    for server in set(scans.server[best].tolist()) - set(scans.server[last].tolist()):
        theirs = best[scans.server[best] == server]
        newest = theirs[scans.invoke_ns[theirs] == scans.invoke_ns[theirs].max()]
        chosen += newest[~scans.failed[newest]].tolist()
    content = [_content(scans, scan) for scan in chosen]
    if any(not np.array_equal(other, content[0]) for other in content[1:]):
        return "The members had not converged before the final scan: the last scans differ."
    return int(chosen[0])


def _content(scans: _Scans, scan: int) -> Integers:
    mine = (scans.scan == scan) & scans.shows
    return np.unique(np.stack((scans.key[mine], scans.value[mine]), axis=1), axis=0)
