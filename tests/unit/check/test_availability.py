from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.checkers.histories import MS, SIDES, at, history, kill, operation

from caplab.check import Context, State
from caplab.check.availability import check

KILLED = Context(fault_windows=(kill(1000, 6000),))  # injected at 1 s, healed at 6 s


def load(down: list[tuple[int, int]] = [], last_ms: int = 10_000, every_ms: int = 10, **columns: Any) -> list[Any]:  # noqa: B006  # read only
    """An operation every 10 ms; those scheduled within a part of down (its end left out) fail."""
    return [
        operation(ms, "fail" if any(low <= ms < high for low, high in down) else "ok", **columns)
        for ms in range(0, last_ms, every_ms)
    ]


def figures_of(rows: list[Any], context: Context = KILLED) -> dict[str, Any]:
    return dict(check(history(rows), context).figures)


def outages_of(figures: dict[str, Any], which: int = 0) -> list[tuple[int, int | None]]:
    return [(outage["start_ns"], outage["end_ns"]) for outage in figures["series"][which]["outages"]]


def test_no_outage_is_no_failover_time() -> None:
    finding = check(history(load()), KILLED)
    assert finding.state is State.HOLDS
    assert (finding.figures["failover_seconds"], finding.figures["outages"]) == (0, 0)


def test_an_outages_edges_are_exact_to_an_operation() -> None:
    finding = check(history(load([(1030, 3270)])), KILLED)
    assert finding.state is State.VIOLATED
    # From the first operation that failed to the return (2 ms) of the first that was acked again.
    assert outages_of(dict(finding.figures)) == [(at(1030), at(3272))]
    assert finding.figures["failover_seconds"] == 2.272


def test_five_percent_of_a_window_is_no_outage_and_more_is() -> None:
    def one_window(failed: int) -> dict[str, Any]:
        rows = load(every_ms=5)  # 20 operations in 100 ms
        for row in rows[220 : 220 + failed]:  # from 1100 ms
            row["outcome"] = "fail"
        return figures_of(rows)

    assert one_window(1)["outages"] == 0
    assert outages_of(one_window(2)) == [(at(1100), at(1112))]


def test_failover_time_is_that_of_the_last_outage_that_began_before_heal() -> None:
    figures = figures_of(load([(1000, 1500), (4000, 4500), (7000, 7500)]))
    assert figures["failover_seconds"] == 3.502
    assert (figures["outages"], figures["later_outages"]) == (3, 1)


def test_an_outage_that_outlasts_the_fault_counts_in_full() -> None:
    assert figures_of(load([(1000, 8000)]))["failover_seconds"] == 7.002


def test_an_outage_over_before_the_injection_is_not_the_faults() -> None:
    figures = figures_of(load([(300, 500)]))
    assert (figures["failover_seconds"], figures["earlier_outages"], figures["outages"]) == (0, 1, 1)


def test_an_ack_of_what_was_invoked_before_the_injection_ends_no_outage() -> None:
    rows = [row for row in load([(985, 3000)]) if row["scheduled_ns"] != at(995)]
    rows.append(operation(995, latency_ms=300))  # in flight over the kill, acked after it
    figures = figures_of(rows)
    assert outages_of(figures) == [(at(990), at(3002))]
    lone = [*load([(985, 995)]), operation(996, latency_ms=3)]
    assert figures_of(lone)["failover_seconds"] == 0  # that one was acked before the injection


def test_operations_in_flight_when_the_primary_died_begin_the_outage() -> None:
    figures = figures_of(load([(980, 2000)]))
    assert outages_of(figures) == [(at(980), at(2002))]
    assert figures["failover_seconds"] == 1.002


def test_unknown_outcomes_and_overloads_are_no_acks() -> None:
    rows = load()
    for row in rows[110:150]:
        row |= {"outcome": "info", "return_ns": None}
    for row in rows[150:200]:
        row |= {"outcome": "fail", "error": "overload"}
    assert outages_of(figures_of(rows)) == [(at(1100), at(2002))]


