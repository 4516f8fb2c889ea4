"""Small random histories of a queue, and a slow search for an order in which one queue could carry them out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from support.checkers.histories import Row, operation

QUEUE = "q"


def random_rows(rng: random.Random, distinct: bool) -> list[Row]:
    """Make operations that make sense for the most part; distinct: ok ones, of elements enqueued once, none empty."""
    rows: list[Row] = []
    for number in range(rng.randint(1, 6)):
        op = rng.choice(["enqueue", "dequeue"])
        outcome = "ok" if distinct else rng.choice(["ok"] * 5 + ["info", "fail"])
        latency = None if outcome == "info" else rng.choice([0, 1, 2, 5])
        value: int | None = rng.randint(1, 3)
        if op == "enqueue" and distinct:
            value = 1 + sum(row["op"] == "enqueue" for row in rows)
        if op == "dequeue" and not distinct and (outcome != "ok" or rng.random() < 0.3):
            value = None
        rows.append(operation(rng.randrange(12), outcome, latency, op=op, key=QUEUE, value=value, session=number))
    if not distinct and rng.random() < 0.3:
        elements: list[int | None] = [*rng.sample([1, 2, 3], rng.randint(0, 2))] or [None]
        rows += [operation(20, op="scan", key=QUEUE, value=value, session=99) for value in elements]
    return rows


def is_queue(rows: Sequence[Row]) -> bool:
    """Return whether one queue could have done all this, in an order that respects real time.

    What is of unknown outcome takes effect at any time after its invocation, or never. A scan shows what is left.
    """
    scan = tuple(sorted(row["value"] for row in rows if row["op"] == "scan" and row["value"] is not None))
    scans = [row for row in rows if row["op"] == "scan"][:1]
    steps = [row for row in rows if row["op"] != "scan" and row["outcome"] != "fail"] + scans
    ends = [row["return_ns"] if row["outcome"] == "ok" else float("inf") for row in steps]
    must = sum(1 << place for place, row in enumerate(steps) if row["outcome"] == "ok")

    @cache
    def possible(done: int, content: tuple[int, ...]) -> bool:
        if done & must == must:
            return True
        left = [place for place in range(len(steps)) if not done >> place & 1]
        first_end = min(ends[place] for place in left)
        return any(
            possible(done | 1 << place, after)
            for place in left
            if steps[place]["invoke_ns"] <= first_end
            for after in _after(steps[place], content, scan)
        )

    return possible(0, ())


def _after(row: Row, content: tuple[int, ...], scan: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return what a queue may contain after an operation on it; nothing if it cannot have done it."""
    if row["op"] == "enqueue":
        return [(*content, row["value"])]
    if row["op"] == "scan":
        return [content] if tuple(sorted(content)) == scan else []
    if row["outcome"] == "info":
        return [content[1:]] if content else [content]
    if row["value"] is None:
        return [content] if not content else []
    return [content[1:]] if content and content[0] == row["value"] else []
