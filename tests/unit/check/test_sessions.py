from __future__ import annotations

from typing import Any

import pytest
from support.checkers.histories import SIDES, history, operation
from support.checkers.written_histories import alone, lines_of, witnesses_of, written

from caplab.check import Context, Finding, State
from caplab.check.sessions import applies, check

RYW, MR, MW, WFR = "read_your_writes", "monotonic_reads", "monotonic_writes", "writes_follow_reads"
FIRST = "a9 write x 1 0-1 | "

# What is planted, the guarantees that it breaks, the history, and the operations that prove each.
PLANTED = [
    ("nothing after an own write", [RYW], "a1 write x 1 0-1 | a1 read x - 2-3", ["01"]),
    ("older than an own write", [RYW], FIRST + "a1 write x 2 2-3 | a1 read x 1 4-5", ["012"]),
    ("older than an own write, other things in between", [RYW],
     FIRST + "a1 write x 2 2-3 | a1 read y - 4-5 | a1 write z 1 6-7 | a1 read x 1 8-9", ["014"]),
    ("older than the first of two own writes", [RYW],
     FIRST + "a1 write x 2 2-3 | a1 write x 3 4-5 | a1 read x 1 6-7", ["013"]),
    ("older than an own write that others overwrote", [RYW],
     FIRST + "a1 write x 2 2-3 | b1 write x 3 4-5 | a1 read x 1 6-7", ["013"]),
    ("at the moment when the own write returned", [RYW], FIRST + "a1 write x 2 2-3 | a1 read x 1 3-5", ["012"]),
    ("of a key without a name", [RYW], "a1 write . 1 0-1 | a1 read . - 2-3", ["01"]),
    ("nothing after something", [MR], FIRST + "b1 read x 1 2-3 | b1 read x - 4-5", ["012"]),
    ("new, then old", [MR], FIRST + "a1 write x 2 2-9 | b1 read x 2 3-4 | b1 read x 1 5-6", ["0123"]),
    ("new, something else, then old", [MR],
     FIRST + "a1 write x 2 2-9 | b1 read x 2 3-4 | b1 read y - 5-6 | b1 read x 1 7-8", ["0124"]),
    ("an unknown one, then what was acked before it", [MR],
     FIRST + "a1 write x 2 2-? info | b1 read x 2 3-4 | b1 read x 1 5-6", ["0123"]),
    ("an unknown one, then nothing", [MR], "a1 write x 2 2-? info | b1 read x 2 3-4 | b1 read x - 5-6", ["012"]),
    ("an unknown one after another, then what was acked in between", [MR],
     "a1 write x 1 0-? info | a2 write x 2 1-2 | a2 write x 3 3-? info | b1 read x 3 4-5 | b1 read x 2 6-7", ["1234"]),
    ("after a write, without what was written before it", [MW],
     "a1 write x 1 0-1 | a1 write y 5 2-3 | b1 read y 5 4-5 | b1 read x - 6-7", ["0123"]),
    ("the same with older things there", [MW],
     FIRST + "a1 write x 2 2-3 | a1 write y 5 4-5 | b1 read y 5 6-7 | b1 read x 1 8-9", ["01234"]),
    ("after an unknown write, without what was written before it", [MW],
     "a1 write x 1 0-1 | a1 write y 5 2-? info | b1 read y 5 4-5 | b1 read x - 6-7", ["0123"]),
    ("after the third write, without the first", [MW],
     "a1 write x 1 0-1 | a1 write z 1 2-3 | a1 write y 5 4-5 | b1 read y 5 6-7 | b1 read x - 8-9", ["0234"]),
    ("after an answer, without the question", [WFR],
     FIRST + "b1 read x 1 2-3 | b1 write y 5 4-5 | c1 read y 5 6-7 | c1 read x - 8-9", ["01234"]),
    ("the same with an older question there", [WFR],
     FIRST + "a9 write x 2 2-3 | b1 read x 2 4-5 | b1 write y 5 6-7 | c1 read y 5 8-9 | c1 read x 1 10-11", ["012345"]),
    ("after an unknown answer, without the question", [WFR],
     FIRST + "b1 read x 1 2-3 | b1 write y 5 4-? info | c1 read y 5 6-7 | c1 read x - 8-9", ["01234"]),
    ("after a later answer, without the question", [WFR],
     FIRST + "b1 read x 1 2-3 | b1 write z 5 4-5 | b1 write y 5 6-7 | c1 read y 5 8-9 | c1 read x - 10-11", ["01345"]),
    ("after an answer to an unknown question", [WFR],
     "a1 write x 1 0-? info | b1 read x 1 2-3 | b1 write y 5 4-5 | c1 read y 5 6-7 | c1 read x - 8-9", ["01234"]),
    ("without what an own answer was to", [MR, WFR],
     FIRST + "b1 read x 1 2-3 | b1 write y 5 4-5 | b1 read y 5 6-7 | b1 read x - 8-9", ["014", "01234"]),
    ("older than two on one key", [MR, MW],
     "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 2 4-5 | b1 read x - 6-7", ["123", "0123"]),
]  # fmt: skip
ALLOWED = [
    ("two sessions, new and old", FIRST + "a1 write x 2 2-9 | b1 read x 2 3-4 | b2 read x 1 5-6"),
    ("two vantages with sessions of one number", FIRST + "a1 write x 2 2-9 | b1 read x 2 3-4 | c1 read x 1 5-6"),
    ("stale, but never newer", FIRST + "a1 write x 2 2-3 | b1 read x 1 4-5 | b1 read x 1 6-7"),
    ("an own write that failed", FIRST + "a1 write x 2 2-3 fail | a1 read x 1 4-5"),
    ("an own write that nobody knows of", FIRST + "a1 write x 2 2-3 info | a1 read x 1 4-5"),
    ("a newer read that failed", FIRST + "a1 write x 2 2-9 | b1 read x 2 3-4 fail | b1 read x 1 5-6"),
    ("an unknown one again, which came late",
     "a1 write x 1 0-? info | a2 write x 2 2-3 | b1 read x 2 4-5 | b1 read x 1 6-7"),
    ("an unknown one and what overlapped it",
     "a1 write x 1 0-9 | a2 write x 2 1-? info | b1 read x 2 3-4 | b1 read x 1 5-6"),
    ("first without, then after the other write",
     "a1 write x 1 0-1 | a1 write y 5 2-3 | b1 read x - 4-5 | b1 read y 5 6-7"),
    ("two writes of two sessions", "a1 write x 1 0-1 | a2 write y 5 2-3 | b1 read y 5 4-5 | b1 read x - 6-7"),
    ("the other write came first", "a1 write y 5 0-1 | a1 write x 1 2-3 | b1 read y 5 4-5 | b1 read x - 6-7"),
    ("another version of the other write's key",
     "a1 write x 1 0-1 | a1 write y 5 2-3 | b1 write y 6 4-5 | c1 read y 6 6-7 | c1 read x - 8-9"),
    ("another session read the later write",
     "a1 write x 1 0-1 | a1 write y 5 2-3 | b1 read y 5 4-5 | c1 read x - 6-7"),
    ("the earlier write was unknown",
     "a1 write x 1 0-1 info | a1 write y 5 2-3 | b1 read y 5 4-5 | b1 read x - 6-7"),
    ("an answer before the question was read",
     FIRST + "b1 write y 5 2-3 | b1 read x 1 4-5 | c1 read y 5 6-7 | c1 read x - 8-9"),
    ("in two steps, each of them kept",
     FIRST + "b1 read x 1 2-3 | b1 write y 5 4-5 | c1 read y 5 6-7 | c1 write z 7 8-9"
     " | d1 read z 7 10-11 | d1 read x - 12-13"),
    ("both at one moment and without time", FIRST + "a1 write x 2 3-3 | a1 read x 1 3-3"),
]  # fmt: skip


