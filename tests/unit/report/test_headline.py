from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.checkers.histories import (
    CUT_TITLE,
    at,
    cut_report,
    cut_run,
    kill,
    killed_run,
    node_kill_report,
    report_of,
    run_record,
)

from caplab.check import Finding, State
from caplab.model.expectations import Promise, PropertyExpectation
from caplab.report import RunReport
from caplab.report.headline import headline
from caplab.verdict import Judgement, Verdict
from caplab.verdict.served import Outage, ServedSides, served_sides


def judged(name: str, promise: Promise = Promise.POSSIBLE, state: State = State.HOLDS, **fields: Any) -> Judgement:
    expected = PropertyExpectation(
        property=name, promise=promise, side=fields.pop("side", None), route=fields.pop("route", None)
    )
    return Judgement(expected=expected, state=state, reason="", **fields)


def line(*judgements: Judgement, state: State = State.HOLDS, fault: str = "kill-primary", reason: str = "") -> str:
    """Return the headline of a run in which 100 writes were acked, and so judged."""
    record = run_record(fault=fault, fault_windows=() if fault == "none" else (kill(),))
    acked = Finding(property="durability", state=State.HOLDS, reason="", figures={"acked": 100})
    verdict = Verdict("row", state, (reason,) if reason else (), judgements)
    return headline(
        RunReport(name="row", run_id="run-1", record=record, verdict=verdict, findings=(acked,), clock=None, seconds={})
    ).line


def test_a_run_that_loses_what_it_may_lose_is_as_promised_and_says_how_much() -> None:
    shown = headline(cut_report(zone_down_ms=0, lost=300))
    assert (shown.title, shown.verdict, shown.state) == (CUT_TITLE, "AS PROMISED", State.HOLDS)
    assert shown.line == ("AS PROMISED: 300 of 5,867 acknowledged writes lost, 1,600 split-brain writes")


def test_the_time_is_that_of_the_side_that_the_row_judges_with_the_other_beside_it() -> None:
    shown = headline(cut_report())
    assert shown.served == (
        "the majority wrote again after 2.02 s and read throughout; the cut-off zone wrote nothing for 40.0 s"
    )
    assert shown.outage == Outage(2.022)
    sides = shown.sides
    assert sides.judged is not None
    assert sides.other is not None
    assert (sides.judged.side, sides.judged.zones, sides.judged.route) == ("majority", ("a", "c"), "service")
    assert (sides.other.side, sides.other.zones, sides.other.outage) == ("minority", ("b",), Outage(40.022))
    whole = next(finding for finding in cut_report().findings if finding.property == "availability")
    assert whole.figures["failover_seconds"] == 40.022  # that of all clients, which is not the run's


def test_a_side_that_was_served_throughout_says_so() -> None:
    assert headline(cut_report(zone_down_ms=0)).served.endswith("; the cut-off zone was served throughout the fault")
    assert headline(cut_report(majority_down_ms=0)).served.startswith("the majority was served throughout the fault; ")


def test_a_zone_that_wrote_for_a_while_into_the_fault_is_not_said_to_have_written_nothing() -> None:
    rows = [row | {"outcome": "ok", "error": None} if row.get("value") == 1003 else row for row in cut_run()]
    report, late = cut_report(), cut_report(rows)
    assert "nothing" in headline(report).served
    assert "nothing" not in headline(late).served


def test_an_outage_that_the_history_ends_in_is_a_lower_bound() -> None:
    shown = headline(cut_report(zone_down_ms=90_000, majority_down_ms=90_000))
    assert shown.served == (
        "the majority did not write again within 50.0 s and read throughout; "
        "the cut-off zone wrote nothing for at least 50.0 s"
    )
    assert shown.line.startswith(
        "PROMISE BROKEN: failover time, on the majority, via service ≥ 49.992 s (promised: ≤ 6.0 s)"
    )


def test_writes_and_reads_are_told_apart_if_one_was_out_for_much_longer() -> None:
    at_all = headline(node_kill_report(mode="ALL-ONE", writes_down_ms=42_000))
    assert at_all.served == "clients wrote again after 42.0 s and read again after 0.32 s"
    assert at_all.outage == Outage(42.022)
    assert headline(node_kill_report()).served == "clients were served again after 0.32 s"


@pytest.mark.parametrize(
    ("began", "ended", "told"),
    [
        (
            24_000,
            27_000,
            "clients were served again after 2.02 s, and after the heal could not write for another 3.00 s",
        ),
        (24_000, 60_000, "clients were served again after 2.02 s, and after the heal could not write until the end"),
        (24_000, 24_500, "clients were served again after 2.02 s"),  # a blink
    ],
)
def test_an_outage_after_the_heal_is_told_too(began: int, ended: int, told: str) -> None:
    rows = killed_run()
    for row in rows:
        at_ms = (row["scheduled_ns"] - at(0)) / 1e6
        if row["op"] == "add" and began <= at_ms < ended:
            row |= {"outcome": "fail", "error": "refused"}
    assert headline(report_of(rows, fault_windows=(kill(10_000, 22_000),))).served == told


