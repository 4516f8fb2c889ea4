from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from support.checkers.histories import SIDES, adds, history, operation, run_record, scan, scanned, table

from caplab.check import CHECKERS, Checker, Context, Finding, State, check_history, merge, run_checker
from caplab.check.finding import ENOUGH
from caplab.model.history import Table

HOLDS, VIOLATED, UNKNOWN = State.HOLDS, State.VIOLATED, State.UNKNOWN


@pytest.mark.parametrize(
    ("states", "merged"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, UNKNOWN], UNKNOWN),
        ([UNKNOWN, VIOLATED, HOLDS], VIOLATED),
        ([VIOLATED, UNKNOWN], VIOLATED),
        ([], UNKNOWN),
    ],
)
def test_violated_beats_unknown_beats_holds_and_nothing_is_unknown(states: list[State], merged: State) -> None:
    assert merge(states) is merged
    assert merge(reversed(states)) is merged


def test_states_have_their_names_in_json() -> None:
    assert [state.value for state in (HOLDS, VIOLATED, UNKNOWN)] == ["valid", "invalid", "unknown"]


def test_a_checker_that_raises_has_found_nothing_and_its_error_is_kept() -> None:
    def broken(table: Table, context: Context) -> Finding:
        raise ZeroDivisionError("oh no")

    finding = run_checker(Checker(name="broken", check=broken, applies=lambda history: ""), history([]), Context())
    assert (finding.property, finding.state) == ("broken", UNKNOWN)
    assert "ZeroDivisionError: oh no" in finding.reason
    assert "in broken" in finding.error
    assert finding.to_json()["error"] == finding.error


MANY = 3_000
OF_MANY = {
    "durability": adds(range(MANY)) + scan([0]),
    "ids": [operation(10 * number, op="id", value=7) for number in range(MANY)],
    "counters": [operation(10 * number, op="read", value=5, key="c") for number in range(MANY)]
    + [operation(0, op="incr", value=1, key="c", session=2)],
    "queue": [
        operation(10 * number, op=op, value=number, session=session)
        for number in range(MANY)
        for session, op in enumerate(("enqueue", "dequeue", "dequeue"))
    ],
    "load": [operation(10 * number, op="load", key="k", session=number) for number in range(MANY)],
    "registers": [operation(10 * number, op="write", key="k", value=7) for number in range(MANY)],
    "sessions": [operation(0, key="k", value=1)]
    + [operation(10 + 10 * number, op="read", key="k", value=1) for number in range(MANY)],
    "staleness": [operation(0, key="k", value=1)]
    + [operation(10 + 10 * number, op="read", key="k", value=1) for number in range(MANY)],
    "availability": [operation(10 * number) for number in range(MANY)],
    "schedule": [operation(10 * number) for number in range(MANY)],
}


@pytest.mark.parametrize("name", OF_MANY)
@pytest.mark.parametrize("enough", [1, 12_345])
def test_every_number_in_a_reason_has_its_thousands_apart(name: str, enough: int) -> None:
    finding = CHECKERS[name].check(history(OF_MANY[name]), replace(scanned(1), enough=enough, standalone=True))
    assert re.search(r"\d,\d{3}", finding.reason), finding.reason
    assert not re.search(r"\d{4}", finding.reason), finding.reason


OF_SETS = {"durability", "epochs", "availability", "schedule"}


def test_every_checker_runs_on_a_plain_table_and_its_figures_are_json() -> None:
    values = range(30)
    rows = adds(values, epoch="1") + scan(values)
    findings = check_history(table(rows), scanned(30))
    assert [finding.property for finding in findings] == list(CHECKERS)
    assert {finding.property for finding in findings if finding.state is HOLDS} == OF_SETS
    for finding in findings:
        assert json.loads(json.dumps(finding.to_json())) == finding.to_json()
        assert not finding.error


def test_a_checker_applies_where_it_has_something_to_look_at_and_else_says_why_not() -> None:
    rows = adds(range(30), epoch="1") + scan(range(30))
    reasons = {name: checker.applies(history(rows)) for name, checker in CHECKERS.items()}
    assert {name for name, reason in reasons.items() if not reason} == OF_SETS
    assert reasons["counters"] == "no operation is an incr"
    assert all(checker.applies(history([])) for checker in CHECKERS.values())


def test_enough_operations_are_as_many_as_the_context_says() -> None:
    rows = adds(range(5), epoch="1") + scan(range(5))
    names = ("durability", "epochs", "availability", "schedule")
    for enough, state in ((5, HOLDS), (6, UNKNOWN), (ENOUGH, UNKNOWN)):
        findings = check_history(table(rows), replace(scanned(5), enough=enough), names)
        assert {finding.state for finding in findings} == {state}


def test_every_checker_is_unknown_about_an_empty_history() -> None:
    findings = check_history(table([]), Context())
    assert {finding.state for finding in findings} == {UNKNOWN}
    assert not any(finding.error for finding in findings)


def test_checkers_may_be_chosen_and_a_wrong_name_is_refused_with_those_there_are() -> None:
    assert [finding.property for finding in check_history(table([]), Context(), ["epochs"])] == ["epochs"]
    with pytest.raises(ValueError, match=r"no checker 'epoch'. Hint: use one of durability, staleness"):
        check_history(table([]), Context(), ["epoch"])


def test_checkers_know_of_a_run_what_its_record_says() -> None:
    run = run_record(sides=SIDES, has_primary=False, settled_ns=7, steady_ns=5)
    context = Context.of(run)
    assert (context.sides, context.enough, context.has_primary) == (SIDES, ENOUGH, False)
    assert (context.settled_ns, context.steady_ns, context.fault_windows) == (7, 5, run.fault_windows)
    assert Context().sides == Context.of(run_record()).sides == {}