def test_a_history_that_ends_in_the_outage_gives_only_a_lower_bound() -> None:
    finding = check(history(load([(1000, 10_000)])), KILLED)
    assert outages_of(dict(finding.figures)) == [(at(1000), None)]
    assert finding.figures["failover_seconds"] == pytest.approx(8.992)  # to the last return
    assert finding.figures["lower_bounds"] == ["failover_seconds", "write_outage_seconds"]
    assert "at least" in finding.reason


def test_while_the_fault_is_not_known_to_have_healed_no_outage_is_a_later_one() -> None:
    figures = figures_of(load([(9000, 9100)]), Context(fault_windows=(kill(1000, None),)))
    assert (figures["failover_seconds"], figures["later_outages"]) == (8.102, 0)


def test_the_fault_lasts_from_the_first_injection_to_the_last_heal() -> None:
    context = Context(fault_windows=(kill(2000, 3000), kill(1000, 6000)))
    assert (context.injected_ns, context.healed_ns) == (at(1000), at(6000))
    assert figures_of(load([(5000, 5500)]), context)["failover_seconds"] == 4.502


def test_a_window_in_which_nothing_was_scheduled_does_not_part_an_outage() -> None:
    rows = [operation(ms, "fail" if 2000 <= ms < 5000 else "ok") for ms in range(0, 10_000, 250)]
    assert outages_of(figures_of(rows)) == [(at(2000), at(5002))]


def test_the_worst_and_the_best_vantage_and_route_are_told_apart() -> None:
    rows = (
        load([(1000, 2000)], vantage="a", route="direct")
        + load([(1000, 4000)], vantage="b", route="service")
        + load([], vantage="c", route="direct")
    )
    figures = figures_of(rows)
    assert (figures["worst_vantage"], figures["failover_seconds"]) == ("b", 3.002)
    assert (figures["best_vantage"], figures["best_failover_seconds"]) == ("c", 0)
    assert figures["by_route"]["direct"]["failover_seconds"] == 1.002
    assert figures["by_route"]["service"]["outages"] == 1


def test_one_series_cannot_hide_the_outage_of_another() -> None:
    figures = figures_of(load([(1000, 3000)]) + load(op="read", every_ms=1))
    assert figures["outages"] == 1
    assert [(series["op"], len(series["outages"])) for series in figures["series"]] == [("read", 0), ("write", 1)]


def test_scans_are_no_load() -> None:
    rows = load() + [operation(3000, "fail", op="scan") for _ in range(500)]
    assert figures_of(rows)["operations"] == 1000


def phases_of(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["phase"]: row for row in figures["phases"]}


def test_phases_are_cut_by_the_schedule() -> None:
    context = Context(fault_windows=(kill(1000, 6000),), settled_ns=at(7000))
    phases = phases_of(figures_of(load([(1000, 3000)]), context))
    assert {name: row["operations"] for name, row in phases.items()} == {
        "before": 100,
        "outage": 201,  # the one at 3000 ms was scheduled before the first ack came, at 3002 ms
        "degraded": 299,
        "healing": 100,
        "after": 300,
    }
    assert phases["before"]["ack_ratio"] == 1
    assert phases["outage"]["acked"] == 1


def test_healing_lasts_until_the_last_later_outage_is_over() -> None:
    phases = phases_of(figures_of(load([(1000, 3000), (8000, 8500)])))
    assert phases["healing"]["operations"] == 251


def test_without_an_outage_the_fault_is_all_degraded_and_without_a_fault_all_is_before() -> None:
    assert set(phases_of(figures_of(load()))) == {"before", "degraded", "after"}
    assert set(phases_of(figures_of(load(), Context()))) == {"before"}


def test_latency_counts_from_the_scheduled_start_of_acked_operations() -> None:
    rows = load(every_ms=1)
    rows[100] |= {"invoke_ns": at(400), "return_ns": at(600)}  # scheduled at 100 ms, and kept waiting
    rows[101] |= {"outcome": "info", "return_ns": None}
    before = phases_of(figures_of(rows))["before"]
    assert (before["latency_p50_seconds"], before["latency_p99_seconds"], before["latency_p999_seconds"]) == (
        0.002,
        0.002,
        0.5,
    )


