from __future__ import annotations

from random import Random

import pytest
from support.checkers.histories import adds, history, operation
from support.checkers.written_histories import alone, witnesses_of, written
from support.effort import cases

from caplab.check import Context, Finding, State
from caplab.check.load import applies, check
from caplab.model.fields import Json

# What is planted, the history, the loads of its one stampede, and those that prove it.
PLANTED = [
    ("two at once", "a1 load k 1 0-9 | b1 load k 1 0-9", 2, [0, 1]),
    ("one while another is under way", "a1 load k 1 0-9 | b1 load k 1 5-12", 2, [0, 1]),
    ("one within another", "a1 load k 1 0-9 | b1 load k 1 2-3", 2, [0, 1]),
    ("one at the moment when another ends", "a1 load k 1 0-5 | b1 load k 1 5-9", 2, [0, 1]),
    ("of one vantage", "a1 load k 1 0-9 | a2 load k 1 5-12", 2, [0, 1]),
    ("three, each in the one before", "a1 load k 1 0-5 | b1 load k 1 4-9 | c1 load k 1 8-12", 3, [0, 1, 2]),
    ("three, two of them short", "a1 load k 1 0-99 | b1 load k 1 1-2 | c1 load k 1 50-51", 3, [0, 1, 2]),
    ("five at once", " | ".join(f"a{n} load k 1 0-9" for n in range(5)), 5, [0, 1, 2, 3, 4]),
    ("before a single one", "a1 load k 1 0-9 | b1 load k 1 5-12 | a1 load k 1 20-21", 2, [0, 1]),
    ("after a single one", "a1 load k 1 0-1 | a1 load k 1 20-29 | b1 load k 1 21-30", 2, [1, 2]),
    ("of one key of two", "a1 load x 1 0-9 | b1 load y 1 5-12 | c1 load x 1 6-9", 2, [0, 2]),
    ("without a key", "a1 load . 1 0-9 | b1 load . 1 5-12", 2, [0, 1]),
    ("of different values", "a1 load k 1 0-9 | b1 load k 2 5-12", 2, [0, 1]),
    ("one that failed", "a1 load k - 0-9 fail | b1 load k 1 5-12", 2, [0, 1]),
    ("one of unknown outcome", "a1 load k - 0-9 info | b1 load k 1 5-12", 2, [0, 1]),
    ("one that never returned, in another", "a1 load k 1 0-9 | b1 load k - 5-? info", 2, [0, 1]),
    ("with reads of it between", "a1 load k 1 0-9 | b1 read k 1 1-2 | c1 load k 1 5-12", 2, [0, 2]),
]  # fmt: skip
ALLOWED = [
    ("one after the other", "a1 load k 1 0-1 | a1 load k 1 2-3 | b1 load k 1 4-5"),
    ("at once, of two keys", "a1 load x 1 0-9 | b1 load y 1 0-9"),
    ("at once, of a key and of none", "a1 load k 1 0-9 | b1 load . 1 0-9"),
    ("one nanosecond later", "a1 load k 1 0-1 | b1 load k 1 1.000001-2"),
    ("long after one that never returned", "a1 load k - 0-? info | b1 load k 1 5-6"),
    ("reads and writes at once", "a1 load k 1 0-9 | b1 read k 1 0-9 | c1 write k 2 0-9"),
    ("many waiting for one", "a1 load k 1 0-9 | " + " | ".join(f"b{n} read k 1 1-9" for n in range(9))),
]


def finding_of(text: str) -> Finding:
    return check(history(written(text.replace("|", "\n"))), Context(enough=1))


