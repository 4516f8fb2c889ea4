from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from support.checkers.histories import SIDES, adds, history, operation, scan, scanned

from caplab.check import Context, State
from caplab.check.durability import check
from caplab.model.runs import FinalScan

THIRTY = list(range(100, 130))


def figures_of(rows: list[dict[str, Any]], context: Context) -> tuple[State, dict[str, Any]]:
    finding = check(history(rows), context)
    return finding.state, dict(finding.figures)


def test_durability_holds_when_every_acked_element_is_there_once() -> None:
    state, figures = figures_of(adds(THIRTY) + scan(THIRTY), scanned(30))
    assert state is State.HOLDS
    assert (figures["attempted"], figures["acked"], figures["survived"], figures["lost"]) == (30, 30, 30, 0)
    assert figures["lost_window_seconds"] == 0


def test_one_lost_write_is_a_violation_and_is_named() -> None:
    state, figures = figures_of(adds(THIRTY) + scan(THIRTY[:-1]), scanned(29))
    assert state is State.VIOLATED
    assert (figures["survived"], figures["lost"], figures["lost_values"]) == (29, 1, [129])
    assert figures["lost_window_seconds"] == 0.002  # from its invocation to its ack


def test_the_lost_window_is_from_the_first_lost_invocation_to_the_last_lost_ack() -> None:
    kept = [value for value in THIRTY if value not in (105, 120)]
    _, figures = figures_of(adds(THIRTY) + scan(kept), scanned(28))
    assert figures["lost_window_seconds"] == pytest.approx(0.150 + 0.002)


def test_an_element_that_nobody_wrote_is_unexpected() -> None:
    state, figures = figures_of(adds(THIRTY) + scan([*THIRTY, 999]), scanned(31))
    assert state is State.VIOLATED
    assert (figures["unexpected"], figures["unexpected_values"]) == (1, [999])


def test_an_element_whose_write_surely_failed_is_unexpected() -> None:
    rows = adds(THIRTY) + adds([7], "fail", error="readonly") + scan([*THIRTY, 7])
    state, figures = figures_of(rows, scanned(31))
    assert state is State.VIOLATED
    assert figures["unexpected_values"] == [7]


def test_an_element_that_is_there_twice_is_duplicated() -> None:
    state, figures = figures_of(adds(THIRTY) + scan([*THIRTY, 101, 101]), scanned(32))
    assert state is State.VIOLATED
    assert (figures["duplicated"], figures["duplicated_values"], figures["lost"]) == (1, [101], 0)


def test_a_write_of_unknown_outcome_may_be_there_or_not() -> None:
    rows = adds(THIRTY) + adds([1, 2], "info", error="timeout") + scan([*THIRTY, 1])
    state, figures = figures_of(rows, scanned(31))
    assert state is State.HOLDS
    assert (figures["attempted"], figures["unacked_found"], figures["lost"]) == (32, 1, 0)


def test_an_overload_was_never_sent() -> None:
    rows = adds(THIRTY) + adds([1], "fail", error="overload") + scan(THIRTY)
    assert figures_of(rows, scanned(30))[1]["attempted"] == 30
    rows = adds(THIRTY) + adds([1], "fail", error="overload") + scan([*THIRTY, 1])
    assert figures_of(rows, scanned(31))[1]["unexpected_values"] == [1]


def test_an_empty_scan_that_went_well_means_that_all_is_lost() -> None:
    state, figures = figures_of(adds(THIRTY), scanned(0))
    assert state is State.VIOLATED
    assert figures["lost"] == 30


@pytest.mark.parametrize(
    ("scan_record", "says"),
    [
        (None, "no record of a final scan"),
        (
            FinalScan(converged=False, elements=29, problem="pg-2 did not rejoin"),
            "had not converged .* pg-2 did not rejoin",
        ),
        (FinalScan(converged=True, elements=None, problem="timed out"), "final scan failed: timed out"),
        (FinalScan(converged=True, elements=30), "returned 30 elements, but the history holds 29"),
        (FinalScan(converged=True, elements=29, server="pg-1"), "returned 29 elements, but the history holds 0"),
    ],
)
def test_without_a_whole_final_scan_after_convergence_nothing_is_known(
    scan_record: FinalScan | None, says: str
) -> None:
    finding = check(history(adds(THIRTY) + scan(THIRTY[:-1])), Context(final_scan=scan_record))
    assert finding.state is State.UNKNOWN
    assert re.search(says, finding.reason)


