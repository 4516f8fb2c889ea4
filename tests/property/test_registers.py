"""Registers against trying every order of their operations."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import Row, history
from support.checkers.slow_registers import is_linearizable, random_rows
from support.effort import cases

from caplab.check import Context, registers
from caplab.check.registers import breadth, depth
from caplab.check.registers.events import Events
from caplab.check.registers.operations import operations_of
from caplab.check.registers.steps import steps_of

pytestmark = pytest.mark.property

SEEDS = st.integers(0, 2**32)
BUDGET = 100_000
KEYS = 60  # of one history: each is a random history of its own
SOME = settings(max_examples=cases(40))


def made(seed: int, unique: bool, cas: bool) -> dict[str, list[Row]]:
    """Random rows of many keys; '' is null."""
    rng = Random(seed)
    names = [f"k{number}" for number in range(KEYS)] + [""]
    return {name: random_rows(rng, name or None, unique, cas) for name in names}


def figures_of(rows: Iterable[Row]) -> Any:
    return registers.check(history(rows), Context(enough=1)).figures


def shown(figures: Any, by_key: dict[str, list[Row]]) -> list[tuple[list[Row], list[Row]]]:
    """For each witness the key's rows and its own."""
    places = []
    for witness in figures["witnesses"]:
        sessions = [operation["session"] for operation in witness["operations"]]
        rows = by_key[witness["operations"][0].get("key", "")]
        places.append((rows, [rows[session] for session in sessions]))  # a row's session is its place
    return places


def founded(rows: Iterable[Row]) -> list[Row]:
    """What rows say where the writers of some values were left out: reads of them go, and a cas on them is a write."""
    rows = list(rows)
    written = {row["value"] for row in rows if row["op"] != "read" and row["outcome"] != "fail"} | {None}
    kept = []
    for row in rows:
        observed = row["value"] if row["op"] == "read" else row["observed"] if refused(row) else row["expected"]
        if row["op"] == "write" or observed in written:
            kept.append(row)
        elif row["op"] == "cas" and not refused(row):
            kept.append({**row, "op": "write"})
    return kept


def refused(row: Row) -> bool:
    return bool(row["op"] == "cas" and row["outcome"] == "ok" and row["observed"] != row["expected"])


def refused_without_a_word(row: Row) -> bool:
    """Whether a cas failed because it did not find what it expected; nothing says what it found."""
    return bool(row["op"] == "cas" and row["outcome"] == "fail" and row.get("error") is None)


def proving(rows: Iterable[Row]) -> list[Row]:
    """The operations that prove something, without failed writes, which are shown beside them."""
    return [row for row in rows if row["outcome"] != "fail" or refused_without_a_word(row)]


def values_of(rows: Iterable[Row]) -> set[int | None]:
    """The values that were written, read or expected."""
    return {row[name] for row in rows for name in ("value", "expected", "observed")[: 3 if row["op"] == "cas" else 1]}


@SOME
@given(SEEDS, st.booleans(), st.booleans())
def test_registers_agree_with_trying_every_order(seed: int, unique: bool, cas: bool) -> None:
    by_key = made(seed, unique, cas)
    figures = figures_of(row for rows in by_key.values() for row in rows)
    assert figures["violating_keys"] == sorted(name for name, rows in by_key.items() if not is_linearizable(rows))
    assert figures["undecided_keys"] == []


@SOME
@given(SEEDS, st.booleans(), st.booleans())
def test_a_witness_alone_is_not_linearizable(seed: int, unique: bool, cas: bool) -> None:
    by_key = made(seed, unique, cas)
    figures = figures_of(row for rows in by_key.values() for row in rows)
    assert len(figures["witnesses"]) == min(20, len(figures["violating_keys"]))
    for _, witness in shown(figures, by_key):
        assert not is_linearizable(witness)
        again = figures_of(witness)
        assert again["violating_keys"] == [witness[0]["key"] or ""]


@SOME
@given(SEEDS, st.booleans(), st.booleans())
def test_beside_every_other_writer_of_its_values_a_witness_stays_a_proof(seed: int, unique: bool, cas: bool) -> None:
    by_key = made(seed, unique, cas)
    figures = figures_of(row for rows in by_key.values() for row in rows)
    for rows, witness in shown(figures, by_key):
        values = values_of(witness)
        any_value = any(map(refused_without_a_word, witness))  # any other value could have been in the way of it
        others = [row for row in rows if row["op"] != "read" and (any_value or row["value"] in values)]
        assert not is_linearizable([row for row in rows if row in witness or row in others])


@SOME
@given(SEEDS, st.booleans(), st.sampled_from([1, 2, 3]))
def test_registers_that_begin_with_a_value_agree_with_trying_every_order(seed: int, unique: bool, initial: int) -> None:
    by_key = made(seed, unique, cas=True)
    finding = registers.check(
        history(row for rows in by_key.values() for row in rows), Context(enough=1, initial=initial)
    )
    assert finding.figures["violating_keys"] == sorted(
        name for name, rows in by_key.items() if not is_linearizable(rows, initial)
    )


@SOME
@given(SEEDS, st.booleans(), st.booleans())
def test_both_searches_find_the_same_moment(seed: int, unique: bool, cas: bool) -> None:
    operations = operations_of(history(row for rows in made(seed, unique, cas).values() for row in rows))
    for _, part in operations.each_key(np.ones(len(operations.keys), dtype=np.bool_)):
        events = Events(steps_of(part))
        assert ended(depth.search(events, BUDGET)) == ended(breadth.search(events, BUDGET))


def ended(search: Generator[None, None, int | None]) -> int | None:
    while True:
        try:
            next(search)
        except StopIteration as end:
            at_ns: int | None = end.value
            return at_ns


@SOME
@given(SEEDS, st.booleans())
def test_without_any_one_operation_a_witness_proves_nothing(seed: int, cas: bool) -> None:
    by_key = made(seed, unique=True, cas=cas)
    figures = figures_of(row for rows in by_key.values() for row in rows)
    for _, witness in shown(figures, by_key):
        if len(proving(witness)) > 1 and not any(map(refused_without_a_word, witness)):
            for left_out in range(len(witness)):
                assert is_linearizable(founded(witness[:left_out] + witness[left_out + 1 :]))


@SOME
@given(SEEDS)
def test_no_fewer_operations_prove_a_violation_of_reads_and_writes(seed: int) -> None:
    by_key = made(seed, unique=True, cas=False)
    figures = figures_of(row for rows in by_key.values() for row in rows)
    for rows, witness in shown(figures, by_key):
        size = len(proving(witness))
        for fewer in range(2, size):
            for some in combinations(rows, fewer):
                assert len(founded(some)) < fewer or is_linearizable(some)


@SOME
@given(SEEDS, st.booleans())
def test_the_first_witness_is_the_smallest(seed: int, unique: bool) -> None:
    figures = figures_of(row for rows in made(seed, unique, cas=True).values() for row in rows)
    sizes = [
        1 if "its write failed" in each["what"] else len(proving(each["operations"])) for each in figures["witnesses"]
    ]
    assert sizes == sorted(sizes)
    assert figures["witness"] == (figures["witnesses"][0]["operations"] if sizes else [])
