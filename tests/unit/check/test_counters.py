from __future__ import annotations

import re
from typing import Any

import pytest
from support.checkers.histories import adds, history, operation, scanned
from support.checkers.written_histories import USELESS_SCANS, alone, lines_of, witnesses_of, written

from caplab.check import Context, Finding, State
from caplab.check.counters import applies, check
from caplab.model.runs import FinalScan

# What is planted, the figure that counts it, by how much it is wrong, the history, and the operations that prove it.
PLANTED = [
    ("nothing after an acked increment", "below", 1, "a1 incr n 1 0-1 | b1 read n - 2-3", "01"),
    ("zero after an acked increment", "below", 1, "a1 incr n 1 0-1 | b1 read n 0 2-3", "01"),
    ("an increment without an amount is of one", "below", 1, "a1 incr n - 0-1 | b1 read n 0 2-3", "01"),
    ("one of two is lost", "below", 1, "a1 incr n 1 0-1 | a1 incr n 1 2-3 | b1 read n 1 4-5", "012"),
    ("the large one is lost", "below", 9, "a1 incr n 1 0-1 | a1 incr n 9 2-3 | b1 read n 1 4-5", "12"),
    ("the small one is lost", "below", 1, "a1 incr n 9 0-1 | a1 incr n 1 2-3 | b1 read n 9 4-5", "012"),
    ("all of three are lost", "below", 6,
     "a1 incr n 1 0-1 | a1 incr n 2 2-3 | a1 incr n 3 4-5 | b1 read n 0 6-7", "23"),
    ("it went back", "below", 2,
     "a1 incr n 2 0-1 | b1 read n 2 2-3 | a1 incr n 2 4-5 | b1 read n 4 6-7 | b1 read n 2 8-9", "024"),
    ("with another under way", "below", 1, "a1 incr n 1 0-1 | a1 incr n 1 2-9 | b1 read n 0 4-5", "02"),
    ("with an unknown one", "below", 1, "a1 incr n 1 0-1 | a1 incr n 1 2-? info | b1 read n 0 4-5", "02"),
    ("with another counter that has it", "below", 1, "a1 incr n 1 0-1 | a1 incr m 1 2-3 | b1 read n 0 4-5", "02"),
    ("of a counter without a name", "below", 1, "a1 incr . 1 0-1 | b1 read . 0 4-5", "01"),
    ("too little in the final scan", "below", 1,
     "a1 incr n 1 0-1 | a1 incr n 1 2-3 | b1 read n 2 4-5 | c0 scan n 1 50-51", "013"),
    ("missing from the final scan", "below", 1, "a1 incr n 1 0-1 | a1 incr m 1 2-3 | c0 scan m 1 50-51", "02"),
    ("less than nothing", "below", 5, "a1 incr n 2 0-1 | b1 read n -3 2-3", "01"),
    ("counted twice", "above", 1, "a1 incr n 1 0-1 | b1 read n 2 2-3", "01"),
    ("an unknown one counted twice", "above", 1, "a1 incr n 1 0-? info | b1 read n 2 2-3", "01"),
    ("a failed one counted", "above", 3, "a1 incr n 1 0-1 | a1 incr n 3 2-3 fail | b1 read n 4 4-5", "012"),
    ("only a failed one, and it counted", "above", 1, "a1 incr n 1 0-1 fail | b1 read n 1 4-5", "01"),
    ("counted before it was sent", "above", 1, "a1 incr n 1 0-1 | b1 read n 2 2-3 | a1 incr n 1 4-5", "01"),
    ("another counter's amount counted", "above", 4, "a1 incr n 1 0-1 | a1 incr m 4 2-3 | b1 read n 5 4-5", "02"),
    ("too much in the final scan", "above", 1, "a1 incr n 1 0-1 | c0 scan n 2 50-51", "01"),
    ("a decrement is lost", "above", 2, "a1 incr n 5 0-1 | a1 incr n -2 2-3 | b1 read n 5 4-5", "012"),
    ("more than all increments", "above", 6, "a1 incr n 5 0-1 | a1 incr n -2 2-3 | b1 read n 9 4-5", "02"),
    ("a decrement counted twice", "below", 2, "a1 incr n 5 0-1 | a1 incr n -2 2-3 | b1 read n 1 4-5", "012"),
    ("an unknown decrement counted twice", "below", 2,
     "a1 incr n 5 0-1 | a1 incr n -2 2-? info | b1 read n 1 4-5", "012"),
    ("a failed decrement counted", "below", 2, "a1 incr n 5 0-1 | a1 incr n -2 2-3 fail | b1 read n 3 4-5", "012"),
    ("below nothing by one that was sent later", "below", 2,
     "a1 incr n 1 0-1 | b1 read n -1 2-3 | a1 incr n -1 4-5", "01"),
]  # fmt: skip
ALLOWED = [
    ("all that was acked", "a1 incr n 1 0-1 | a1 incr n 2 2-3 | b1 read n 3 4-5"),
    ("nothing before anything was acked", "a1 incr n 1 2-9 | b1 read n - 4-5"),
    ("one under way that counts", "a1 incr n 1 0-9 | b1 read n 1 4-5"),
    ("one under way that does not count", "a1 incr n 1 0-9 | b1 read n 0 4-5"),
    ("one under way that counts, and then does not", "a1 incr n 1 0-9 | b1 read n 1 4-5 | b1 read n 0 6-7"),
    ("an unknown one that counts late", "a1 incr n 1 0-? info | b1 read n 0 4-5 | b1 read n 1 60-61"),
    ("a failed one that does not count", "a1 incr n 1 0-1 fail | b1 read n 0 4-5"),
    ("acked at the moment when it is read", "a1 incr n 1 0-3 | b1 read n 0 3-4"),
    ("sent at the moment when the read returns", "a1 incr n 1 4-5 | b1 read n 1 3-4"),
    ("a read that takes long", "b1 read n 2 0-99 | a1 incr n 1 2-3 | a1 incr n 1 4-5"),
    ("a failed read", "a1 incr n 1 0-1 | b1 read n 7 2-3 fail | b1 read n 1 4-5"),
    ("a decrement", "a1 incr n 5 0-1 | a1 incr n -2 2-3 | b1 read n 3 4-5"),
    ("a decrement under way that counts", "a1 incr n 5 0-1 | a1 incr n -2 2-9 | b1 read n 3 4-5"),
    ("a decrement under way that does not count", "a1 incr n 5 0-1 | a1 incr n -2 2-9 | b1 read n 5 4-5"),
    ("below zero", "a1 incr n -2 0-1 | b1 read n -2 4-5"),
    ("an amount of nothing", "a1 incr n 0 0-1 | a1 incr n 1 2-3 | b1 read n 1 4-5"),
    ("an earlier scan of another member", "a1 incr n 1 0-1 | c0 scan n 0 2-3 | c0 scan n 1 50-51"),
]  # fmt: skip


