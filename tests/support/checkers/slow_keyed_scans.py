"""Scans of registers and counters in a history by themselves, the slow way: each key by the words of its page.

And random histories for that: counters that several sessions add to, and scans of some of them by several servers.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from support.checkers.histories import Row, operation


def random_rows(rng: random.Random) -> list[Row]:
    """Make increments and scans of two or three counters at whole milliseconds; many times are equal."""
    names = ["x", "y", "z"][: rng.randint(1, 3)]
    rows: list[Row] = []
    for number in range(rng.randint(1, 6)):
        outcome = rng.choice(["ok"] * 4 + ["info", "fail"])
        latency = None if outcome == "info" else rng.choice([0, 1, 3])
        fields = {"op": "incr", "key": rng.choice(names), "value": rng.choice([1, 1, 2, -1]), "session": number}
        rows.append(operation(rng.randrange(12), outcome, latency, **fields))
    moments = rng.sample(range(6, 16), rng.randint(0, 4))
    if len(moments) > 1 and rng.random() < 0.2:
        moments[1] = moments[0]
    for number, begin in enumerate(moments):
        server = rng.choice(["a", "a", "b", "all"])
        shared = {"op": "scan", "session": 100 + number, "server": server, "vantage": rng.choice("ab")}
        shared |= {"route": "service" if rng.random() < 0.2 else "direct"}
        latency = rng.choice([0, 1, 3])
        shown = rng.sample(names, rng.randint(0, len(names)))
        outcome = "info" if rng.random() < 0.1 else "ok"
        state = {name: rng.randint(0, 3) if rng.random() < 0.5 else _sum(rows, name) for name in shown}
        found: list[tuple[str | None, int | None]] = [*state.items()] or [(None, None)]
        rows += [operation(begin, outcome, latency, key=key, value=value, **shared) for key, value in found]
    return rows


def _sum(rows: Sequence[Row], name: str) -> int:
    return sum(row["value"] for row in rows if row["op"] == "incr" and row["key"] == name and row["outcome"] == "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """One scan: what it shows of counters, when it was made, and how well it can decide."""

    shown: dict[str, int]
    begin: int
    end: int
    server: str
    rank: int
    failed: bool


def verdict(rows: Sequence[Row]) -> tuple[int, int, int]:
    """Return how many counters the last scans tell of, how many they show too low, and how many too high."""
    counters = {row["key"] for row in rows if row["op"] == "incr"}
    scans = _scans(rows, counters)
    collections = _collections(scans)
    told: dict[str, tuple[int, int, int]] = {}
    for collection in collections:
        last = _last(collection)
        if last is None:
            continue
        whole = len(collections) == 1 and len(last.shown) != 1
        for name in counters if whole else {name for scan in collection for name in scan.shown}:
            told[name] = last.shown.get(name, 0), last.begin, last.end
    sums = {name: _possible_sums(rows, name, begin, end) for name, (_, begin, end) in told.items()}
    below = sum(value < min(sums[name]) for name, (value, _, _) in told.items())
    return len(told), below, sum(value > max(sums[name]) for name, (value, _, _) in told.items())


def _scans(rows: Sequence[Row], counters: set[str]) -> list[_Scan]:
    """Return the scans: what one session asked one server at one moment."""
    of: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["op"] == "scan" and (row["key"] in counters or row["key"] is None):
            of.setdefault((row["vantage"], row["session"], row["server"], row["invoke_ns"]), []).append(row)
    return [
        _Scan(
            shown={row["key"]: row["value"] for row in some if row["key"] is not None},
            begin=some[0]["invoke_ns"],
            end=some[0]["return_ns"],
            server=some[0]["server"],
            rank=2 if some[0]["server"] == "all" else 1 if some[0]["route"] == "service" else 0,
            failed=any(row["outcome"] != "ok" for row in some),
        )
        for some in of.values()
    ]


def _collections(scans: list[_Scan]) -> list[list[_Scan]]:
    """Put scans with keys in common together; one that shows nothing is of the only collection, if there is one."""
    collections: list[list[_Scan]] = []
    for scan in scans:
        if scan.shown:
            near = [other for other in collections if any(each.shown.keys() & scan.shown.keys() for each in other)]
            collections = [other for other in collections if other not in near]
            collections.append([scan, *itertools.chain.from_iterable(near)])
    empty = [scan for scan in scans if not scan.shown]
    if empty and len(collections) <= 1:
        return [[*itertools.chain.from_iterable(collections), *empty]]
    return collections


def _last(collection: list[_Scan]) -> _Scan | None:
    """Return the scan that decides: of the best kind the last one, unless it failed, or another server shows else."""
    best = [scan for scan in collection if scan.rank == max(each.rank for each in collection)]
    begin = max(scan.begin for scan in best)
    last = [scan for scan in best if scan.begin == begin]
    if any(scan.failed for scan in last):
        return None
    for server in {scan.server for scan in best} - {scan.server for scan in last}:
        theirs = [scan for scan in best if scan.server == server]
        newest = max(scan.begin for scan in theirs)
        last += [scan for scan in theirs if scan.begin == newest and not scan.failed]
    return last[0] if all(scan.shown == last[0].shown for scan in last) else None


def _possible_sums(rows: Sequence[Row], name: str, begin: int, end: int) -> list[int]:
    """Return what the counter can hold at a scan, whichever order its operations took effect in."""
    increments = [row for row in rows if row["op"] == "incr" and row["key"] == name and row["outcome"] != "fail"]
    sure = [row for row in increments if row["outcome"] == "ok" and row["return_ns"] < begin]
    maybe = [row for row in increments if row not in sure and row["invoke_ns"] <= end]
    return [
        sum(row["value"] for row in (*sure, *some))
        for count in range(len(maybe) + 1)
        for some in itertools.combinations(maybe, count)
    ]
