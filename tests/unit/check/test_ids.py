from __future__ import annotations

import pytest
from support.checkers.histories import adds, history, operation
from support.checkers.written_histories import alone, lines_of, witnesses_of, written

from caplab.check import Context, Finding, State
from caplab.check.ids import applies, check

AGAIN, LATE = "duplicates", "out_of_order"

# What is planted, the figure that counts it, the history, and the operations that prove it.
PLANTED = [
    ("the same twice, one after the other", AGAIN, "a1 id . 5 0-1 | a1 id . 5 2-3", "01"),
    ("the same twice, at the same time", AGAIN, "a1 id . 5 0-9 | b1 id . 5 2-3", "01"),
    ("the same twice, others in between", AGAIN,
     "a1 id . 5 0-20 | b1 id . 6 2-3 | b1 id . 7 4-5 | c1 id . 5 1-9", "03"),
    ("the same twice, of one key of two", AGAIN, "a1 id x 5 0-1 | b1 id y 5 2-3 | b1 id x 5 4-5", "02"),
    ("nought twice", AGAIN, "a1 id . 0 0-1 | b1 id . 0 2-3", "01"),
    ("the same negative one twice", AGAIN, "a1 id . -5 0-1 | b1 id . -5 2-3", "01"),
    ("the largest there is twice", AGAIN, f"a1 id . {2**63 - 1} 0-1 | b1 id . {2**63 - 1} 2-3", "01"),
    ("after one that surely failed", AGAIN, "a1 id . 5 0-1 fail | a1 id . 5 2-3 | b1 id . 5 4-5", "12"),
    ("a smaller one after it", LATE, "a1 id . 5 0-1 | b1 id . 4 2-3", "01"),
    ("a smaller one long after it", LATE, "a1 id . 5 0-1 | b1 id . 7 2-3 | b1 id . 9 4-5 | c1 id . 6 6-7", "23"),
    ("a smaller one after two at once", LATE, "a1 id . 5 0-9 | b1 id . 8 1-9 | c1 id . 7 10-11", "12"),
    ("one before all after a restart", LATE, "a1 id . 33 0-1 | a1 id . 34 2-3 | b1 id . 1 4-5", "12"),
    ("of one key of two", LATE, "a1 id x 5 0-1 | b1 id y 9 2-3 | b1 id x 4 4-5", "02"),
    ("a negative one after nought", LATE, "a1 id . 0 0-1 | b1 id . -1 2-3", "01"),
    ("the smallest there is after the largest", LATE, f"a1 id . {2**63 - 1} 0-1 | b1 id . {-(2**63)} 2-3", "01"),
    ("one nanosecond after the ack", LATE, "a1 id . 5 0-1 | b1 id . 4 1.000001-2", "01"),
    ("with the greater one still under way elsewhere", LATE,
     "a1 id . 9 0-99 | b1 id . 5 1-2 | c1 id . 4 3-4", "12"),
]  # fmt: skip
ALLOWED = [
    ("one after the other", "a1 id . 1 0-1 | a1 id . 2 2-3 | b1 id . 3 4-5"),
    ("with gaps", "a1 id . 1 0-1 | a1 id . 34 2-3 | b1 id . 67 4-5"),
    ("a smaller one at the same time", "a1 id . 5 0-9 | b1 id . 4 2-3"),
    ("a smaller one that was asked for at the moment of the ack", "a1 id . 5 0-1 | b1 id . 4 1-2"),
    ("a smaller one that was asked for before and came after", "b1 id . 4 0-9 | a1 id . 5 1-2"),
    ("the same of two keys", "a1 id x 5 0-1 | b1 id y 5 2-3"),
    ("smaller of another key", "a1 id x 5 0-1 | b1 id y 4 2-3"),
    ("the same that surely failed", "a1 id . 5 0-1 | b1 id . 5 2-3 fail"),
    ("the same of unknown outcome", "a1 id . 5 0-1 | b1 id . 5 2-3 info"),
    ("an ok one that does not say which", "a1 id . 5 0-1 | b1 id . - 2-3"),
]