def finding_of(text: str, context: Context | None = None) -> Finding:
    return check(history(written(text.replace("|", "\n"))), context or Context(enough=1))


@pytest.mark.parametrize(
    ("figure", "amount", "text", "proof"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED]
)
def test_a_planted_anomaly_is_counted_once_and_named_by_what_proves_it(
    figure: str, amount: int, text: str, proof: str
) -> None:
    finding = finding_of(text)
    figures = finding.figures
    assert (finding.state, figures["below"], figures["above"]) == (
        State.VIOLATED,
        int(figure == "below"),
        int(figure == "above"),
    )
    assert (figures["missing_max"], figures["excess_max"])[figure == "above"] == amount
    (shown,) = witnesses_of(figures)
    lines = text.split("|")
    every = lines_of("\n".join(lines))
    expected = lines_of("\n".join(lines[int(place)] for place in proof))
    assert [every[operation["row"]] for operation in shown["operations"]] == expected
    again = check(alone(history(written("\n".join(lines))), shown["operations"]), Context(enough=1))
    assert again.figures[figure] == 1


@pytest.mark.parametrize("text", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_looks_wrong_but_is_within_the_bounds_holds(text: str) -> None:
    finding = finding_of(text)
    assert (finding.state, finding.figures["witnesses"]) == (State.HOLDS, [])


def test_all_planted_anomalies_are_found_in_one_history() -> None:
    """Each with keys of its own; those about the final scan are left out, since there is only one."""
    rows, expected = [], {"below": 0, "above": 0}
    for number, (_, figure, _, text, _) in enumerate(PLANTED):
        if "scan" not in text:
            expected[figure] += 1
            rows += [{**row, "key": f"{row['key']}{number}"} for row in written(text.replace("|", "\n"))]
    finding = check(history(rows), Context())
    assert {figure: finding.figures[figure] for figure in expected} == expected
    assert (sum(expected.values()) >= 15, len(witnesses_of(finding.figures))) == (True, 20)


def test_the_sentence_says_what_was_read_and_what_had_been_added() -> None:
    assert witnesses_of(finding_of("a1 incr n 1 0-1 | b1 read n 0 2-3").figures)[0]["what"] == (
        "A read of 'n' returned 0, though 1 had been added and acked before."
    )
    assert witnesses_of(finding_of("a1 incr . 1 0-1 | c0 scan . 2 2-3").figures)[0]["what"] == (
        "The final scan of the counter returned 2, though no more than 1 can have been added by then."
    )


def test_a_witness_of_many_increments_shows_the_latest() -> None:
    rows = [operation(10 * n, op="incr", key="n") for n in range(80)]
    (shown,) = witnesses_of(check(history([*rows, operation(900, op="read", key="n", value=79)]), Context()).figures)
    assert [operation["row"] for operation in shown["operations"]] == [*range(30, 81)]
    assert "the latest 50 of 80 increments are shown" in shown["what"]


@pytest.mark.parametrize("other", ["a1 write n 5 2-3", "a1 cas n 5 2-3 info"])
def test_keys_that_are_more_than_added_to_are_left_out_and_counted(other: str) -> None:
    finding = finding_of(f"a1 incr n 1 0-1 | {other} | b1 read n 0 4-5")
    assert (finding.state, finding.figures["keys_skipped"]) == (State.UNKNOWN, 1)
    assert applies(history(written(f"a1 incr n 1 0-1\n{other}\nb1 read n 0 4-5"))) == "no key is a counter"
    beside = finding_of(f"a1 incr n 1 0-1 | {other} | b1 read n 0 4-5 | a1 incr m 1 6-7 | b1 read m 1 8-9")
    assert (beside.state, beside.figures["keys"], beside.figures["reads"]) == (State.HOLDS, 1, 1)


SCANNED = "a1 incr n 1 0-1 | a1 incr m 2 2-3 | b1 read n 1 4-5 | c0 scan n 1 50-51"


@pytest.mark.parametrize(("scan", "says"), USELESS_SCANS)
def test_without_a_final_scan_to_judge_by_only_reads_are_held_to_the_bounds(scan: FinalScan, says: str) -> None:
    figures: Any = finding_of(SCANNED, Context(final_scan=scan)).figures
    assert (figures["reads"], figures["scanned"], figures["below"]) == (1, 0, 0)
    assert re.search(says, figures["scan_problem"])


def test_the_final_scan_reads_every_counter_also_one_that_it_does_not_show() -> None:
    figures = finding_of(SCANNED, scanned(1)).figures
    assert (figures["scanned"], figures["below"], figures["missing_max"]) == (2, 1, 2)
    figures = finding_of(SCANNED.rpartition("|")[0], scanned(0)).figures
    assert (figures["scanned"], figures["below"], figures["missing_max"]) == (2, 2, 2)


def test_the_scan_of_registers_says_nothing_of_counters() -> None:
    text = SCANNED.replace("|", "\n") + "\na1 write x 1 8-9\nc0 scan x 1 60-61"
    figures = check(history(written(text)), Context()).figures
    assert (figures["scanned"], figures["below"], figures["missing_max"]) == (2, 1, 2)


def test_an_unknown_increment_counts_as_one() -> None:
    figures = finding_of("a1 incr n 1 0-1 | a1 incr n 1 2-? info | a1 incr n 1 4-5 fail | b1 read n 2 6-7").figures
    assert (figures["keys"], figures["increments"], figures["reads"]) == (1, 2, 1)


def test_too_few_reads_prove_nothing_but_a_wrong_one_among_them_counts() -> None:
    rows = [operation(0, op="incr", key="n"), *(operation(n, op="read", key="n", value=1) for n in range(5, 24))]
    assert check(history(rows), Context()).state is State.UNKNOWN
    assert check(history([*rows, operation(90, op="read", key="n", value=1)]), Context()).state is State.HOLDS
    assert check(history([*rows, operation(90, op="read", key="n")]), Context()).state is State.VIOLATED


def test_a_history_without_counters_is_none_of_its_business() -> None:
    assert applies(history(adds([1]))) == "no operation is an incr"
    assert applies(history(written("a1 incr n 1 0-1"))) == "no counter is read"
    assert applies(history(written("a1 incr n 1 0-1\na1 read n 1 2-3"))) == ""
    assert check(history(adds([1])), Context()).state is State.UNKNOWN