@pytest.mark.parametrize(("text", "loads", "proof"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_a_planted_stampede_is_counted_and_named_by_its_loads(text: str, loads: int, proof: list[int]) -> None:
    finding = finding_of(text)
    assert (finding.state, finding.figures["stampedes"], finding.figures["redundant"]) == (
        State.VIOLATED, 1, loads - 1,
    )  # fmt: skip
    (shown,) = witnesses_of(finding.figures)
    assert [operation["row"] for operation in shown["operations"]] == proof
    again = check(alone(history(written(text.replace("|", "\n"))), shown["operations"]), Context(enough=1))
    assert factor(again)["max"] == loads


@pytest.mark.parametrize("text", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_is_loaded_once_at_a_time_holds(text: str) -> None:
    finding = finding_of(text)
    assert (finding.state, finding.figures["witnesses"]) == (State.HOLDS, [])


def factor(finding: Finding) -> dict[str, Json]:
    figures = finding.figures["factor"]
    assert isinstance(figures, dict)
    return figures


def test_the_factor_is_of_misses() -> None:
    finding = finding_of("a1 load k 1 0-9 | b1 load k 1 1-9 | c1 load k 1 2-9 | a1 load k 1 20-21 | a1 load x 1 0-1")
    assert factor(finding) == {"mean": 5 / 3, "p50": 1, "p99": 3, "max": 3}
    assert (finding.figures["loads"], finding.figures["misses"], finding.figures["keys"]) == (5, 3, 2)
    assert finding.reason == "1 of 3 misses was loaded more than once, in 5 loads."


def test_a_load_that_repeats_one_without_overlapping_it_is_counted_and_said() -> None:
    finding = finding_of("a1 load k 1 0-9 | a1 load k 1 12-15 | b1 load k 1 20-21 | b1 load x 1 30-31")
    assert (finding.figures["repeated"], finding.figures["shortest_gap_seconds"]) == (2, 0.003)
    assert finding.reason == (
        "Each of 4 misses was loaded once; 2 of them were of keys that had been loaded before, 0.003 s after at the"
        " soonest."
    )
    once = finding_of("a1 load k 1 0-9 | b1 load x 1 30-31")
    assert (once.figures["repeated"], once.figures["shortest_gap_seconds"]) == (0, None)
    assert once.reason == "Each of 2 misses was loaded once."


def test_a_large_stampede_is_shown_by_its_first_loads() -> None:
    finding = finding_of("|".join(f"a{n} load k 1 {n}-99" for n in range(50)))
    (shown,) = witnesses_of(finding.figures)
    assert shown["what"] == "'k' was loaded 50 times where once would be enough."
    assert [operation["row"] for operation in shown["operations"]] == list(range(20))


def test_overloads_were_never_sent() -> None:
    rows = [operation(0, op="load", key="k", latency_ms=9), operation(1, op="load", key="k", latency_ms=9)]
    rows[1] |= {"outcome": "fail", "error": "overload"}
    figures = check(history(rows), Context(enough=1)).figures
    assert (figures["loads"], figures["stampedes"]) == (1, 0)


def test_too_few_loads_prove_nothing() -> None:
    rows = [operation(10 * n, op="load", key="k") for n in range(20)]
    assert check(history(rows[1:]), Context()).state is State.UNKNOWN
    assert check(history(rows), Context()).state is State.HOLDS


def test_a_history_without_loads_is_none_of_its_business() -> None:
    assert applies(history(adds([1]))) == "no operation is a load"
    assert applies(history(written("a1 load k 1 0-1"))) == ""
    finding = check(history(adds([1])), Context())
    assert (finding.state, factor(finding)["max"]) == (State.UNKNOWN, None)


def sizes_by_hand(loads: list[tuple[str, int, int]]) -> list[int]:
    """How many loads each miss had: two that overlap are of one, and so is whoever overlaps either."""
    misses: list[list[tuple[str, int, int]]] = []
    for span in loads:
        near = [miss for miss in misses if any(a[0] == span[0] and a[1] <= span[2] and span[1] <= a[2] for a in miss)]
        misses = [miss for miss in misses if miss not in near] + [[span, *(other for miss in near for other in miss)]]
    return sorted(map(len, misses))


def test_random_loads_are_grouped_as_by_hand() -> None:
    rng = Random(8)
    for _ in range(cases(1_500)):
        times = [(rng.choice("xyz"), begin := rng.randrange(40), begin + rng.randrange(8)) for _ in range(12)]
        text = "|".join(f"a{n} load {key} 1 {begin}-{end}" for n, (key, begin, end) in enumerate(times))
        rows = sorted(written(text.replace("|", "\n")), key=lambda row: row["invoke_ns"])
        figures, sizes = check(history(rows), Context(enough=1)).figures, sizes_by_hand(times)
        assert (figures["misses"], figures["redundant"]) == (len(sizes), 12 - len(sizes))
        assert figures["stampedes"] == sum(size > 1 for size in sizes)
        p50, most = sizes[(len(sizes) + 1) // 2 - 1], sizes[-1]
        assert figures["factor"] == {"mean": sum(sizes) / len(sizes), "p50": p50, "p99": most, "max": most}
