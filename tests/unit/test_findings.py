from __future__ import annotations

import json

import pytest
from histories import adds, history, scan, scanned, table

from caplab.check import CHECKERS, Context, Finding, State, check_history, merge, run_checker
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

    finding = run_checker("broken", broken, history([]), Context())
    assert (finding.property, finding.state) == ("broken", UNKNOWN)
    assert "ZeroDivisionError: oh no" in finding.reason
    assert "in broken" in finding.error
    assert finding.to_json()["error"] == finding.error


ALL = ["durability", "availability", "epochs", "schedule"]


def test_every_checker_runs_on_a_plain_table_and_its_figures_are_json() -> None:
    values = range(30)
    rows = adds(values, epoch="1") + scan(values)
    findings = check_history(table(rows), scanned(30))
    assert [finding.property for finding in findings] == list(CHECKERS) == ALL
    assert {finding.state for finding in findings} == {HOLDS}
    for finding in findings:
        assert json.loads(json.dumps(finding.to_json())) == finding.to_json()
        assert not finding.error


def test_every_checker_is_unknown_about_an_empty_history() -> None:
    findings = check_history(table([]), Context())
    assert {finding.state for finding in findings} == {UNKNOWN}
    assert not any(finding.error for finding in findings)


def test_checkers_may_be_chosen_and_a_wrong_name_is_refused_with_those_there_are() -> None:
    assert [finding.property for finding in check_history(table([]), Context(), ["epochs"])] == ["epochs"]
    with pytest.raises(ValueError, match=r"no checker 'epoch'. Mend: use one of durability, availability, epochs"):
        check_history(table([]), Context(), ["epoch"])
