"""Small random histories of a set with many scans, and what became of each element, one pair at a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from support.checkers.histories import Row, operation

INFINITY = float("inf")


def random_rows(rng: random.Random) -> list[Row]:
    """Make adds and scans at whole milliseconds of two sets; many times are equal."""
    rows = []
    for number in range(rng.randint(1, 5)):
        outcome = rng.choice(["ok"] * 4 + ["info", "fail"])
        latency = None if outcome == "info" else rng.choice([0, 1, 3])
        value, key = rng.randint(1, 4), rng.choice(["r", "s"])
        rows.append(operation(rng.randrange(16), outcome, latency, op="add", key=key, value=value, session=number))
    rows.append(operation(30, op="add", key="last", value=0, session=50))
    for number in range(rng.randint(1, 6)):
        outcome = rng.choice(["ok"] * 6 + ["info"])
        elements: list[int | None] = list(rng.sample([1, 2, 3, 4], rng.randint(0, 4)))
        shown: dict[str, object] = {"key": rng.choice(["r", "s"]), "session": 100 + number}
        begin, latency = rng.randrange(24), rng.choice([0, 1, 3])
        rows += [operation(begin, outcome, latency, op="scan", value=value, **shown) for value in elements or [None]]
    return rows


def honest_rows(rng: random.Random) -> list[Row]:
    """Make what clients of one set see that is always up to date: each operation takes effect within its time."""
    rows, effects = [], []
    for number in range(rng.randint(1, 8)):
        begin, latency = rng.randrange(20), rng.choice([0, 1, 3, 8])
        outcome = rng.choice(["ok", "ok", "info", "fail"])
        at = rng.uniform(begin, begin + latency) if outcome == "ok" else rng.choice([rng.uniform(begin, 40), INFINITY])
        effects.append((INFINITY if outcome == "fail" else at, number))
        rows.append(operation(begin, outcome, latency, op="add", value=number, session=number))
    for number in range(rng.randint(1, 8)):
        begin, latency = rng.randrange(30), rng.choice([0, 1, 3, 8])
        at = rng.uniform(begin, begin + latency)
        elements: list[int | None] = [value for effect, value in effects if effect <= at]
        rows += [
            operation(begin, "ok", latency, op="scan", value=value, session=100 + number)
            for value in elements or [None]
        ]
    return [*rows, operation(50, op="add", value=1000, session=99)]


def fates(rows: Sequence[Row]) -> Counter[str]:
    """Count what became of the elements, by the words of the checker's page."""
    counts: Counter[str] = Counter()
    for element in sorted(
        {(row["key"], row["value"]) for row in rows if row["op"] == "add" and row["outcome"] != "fail"}
    ):
        counts.update(_fate(rows, element))
    return counts


def _fate(rows: Sequence[Row], element: tuple[str, int]) -> list[str]:
    adds = [row for row in rows if row["op"] == "add" and (row["key"], row["value"]) == element]
    acked = min((row["return_ns"] for row in adds if row["outcome"] == "ok"), default=INFINITY)
    scans: dict[int, list[Row]] = {}
    for row in rows:
        if row["op"] == "scan" and row["outcome"] == "ok" and row["key"] == element[0]:
            scans.setdefault(row["session"], []).append(row)
    shows = {session: any(row["value"] == element[1] for row in scan) for session, scan in scans.items()}
    present = [scan[0] for session, scan in scans.items() if shows[session]]
    known = min([acked, *(row["return_ns"] for row in present)])
    lacking = [scan[0]["invoke_ns"] for session, scan in scans.items() if not shows[session]]
    after = [begun for begun in lacking if all(begun > row["return_ns"] for row in present)]
    if any(begun > known for begun in after):
        return ["lost" if acked < INFINITY else "vanished"]
    stale = ["stale"] if any(begun > known for begun in lacking) else []
    if not present:
        return ["never_read"]
    return [*stale, "unsettled" if after else "stable"]