def test_only_the_last_scan_of_the_deciding_member_counts() -> None:
    early = scan(THIRTY[:3], 500_000, server="pg-1")
    of_replica = scan(THIRTY[:5], 2_000_000, server="pg-2")
    failed = [operation(3_000_000, "fail", op="scan", server="pg-1", error="closed")]
    rows = adds(THIRTY) + early + scan(THIRTY, server="pg-1") + of_replica + failed
    assert figures_of(rows, scanned(30, "pg-1"))[0] is State.HOLDS
    assert figures_of(rows, scanned(5))[1]["lost"] == 25


def test_every_members_own_copy_is_held_against_what_was_acked() -> None:
    """One that holds nothing has no rows in the history: only the record of the scan tells of it."""
    rows = adds(THIRTY) + adds([7], "info", error="timeout")
    rows += scan(THIRTY[2:], 1_000_000, server="cs-0") + scan([*THIRTY, 7], 1_000_001, server="cs-1")
    rows += scan([*THIRTY, 7], 1_000_010, server="all")
    final = FinalScan(converged=True, elements=31, server="all", local={"cs-0": 28, "cs-1": 31, "cs-2": 0, "cs-3": 5})
    state, figures = figures_of(rows, Context(final_scan=final))
    assert state is State.HOLDS  # what a copy lacks is divergence, and no loss
    assert figures["by_member"] == [
        {"server": "cs-0", "elements": 28, "lacking": 2},
        {"server": "cs-1", "elements": 31, "lacking": 0},
        {"server": "cs-2", "elements": 0, "lacking": 30},
        {"server": "cs-3", "elements": 5, "lacking": None},  # of its rows none is here
    ]
    assert figures_of(rows, scanned(31, "all"))[1]["by_member"] == []


def test_a_value_that_was_added_twice_makes_its_fate_unknowable() -> None:
    finding = check(history(adds([*THIRTY, 100]) + scan(THIRTY)), scanned(30))
    assert finding.state is State.UNKNOWN
    assert "value 100 was added more than once" in finding.reason


def test_adds_without_a_value_are_not_passed_over() -> None:
    finding = check(history([*adds(THIRTY), operation(0, op="add"), *scan(THIRTY)]), scanned(30))
    assert finding.state is State.UNKNOWN
    assert "1 adds do not say which value" in finding.reason


def test_too_few_acked_elements_prove_no_durability_but_a_loss_among_them_counts() -> None:
    few = THIRTY[:19]
    assert figures_of(adds(few) + scan(few), scanned(19))[0] is State.UNKNOWN
    assert figures_of(adds(few) + scan(few[1:]), scanned(18))[0] is State.VIOLATED
    assert figures_of([], scanned(0))[0] is State.UNKNOWN


def test_every_vantage_and_route_has_its_own_row() -> None:
    rows = (
        adds(range(20), vantage="b", route="direct")
        + adds(range(20, 30), vantage="a")
        + adds([30, 31], "info", vantage="a", error="timeout")
        + adds([32], "fail", vantage="c", route="service", error="overload")
    )
    _, figures = figures_of(rows + scan([*range(5, 28), 30]), scanned(24))
    names = ("vantage", "route", "attempted", "acked", "survived", "lost", "unacked_found")
    assert [tuple(row[name] for name in names) for row in figures["by_vantage"]] == [
        ("a", "unnamed", 12, 10, 8, 2, 1),
        ("b", "direct", 20, 20, 15, 5, 0),
        ("c", "service", 0, 0, 0, 0, 0),
    ]


def found_in(rows: list[dict[str, Any]], elements: int) -> dict[str, Any]:
    finding = check(history(rows), scanned(elements))
    assert finding.state is State.VIOLATED
    return dict(finding.figures)


