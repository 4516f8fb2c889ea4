from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.checkers.histories import NEW_ID, OLD_ID, REDIS, kill, operation, run_record, scan, table

from caplab.check import Context, Finding, State, check_history
from caplab.files.expectations_file import read
from caplab.model.expectations import Expectation, Promise, PropertyExpectation
from caplab.model.runs import Baseline, FinalScan
from caplab.verdict import Verdict, judge

TABLE = read(Path(__file__).parents[3] / "experiments" / "expectations.yaml")


def row(*properties: PropertyExpectation, fault: str = "kill-primary", route: str | None = None) -> Expectation:
    of_route = tuple(replace(expected, route=expected.route or route) for expected in properties)
    return Expectation(engine="postgres", mode="async", fault=fault, properties=of_route, why="why", source="source")


def durability(state: State = State.HOLDS, **figures: Any) -> Finding:
    return Finding(property="durability", state=state, reason="as found", figures={"lost": 0, **figures})


def availability(**figures: Any) -> Finding:
    return Finding(
        property="availability", state=State.VIOLATED, reason="as found", figures={"failover_seconds": 12.0, **figures}
    )


FORBIDDEN = row(PropertyExpectation(property="lost", promise=Promise.FORBIDDEN))
BOUNDED = row(
    PropertyExpectation(property="failoverTime", promise=Promise.BOUNDED, budget="ttl + loopWait + 2s")
)  # 27 s


@pytest.mark.parametrize(
    ("promise", "lost", "state"),
    [
        (Promise.FORBIDDEN, 0, State.HOLDS),
        (Promise.FORBIDDEN, 1, State.VIOLATED),
        (Promise.POSSIBLE, 0, State.HOLDS),
        (Promise.POSSIBLE, 9, State.HOLDS),
        (Promise.MUST_SHOW, 1, State.HOLDS),
        (Promise.MUST_SHOW, 0, State.UNKNOWN),
    ],
)
def test_a_promise_is_held_against_its_figure(promise: Promise, lost: int, state: State) -> None:
    assert (
        judge(row(PropertyExpectation(property="lost", promise=promise)), run_record(), [durability(lost=lost)]).state
        is state
    )


@pytest.mark.parametrize(("seconds", "state"), [(19.9, State.UNKNOWN), (20.0, State.HOLDS), (95.0, State.HOLDS)])
def test_what_must_show_for_so_long_is_unknown_where_it_was_shorter(seconds: float, state: State) -> None:
    verdict = judge(
        row(PropertyExpectation(property="failoverTime", promise=Promise.MUST_SHOW, budget="ttl")),
        run_record(),
        [availability(failover_seconds=seconds)],
    )
    assert verdict.state is state
    assert verdict.judgements[0].limit == 20
    if state is State.UNKNOWN:
        assert verdict.reasons == ("failoverTime: 19.900 s; at least 20.000 s (ttl): it must show here, and did not.",)


@pytest.mark.parametrize(("seconds", "state"), [(27.0, State.HOLDS), (27.001, State.VIOLATED)])
def test_a_budget_is_worked_out_from_the_settings_in_force(seconds: float, state: State) -> None:
    verdict = judge(BOUNDED, run_record(), [availability(failover_seconds=seconds)])
    assert verdict.state is state
    (judgement,) = verdict.judgements
    assert (judgement.measured, judgement.limit, judgement.unit) == (seconds, 27.0, "s")
    assert "the budget is 27.000 s (ttl + loopWait + 2s)" in judgement.reason


def test_a_setting_that_was_not_read_back_leaves_its_budget_unknown() -> None:
    verdict = judge(BOUNDED, run_record(settings={"ttl": 20}), [availability()])
    assert verdict.state is State.UNKNOWN
    assert "names 'loopWait'" in verdict.reasons[0]