def test_phases_are_told_apart_by_vantage_and_latencies_are_given_for_each_route_too() -> None:
    rows = load([(1000, 2000)], vantage="a", route="direct") + load(
        vantage="b", route="direct", latency_ms=9, op="read"
    )
    rows += load(vantage="b", route="direct", latency_ms=4)
    figures = figures_of(rows)
    by_phase = {(row["vantage"], row["op"], row["phase"]): row for row in figures["phases"]}
    assert by_phase["a", "write", "outage"]["acked"] == 1
    assert ("b", "write", "outage") not in by_phase
    assert by_phase["b", "write", "before"]["latency_p50_seconds"] == 0.004
    of_route = {(row["op"], row["phase"]): row for row in figures["by_route"]["direct"]["phases"]}
    assert of_route["write", "before"]["operations"] == 200
    assert of_route["write", "before"]["latency_p99_seconds"] == 0.004
    assert of_route["read", "before"]["latency_p99_seconds"] == 0.009


def test_an_outage_in_which_its_client_was_away_lasted_at_least_while_it_was_seen() -> None:
    """A prober that dies and comes back 5 s later does not make an outage of 5 s."""
    away = [row for row in load([(1000, 2000)]) if not at(1500) <= row["scheduled_ns"] < at(6500)]
    figures = figures_of(away)
    assert outages_of(figures) == [(at(1000), at(6502))]  # somewhere in between it ended
    assert figures["failover_seconds"] == 0.49
    assert figures["lower_bounds"] == ["failover_seconds", "write_outage_seconds"]
    connecting = [row for row in load([(1000, 6600)]) if not at(1500) <= row["scheduled_ns"] < at(6500)]
    assert figures_of(connecting)["failover_seconds"] == 0.49  # who is back has to connect first
    still = [row for row in load([(1000, 9000)]) if not at(1500) <= row["scheduled_ns"] < at(6500)]
    assert (figures_of(still)["failover_seconds"], figures_of(still)["lower_bounds"]) == (8.002, [])
    gone = [*load([(1000, 2000)], last_ms=1500), *load([(1000, 3000)], vantage="b")]
    assert figures_of(gone)["failover_seconds"] == 2.002
    assert figures_of(gone)["lower_bounds"] == ["failover_seconds", "write_outage_seconds"]


def test_a_pause_that_is_usual_for_a_client_is_no_absence() -> None:
    figures = figures_of(load([(1000, 3000)], every_ms=500))
    assert (outages_of(figures), figures["lower_bounds"]) == ([(at(1000), at(3002))], [])


def test_who_waits_for_an_answer_or_does_other_things_is_not_away() -> None:
    rows = [row for row in load([(1000, 2000)]) if not at(1500) <= row["scheduled_ns"] < at(6500)]
    waits = [*rows, operation(1500, "info", 5000)]
    assert figures_of(waits)["lower_bounds"] == []
    reads = [*rows, *load(op="read")]
    assert figures_of(reads)["lower_bounds"] == []


def test_what_a_client_that_died_may_have_sent_says_nothing_of_who_was_served() -> None:
    rows = load()
    made_up = [operation(ms, "info", None, session=-1 - ms) for ms in range(3005, 3505, 10)]
    for row in made_up:
        row["return_ns"] = None
    figures = figures_of([*rows, *made_up])
    assert (figures["outages"], figures["operations"]) == (0, len(rows))
    assert figures_of([*rows, *made_up], Context(standalone=True))["outages"] == 1  # in a file they are somebody's own


def test_a_series_has_its_acks_and_its_own_lower_bound() -> None:
    figures = figures_of(load([(1000, 10_000)]) + load(op="read"))
    read, write = figures["series"]
    assert (write["operations"], write["acked"], write["ack_ratio"]) == (1000, 100, 0.1)
    assert (write["lower_bounds"], read["lower_bounds"]) == (["failover_seconds"], [])