def add(value: int, outcome: str = "ok", **columns: Any) -> dict[str, Any]:
    return operation(400, outcome, op="add", value=value, **columns)


PLANTED: list[tuple[str, list[dict[str, Any]], list[int], str, list[int], str]] = [
    # what, further adds, what the scan has, kind, values, the witness's last words
    ("the first", [], THIRTY[1:], "lost", [100], "does not have it"),
    ("the last", [], THIRTY[:-1], "lost", [129], "does not have it"),
    ("one in the middle", [], [*THIRTY[:7], *THIRTY[8:]], "lost", [107], "does not have it"),
    ("two apart", [], [*THIRTY[1:20], *THIRTY[21:]], "lost", [100, 120], "does not have it"),
    ("all but one", [], [115], "lost", [*THIRTY[:15], *THIRTY[16:]], "does not have it"),
    ("of another vantage", [add(7, vantage="b")], THIRTY, "lost", [7], "does not have it"),
    ("zero", [add(0)], THIRTY, "lost", [0], "does not have it"),
    ("a negative one", [add(-5)], THIRTY, "lost", [-5], "does not have it"),
    ("the greatest", [add(2**63 - 1)], THIRTY, "lost", [2**63 - 1], "does not have it"),
    ("the least", [add(-(2**63))], THIRTY, "lost", [-(2**63)], "does not have it"),
    ("from nowhere", [], [*THIRTY, 99], "unexpected", [99], "which was never added"),
    ("the greatest from nowhere", [], [*THIRTY, 2**63 - 1], "unexpected", [2**63 - 1], "which was never added"),
    ("two from nowhere", [], [1, *THIRTY, 2], "unexpected", [1, 2], "which was never added"),
    ("refused", [add(7, "fail", error="readonly")], [*THIRTY, 7], "unexpected", [7], "whose add surely failed"),
    ("not sent", [add(7, "fail", error="overload")], [*THIRTY, 7], "unexpected", [7], "which was never added"),
    ("twice", [], [*THIRTY, 100], "duplicated", [100], "has the value 100 2 times"),
    ("five times", [], [*THIRTY, *[129] * 4], "duplicated", [129], "has the value 129 5 times"),
    ("of unknown outcome, twice", [add(7, "info")], [*THIRTY, 7, 7], "duplicated", [7], "has the value 7 2 times"),
    ("two, each twice", [], [*THIRTY, 101, 100], "duplicated", [100, 101], "2 times"),
]


@pytest.mark.parametrize(("further", "elements", "kind", "values", "says"), [case[1:] for case in PLANTED])
def test_what_was_planted_is_found_counted_and_shown_with_its_operations(
    further: list[dict[str, Any]], elements: list[int], kind: str, values: list[int], says: str
) -> None:
    figures = found_in(adds(THIRTY) + further + scan(elements), len(elements))
    kinds = {"lost": 0, "unexpected": 0, "duplicated": 0} | {kind: len(values)}
    assert {name: figures[name] for name in kinds} == kinds
    assert len(figures["witnesses"]) == min(20, len(values))
    for witness, value in zip(figures["witnesses"], values, strict=False):
        assert f"value {value}" in witness["what"]
        assert says in witness["what"]
        assert {operation["value"] for operation in witness["operations"]} == {value}
        ops = [operation["op"] for operation in witness["operations"]]
        scans = {"lost": 0, "unexpected": 1, "duplicated": 2}[kind]
        assert ops == ["add"] * ("never" not in says) + ["scan"] * scans


def test_every_kind_of_anomaly_has_its_share_of_twenty_witnesses() -> None:
    rows = adds(range(100)) + scan([*range(50, 100), *range(50, 100), 777])
    whats = [witness["what"] for witness in found_in(rows, 101)["witnesses"]]
    shares = [sum(word in what for what in whats) for word in ("does not have it", "never added", "2 times")]
    assert shares in ([10, 1, 9], [9, 1, 10])