def test_a_lower_bound_within_the_budget_is_unknown_and_beyond_it_violated() -> None:
    open_end = {"lower_bounds": ["failover_seconds"]}
    assert judge(BOUNDED, run_record(), [availability(**open_end)]).state is State.UNKNOWN
    beyond = judge(BOUNDED, run_record(), [availability(failover_seconds=28.0, **open_end)])
    assert beyond.state is State.VIOLATED
    assert "at least 28.000 s" in beyond.reasons[0]


def test_only_what_the_row_names_counts() -> None:
    findings = [durability(lost=0, duplicated=5), availability(failover_seconds=1e6)]
    assert judge(FORBIDDEN, run_record(), findings).state is State.HOLDS


def test_a_row_with_a_route_is_judged_by_that_route() -> None:
    by_route = {"service": {"failover_seconds": 30.0, "lower_bounds": []}, "direct": {"failover_seconds": 3.0}}
    expected = BOUNDED.properties[0]
    for route, state in (("service", State.VIOLATED), ("direct", State.HOLDS), ("replica", State.UNKNOWN)):
        assert judge(row(expected, route=route), run_record(), [availability(by_route=by_route)]).state is state
    assert judge(
        row(PropertyExpectation(property="lost", promise=Promise.FORBIDDEN), route="service"),
        run_record(),
        [durability()],
    ).state is (State.HOLDS)


@pytest.mark.parametrize(
    ("findings", "says"),
    [
        ([], "lost: the checker 'durability' did not run"),
        ([durability(State.UNKNOWN, lost=5)], "lost: as found"),
        ([durability(lost="many")], "gives no number 'lost'"),
    ],
)
def test_what_was_not_measured_is_unknown(findings: list[Finding], says: str) -> None:
    for promise in (Promise.FORBIDDEN, Promise.POSSIBLE):
        verdict = judge(row(PropertyExpectation(property="lost", promise=promise)), run_record(), findings)
        assert verdict.state is State.UNKNOWN
        assert says in verdict.reasons[0]


def test_one_violation_beats_what_is_unknown_and_is_told_first() -> None:
    both = row(*BOUNDED.properties, *FORBIDDEN.properties)
    verdict = judge(both, run_record(settings={}), [durability(lost=2), availability()])
    assert verdict.state is State.VIOLATED
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["lost", "failoverTime"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fault_windows": ()}, "no evidence of the fault"),
        ({"fault_windows": (kill(proven=False),)}, "no evidence that the kill of pg-0 was live"),
        ({"fault_windows": (kill(), kill(proven=False))}, "no evidence that the kill of pg-0 was live"),
        ({"baseline": None}, "no record of a baseline"),
        ({"baseline": Baseline(False, "pg-2 lags")}, "The run did not go as planned: pg-2 lags"),
        ({"mode": "quorum"}, "The run is postgres quorum kill-primary, the row postgres async kill-primary"),
    ],
)
@pytest.mark.parametrize("lost", [0, 3])
def test_a_run_that_is_no_case_of_its_row_is_unknown_whatever_it_measured(
    change: dict[str, Any], says: str, lost: int
) -> None:
    verdict = judge(FORBIDDEN, run_record(**change), [durability(lost=lost)])
    assert verdict.state is State.UNKNOWN
    assert says in verdict.reasons[0]
    assert (verdict.reasons[-1] == "lost: 3; forbidden.") == bool(lost)


def test_a_control_run_that_had_a_fault_is_no_control_run() -> None:
    control = row(PropertyExpectation(property="lost", promise=Promise.FORBIDDEN), fault="none")
    assert judge(control, run_record(fault="none", fault_windows=()), [durability()]).state is State.HOLDS
    verdict = judge(control, run_record(fault="none"), [durability()])
    assert verdict.state is State.UNKNOWN
    assert "A control run, but pg-0 had a kill" in verdict.reasons[0]


def test_a_row_that_demands_nothing_proves_nothing() -> None:
    assert judge(row(), run_record(), []).state is State.UNKNOWN


