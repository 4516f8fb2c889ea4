"""Counters and ids against slow versions that follow their words, one pair of operations at a time."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import Row, history, operation
from support.checkers.written_histories import alone
from support.effort import cases

from caplab.check import Context, counters, ids
from caplab.check.lines import Pair, packed

pytestmark = pytest.mark.property

KEYS = 40  # in one history
MANY = settings(max_examples=cases(100))
SCAN_MS = 20


def counter_rows(key: str, rng: random.Random) -> list[Row]:
    """Increments and reads of one key at whole milliseconds, so that many times are equal."""
    rows = []
    for _ in range(rng.choice([1, 2, 4, 8])):
        op, outcome = rng.choice(["incr", "incr", "read"]), rng.choice(["ok", "ok", "ok", "info", "fail"])
        amount = rng.choice([None, 1, 1, 1, 2, 5] if rng.random() < 0.7 else [0, -1, -1, -2, -3])
        latency = None if outcome == "info" and rng.random() < 0.5 else rng.choice([0, 1, 2, 5])
        value = amount if op == "incr" else rng.choice([None, 0, 1, 1, 2, 2, 3, 4, 6, -1])
        rows.append(operation(rng.randrange(12), outcome, latency, op=op, key=key, value=value))
    if rng.random() < 0.05:
        rows.append(operation(3, rng.choice(["ok", "fail"]), op="write", key=key, value=1))
    return rows


def amount_of(row: Row) -> int:
    return 1 if row["value"] is None else int(row["value"])


def slow_counter(rows: list[Row], scan: list[Row]) -> Counter[str]:
    incr = [row for row in rows if row["op"] == "incr"]
    other = [row for row in rows if row["op"] == "write"]
    if not incr:
        return Counter()
    if any(row["outcome"] != "fail" for row in other):
        return Counter(keys_skipped=1)
    effective = [row for row in incr if row["outcome"] != "fail"]
    reads = [row for row in rows if row["op"] == "read" and row["outcome"] == "ok"]
    looks = reads + (scan or [operation(SCAN_MS, op="scan", value=0)])
    counts = Counter(keys=1, increments=len(effective), reads=len(reads), scanned=len(looks) - len(reads))
    for look in looks:
        sure = [amount_of(row) for row in effective if row["outcome"] == "ok" and row["return_ns"] < look["invoke_ns"]]
        possible = [amount_of(row) for row in effective if row["invoke_ns"] <= look["return_ns"]]
        least = sum(amount for amount in sure if amount > 0) + sum(amount for amount in possible if amount < 0)
        most = sum(amount for amount in possible if amount > 0) + sum(amount for amount in sure if amount < 0)
        value = look["value"] or 0
        counts["below"] += value < least
        counts["above"] += value > most
        counts["missing_max"] = max(counts["missing_max"], least - value)
        counts["excess_max"] = max(counts["excess_max"], value - most)
    return counts


COUNTED = ("keys", "keys_skipped", "increments", "reads", "scanned", "below", "above", "missing_max", "excess_max")


@MANY
@given(st.integers(0, 2**32))
def test_counters_agree_with_adding_up_for_every_read(seed: int) -> None:
    rng = random.Random(seed)
    rows, expected = [operation(SCAN_MS, op="scan", key="no counter", value=1)], Counter[str]()
    for number in range(KEYS):
        key_rows = counter_rows(f"n{number}", rng)
        scan = [operation(SCAN_MS, op="scan", key=f"n{number}", value=rng.randrange(5))] if rng.random() < 0.8 else []
        rows += key_rows + scan
        counts = slow_counter(key_rows, scan)
        worst = {name: max(expected[name], counts.pop(name, 0)) for name in ("missing_max", "excess_max")}
        expected.update(counts)
        expected.update({name: worst[name] - expected[name] for name in worst})
    rng.shuffle(rows)
    figures: Any = counters.check(history(rows), Context()).figures
    assert {name: figures[name] for name in COUNTED} == {name: expected[name] for name in COUNTED}


@settings(MANY, max_examples=cases(20))
@given(st.integers(0, 2**32))
def test_a_counters_witness_proves_it_alone_and_no_increment_of_it_is_too_many(seed: int) -> None:
    rng = random.Random(seed)
    table = history([row for number in range(KEYS) for row in counter_rows(f"n{number}", rng)])
    figures: Any = counters.check(table, Context()).figures
    assert len(figures["witnesses"]) == min(20, figures["below"] + figures["above"])
    for shown in figures["witnesses"]:
        kind = "below" if "acked before" in shown["what"] or "been below" in shown["what"] else "above"
        operations = shown["operations"]
        assert counters.check(alone(table, operations), Context()).figures[kind] == 1
        for place in range(len(operations)):
            less: Any = counters.check(alone(table, operations, place), Context()).figures
            # A read is shown with all increments above, and all decrements below, that it may have counted.
            assert less.get(kind, 0) == 0 or operations[place]["op"] == "incr"
            if less.get(kind, 0) and operations[place].get("value", 1) != 0:
                assert (operations[place].get("value", 1) > 0) == (kind == "above")


def id_rows(key: str, rng: random.Random) -> list[Row]:
    """Ids at whole milliseconds that grow for the most part; some keys have the greatest numbers there are."""
    base, last = rng.choice([0, 0, 2**63 - 20, -(2**63)]), 0
    rows: list[Row] = []
    for _ in range(rng.choice([1, 3, 5, 9])):
        last += rng.choice([1, 1, 1, 2, 0, -1]) if last > 1 else 1
        outcome = rng.choice(["ok"] * 5 + ["info", "fail"])
        value = None if outcome != "ok" or rng.random() < 0.1 else base + last
        rows.append(
            operation(
                2 * len(rows) + rng.choice([0, 0, 1]),
                outcome,
                rng.choice([0, 1, 1, 2, 7]),
                op="id",
                key=key,
                value=value,
            )
        )
    return rows


def slow_ids(rows: list[Row]) -> Counter[str]:
    acked = [row for row in rows if row["outcome"] == "ok"]
    with_value = [row for row in acked if row["value"] is not None]
    late = [
        row
        for row in with_value
        if any(other["return_ns"] < row["invoke_ns"] and other["value"] > row["value"] for other in with_value)
    ]
    again = len(with_value) - len({row["value"] for row in with_value})
    without = len(acked) - len(with_value)
    return Counter(ids=len(with_value), without_value=without, duplicates=again, out_of_order=len(late))


@MANY
@given(st.integers(0, 2**32))
def test_ids_agree_with_comparing_every_pair(seed: int) -> None:
    rng = random.Random(seed)
    rows, expected = [], Counter[str]()
    for number in range(KEYS):
        key_rows = id_rows(f"i{number}", rng)
        expected.update(slow_ids(key_rows))
        rows += key_rows
    rng.shuffle(rows)
    table = history(rows)
    figures: Any = ids.check(table, Context()).figures
    names = ("ids", "without_value", "duplicates", "out_of_order")
    assert {name: figures[name] for name in names} == {name: expected[name] for name in names}
    for shown in figures["witnesses"]:
        assert len(shown["operations"]) == 2
        again: Any = ids.check(alone(table, shown["operations"]), Context()).figures
        assert again["duplicates"] + again["out_of_order"] == 1


PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)), max_size=9)


@settings(max_examples=cases(200))
@given(PAIRS, PAIRS)
def test_packed_pairs_are_in_the_order_of_the_pairs_however_far_apart_they_are(
    some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    codes = [code for column in packed(_columns(some), _columns(others)) for code in column.tolist()]
    pairs = some + others
    for pair, code in zip(pairs, codes, strict=True):
        assert [code < other for other in codes] == [pair < other for other in pairs]


def _columns(pairs: list[tuple[int, int]]) -> Pair:
    return np.array([line for line, _ in pairs], dtype=np.int64), np.array(
        [place for _, place in pairs], dtype=np.int64
    )