def finding_of(text: str) -> Finding:
    return check(history(written(text.replace("|", "\n"))), Context(enough=1))


@pytest.mark.parametrize(("figure", "text", "proof"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_a_planted_anomaly_is_counted_once_and_named_by_what_proves_it(figure: str, text: str, proof: str) -> None:
    finding = finding_of(text)
    counts = {name: finding.figures[name] for name in (AGAIN, LATE)}
    assert (finding.state, counts) == (State.VIOLATED, {name: int(name == figure) for name in counts})
    (shown,) = witnesses_of(finding.figures)
    lines = text.split("|")
    every, rows = lines_of("\n".join(lines)), [operation["row"] for operation in shown["operations"]]
    assert [every[row] for row in rows] == lines_of("\n".join(lines[int(place)] for place in proof))
    again = check(alone(history(written("\n".join(lines))), shown["operations"]), Context(enough=1))
    assert again.figures[figure] == 1


@pytest.mark.parametrize("text", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_looks_wrong_but_is_allowed_holds(text: str) -> None:
    finding = finding_of(text)
    assert (finding.state, finding.figures["witnesses"]) == (State.HOLDS, [])


def test_all_planted_anomalies_are_found_in_one_history() -> None:
    rows, expected = [], {AGAIN: 0, LATE: 0}
    for number, (_, figure, text, _) in enumerate(PLANTED):
        expected[figure] += 1
        rows += [{**row, "key": f"{row['key']}{number}"} for row in written(text.replace("|", "\n"))]
    figures = check(history(rows), Context()).figures
    assert {name: figures[name] for name in expected} == expected
    assert (sum(expected.values()), len(witnesses_of(figures))) == (17, 17)


def test_an_id_that_is_handed_out_three_times_is_two_too_many() -> None:
    figures = finding_of("a1 id . 5 0-9 | b1 id . 5 1-9 | c1 id . 5 2-9").figures
    assert (figures["ids"], figures[AGAIN], figures[LATE]) == (3, 2, 0)
    assert [[operation["row"] for operation in shown["operations"]] for shown in witnesses_of(figures)] == [
        [0, 1],
        [0, 2],
    ]


def test_after_a_failover_the_server_goes_on_from_an_older_id() -> None:
    """A sequence whose last values were lost: they are handed out again, in their order."""
    rows = [operation(10 * n, op="id", value=n) for n in range(40)]
    rows += [operation(1000 + 10 * n, op="id", value=35 + n) for n in range(20)]
    figures = check(history(rows), Context()).figures
    assert (figures["ids"], figures[AGAIN], figures[LATE]) == (60, 5, 4)  # 39 is no smaller than 39


def test_ok_ids_without_a_value_are_counted() -> None:
    figures = finding_of("a1 id . 5 0-1 | b1 id . - 2-3").figures
    assert (figures["ids"], figures["without_value"]) == (1, 1)


def test_the_sentence_says_which() -> None:
    sentences = [
        shown["what"] for shown in witnesses_of(finding_of("a1 id . 5 0-1 | b1 id . 5 2-3 | b1 id . 4 4-5").figures)
    ]
    assert sentences == ["The id 5 was handed out twice.", "The id 4 was handed out after a greater one was acked: 5."]


def test_too_few_ids_prove_nothing_but_a_duplicate_among_them_counts() -> None:
    rows = [operation(10 * n, op="id", value=n) for n in range(19)]
    assert check(history(rows), Context()).state is State.UNKNOWN
    assert check(history([*rows, operation(900, op="id", value=19)]), Context()).state is State.HOLDS
    assert check(history([*rows, operation(900, op="id", value=18)]), Context()).state is State.VIOLATED


def test_a_history_without_ids_is_none_of_its_business() -> None:
    assert applies(history(adds([1]))) == "no operation is an id"
    assert applies(history(written("a1 id . 1 0-1"))) == ""
    assert check(history(adds([1])), Context()).state is State.UNKNOWN
