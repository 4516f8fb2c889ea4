from __future__ import annotations

import re
from typing import Any

import pytest
from support.checkers.histories import SIDES, adds, history, kill, operation, scanned
from support.checkers.written_histories import USELESS_SCANS, alone, lines_of, witnesses_of, written

from caplab.check import Context, Finding, State
from caplab.check.staleness import applies, check
from caplab.model.runs import FinalScan

# What is planted, the figure that counts it, the history, and the operations that prove it.
PLANTED = [
    ("an older version", "stale", "a1 write x 1 0-2 | a1 write x 2 5-7 | b1 read x 1 8-9", "012"),
    ("nothing, though a write was acked", "stale", "a1 write x 1 0-2 | b1 read x - 3-4", "01"),
    (
        "the first of three versions",
        "stale",
        "a1 write x 1 0-1 | a1 write x 2 2-3 | a1 write x 3 4-5 | b1 read x 1 6-7",
        "013",
    ),
    ("a version two behind while a third is written", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 | a1 write x 3 4-9 | b1 read x 1 5-6", "013"),
    ("its own session's older write", "stale", "a1 write x 1 0-1 | a1 write x 2 2-3 | a1 read x 1 4-5", "012"),
    ("of a key without a name", "stale", "a1 write . 1 0-1 | a1 write . 2 2-3 | a2 read . 1 4-5", "012"),
    ("with a failed write in between", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 fail | a1 write x 3 4-5 | b1 read x 1 6-7", "023"),
    ("with an unknown write in between", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-? info | a2 write x 3 4-5 | b1 read x 1 6-7", "023"),
    ("an acked version older than an unknown one and an acked one", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 | a1 write x 3 4-? info | b1 read x 1 6-7", "013"),
    ("one nanosecond after the ack", "stale", "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 3.000001-4", "012"),
    ("with writes back to back in one session", "stale",
     "a1 write x 1 0-2 | a1 write x 2 2-4 | b1 read x 1 5-6", "012"),
    ("values that jump", "stale", "a1 write x -7 0-1 | a1 write x 900 2-3 | b1 read x -7 4-5", "012"),
    ("writers that take turns", "stale", "a1 write x 1 0-1 | b1 write x 2 2-3 | c1 read x 1 4-5", "012"),
    ("a failed value that was sent again", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 fail | a1 write x 2 4-5 | b1 read x 1 6-7", "023"),
    ("a long read that was invoked after the ack", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 4-99 | a1 write x 3 6-7", "012"),
    ("between two that are fresh", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 2 4-5 | b1 read x 1 6-7 | b1 read x 2 8-9", "013"),
    ("what survived was missed, though later writes are lost", "stale",
     "a1 write x 1 0-1 | a1 write x 2 2-3 | a1 write x 3 4-5 | b1 read x 1 6-7 | c0 scan x 2 50-51", "013"),
    ("a version that is gone in the end", "dirty",
     "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 2 4-5 | c0 scan x 1 50-51", "0123"),
    ("an unknown write that is gone in the end", "dirty",
     "a1 write x 1 0-1 | a1 write x 2 2-? info | b1 read x 2 4-5 | c0 scan x 1 50-51", "0123"),
    ("a key that is gone in the end", "dirty",
     "a1 write x 1 0-1 | b1 read x 1 4-5 | a1 write y 7 6-7 | c0 scan y 7 50-51", "013"),
    ("read while it was written, and gone in the end", "dirty",
     "a1 write x 1 0-9 | b1 read x 1 4-5 | c0 scan x - 50-51", "012"),
    ("a value that nobody wrote", "unexpected", "a1 write x 1 0-1 | b1 read x 5 4-5", "1"),
    ("another key's value", "unexpected", "a1 write x 1 0-1 | a1 write y 2 2-3 | b1 read x 2 4-5", "2"),
    ("a value whose write failed", "unexpected", "a1 write x 1 0-1 | a1 write x 2 2-3 fail | b1 read x 2 4-5", "12"),
    ("a value whose only write failed", "unexpected", "a1 write x 2 2-3 fail | b1 read x 2 4-5", "01"),
    ("a value before it was written", "unexpected", "a1 write x 1 0-1 | b1 read x 2 2-3 | a1 write x 2 5-6", "12"),
    ("what nobody wrote, in the final scan", "unexpected_at_the_end",
     "a1 write x 1 0-1 | b1 read x 1 2-3 | c0 scan x 4 50-51", "2"),
]  # fmt: skip
ALLOWED = [
    ("while the newer one is written", "a1 write x 1 0-1 | a1 write x 2 2-9 | b1 read x 1 4-5"),
    ("a newer one before it is acked", "a1 write x 1 0-1 | a1 write x 2 2-9 | b1 read x 2 4-5"),
    ("new, then old, while it is written", "a1 write x 1 0-1 | a1 write x 2 2-9 | b1 read x 2 3-4 | c1 read x 1 5-6"),
    ("invoked at the moment of the ack", "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 3-4"),
    ("returned late", "a1 write x 1 0-1 | b1 read x 1 2-99 | a1 write x 2 3-4"),
    ("nothing, before anything was acked", "a1 write x 1 3-9 | b1 read x - 4-20"),
    ("an unknown write that took effect late",
     "a1 write x 1 0-1 | a1 write x 2 2-? info | a2 write x 3 4-5 | b1 read x 2 6-7 | b1 read x 2 8-9"),
    ("an unknown write that never did", "a1 write x 1 0-1 | a1 write x 2 2-3 info | b1 read x 1 4-5"),
    ("a failed write", "a1 write x 1 0-1 | a1 write x 2 2-3 fail | b1 read x 1 4-5"),
    ("a failed read", "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 2 4-5 | b1 read x 1 6-7 fail"),
    ("only lost writes were missed", "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 4-5 | c0 scan x 1 50-51"),
    ("an unknown write overwrote the newest in the end",
     "a1 write x 1 0-? info | a2 write x 2 2-3 | b1 read x 2 4-5 | c0 scan x 1 50-51"),
    ("the unknown one was overwritten by the older",
     "a1 write x 1 0-9 | a2 write x 2 1-? info | b1 read x 2 3-4 | c0 scan x 1 50-51"),
    ("a read while the scan was made", "a1 write x 1 0-1 | a1 write x 2 49-50 | b1 read x 2 50-51 | c0 scan x 1 50-51"),
    ("an earlier scan of another member",
     "a1 write x 1 0-1 | c0 scan x 1 2-3 | a1 write x 2 4-5 | b1 read x 2 6-7 | c0 scan x 2 50-51"),
]  # fmt: skip


def finding_of(text: str, context: Context | None = None) -> Finding:
    return check(history(written(text.replace("|", "\n"))), context or Context(enough=1))


@pytest.mark.parametrize(("figure", "text", "proof"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_a_planted_anomaly_is_counted_once_and_named_by_what_proves_it(figure: str, text: str, proof: str) -> None:
    finding = finding_of(text)
    kinds = ("stale", "dirty", "unexpected", "unexpected_at_the_end")
    assert finding.state is State.VIOLATED
    assert {kind: finding.figures[kind] or 0 for kind in kinds} == {kind: int(kind == figure) for kind in kinds}
    lines = text.split("|")
    (shown,) = witnesses_of(finding.figures)
    assert [operation["row"] for operation in shown["operations"]] == _rows(
        [lines[int(place)] for place in proof], lines
    )
    again = check(alone(history(written("\n".join(lines))), shown["operations"]), Context(enough=1))
    assert again.figures[figure] == 1


def _rows(chosen: list[str], lines: list[str]) -> list[int]:
    """Their places in the history, which is by invocation."""
    every = lines_of("\n".join(lines))
    return [every.index(line) for line in lines_of("\n".join(chosen))]


@pytest.mark.parametrize("text", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_looks_wrong_but_is_allowed_holds(text: str) -> None:
    finding = finding_of(text)
    assert (finding.state, finding.figures["stale"], finding.figures["witnesses"]) == (State.HOLDS, 0, [])


def test_all_planted_anomalies_are_found_in_one_history() -> None:
    """Each with keys of its own; those about the final scan are left out, since there is only one."""
    rows, expected = [], {"stale": 0, "unexpected": 0}
    for number, (_, figure, text, _) in enumerate(PLANTED):
        if "scan" not in text:
            expected[figure] += 1
            rows += [
                {**row, "key": f"{row['key']}{number}", "session": 10 * number + row["session"]}
                for row in written(text.replace("|", "\n"))
            ]
    finding = check(history(rows), Context())
    assert {figure: finding.figures[figure] for figure in expected} == expected
    assert expected["stale"] >= 15
    assert len(witnesses_of(finding.figures)) == 20


def test_behind_counts_from_the_earliest_ack_that_was_missed() -> None:
    figures = finding_of(
        "a1 write x 1 0-1 | a1 write x 2 2-3 | a1 write x 3 4-5"
        "| b1 read x 1 13-14 | b1 read x 2 16-17 | b1 read x 3 18-19"
    ).figures
    assert figures["behind_ms"] == {"p50": 10.0, "p99": 11.0, "max": 11.0}
    assert figures["behind_versions"] == {"p50": 1, "max": 2}
    assert figures["fraction"] == 2 / 3


def test_nothing_stale_is_behind_by_nothing_known() -> None:
    figures = finding_of("a1 write x 1 0-1 | b1 read x 1 3-4").figures
    assert figures["behind_ms"] == {"p50": None, "p99": None, "max": None}
    assert figures["behind_versions"] == {"p50": None, "max": None}


@pytest.mark.parametrize(
    "writes",
    [
        "a1 write x 2 0-1 | a1 write x 1 2-3",
        "a1 write x 1 0-1 | a1 write x 1 2-3",
        "a1 write x 1 0-9 | b1 write x 2 2-3",
        "a1 write x 1 0-2 | b1 write x 2 2-3",  # at one moment, by two sessions: either may be first
        "a1 write x 2 0-1 | a1 write x 1 2-3 info",
        "a1 write x 1 0-1 | a1 write x - 2-3",
        "a1 write x 1 0-1 | a1 cas x 2 2-3",
        "a1 write x 1 0-1 | a1 incr x 2 2-3 info",
    ],
)
def test_keys_without_ordered_values_are_left_out_and_counted(writes: str) -> None:
    alone_here = finding_of(f"{writes} | c1 read x 1 90-91")
    assert (alone_here.state, alone_here.figures["keys_skipped"]) == (State.UNKNOWN, 1)
    assert applies(history(written(f"{writes} | c1 read x 1 90-91".replace("|", "\n")))) == "no key has ordered values"
    beside = finding_of(f"{writes} | c1 read x 1 90-91 | a2 write y 1 0-1 | c1 read y 1 92-93")
    assert (beside.state, beside.figures["keys"], beside.figures["keys_skipped"]) == (State.HOLDS, 1, 1)
    assert beside.figures["reads"] == 1


@pytest.mark.parametrize("failed", ["a1 write x 1 2-3 fail", "b1 write x 9 0-3 fail", "a1 write x - 2-3 fail"])
def test_a_write_that_surely_failed_does_not_make_a_key_unordered(failed: str) -> None:
    assert finding_of(f"a1 write x 1 0-1 | {failed} | a1 read x 1 4-5").state is State.HOLDS


def test_a_load_of_a_cache_leaves_its_key_ordered_and_is_no_read_of_a_client() -> None:
    text = "a1 write x 1 0-1 | a1 load x 1 2-3 | b1 write x 2 4-5 | a1 read x 1 6-7"
    alone_here = finding_of(text)
    assert (alone_here.state, alone_here.figures["reads"], alone_here.figures["stale"]) == (State.VIOLATED, 1, 1)


def test_every_label_has_its_own_row() -> None:
    text = "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 10-11 | b1 read x 2 20-21 | c1 read x 1 30-31"
    labels = [{}, {}, {"route": "replica", "level": "ONE"}, {"route": "replica"}, {"level": "ONE"}]
    rows = [row | label for row, label in zip(written(text.replace("|", "\n")), labels, strict=True)]
    context = Context(fault_windows=(kill(15, 25),))
    figures: Any = check(history(rows), context).figures
    assert _counts(figures, "route") == {"replica": (2, 1), "unnamed": (1, 1)}
    assert _counts(figures, "level") == {"ONE": (2, 2), "unnamed": (1, 0)}
    assert _counts(figures, "vantage") == {"b": (2, 1), "c": (1, 1)}
    assert _counts(figures, "phase") == {"before": (1, 1), "during": (1, 0), "after": (1, 1)}
    assert [row["behind_ms"]["max"] for row in figures["by_route"]] == [7.0, 27.0]


def _counts(figures: Any, name: str) -> dict[str, tuple[int, int]]:
    return {row[name]: (row["reads"], row["stale"]) for row in figures[f"by_{name}"]}


SCANNED = "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 4-5 | b1 read x 2 6-7 | c0 scan x 1 50-51"


@pytest.mark.parametrize(("scan", "says"), USELESS_SCANS)
def test_without_a_final_scan_to_judge_by_nothing_is_lost_or_dirty(scan: FinalScan, says: str) -> None:
    figures: Any = finding_of(SCANNED, Context(final_scan=scan)).figures
    assert (figures["lost"], figures["missing_lost"], figures["dirty"], figures["stale"]) == (None, None, None, 1)
    assert re.search(says, figures["scan_problem"])


def test_with_a_final_scan_that_went_well_reads_of_what_is_lost_are_dirty_and_misses_of_it_are_not_stale() -> None:
    figures = finding_of(SCANNED, scanned(1)).figures
    assert (figures["lost"], figures["missing_lost"], figures["dirty"], figures["stale"]) == (1, 1, 1, 0)


def test_an_empty_final_scan_of_registers_means_that_all_is_lost() -> None:
    figures = finding_of(SCANNED.rpartition("|")[0], scanned(0)).figures
    assert (figures["lost"], figures["dirty"], figures["missing_lost"]) == (2, 2, 1)


def test_the_final_scan_of_a_set_tells_nothing_of_registers() -> None:
    text = SCANNED.rpartition("|")[0].replace("|", "\n")
    figures = check(history(written(text) + adds([7]) + [operation(99, op="scan", value=7)]), scanned(1)).figures
    assert (figures["lost"], figures["scan_problem"]) == (None, "There is no final scan of keys.")


def test_each_kind_of_key_has_its_own_last_scan() -> None:
    """First that of registers, then that of counters; neither shows what is of the other kind."""
    text = SCANNED.replace("|", "\n") + "\nc1 incr n 1 8-9\nc0 scan n 1 60-61"
    assert check(history(written(text)), Context()).figures["lost"] == 1
    named = [{**row, "key": "set"} for row in adds([7])] + [operation(70, op="scan", key="set", value=7)]
    assert check(history(written(text) + named), scanned(1)).figures["lost"] == 1


def test_a_scan_that_found_nothing_may_be_a_row_without_a_value() -> None:
    text = SCANNED.rpartition("|")[0] + "| c0 scan . - 50-51"
    assert finding_of(text, Context()).figures["lost"] == finding_of(text, scanned(0)).figures["lost"] == 2


def test_too_few_reads_prove_nothing_but_a_stale_one_among_them_counts() -> None:
    rows = [operation(0, key="x", value=1), *(operation(n, op="read", key="x", value=1) for n in range(5, 24))]
    assert check(history(rows), Context()).state is State.UNKNOWN
    assert check(history([*rows, operation(90, op="read", key="x", value=1)]), Context()).state is State.HOLDS
    assert check(history([*rows, operation(90, op="read", key="x")]), Context()).state is State.VIOLATED


def test_a_history_without_registers_is_none_of_its_business() -> None:
    assert applies(history(adds([1]))) == "no operation is a write"
    assert applies(history(written("a1 write x 1 0-1"))) == "no operation is a read"
    assert applies(history(written("a1 write x 1 0-1\na1 read x 1 2-3"))) == ""
    assert check(history(adds([1])), Context()).state is State.UNKNOWN


def test_undecided_reads_are_counted() -> None:
    figures = finding_of(
        "a1 write x 1 0-? info | a2 write x 2 2-3 | b1 read x 1 4-5 | b1 read x 2 6-7 | b1 read x 1 8-9"
    ).figures
    assert (figures["stale"], figures["undecided"]) == (0, 2)


def test_stale_reads_of_one_side_only_are_of_that_side_and_its_route() -> None:
    text = "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 10-11 | b1 read x 2 20-21 | b2 read x 1 33-34"
    text += "| c1 read x 2 22-23 | d1 read x 1 24-25"
    rows = written(text.replace("|", "\n"))
    for row in rows:
        row["route"] = "direct" if (row["vantage"], row["session"]) == ("b", 1) else "service"
    figures: Any = check(history(rows), Context(fault_windows=(kill(15, 35),), sides=SIDES)).figures
    names = ("reads", "stale", "fraction", "max_behind_seconds", "stale_in_fault")
    figures_of = {
        (side, route): tuple(part[name] for name in names)
        for side, routes in figures["by_side"].items()
        for route, part in routes.items()
    }
    assert figures_of == {
        ("minority", "all"): (3, 2, 2 / 3, 0.03, 1),
        ("minority", "direct"): (2, 1, 0.5, 0.007, 0),
        ("minority", "service"): (1, 1, 1, 0.03, 1),
        ("majority", "all"): (1, 0, 0, 0, 0),
        ("majority", "service"): (1, 0, 0, 0, 0),
    }
    assert figures["by_side"]["minority"]["all"]["behind_ms"] == {"p50": 7.0, "p99": 30.0, "max": 30.0}
    assert tuple(figures[name] for name in names) == (5, 3, 0.6, 0.03, 2)  # d is of no side
    assert [row["stale_in_fault"] for row in figures["by_route"]] == [0, 2]


def test_a_fault_begins_with_the_read_invoked_at_the_injection_and_is_over_for_the_one_at_heal() -> None:
    text = "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 14-15 | b1 read x 1 15-16 | b1 read x 1 25-26"
    assert finding_of(text, Context(fault_windows=(kill(15, 25),))).figures["stale_in_fault"] == 1
    assert finding_of(text, Context(fault_windows=(kill(15, None),))).figures["stale_in_fault"] == 2
    assert finding_of(text).figures["stale_in_fault"] == 0


def test_what_is_not_stale_is_behind_by_no_time() -> None:
    assert finding_of("a1 write x 1 0-1 | b1 read x 1 3-4").figures["max_behind_seconds"] == 0
    text = "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 1 10-11 | b1 read x 1 9-10"
    assert finding_of(text).figures["max_behind_seconds"] == 0.007


def test_each_side_has_its_own_dirty_reads_and_those_that_missed_only_what_is_lost() -> None:
    text = "a1 write x 1 0-1 | a1 write x 2 2-3 | b1 read x 2 4-5 | b1 read x 2 6-7 | a2 read x 1 8-9"
    text += "| b1 read x 9 10-11 | c0 scan x 1 50-51"
    figures: Any = finding_of(text, Context(enough=1, sides=SIDES)).figures
    names = ("reads", "stale", "dirty", "missing_lost")
    figures_of = {side: tuple(routes["all"][name] for name in names) for side, routes in figures["by_side"].items()}
    assert figures_of == {"minority": (3, 0, 2, 0), "majority": (1, 0, 0, 1)}
    assert {row["vantage"]: (row["dirty"], row["missing_lost"]) for row in figures["by_vantage"]} == {
        "a": (0, 1),
        "b": (2, 0),
    }
    without: Any = finding_of(text.rpartition("|")[0], Context(enough=1, sides=SIDES)).figures
    assert without["by_side"]["majority"]["unnamed"]["dirty"] is None
    assert without["by_route"][0]["missing_lost"] is None
    assert finding_of(text).figures["by_side"] == {}