def test_writes_and_reads_have_outages_of_their_own() -> None:
    figures = figures_of(load([(1000, 4000)], route="service") + load([(1000, 2000)], route="service", op="read"))
    assert (figures["failover_seconds"], figures["write_outage_seconds"]) == (3.002, 3.002)
    assert figures["read_outage_seconds"] == figures["by_route"]["service"]["read_outage_seconds"] == 1.002
    assert "read_outage_seconds" not in figures_of(load())
    still = figures_of(load([(1000, 2000)]) + load([(1000, 10_000)], op="read"))
    assert still["lower_bounds"] == ["failover_seconds", "read_outage_seconds"]


def test_without_a_primary_what_goes_straight_to_members_tells_nothing_of_the_cluster() -> None:
    rows = load([(1000, 4000)], route="direct") + load([(1000, 1500)], route="service")
    assert figures_of(rows)["failover_seconds"] == 3.002
    finding = check(history(rows), replace(KILLED, has_primary=False))
    figures: Any = finding.figures
    assert (figures["failover_seconds"], figures["member_outage_seconds"]) == (0.502, 3.002)
    assert figures["by_route"]["direct"]["failover_seconds"] == 3.002
    assert "failover" not in finding.reason


def test_the_first_ack_is_of_what_was_invoked_after_the_outage_began() -> None:
    rows = load([(1030, 3000), (3020, 3200)])  # one window is bad to its end, though acks came in it
    assert figures_of(rows)["series"][0]["first_ack_seconds"] == 2.002
    assert figures_of(rows)["failover_seconds"] == 2.202
    assert figures_of(load())["series"][0]["first_ack_seconds"] is None
    assert figures_of(load([(1000, 10_000)]))["series"][0]["first_ack_seconds"] is None
    assert figures_of(load([(7000, 7500)]))["series"][0]["first_ack_seconds"] is None


def test_a_lone_failure_before_the_outage_does_not_make_the_old_primarys_acks_the_first() -> None:
    rows = load([(2000, 3000)], every_ms=5)
    rows[220]["outcome"] = "fail"  # at 1100 ms: 5 % of its window, no outage
    assert figures_of(rows)["series"][0]["first_ack_seconds"] == 2.002


def test_a_later_outage_is_not_taken_for_the_faults_when_the_first_ack_is_sought() -> None:
    rows = load([(980, 1000), (8000, 8500)])  # what failed over the injection was scheduled before it
    (series,) = figures_of(rows)["series"]
    assert (series["failover_seconds"], series["first_ack_seconds"]) == (0.002, None)


def test_outages_of_a_control_run_are_all_of_them() -> None:
    finding = check(history(load([(2000, 2200)])), Context())
    assert finding.state is State.VIOLATED
    assert (finding.figures["outages"], finding.figures["failover_seconds"]) == (1, 0)
    assert "without a fault" in finding.reason


def test_too_few_operations_are_unknown() -> None:
    assert check(history(load(last_ms=190)), KILLED).state is State.UNKNOWN
    assert check(history([]), KILLED).state is State.UNKNOWN


def test_a_vantage_that_fell_silent_at_the_injection_leaves_the_failover_unknown() -> None:
    finding = check(history(load(vantage="a") + load(vantage="b", last_ms=1000)), KILLED)
    assert finding.state is State.UNKNOWN
    assert "after the injection by vantage b" in finding.reason


def test_outages_that_touch_are_one() -> None:
    slow = [row | {"return_ns": row["scheduled_ns"] + 300 * MS} for row in load([(2000, 2100), (2200, 2300)])]
    assert outages_of(figures_of(slow)) == [(at(2000), at(2600))]


SERIES = [
    (vantage, op, route) for vantage in "abc" for op in ("add", "read", "write") for route in ("direct", "service")
]
DOWN = [(1000, 1010), (1000, 1100), (1090, 1110), (980, 1040), (3330, 5550), (5990, 6010), (1500, 9000), (50, 70)]
PLANTED = [(series, DOWN[number % len(DOWN)]) for number, series in enumerate(SERIES)]