def test_an_outage_after_the_heal_names_its_zone_if_others_had_none() -> None:
    rows = killed_run()
    for row in rows:
        at_ms = (row["scheduled_ns"] - at(0)) / 1e6
        if row["op"] == "add" and row["vantage"] == "b" and 24_000 <= at_ms < 27_000:
            row |= {"outcome": "fail", "error": "refused"}
    told = headline(report_of(rows, fault_windows=(kill(10_000, 22_000),))).served
    assert told.endswith(", and after the heal could not write in zone b for another 3.00 s")


def test_what_the_other_side_lost_stands_beside_how_it_was_served() -> None:
    told = headline(cut_report(zone_down_ms=0, lost=300)).served
    assert told.endswith(
        "; the cut-off zone was served throughout the fault, and lost 300 of 2,000 acknowledged writes"
    )


def test_a_control_in_which_nothing_happened_says_so() -> None:
    rows = [row | {"epoch": "1"} for row in killed_run(down_ms=0)]
    shown = headline(report_of(rows, fault="none", fault_windows=()))
    assert (shown.line, shown.served, shown.outage) == ("nothing happened, AS PROMISED", "", None)


@pytest.mark.parametrize(
    ("judgement", "expected"),
    [
        (judged("stampedeMax", measured=3.0), "nothing happened, AS PROMISED"),  # a cache loads its keys at any time
        (judged("stale", measured=5, of=9), "nothing happened, AS PROMISED"),
        (judged("lostUpdates", Promise.MUST_SHOW, measured=2), "AS PROMISED: 2 lost updates, none of 100 "),
    ],
)
def test_what_must_show_without_a_fault_is_an_event_and_what_may_is_none(judgement: Judgement, expected: str) -> None:
    assert line(judgement, fault="none").startswith(expected)


def test_a_broken_promise_is_told_first_beside_what_was_promised() -> None:
    lost = judged("lost", Promise.FORBIDDEN, State.VIOLATED, measured=2, of=100)
    stale = judged("stale", measured=1, of=50)
    assert line(stale, lost, state=State.VIOLATED) == (
        "PROMISE BROKEN: 2 of 100 acknowledged writes lost (promised: none), 1 case of stale reads"
    )
    many = judged("lost", Promise.BOUNDED, State.VIOLATED, measured=2, of=100, limit=1.0)
    assert "2 of 100 acknowledged writes lost (promised: ≤ 1)" in line(many, state=State.VIOLATED)


def test_what_proves_nothing_says_why_and_still_what_it_cost() -> None:
    lost = judged("lost", measured=2, of=100)
    doubt = line(lost, state=State.UNKNOWN, reason="There is no evidence of the fault.")
    assert doubt == "NOT PROVEN: There is no evidence of the fault, 2 of 100 acknowledged writes lost"
    must = judged("twoPrimaries", Promise.MUST_SHOW, State.UNKNOWN, measured=0, of=90)
    assert line(must, state=State.UNKNOWN, reason="it must show here") == (
        "NOT PROVEN: 0 split-brain writes (promised: must show)"
    )


def test_only_the_first_costs_are_named() -> None:
    every = [judged(name, measured=2) for name in ("lost", "stale", "dirty", "readYourWrites", "monotonicReads")]
    assert line(*every).endswith(", and 1 more")


def test_a_figure_of_a_side_is_not_told_beside_that_of_all() -> None:
    both = (judged("lost", measured=3, of=100), judged("lost", measured=3, of=40, side="minority"))
    assert line(*both) == "AS PROMISED: 3 of 100 acknowledged writes lost"
    assert line(both[1]) == "AS PROMISED: 3 of 40 acknowledged writes lost on the minority"


def test_times_of_a_cache_and_shares_are_costs() -> None:
    recovered = judged("timeToRecover", measured=42.5, at_least=True)
    share = judged("unackedShare", measured=0.25)
    assert line(recovered, share) == (
        "AS PROMISED: time to recover: at least 42.5 s, 25 % of operations not acknowledged under the fault, "
        "none of 100 acknowledged writes lost"
    )


def test_nothing_is_known_of_how_clients_were_served_without_a_finding_of_availability() -> None:
    report = cut_report()
    assert served_sides(report.record, report.verdict, ()) == ServedSides()
    unknown = Finding(property="availability", state=State.UNKNOWN, reason="", figures={"failover_seconds": 1.0})
    assert served_sides(report.record, report.verdict, (unknown,)) == ServedSides()
    assert headline(replace(report, findings=())).served == "how long clients were not served was not measured"
    assert (
        "whether acknowledged writes were lost was not measured"
        in headline(replace(report, findings=(), verdict=Verdict("row", State.HOLDS, (), ()))).line
    )


def test_a_sides_figures_that_are_missing_are_those_of_all_clients() -> None:
    whole = Finding(property="availability", state=State.VIOLATED, reason="", figures={"failover_seconds": 7.0})
    report = replace(cut_report(), findings=(whole,))
    shown = headline(report)
    assert (shown.served, shown.outage) == ("clients were served again after 7.00 s", Outage(7.0))
