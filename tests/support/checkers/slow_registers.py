"""Registers, the slow way: try every order of a few operations; and random histories for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from support.checkers.histories import Row, operation

NEVER_MS = float("inf")
ABSENT = None


def is_linearizable(rows: Iterable[Row], initial: int | None = ABSENT) -> bool:
    """Return whether an order of one key's operations that respects real time explains what each saw."""
    steps = [row for row in rows if _counts(row)]
    return _any_order(steps, frozenset(range(len(steps))), initial, set())


def _counts(row: Row) -> bool:
    if row["outcome"] == "fail":
        return bool(row["op"] == "cas" and row.get("error") is None)  # it was refused
    return bool(row["outcome"] == "ok" or row["op"] != "read")


def _any_order(
    steps: Sequence[Row], left: frozenset[int], value: int | None, tried: set[tuple[frozenset[int], int | None]]
) -> bool:
    if all(steps[index]["outcome"] == "info" for index in left):
        return True
    if (left, value) in tried:
        return False
    tried.add((left, value))
    first_return = min(_return(steps[index]) for index in left)
    return any(
        _any_order(steps, left - {index}, after, tried)
        for index in left
        if steps[index]["invoke_ns"] <= first_return
        for after in _after(steps[index], value)
    )


def _return(row: Row) -> float:
    return NEVER_MS if row["outcome"] == "info" else row["return_ns"]


def _after(row: Row, value: int | None) -> list[int | None]:
    """Return the value after the operation took effect, if it can do so now."""
    if row["op"] == "write":
        return [row["value"]]
    if row["op"] == "read":
        return [value] if row["value"] == value else []
    if row["outcome"] == "info":
        return [row["value"]] if row["expected"] == value else [value]
    if row["outcome"] == "fail":
        return [value] if value != row["expected"] and row["observed"] in (ABSENT, value) else []
    if row["observed"] != value:
        return []
    return [row["value"] if row["expected"] == value else value]


def random_rows(rng: Random, key: str | None, unique: bool, cas: bool) -> list[Row]:
    """Generate three to nine operations on a key that a single copy could have served, mostly made slightly wrong."""
    span, value = rng.choice([4, 12, 40]), ABSENT
    rows: list[Row] = []
    moments = sorted(rng.randint(0, span) for _ in range(rng.randint(3, 9)))
    fresh = iter(rng.sample(range(-3, 40), 10)) if unique else iter(lambda: rng.choice([1, 2, 3, 1, 2, None]), 99)
    for number, ms in enumerate(moments):
        before, after = rng.randint(0, rng.choice([1, span // 2])), rng.randint(0, rng.choice([1, span // 2]))
        op = rng.choice(["write", "read", "read", "cas" if cas else "write"])
        outcome = rng.choice(["ok"] * 6 + ["fail", "info"])
        took = outcome == "ok" or (outcome == "info" and rng.random() < 0.5)
        row = operation(ms - before, outcome, before + after, op=op, key=key, session=number, value=value)
        row |= {"expected": ABSENT, "observed": ABSENT}
        if op == "write":
            row["value"] = next(fresh)
        elif op == "cas":
            expected = value if rng.random() < 0.7 else rng.choice([ABSENT, *(other["value"] for other in rows)])
            row |= {"value": next(fresh), "expected": expected, "observed": value if outcome == "ok" else ABSENT}
            took = took and expected == value
            row["error"] = rng.choice([None, "closed"]) if outcome == "fail" else None
        if outcome == "info" and rng.random() < 0.5:
            row["return_ns"] = None
        if took and op != "read":
            value = row["value"]
        rows.append(row)
    return _spoilt(rng, rows) if rng.random() < 0.7 else rows


def _spoilt(rng: Random, rows: list[Row]) -> list[Row]:
    """Change what one or two operations saw, or when they were served."""
    values = [row["value"] for row in rows] + rng.choice([[], [], [], [ABSENT], [77]])
    for row in rng.sample(rows, min(len(rows), rng.randint(1, 2))):
        if row["op"] == "read":
            row["value"] = rng.choice(values)
        elif row["op"] == "cas" and row["outcome"] == "ok":
            row["expected"] = row["observed"] = rng.choice(values)
        else:
            shift = rng.randint(0, 12) * 1_000_000
            row["invoke_ns"] += shift
            row["scheduled_ns"] += shift
            row["return_ns"] = None if row["return_ns"] is None else row["return_ns"] + shift
    return rows
