from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from support.checkers.histories import MS, Row, history, kill, operation

from caplab.check import Context, State, registers
from caplab.check.registers import search
from caplab.check.registers.steps import Step


def wrote(value: int | None, begin: float, end: float | None, outcome: str = "ok", **columns: Any) -> Row:
    """A write, from and to these milliseconds."""
    latency = None if end is None else end - begin
    return operation(begin, outcome, latency, **({"op": "write", "key": "x", "value": value} | columns))


def read(value: int | None, begin: float, end: float, outcome: str = "ok", **columns: Any) -> Row:
    return wrote(value, begin, end, outcome, op="read", **columns)


def swapped(
    expected: int | None, value: int | None, begin: float, end: float | None, outcome: str = "ok", **columns: Any
) -> Row:
    """A cas that took effect, where it is ok."""
    observed = expected if outcome == "ok" else None
    return wrote(value, begin, end, outcome, **({"op": "cas", "expected": expected, "observed": observed} | columns))


def figures_of(rows: Iterable[Row], **context: Any) -> tuple[State, Any]:
    numbered = [row | {"session": number} for number, row in enumerate(rows)]
    finding = registers.check(history(numbered), Context(enough=1, **context))
    return finding.state, finding.figures


# What happened, which of these operations prove it, and how it is named.
ANOMALIES: dict[str, tuple[list[Row], list[int], str]] = {
    "a stale read": (
        [wrote(1, 0, 1), wrote(2, 2, 3), read(1, 4, 5), read(2, 6, 7)],
        [0, 1, 2],
        "1 was seen on key 'x' after 2 had been written over it",
    ),
    "a stale read among many fresh ones": (
        [wrote(n, 10 * n, 10 * n + 2) for n in range(50)]
        + [read(n, 10 * n + 5, 10 * n + 6) for n in range(50)]
        + [read(30, 317, 318)],
        [30, 31, 100],
        "30 was seen on key 'x' after 31 had been written over it",
    ),
    "a read that went back to absent": (
        [wrote(1, 0, 1), read(1, 2, 3), read(None, 4, 5)],
        [0, 2],
        "Nothing was found on key 'x' after 1 had been written",
    ),
    "absent after a write of unknown outcome was seen": (
        [wrote(1, 0, None, "info"), read(1, 2, 3), read(None, 4, 5)],
        [0, 1, 2],
        "Nothing was found on key 'x' after 1 had been seen there",
    ),
    "a value that nobody wrote": ([wrote(1, 0, 1), read(7, 2, 3)], [1], "7 was seen .* though it was never written"),
    "a value written to another key only": (
        [wrote(1, 0, 1, key="y"), read(1, 2, 3)],
        [1],
        "1 was seen on key 'x', though it was never written",
    ),
    "a value whose write surely failed": (
        [wrote(1, 0, 1), wrote(2, 2, 3, "fail"), read(2, 4, 5)],
        [1, 2],
        "2 was seen on key 'x', though its write failed",
    ),
    "a read from the future": (
        [read(1, 0, 1), wrote(1, 2, 3)],
        [0, 1],
        "1 was seen on key 'x' before its write was invoked",
    ),
    "a new value and then the old one, while the new one was being written": (
        [wrote(1, 0, 1), wrote(2, 2, 20), read(2, 4, 5), read(1, 6, 7)],
        [0, 1, 2, 3],
        "Each of the values 1 and 2 on key 'x' would have to come before the other",
    ),
    "a value of unknown outcome, overwritten, that comes back": (
        [wrote(1, 0, None, "info"), read(1, 2, 3), wrote(2, 4, 5), read(1, 6, 7)],
        [0, 1, 2, 3],
        "Each of the values 1 and 2",
    ),
    "two values of unknown outcome by turns": (
        [wrote(1, 0, None, "info"), wrote(2, 0, None, "info"), read(1, 1, 2), read(2, 3, 4), read(1, 5, 6)],
        [0, 1, 2, 3, 4],
        "Each of the values 1 and 2",
    ),
    "two readers that saw two writes in different orders": (
        [wrote(1, 0, 30), wrote(2, 0, 30), read(1, 1, 2), read(2, 1, 2), read(2, 3, 4), read(1, 3, 4)],
        [0, 1, 2, 3, 4, 5],
        "Each of the values 1 and 2",
    ),
    "two cas on the same value": (
        [wrote(1, 0, 1), swapped(1, 2, 2, 9), swapped(1, 3, 2, 9)],
        [0, 1, 2],
        "Two cas on key 'x' took effect on the same value, 1",
    ),
    "two cas that both created the key": (
        [swapped(None, 2, 0, 9), swapped(None, 3, 0, 9)],
        [0, 1],
        "Two cas on key 'x' took effect on the same value, nothing",
    ),
    "a cas on what nobody wrote": (
        [wrote(1, 0, 1), swapped(8, 2, 2, 3)],
        [1],
        "8 was seen .* though it was never written",
    ),
    "a cas on what had been overwritten": (
        [wrote(1, 0, 1), wrote(2, 2, 3), swapped(1, 3, 4, 5)],
        [0, 1, 2],
        "1 was seen on key 'x' after 2 had been written over it",
    ),
    "a refused cas that found an old value": (
        [wrote(1, 0, 1), wrote(2, 2, 3), swapped(9, 3, 4, 5, observed=1)],
        [0, 1, 2],
        "1 was seen on key 'x' after 2 had been written over it",
    ),
    "a read of a value that a cas had replaced, late in a chain": (
        [swapped(n or None, n + 1, 10 * n, 10 * n + 1) for n in range(40)] + [read(20, 205, 206)],
        [19, 20, 40],
        "No order of these 3 operations",
    ),
    "cas in a circle": (
        [swapped(1, 2, 0, 9), swapped(2, 1, 0, 9)],
        [0, 1],
        "No order of these 2 operations",
    ),
    "a cas of unknown outcome that was seen, though its expectation was long gone": (
        [wrote(1, 0, 1), wrote(2, 2, 3), swapped(1, 3, 4, None, "info"), read(3, 6, 7)],
        [0, 1, 2, 3],
        "No order of these 4 operations",
    ),
    "a write between cas of unknown outcome, each seen only by the next": (
        [wrote(1, 0, 1), swapped(1, 2, 2, None, "info"), wrote(9, 3, 4), swapped(2, 3, 5, None, "info"), read(3, 6, 7)],
        [0, 1, 2, 3, 4],
        "No order of these 5 operations",
    ),
    "a stale read of a value that was written twice": (
        [wrote(1, 0, 1), wrote(2, 2, 3), wrote(1, 4, 5), wrote(2, 6, 7), read(1, 8, 9)],
        [3, 4],
        "1 was seen on key 'x' after 2 had been written over it",
    ),
    "a read from the future of a key that was deleted": (
        [wrote(1, 0, 1), wrote(None, 2, 3), read(None, 4, 5), read(7, 6, 7), wrote(7, 8, 9)],
        [3, 4],
        "7 was seen on key 'x' before its write was invoked",
    ),
    "a deleted value that is seen": (
        [wrote(1, 0, 1), wrote(None, 2, 3), read(None, 3, 4), read(1, 5, 6)],
        [0, 1, 3],
        "1 was seen on key 'x' after it had been deleted",
    ),
}