def test_a_verdict_is_plain_json() -> None:
    verdict = judge(row(*FORBIDDEN.properties, *BOUNDED.properties), run_record(), [durability(lost=1), availability()])
    plain = verdict.to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["verdict"] == "invalid"
    assert plain["reasons"] == ["lost: 1; forbidden."]


def whole_run(mode: str, fault: str, down: range, lose: range = range(0), **record: Any) -> Verdict:
    """A run of 60 s at 10 adds a second: down are those refused, lose those acked and gone, new timeline after."""
    every = range(600)
    rows = [
        operation(100 * n, "fail" if n in down else "ok", op="add", value=n, epoch="1" if n < down.stop else "2")
        for n in every
    ]
    left = [n for n in every if n not in down and n not in lose]
    windows = (kill(5000, 40_000),) if fault == "kill-primary" else ()
    run = run_record(
        **{
            "mode": mode,
            "fault": fault,
            "fault_windows": windows,
            "final_scan": FinalScan(converged=True, elements=len(left)),
        }
        | record
    )
    findings = check_history(table(rows + scan(left)), Context.of(run))
    return judge(TABLE.find("postgres", mode, fault), run, findings)


KILL = range(50, 250)  # 5 s to 25 s


def test_a_kill_with_a_failover_in_time_and_no_loss_is_valid_in_both_modes() -> None:
    for mode in ("async", "quorum"):
        verdict = whole_run(mode, "kill-primary", KILL)
        assert (verdict.state, verdict.reasons) == (State.HOLDS, ())


def test_a_few_lost_writes_are_valid_under_async_and_invalid_under_quorum() -> None:
    lose = range(47, 50)
    assert whole_run("async", "kill-primary", KILL, lose).state is State.HOLDS
    verdict = whole_run("quorum", "kill-primary", KILL, lose)
    assert verdict.state is State.VIOLATED
    assert verdict.reasons == ("lost: 3 of 400; forbidden.",)


def test_large_counts_of_a_reason_are_whole_and_have_separators() -> None:
    verdict = judge(FORBIDDEN, run_record(), [durability(acked=1_234_567, lost=1_000_001)])
    assert verdict.reasons == ("lost: 1,000,001 of 1,234,567; forbidden.",)


def test_a_failover_slower_than_the_settings_allow_is_invalid() -> None:
    verdict = whole_run("async", "kill-primary", range(50, 330))
    assert verdict.state is State.VIOLATED
    assert "failoverTime: 28.002 s; the budget is 27.000 s" in verdict.reasons[0]


def test_a_kill_that_did_not_happen_is_unknown() -> None:
    windows = (kill(5000, 40_000, proven=False),)
    assert whole_run("quorum", "kill-primary", range(0), fault_windows=windows).state is State.UNKNOWN


def test_a_kill_after_which_nobody_was_promoted_is_unknown() -> None:
    verdict = whole_run("quorum", "kill-primary", range(0))
    assert verdict.state is State.UNKNOWN
    assert verdict.reasons == ("failovers: it must show here, and did not.",)


def test_a_control_run_is_valid_only_without_outage_loss_or_failover() -> None:
    quiet = range(0)
    assert whole_run("async", "none", quiet).state is State.HOLDS
    assert whole_run("async", "none", quiet, range(5, 6)).reasons == ("lost: 1 of 600; forbidden.",)
    verdict = whole_run("async", "none", range(50, 52))
    assert verdict.state is State.VIOLATED
    assert {reason.split(":")[0] for reason in verdict.reasons} == {"outages", "failovers"}