def finding_of(text: str) -> Finding:
    return check(history(written(text.replace("|", "\n"))), Context(enough=1))


def counts(finding: Finding) -> dict[str, int]:
    figures: Any = finding.figures
    return {name: figures[name] for name in (RYW, MR, MW, WFR) if figures[name]}


@pytest.mark.parametrize(
    ("broken", "text", "proofs"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED]
)
def test_a_planted_anomaly_is_counted_once_and_named_by_what_proves_it(
    broken: list[str], text: str, proofs: list[str]
) -> None:
    finding = finding_of(text)
    assert (finding.state, counts(finding)) == (State.VIOLATED, dict.fromkeys(broken, 1))
    lines = text.split("|")
    every = lines_of("\n".join(lines))
    for guarantee, proof, shown in zip(broken, proofs, witnesses_of(finding.figures), strict=True):
        assert shown["what"].startswith(guarantee.replace("_", " ").capitalize())
        expected = lines_of("\n".join(lines[int(place)] for place in proof))
        assert [every[operation["row"]] for operation in shown["operations"]] == expected
        again = check(alone(history(written("\n".join(lines))), shown["operations"]), Context(enough=1))
        assert counts(again)[guarantee] == 1


@pytest.mark.parametrize("text", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_looks_wrong_but_breaks_no_guarantee_holds(text: str) -> None:
    finding = finding_of(text)
    assert (finding.state, counts(finding), finding.figures["witnesses"]) == (State.HOLDS, {}, [])


def test_all_planted_anomalies_are_found_in_one_history() -> None:
    """Each with keys and sessions of its own."""
    rows, expected = [], dict.fromkeys((RYW, MR, MW, WFR), 0)
    for number, (_, broken, text, _) in enumerate(PLANTED):
        for guarantee in broken:
            expected[guarantee] += 1
        rows += [
            {**row, "key": f"{row['key']}{number}", "session": 10 * number + row["session"]}
            for row in written(text.replace("|", "\n"))
        ]
    finding = check(history(rows), Context())
    assert counts(finding) == expected
    assert sum(expected.values()) >= 25
    guarantees = [shown["what"].partition(":")[0] for shown in witnesses_of(finding.figures)]
    assert len(guarantees) == 20
    assert {guarantee: guarantees.count(guarantee) for guarantee in set(guarantees)} == {
        "Read your writes": 5, "Monotonic reads": 5, "Monotonic writes": 5, "Writes follow reads": 5,
    }  # fmt: skip


def test_a_read_counts_once_however_often_its_session_knew_better() -> None:
    text = FIRST + "a1 write x 2 2-3 | b1 read x 2 4-5 | b1 read x 2 6-7 | b1 read x 1 8-9 | b1 read x 1 10-11"
    assert counts(finding_of(text)) == {MR: 2}


def test_the_sentence_says_who_did_what() -> None:
    (own,) = witnesses_of(finding_of("a1 write x 1 0-1 | a1 read x - 2-3").figures)
    assert own["what"] == "Read your writes: session a/1 wrote 1 to 'x'; then read nothing of 'x'."
    (other,) = witnesses_of(finding_of(PLANTED[13][2]).figures)
    assert other["what"] == (
        "Monotonic writes: session a/1 wrote 1 to 'x', then wrote 5 to 'y';"
        " then session b/1 read 5 of 'y', then read nothing of 'x'."
    )


def test_every_label_has_its_own_row() -> None:
    rows = written("a1 write x 1 0-1\na1 read x - 2-3\na1 read x 1 4-5\nb1 read x 1 6-7\nb1 read x - 8-9")
    for row, level in zip(rows, (None, "causal", "plain", "plain", "plain"), strict=True):
        row["level"] = level
    figures: Any = check(history(rows), Context()).figures
    names = ("reads", RYW, MR)
    assert {row["level"]: tuple(row[name] for name in names) for row in figures["by_level"]} == {
        "causal": (1, 1, 0),
        "plain": (3, 0, 1),
    }
    assert {row["vantage"]: tuple(row[name] for name in names) for row in figures["by_vantage"]} == {
        "a": (2, 1, 0),
        "b": (2, 0, 1),
    }
    assert (figures["sessions"], figures["keys"], figures["reads"]) == (2, 1, 4)


def test_keys_without_ordered_values_are_left_out_and_counted() -> None:
    text = "a1 write x 2 0-1 | a1 write x 1 2-3 | b1 read x 1 4-5 | b1 read x 2 6-7"
    assert finding_of(text).state is State.UNKNOWN
    assert applies(history(written(text.replace("|", "\n")))) == "no key has ordered values"
    beside = finding_of(text + " | a1 write y 1 8-9 | a1 read y 1 10-11")
    assert (beside.state, beside.figures["keys"], beside.figures["keys_skipped"]) == (State.HOLDS, 1, 1)


def test_what_nobody_wrote_is_left_to_staleness() -> None:
    finding = finding_of("a1 write x 1 0-1 | a1 read x 7 2-3 | a1 read x 1 4-5")
    assert (finding.state, finding.figures["reads"]) == (State.HOLDS, 1)


def test_too_few_reads_prove_nothing_but_a_violation_among_them_counts() -> None:
    rows = [operation(0, key="x", value=1), *(operation(5 * n, op="read", key="x", value=1) for n in range(1, 20))]
    assert check(history(rows), Context()).state is State.UNKNOWN
    assert check(history([*rows, operation(200, op="read", key="x", value=1)]), Context()).state is State.HOLDS
    assert check(history([*rows, operation(200, op="read", key="x")]), Context()).state is State.VIOLATED


def test_what_a_side_broke_is_told_from_the_other_by_route() -> None:
    text = (
        FIRST
        + "b1 write x 2 2-3 | b1 read x 1 4-5 | b1 read x 2 6-7 | b1 read x 1 8-9 | c1 read x 2 6-7 | d1 read x - 1-2"
    )
    rows = written(text.replace("|", "\n"))
    for row in rows:
        row["route"] = "direct" if row["value"] == 1 else "service"
    figures: Any = check(history(rows), Context(enough=1, sides=SIDES)).figures
    counted = {
        (side, route): tuple(part[name] for name in ("reads", RYW, MR, MW, WFR))
        for side, routes in figures["by_side"].items()
        for route, part in routes.items()
    }
    assert counted == {
        ("minority", "all"): (3, 2, 1, 0, 0),
        ("minority", "direct"): (2, 2, 1, 0, 0),
        ("minority", "service"): (1, 0, 0, 0, 0),
        ("majority", "all"): (1, 0, 0, 0, 0),
        ("majority", "service"): (1, 0, 0, 0, 0),
    }
    assert figures["reads"] == 5  # that of d, which is of no side, is in the total
    assert check(history(rows), Context(enough=1)).figures["by_side"] == {}