@pytest.mark.parametrize("name", ANOMALIES)
def test_an_anomaly_is_found_and_proven_by_the_fewest_operations(name: str) -> None:
    rows, proof, named = ANOMALIES[name]
    around = [wrote(100 + n, n, n + 1, key="sound") for n in range(30)]
    state, figures = figures_of(rows + around)
    assert state is State.VIOLATED
    assert figures["violating_keys"] == ["x"]
    assert sorted(operation["session"] for operation in figures["witness"]) == proof
    (witness,) = figures["witnesses"]
    assert witness["operations"] == figures["witness"]
    assert re.search(named, witness["what"])


ALLOWED: dict[str, list[Row]] = {
    "nothing but reads of what was never written": [read(None, 0, 1), read(None, 2, 3)],
    "an old value while the new one is being written": [wrote(1, 0, 1), wrote(2, 2, 9), read(1, 4, 5), read(2, 6, 7)],
    "writes that overlap, seen in the other order": [wrote(1, 0, 9), wrote(2, 1, 8), read(2, 2, 3), read(1, 10, 11)],
    "readers that overlap and see the new value and the old": [
        wrote(1, 0, 1), wrote(2, 2, 20), read(2, 4, 9), read(1, 5, 10)
    ],
    "a write of unknown outcome that took effect long after": [
        wrote(1, 0, None, "info"), wrote(2, 2, 3), read(2, 4, 5), read(1, 6, 7), read(1, 8, 9)
    ],
    "a write of unknown outcome whose answer came, and that took effect later": [
        wrote(1, 0, 1, "info"), wrote(2, 2, 3), read(2, 4, 5), read(1, 6, 7)
    ],
    "a write of unknown outcome that never took effect": [wrote(1, 0, 1), wrote(2, 2, None, "info"), read(1, 4, 5)],
    "a write that failed": [wrote(1, 0, 1), wrote(2, 2, 3, "fail"), read(1, 4, 5)],
    "a value whose second write did not fail": [wrote(1, 0, 1, "fail"), wrote(1, 2, 3), read(1, 4, 5)],
    "what a read that failed says": [wrote(1, 0, 1), read(None, 2, 3, "fail"), read(9, 2, 3, "info")],
    "a read invoked in the moment in which a write returned": [wrote(1, 0, 1), wrote(2, 2, 3), read(1, 3, 4)],
    "a read that returned in the moment in which its write was invoked": [read(1, 0, 1), wrote(1, 1, 2)],
    "everything in one moment": [read(None, 1, 1), wrote(1, 1, 1), read(1, 1, 1), swapped(1, 2, 1, 1), read(2, 1, 1)],
    "the same value on two keys": [wrote(1, 0, 1), wrote(1, 5, 6, key="y"), read(1, 2, 3), read(1, 7, 8, key="y")],
    "the key without a name beside others": [wrote(1, 0, 1), wrote(1, 5, 6, key=None), read(1, 7, 8, key=None)],
    "values far apart": [wrote(-(2**63), 0, 1), wrote(2**63 - 1, 2, 3), read(2**63 - 1, 4, 5)],
    "cas one after the other, begun at once": [
        wrote(1, 0, 1), swapped(3, 4, 2, 9), swapped(2, 3, 2, 9), swapped(1, 2, 2, 9), read(4, 10, 11)
    ],
    "a cas that was refused, since the key was absent": [swapped(5, 6, 0, 1, observed=None), wrote(5, 2, 3)],
    "a cas of unknown outcome that took effect late": [
        wrote(1, 0, 1), swapped(1, 2, 2, None, "info"), read(1, 4, 5), read(2, 6, 7)
    ],
    "cas of unknown outcome, each seen only by the next": [
        wrote(1, 0, 1), swapped(1, 2, 2, None, "info"), swapped(2, 3, 4, None, "info"), swapped(3, 4, 6, 7)
    ],
    "a value that was written twice and comes back": [wrote(1, 0, 1), wrote(2, 2, 3), wrote(1, 4, 5), read(1, 6, 7)],
    "a value that was deleted": [wrote(1, 0, 1), read(1, 2, 3), wrote(None, 4, 5), read(None, 6, 7)],
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_only_looks_wrong_is_allowed(name: str) -> None:
    state, figures = figures_of(ALLOWED[name])
    assert (state, figures["violating_keys"], figures["witnesses"]) == (State.HOLDS, [], [])


def test_every_violating_key_is_named_and_twenty_are_proven() -> None:
    bad = [
        row
        for number in range(100, 130)
        for row in (wrote(1, 0, 1, key=f"{number}"), wrote(2, 2, 3, key=f"{number}"), read(1, 4, 5, key=f"{number}"))
    ]
    state, figures = figures_of([*bad, wrote(1, 0, 1, key="sound"), read(5, 6, 7, key="200")])
    assert state is State.VIOLATED
    assert figures["violating_keys"] == [*map(str, range(100, 130)), "200"]
    assert (figures["keys"], figures["operations"], len(figures["witnesses"])) == (32, 92, 20)
    assert [operation["key"] for operation in figures["witness"]] == ["200"]  # one operation is less than three


def test_the_smallest_witness_is_found_behind_many_larger_ones() -> None:
    def by_turns(key: str) -> list[Row]:
        return [row | {"key": key} for row in ANOMALIES["two values of unknown outcome by turns"][0]]

    stale = [row | {"key": "z"} for row in ANOMALIES["a stale read"][0]]
    _, figures = figures_of([row for number in range(50) for row in by_turns(f"a{number}")] + stale)
    assert len(figures["violating_keys"]) == 51
    assert [operation["key"] for operation in figures["witness"]] == ["z"] * 3


def test_a_witness_counts_time_from_the_fault() -> None:
    rows = [wrote(1, 0, 1), wrote(2, 2, 3), read(1, 4, 5)]
    _, figures = figures_of(rows, fault_windows=(kill(injected_ms=3),))
    assert [operation["invoke_seconds"] for operation in figures["witness"]] == [-0.003, -0.001, 0.001]


def test_keys_of_other_workloads_are_left_out_and_counted() -> None:
    others = [operation(0, op="incr", key="n", value=1), operation(5, op="read", key="n", value=1)]
    state, figures = figures_of([wrote(1, 0, 1), read(1, 2, 3), *others, operation(0, op="add", value=3)])
    assert (state, figures["keys"], figures["operations"], figures["other_keys"]) == (State.HOLDS, 1, 2, 2)


def test_it_applies_where_a_register_is_written() -> None:
    assert registers.applies(history([wrote(1, 0, 1)])) == ""
    assert registers.applies(history([swapped(None, 1, 0, 1)])) == ""
    only_reads = history([operation(0, op="add", value=3), operation(0, op="read", key="x")])
    assert registers.applies(only_reads) == "no operation writes a register"


def test_too_few_operations_prove_nothing_but_a_violation_among_them_counts() -> None:
    rows = [wrote(n, 10 * n, 10 * n + 1) for n in range(19)]
    finding = registers.check(history(rows), Context())
    assert (finding.state, finding.reason) == (State.UNKNOWN, "Only 19 operations on registers; 20 are needed.")
    assert registers.check(history([*rows, wrote(19, 190, 191)]), Context()).state is State.HOLDS
    assert registers.check(history([*rows[:3], read(0, 100, 101)]), Context()).state is State.VIOLATED


def crowd(key: str) -> list[Row]:
    """Writes of many values, all at once, of which a certain one, that was written before too, came last."""
    rows = [wrote(n, n / 1000, 50, key=key) for n in range(20)]
    return [wrote(5, -2, -1, key=key), *rows, read(5, 100, 101, key=key)]


def test_a_key_beyond_the_budget_is_unknown_and_others_still_decide() -> None:
    few = Context(enough=1, budget=1000)
    finding = registers.check(history(crowd("x")), few)
    assert (finding.state, finding.figures["undecided_keys"]) == (State.UNKNOWN, ["x"])
    assert "1,000 states were not enough to check every order. Hint: allow more with --budget 10000." in finding.reason
    stale = [wrote(1, 0, 1, key="y"), wrote(2, 2, 3, key="y"), read(1, 4, 5, key="y")]
    finding = registers.check(history(crowd("x") + stale), few)
    figures = finding.figures
    assert (finding.state, figures["undecided_keys"], figures["violating_keys"]) == (State.VIOLATED, ["x"], ["y"])


def test_the_search_stops_at_its_budget() -> None:
    steps = [
        Step(row=n, observes=False, observed=None, writes=True, written=n, invoke_ns=0, return_ns=100 * MS)
        for n in range(20)
    ]
    steps.append(
        Step(row=20, observes=True, observed=5, writes=False, written=None, invoke_ns=200 * MS, return_ns=201 * MS)
    )
    with pytest.raises(search.OutOfBudgetError):
        search.violation_ns(steps, budget=1000)
    assert search.violation_ns(steps[:8] + steps[-1:], budget=10_000) is None
    assert search.violation_ns(steps[:5] + steps[-1:]) == 201 * MS


def test_times_too_far_apart_for_one_line_are_ranked() -> None:
    """The keys' times are put one after the other in 64 bits: here they do not fit."""
    far = 2**62 - 10**13

    def late(row: Row) -> Row:
        return row | {name: row[name] + far for name in ("scheduled_ns", "invoke_ns", "return_ns")}

    sound = []
    for n in range(9):
        sound += [wrote(50 + n, 0, 1, key=f"k{n}"), wrote(n, 0, 1, key=f"k{n}"), late(read(n, 2, 3, key=f"k{n}"))]
    assert figures_of(sound)[0] is State.HOLDS
    stale = [wrote(100, 2, 3), late(wrote(101, 4, 5)), late(read(100, 6, 7))]
    state, figures = figures_of(sound + stale)
    assert (state, figures["violating_keys"], len(figures["witness"])) == (State.VIOLATED, ["x"], 3)