def test_a_history_that_holds_has_no_witnesses() -> None:
    assert "witnesses" not in figures_of(adds(THIRTY) + scan(THIRTY), scanned(30))[1]


@pytest.mark.parametrize(
    ("rows", "elements"),
    [
        (adds(THIRTY), THIRTY[::-1]),  # a set has no order
        (adds(THIRTY[::-1]), THIRTY),
        (adds(THIRTY) + adds([5], first_ms=1_000_005), [*THIRTY, 5]),  # in flight with the scan, and seen by it
        ([*adds(THIRTY), add(5, "info", return_ns=None)], THIRTY),
        ([*adds(THIRTY), add(5, "info", scheduled_ns=0, invoke_ns=0)], [5, *THIRTY]),
        ([*adds(THIRTY), add(5, "fail", error="refused")], THIRTY),
        (adds(THIRTY[:15], vantage="a") + adds(THIRTY[15:], vantage="b"), THIRTY[15:] + THIRTY[:15]),
    ],
)
def test_what_looks_wrong_but_is_allowed_passes(rows: list[dict[str, Any]], elements: list[int]) -> None:
    assert figures_of(rows + scan(elements), scanned(len(elements)))[0] is State.HOLDS


def test_scans_of_registers_in_the_same_history_are_no_elements() -> None:
    registers = scan([1, 2], 2_000_000, key="x")
    assert figures_of(adds(THIRTY) + scan(THIRTY) + registers, scanned(30))[0] is State.HOLDS
    named = [{**row, "key": "s"} for row in adds(THIRTY) + scan(THIRTY)]
    assert figures_of(named + registers, scanned(30))[0] is State.HOLDS


def test_a_scan_that_is_known_by_its_beginning_is_judged_by_whatever_came_after() -> None:
    rows = adds(THIRTY) + scan(THIRTY) + scan(THIRTY[1:], 2_000_000)
    scan_record = FinalScan(converged=True, elements=30, invoke_ns=rows[30]["invoke_ns"])
    assert figures_of(rows, Context(final_scan=scan_record))[0] is State.HOLDS
    assert figures_of(rows, scanned(29))[0] is State.VIOLATED


def test_what_one_side_of_a_cut_lost_is_told_from_the_other_by_route() -> None:
    rows = (
        adds(range(30), vantage="b", route="direct")
        + adds(range(30, 40), vantage="b", route="service")
        + adds([40, 41], "info", vantage="b", route="service")
        + adds(range(50, 70), vantage="a", route="service")
        + adds(range(70, 80), vantage="d", route="service")  # of no side
        + adds([90], "fail", vantage="c", error="overload")
    )
    gone = {5, 25, 31, 41, 79}
    left = [row["value"] for row in rows if row["outcome"] != "fail" and row["value"] not in gone]
    context = replace(scanned(len(left)), sides=SIDES)
    _, figures = figures_of(rows + scan(left), context)
    names = ("attempted", "acked", "survived", "lost", "unacked_found", "lost_window_seconds")
    by_part = {
        (side, route): tuple(part[name] for name in names)
        for side, routes in figures["by_side"].items()
        for route, part in routes.items()
    }
    assert by_part == {
        ("minority", "all"): (42, 40, 37, 3, 1, 0.242),
        ("minority", "direct"): (30, 30, 28, 2, 0, 0.202),
        ("minority", "service"): (12, 10, 9, 1, 1, 0.002),
        ("majority", "all"): (20, 20, 20, 0, 0, 0),
        ("majority", "service"): (20, 20, 20, 0, 0, 0),
    }
    assert (figures["lost"], figures["attempted"]) == (4, 72)  # those of no side are in the totals
    assert figures_of(rows + scan(left), scanned(len(left)))[1]["by_side"] == {}


def test_a_side_that_sent_no_adds_has_no_entry() -> None:
    rows = adds(THIRTY, vantage="a") + adds([7], "fail", vantage="b", error="overload")
    context = replace(scanned(30), sides=SIDES | {"apart": ("z",), "empty": ()})
    assert list(figures_of(rows + scan(THIRTY), context)[1]["by_side"]) == ["majority"]