def redis_run(mode: str, fault: str, down: range, lose: range = range(0)) -> Verdict:
    """As whole_run, with replication ids: the id before sorts after the one that follows it."""
    rows = [
        operation(100 * n, "fail" if n in down else "ok", op="add", value=n, epoch=OLD_ID if n < down.stop else NEW_ID)
        for n in range(600)
    ]
    left = [n for n in range(600) if n not in down and n not in lose]
    settings = {"downAfterMilliseconds": 5000, "failoverTimeoutMilliseconds": 500, "writesPerSecond": 10}
    windows = (kill(5000, 17_000),)
    own = {"mode": mode, "fault": fault, "fault_windows": windows, "settings": settings}
    run = run_record(**{**REDIS, **own, "final_scan": FinalScan(converged=True, elements=len(left))})
    return judge(TABLE.find("redis", mode, fault), run, check_history(table(rows + scan(left)), Context.of(run)))


RESTART = range(50, 90)  # 5 s to 9 s: up to downAfter from the injection
BEFORE = range(50)


def test_a_redis_failover_in_time_with_a_few_lost_writes_is_valid() -> None:
    assert redis_run("everysec-wait-0", "kill-primary", range(50, 140), range(45, 50)).reasons == ()
    late = redis_run("everysec-wait-0", "kill-primary", range(50, 160))
    assert late.reasons == ("failoverTime: 11.002 s; the budget is 11.000 s (downAfter + 2 * failoverTimeout + 5s).",)
    many = redis_run("none-wait-0", "kill-primary", range(50, 140), range(39, 50))
    assert many.reasons == ("lost: 11 of 510; the budget is 10 (writesPerSecond * 1s).",)
    assert redis_run("always-wait-1", "kill-primary", range(50, 140), BEFORE).state is State.HOLDS


def test_a_redis_that_keeps_nothing_and_comes_back_must_have_lost_what_was_there() -> None:
    assert redis_run("none-ComeBack", "crash-primary", RESTART, BEFORE).state is State.HOLDS
    kept = redis_run("none-ComeBack", "crash-primary", RESTART)
    assert (kept.state, kept.reasons) == (State.UNKNOWN, ("lost: it must show here, and did not.",))


def test_a_redis_that_keeps_all_and_comes_back_must_have_lost_nothing() -> None:
    assert redis_run("always-ComeBack", "crash-primary", RESTART).state is State.HOLDS
    assert redis_run("always-ComeBack", "crash-primary", RESTART, range(49, 50)).reasons == (
        "lost: 1 of 560; forbidden.",
    )
    assert redis_run("everysec-ComeBack", "crash-primary", RESTART, range(30, 50)).state is State.HOLDS
    assert redis_run("everysec-ComeBack", "crash-primary", RESTART, range(29, 50)).state is State.VIOLATED


def test_a_redis_primary_that_comes_back_after_the_sentinels_took_it_for_down_is_invalid() -> None:
    late = redis_run("always-ComeBack", "crash-primary", range(50, 101))
    assert late.reasons == ("failoverTime: 5.102 s; the budget is 5.000 s (downAfter).",)


SIDES = {
    "minority": {
        "all": {"write_outage_seconds": 9.0, "lower_bounds": []},
        "direct": {"write_outage_seconds": 0.5, "writes_served_seconds": 4.0, "lower_bounds": ["write_outage_seconds"]},
    },
    "majority": {"all": {"write_outage_seconds": 1.0}},
}