@pytest.mark.parametrize(("where", "down"), PLANTED)
def test_an_outage_of_one_vantage_op_and_route_is_found_there_and_nowhere_else(
    where: tuple[str, str, str], down: tuple[int, int]
) -> None:
    rows = []
    for vantage, op, route in SERIES:
        planted = [down] if (vantage, op, route) == where else []
        rows += load(planted, vantage=vantage, op=op, route=route)
    figures = figures_of(rows)
    outages = {
        (series["vantage"], series["op"], series["route"]): outages_of(figures, number)
        for number, series in enumerate(figures["series"])
    }
    assert figures["outages"] == 1
    assert outages == {series: [(at(down[0]), at(down[1] + 2))] if series == where else [] for series in SERIES}


def test_slow_and_shuffled_operations_that_are_all_acked_are_no_outage() -> None:
    rows = load()
    for number, row in enumerate(rows):
        row["return_ns"] += (number * 7919 % 50) * 40 * MS  # up to 2 s, so that they overtake each other
    assert check(history(rows[::-1]), KILLED).state is State.HOLDS


CUT = Context(fault_windows=(kill(1000, 11_000),), sides=SIDES)


def cut_load(**columns: Any) -> list[Any]:
    """Writes under a cut of 10 s: the minority's go on for 3 s and stop, the majority's come back after 2 s."""
    return [
        *load([(4000, 11_000)], 12_000, vantage="b", **columns),
        *load([(1000, 3000)], 12_000, vantage="a", **columns),
        *load([(1000, 2500)], 12_000, vantage="c", **columns),
    ]


def test_a_minority_that_served_writes_for_three_seconds_into_the_fault_is_told_from_the_majority() -> None:
    figures = figures_of(cut_load(route="direct"), CUT)
    assert list(figures["by_side"]) == ["minority", "majority"]
    for which in ("all", "direct"):
        minority, majority = (figures["by_side"][side][which] for side in SIDES)
        assert (minority["writes_served_seconds"], majority["writes_served_seconds"]) == (2.992, 9.992)
        assert (minority["write_outage_seconds"], majority["write_outage_seconds"]) == (10.002, 2.002)
        assert (minority["failover_seconds"], majority["failover_seconds"]) == (10.002, 2.002)
        assert (minority["writes_acked_in_fault"], majority["writes_acked_in_fault"]) == (300, 800 + 850)
        assert (minority["unacked_share"], majority["unacked_share"]) == (0.7, 350 / 2000)
        assert (minority["operations"], minority["acked"], minority["outages"]) == (1200, 500, 1)
    assert (figures["writes_served_seconds"], figures["writes_acked_in_fault"]) == (9.992, 1950)
    assert figures["unacked_share"] == figures["by_route"]["direct"]["unacked_share"] == 1050 / 3000


def test_a_side_that_served_nothing_was_served_for_no_time() -> None:
    rows = load([(1000, 11_000)], 12_000, vantage="b") + load([(1000, 11_000)], 12_000, vantage="b", op="read")
    minority = figures_of([*rows, *load(last_ms=12_000)], CUT)["by_side"]["minority"]["all"]
    assert (minority["writes_served_seconds"], minority["reads_served_seconds"]) == (0, 0)
    assert (minority["writes_acked_in_fault"], minority["unacked_share"]) == (0, 1)


def test_writes_and_reads_are_served_for_times_of_their_own() -> None:
    rows = load([(2000, 11_000)], 12_000) + load([(5000, 11_000)], 12_000, op="read")
    figures = figures_of(rows, CUT)
    assert (figures["writes_served_seconds"], figures["reads_served_seconds"]) == (0.992, 3.992)
    assert figures["writes_acked_in_fault"] == 100
    assert figures_of(load(), CUT)["reads_served_seconds"] is None
    only_reads = figures_of(load(op="read"), CUT)
    assert (only_reads["writes_served_seconds"], only_reads["writes_acked_in_fault"]) == (None, None)


