"""What the rows of a history that stands alone say of its own final scan."""

from __future__ import annotations

from typing import Any

import pytest
from support.checkers.histories import Row, adds, at, history, operation, scan

from caplab.check import durability, standalone
from caplab.check.finding import State
from caplab.model.runs import FinalScan

VALUES = range(5)


def scan_of(rows: list[Row]) -> FinalScan:
    scan_record = standalone.final_scan(history(rows))
    assert scan_record
    return scan_record


def judged(rows: list[Row]) -> tuple[State, str]:
    table = history(rows)
    finding = durability.check(table, standalone.context_of(table))
    return finding.state, finding.reason


def some(elements: Any, ms: float = 1000, **columns: Any) -> list[Row]:
    return scan(elements, ms, **columns)


def test_without_a_scan_there_is_none() -> None:
    assert standalone.final_scan(history(adds(VALUES))) is None
    assert judged(adds(VALUES)) == (State.UNKNOWN, "There is no record of a final scan.")


def test_the_last_scan_counts_and_one_before_the_end_of_the_load_does_not() -> None:
    rows = adds(VALUES) + some([0], 20) + some(VALUES)
    assert scan_of(rows) == FinalScan(converged=True, elements=5, invoke_ns=at(1000))
    assert judged(rows)[0] is State.HOLDS


def test_one_operation_is_enough_unless_more_are_asked_for() -> None:
    table = history(adds([1]) + some([1]))
    assert durability.check(table, standalone.context_of(table)).state is State.HOLDS
    assert durability.check(table, standalone.context_of(table, 2)).state is State.UNKNOWN


def test_a_scan_that_found_nothing_may_say_so_in_a_row_without_a_value() -> None:
    nothing = [operation(1000, op="scan")]
    assert scan_of(adds(VALUES) + nothing) == FinalScan(converged=True, elements=0, invoke_ns=at(1000))
    assert judged(adds(VALUES) + nothing) == (State.VIOLATED, "Of 5 acked elements: 5 lost.")


@pytest.mark.parametrize("outcome", ["fail", "info"])
def test_a_row_that_is_not_ok_makes_the_scan_a_failed_one(outcome: str) -> None:
    rows = adds(VALUES) + some([0, 1]) + [operation(1000, outcome, op="scan", error="timeout")]
    assert scan_of(rows).elements is None
    assert judged(rows) == (State.UNKNOWN, "The final scan failed: 1 row of it is not ok.")
    again = rows + some(VALUES, 2000)
    assert judged(again)[0] is State.HOLDS


def test_adds_that_were_acked_after_the_scan_began_make_it_too_early_but_others_do_not() -> None:
    early = adds(VALUES) + some(VALUES[:-1], 41)  # the last add returns at 42
    assert not scan_of(early).converged
    assert judged(early)[0] is State.UNKNOWN
    assert "1 acked operation had not returned when it began" in judged(early)[1]
    assert judged(adds(VALUES) + some(VALUES, 41))[0] is State.HOLDS
    assert judged(adds(VALUES) + some(VALUES[1:-1], 41)) == (State.VIOLATED, "Of 5 acked elements: 1 lost.")
    assert judged(adds(VALUES) + some(VALUES, 42))[0] is State.HOLDS
    for outcome in ("info", "fail"):
        assert judged(adds(VALUES) + adds([9], outcome, first_ms=999) + some(VALUES))[0] is State.HOLDS
        assert judged(adds(VALUES) + adds([9], outcome, first_ms=1999) + some(VALUES))[0] is State.HOLDS


def test_a_scan_of_all_members_together_counts_and_else_one_through_the_service() -> None:
    direct = some([0], 2000, server="m-0", route="direct")
    service = some(VALUES, 1500, server="m-1", route="service")
    together = some(range(4), 1000, server="all", route="service")
    assert scan_of(adds(VALUES) + direct).elements == 1
    assert scan_of(adds(VALUES) + direct + service) == FinalScan(
        converged=True, elements=5, server="m-1", invoke_ns=at(1500)
    )
    assert scan_of(adds(VALUES) + direct + service + together) == FinalScan(
        converged=True, elements=4, server="all", invoke_ns=at(1000)
    )
    nameless = [{**row, "server": None} for row in direct + service]
    assert judged(adds(VALUES) + nameless)[0] is State.HOLDS  # and not by what came later, straight to a member


def test_members_whose_last_scans_differ_have_not_converged() -> None:
    members = [some(VALUES, 1000, server="m-0"), some([4, 3, 2, 1, 0], 1001, server="m-1")]
    assert scan_of(adds(VALUES) + members[0] + members[1]) == FinalScan(
        converged=True, elements=5, server="m-1", invoke_ns=at(1001)
    )
    differ = adds(VALUES) + members[0] + members[1] + some([0, 1, 2, 3], 1002, server="m-2")
    assert judged(differ)[0] is State.UNKNOWN
    assert "the last scans of 'm-2' and 'm-0' differ (4 and 5 elements)" in judged(differ)[1]
    at_once = adds(VALUES) + members[0] + some([0], 1000, server="m-1")
    assert judged(at_once)[0] is State.UNKNOWN
    assert judged(differ + some(VALUES, 1003, server="m-2"))[0] is State.HOLDS


def test_of_sets_and_registers_in_one_history_the_scan_of_the_sets_counts() -> None:
    registers = [operation(0, key="x", value=9, latency_ms=5000), *some([9], 6000, key="x")]
    assert scan_of(adds(VALUES) + some(VALUES) + registers) == FinalScan(converged=True, elements=5, invoke_ns=at(1000))
    assert judged(adds(VALUES) + some(VALUES) + registers)[0] is State.HOLDS
    assert scan_of(registers) == FinalScan(converged=True, elements=1, invoke_ns=at(6000))