@pytest.mark.parametrize(
    ("expected", "state", "measured"),
    [
        (
            PropertyExpectation(property="writeOutage", promise=Promise.BOUNDED, budget="ttl / 4", side="minority"),
            State.VIOLATED,
            9.0,
        ),
        (
            PropertyExpectation(property="writeOutage", promise=Promise.BOUNDED, budget="ttl / 4", side="majority"),
            State.HOLDS,
            1.0,
        ),
        (
            PropertyExpectation(
                property="writeOutage", promise=Promise.BOUNDED, budget="ttl / 4", side="minority", route="direct"
            ),
            State.UNKNOWN,
            0.5,
        ),  # a lower bound
        (
            PropertyExpectation(
                property="writesServed", promise=Promise.BOUNDED, budget="ttl / 4", side="minority", route="direct"
            ),
            State.HOLDS,
            4.0,
        ),
        (
            PropertyExpectation(
                property="writesServed", promise=Promise.MUST_SHOW, budget="ttl", side="minority", route="direct"
            ),
            State.UNKNOWN,
            4.0,
        ),
        (
            PropertyExpectation(
                property="writeOutage", promise=Promise.FORBIDDEN, budget=None, side="minority", route="service"
            ),
            State.UNKNOWN,
            None,
        ),
        (
            PropertyExpectation(property="writeOutage", promise=Promise.FORBIDDEN, budget=None, side="elsewhere"),
            State.UNKNOWN,
            None,
        ),
    ],
)
def test_a_demand_on_a_side_and_a_route_is_held_against_the_figures_there(
    expected: PropertyExpectation, state: State, measured: float | None
) -> None:
    verdict = judge(row(expected), run_record(), [availability(by_side=SIDES)])
    assert (verdict.state, verdict.judgements[0].measured) == (state, measured)
    if state is not State.HOLDS:
        assert verdict.reasons[0].startswith(f"{expected.name()}: ")


def test_a_route_may_be_a_row_of_figures_too() -> None:
    stale = Finding(
        property="staleness",
        state=State.VIOLATED,
        reason="",
        figures={"stale": 9, "by_route": [{"route": "replica", "stale": 4, "reads": 8}]},
    )
    verdict = judge(
        row(PropertyExpectation(property="stale", promise=Promise.FORBIDDEN, route="replica")), run_record(), [stale]
    )
    assert verdict.reasons == ("stale (replica): 4 of 8; forbidden.",)
    absent = judge(
        row(PropertyExpectation(property="stale", promise=Promise.FORBIDDEN, route="direct")), run_record(), [stale]
    )
    assert absent.reasons == ("stale (direct): no operation took the route 'direct'.",)


def test_a_list_of_what_violates_counts_as_how_many_they_are() -> None:
    finding = Finding(
        property="registers",
        state=State.VIOLATED,
        reason="",
        figures={"violating_keys": ["x", "y"], "keys": 48, "operations": 900},
    )
    verdict = judge(
        row(PropertyExpectation(property="notLinearizable", promise=Promise.FORBIDDEN)), run_record(), [finding]
    )
    assert verdict.reasons == ("notLinearizable: 2 of 48; forbidden.",)


CONTROL = row(
    PropertyExpectation(property="outages", promise=Promise.FORBIDDEN),
    PropertyExpectation(property="lost", promise=Promise.FORBIDDEN),
    fault="none",
)


def control(**record: Any) -> Any:
    return run_record(**{"fault": "none", "fault_windows": (), **record})


def test_an_outage_that_a_prober_may_have_made_itself_is_unknown() -> None:
    findings = [availability(outages=2), durability()]
    assert judge(CONTROL, control(), findings).state is State.VIOLATED
    verdict = judge(CONTROL, control(prober_standstills={"a": 3.25}), findings)
    assert verdict.state is State.UNKNOWN
    assert "the event loop of a prober stalled: of zone a for 3.2 s. Hint:" in verdict.reasons[0]


def test_a_stall_excuses_no_loss_and_doubts_no_control_run() -> None:
    still = control(prober_standstills={"a": 3.25})
    assert judge(CONTROL, still, [availability(outages=2), durability(lost=1)]).state is State.VIOLATED
    assert judge(CONTROL, still, [availability(outages=0), durability()]).state is State.HOLDS


def test_a_stall_of_the_side_that_was_cut_off_excuses_nothing() -> None:
    sides = {"minority": ("a",), "majority": ("b", "c")}
    findings = [availability(failover_seconds=40.0)]
    assert judge(BOUNDED, run_record(sides=sides, prober_standstills={"a": 9.0}), findings).state is State.VIOLATED
    assert judge(BOUNDED, run_record(sides=sides, prober_standstills={"b": 9.0}), findings).state is State.UNKNOWN