def test_the_fault_lasts_from_the_injection_itself_to_just_before_heal() -> None:
    def within(*moments: tuple[float, float], outcome: str = "ok") -> tuple[Any, ...]:
        """Operations by when they were scheduled and invoked, beside a load that is none of the fault's."""
        rows = [operation(due, outcome, invoke_ns=at(begun), return_ns=at(begun + 7)) for due, begun in moments]
        figures = figures_of([*load(last_ms=900), *rows], CUT)
        return tuple(figures[name] for name in ("writes_served_seconds", "writes_acked_in_fault", "unacked_share"))

    assert within((1000, 1000)) == (0.007, 1, 0)
    assert within((11_000, 11_000)) == (0, 0, None)
    assert within((990, 1010)) == (0.017, 1, None)  # late: invoked in it, though due before
    assert within((10_990, 11_000)) == (0, 0, 0)  # due in it, invoked after heal
    assert within((10_999, 10_999)) == (0, 0, 0)  # acked after heal, invoked before
    assert within((1000, 1000), (2000, 2000), (999, 999), outcome="fail") == (0, 0, 1)


def test_a_fault_that_is_not_known_to_have_healed_has_no_end_and_without_one_there_is_nothing_to_tell() -> None:
    names = ("writes_served_seconds", "reads_served_seconds", "unacked_share", "writes_acked_in_fault")
    rows = load() + load(op="read")
    still = figures_of(rows, Context(fault_windows=(kill(1000, None),)))
    assert [still[name] for name in names] == [8.992, 8.992, 0, 900]
    assert [figures_of(rows, Context())[name] for name in names] == [None] * 4


def test_reads_straight_to_members_tell_of_a_side_on_that_route_and_of_no_side_as_a_whole() -> None:
    rows = cut_load(route="direct") + load([(1000, 6000)], 12_000, vantage="b", route="direct", op="read")
    rows += load([(1000, 1500)], 12_000, vantage="b", route="service", op="read")
    minority = figures_of(rows, CUT)["by_side"]["minority"]
    assert minority["direct"]["read_outage_seconds"] == 5.002
    assert minority["service"]["read_outage_seconds"] == minority["all"]["read_outage_seconds"] == 0.502
    assert minority["all"]["member_outage_seconds"] == 5.002
    assert "read_outage_seconds" not in figures_of(rows, CUT)["by_route"]["direct"]
    without = figures_of(rows, replace(CUT, has_primary=False))["by_side"]["minority"]
    assert without["direct"]["write_outage_seconds"] == 10.002
    assert "write_outage_seconds" not in without["all"]  # reads through the Service are all that tells


def test_where_nothing_of_a_side_tells_of_the_cluster_all_it_has_does() -> None:
    rows = load([(1000, 3000)], 12_000, vantage="b", route="direct", op="read") + cut_load(route="service")[1200:]
    assert figures_of(rows, CUT)["by_side"]["minority"]["all"]["read_outage_seconds"] == 2.002


def test_a_vantage_of_no_side_is_in_none_and_a_side_without_operations_has_no_entry() -> None:
    rows = load([(1000, 2000)], vantage="b") + load([(1000, 9000)], vantage="d")
    figures = figures_of(rows, replace(KILLED, sides=SIDES))
    assert {side: list(routes) for side, routes in figures["by_side"].items()} == {"minority": ["all", "unnamed"]}
    assert figures["by_side"]["minority"]["all"]["operations"] == 1000
    assert figures_of(rows)["by_side"] == {}


def test_a_side_whose_history_ends_in_the_outage_has_a_lower_bound_and_the_other_has_none() -> None:
    rows = load([(1000, 12_000)], 12_000, vantage="b") + load([(1000, 3000)], 12_000, vantage="a")
    by_side = figures_of(rows, CUT)["by_side"]
    assert by_side["minority"]["all"]["lower_bounds"] == ["failover_seconds", "write_outage_seconds"]
    assert by_side["majority"]["all"]["lower_bounds"] == []
