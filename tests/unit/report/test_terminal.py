from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.checkers.histories import NEW_ID, OLD_ID, REDIS, at, kill, killed_run, node_kill_report, report_of

from caplab.check import Finding, State
from caplab.model.expectations import Expectation, Promise, PropertyExpectation
from caplab.model.runs import FinalScan, FirstCommit
from caplab.report import ClockCheck, RunReport, render_run, render_suite
from caplab.report.grid import WIDTH
from caplab.report.second_clock import clock_check
from caplab.verdict import judge

WINDOW = (kill(10_000, 22_000),)
CLOCK = ClockCheck("2", 2.021, 2.030)
STAGES = {"baseline": 5.1, "fault": 12.0, "collect": 101.33}


def valid(**fields: Any) -> RunReport:
    beside: dict[str, Any] = {"fault_windows": WINDOW, "clock": CLOCK, "seconds": STAGES}
    return report_of(killed_run(), **(beside | fields))


def with_two_lost() -> RunReport:
    return report_of(killed_run(lost=[30_100, 30_200]), fault_windows=WINDOW, run_id="run-2")


def without_evidence() -> RunReport:
    scan = FinalScan(converged=False, elements=None, problem="pg-2 did not rejoin")
    window = (kill(10_000, None, proven=False),)
    clock = ClockCheck("2", None, None, "no commit was stamped")
    rows = killed_run(down_ms=90_000)
    return report_of(rows, fault_windows=window, final_scan=scan, clock=clock, run_id="run-3")


def control() -> RunReport:
    rows = [row | {"epoch": "1"} for row in killed_run(down_ms=0)]
    return report_of(rows, fault="none", fault_windows=(), run_id="run-4")


def failed_lab() -> RunReport:
    whole = valid(run_id="run-5", clock=None, seconds={}, fault_windows=())
    row = Expectation(
        engine="postgres",
        mode="quorum",
        fault="kill-primary",
        properties=(PropertyExpectation(property="lost", promise=Promise.FORBIDDEN),),
        why="why",
        source="source",
    )
    return replace(whole, findings=(), verdict=judge(row, whole.record, ()))


def of_redis() -> RunReport:
    rows = killed_run(epochs=(OLD_ID, NEW_ID))
    return report_of(rows, fault_windows=WINDOW, clock=ClockCheck(NEW_ID, 2.021, 2.030), run_id="run-6", **REDIS)


def of_cassandra() -> RunReport:
    return node_kill_report(lacking=[60_995, 60_996])


def of_cassandra_at_all() -> RunReport:
    return node_kill_report(mode="ALL-ONE", writes_down_ms=42_000)


POSTGRES = (valid, with_two_lost, without_evidence, control, failed_lab)
ALL = (*POSTGRES, of_redis, of_cassandra, of_cassandra_at_all)


def lines_of(report: RunReport, colour: bool = False) -> list[str]:
    return render_run(report, colour=colour).split("\n")


def table_of(lines: list[str], title: str) -> list[list[str]]:
    """A table's cells, below its rule, as two spaces or more (or, if need be, one) part them."""
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    rule = next(number for number in range(start, len(lines)) if lines[number].startswith("---"))
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    body = lines[rule + 1 : lines.index("", rule)]
    return [[line[low:high].strip() for low, high in spans] for line in body]


def test_a_valid_run_shows_what_was_hit_what_was_predicted_and_what_was_measured() -> None:
    lines = lines_of(valid())
    assert lines[0] == "postgres quorum kill-primary · VALID · run-1"
    assert lines[1] == "  kill of pg-0 · at 2023-11-14 22:13:30.000 UTC · for 12.000 s · cgroup empty"
    assert table_of(lines, "predicted beside measured") == [
        ["failovers", "must show", "1", "ok"],
        ["failover time", "≤ 32.0 s  (ttl + 2 * loopWait + 2s)", "2.023 s", "ok"],
        ["acked writes lost", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["unacked writes found", "possible", "0", "ok"],
        ["unexpected values", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["duplicated values", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["writes of two primaries", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["outages after heal", "possible", "0", "ok"],
    ]
    assert not any(line.startswith("why") for line in lines)


def test_every_vantage_route_and_op_has_a_row() -> None:
    rows = table_of(lines_of(valid()), "every vantage and route")
    assert [row[:3] for row in rows] == [[v, *rest] for v in "abc" for rest in (["direct", "add"], ["service", "read"])]
    assert rows[0][3:] == ["2.003 s", "1,000", "934", "934", "0", "0", "100 %", "1.4 %", "100 %", "-", "100 %"]
    assert rows[1][3:] == ["2.001 s", *["-"] * 5, "100 %", "1.4 %", "100 %", "-", "100 %"]


def test_latencies_the_second_clock_and_the_time_spent_are_told() -> None:
    lines = lines_of(valid())
    assert table_of(lines, "latency p50 / p99")[0] == [
        "add",
        "direct",
        *["3.0 / 3.0 ms"] * 3,
        "-",
        "3.0 / 3.0 ms",
    ]
    text = " ".join(" ".join(lines).split())
    assert (
        "second clock: first commit on timeline 2 at +2.021 s by the server's own stamp; "
        "probes' first ack at +2.030 s: 9 ms apart" in text
    )
    assert "where the time went: baseline 5.100 s · fault 12.000 s · collect 101.3 s · in all 118.4 s" in text


def test_a_prober_that_stood_still_is_told() -> None:
    report = valid()
    text = " ".join(
        " ".join(lines_of(replace(report, record=replace(report.record, prober_standstills={"b": 3.25})))).split()
    )
    assert "the event loop of zone b stalled for 3.250 s" in text


def test_a_redis_run_is_told_in_redis_words() -> None:
    lines = lines_of(of_redis())
    assert lines[0] == "redis everysec-wait-0 kill-primary · VALID · run-6"
    assert table_of(lines, "predicted beside measured")[:3] == [
        ["failovers", "must show", "1", "ok"],
        ["failover time", "≤ 6.0 s  (downAfter + 5s)", "2.023 s", "ok"],
        ["acked writes lost", "≤ 100  (writesPerSecond * 1s)", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
    ]
    text = " ".join(" ".join(lines).split())
    assert (
        "second clock: first write under replication id 39110c49 at +2.021 s by the server's own stamp; "
        "probes' first ack at +2.030 s: 9 ms apart" in text
    )
    assert not re.search("timeline|postgres|synchronous|commit", text, re.IGNORECASE)


def test_a_cassandra_run_speaks_of_outages_and_of_no_primary() -> None:
    lines = lines_of(of_cassandra())
    assert lines[0] == "cassandra QUORUM-QUORUM kill-node · VALID · run-c"
    assert table_of(lines, "predicted beside measured") == [
        ["outage of writes, by service", "≤ 2.8 s  (write + 2s)", "0.322 s", "ok"],
        ["outage time, by service", "≤ 17.8 s  (phiConvictThreshold * 3s", "0.322 s", "ok"],
        ["", "+ max(read, write) + 2s)", "", ""],
        ["acked writes lost", "forbidden", "0 of 5,970 (< 3/n = 0.050 % at 95 %)", "ok"],
        ["unacked writes found", "possible", "0", "ok"],
        ["unexpected values", "forbidden", "0 of 5,970 (< 3/n = 0.050 % at 95 %)", "ok"],
        ["duplicated values", "forbidden", "0 of 5,970 (< 3/n = 0.050 % at 95 %)", "ok"],
        ["outages after heal, by service", "possible", "0", "ok"],
    ]
    rows = table_of(lines, "every vantage and route")
    assert [row[:4] for row in rows[:3]] == [
        ["a", "direct", "write", "40.012 s"],  # bound to members in turn: a third is out, and decides nothing
        ["a", "service", "add", "0.322 s"],
        ["a", "service", "read", "0.321 s"],
    ]
    assert "members' own copies lack, of 5,970 acked values: cs-0 0 · cs-1 2 · cs-2 0" in lines
    assert not re.search("failover|primar|clock|epoch|timeline|None", "\n".join(lines))


def test_a_write_at_all_that_waits_for_the_dead_member_is_shown_as_what_must_be() -> None:
    predicted = table_of(lines_of(of_cassandra_at_all()), "predicted beside measured")
    assert predicted[:3] == [
        ["outage of writes, by service", "must show >= 15.0 s  (faultSeconds)", "42.022 s", "ok"],
        ["outage time, by service", "≤ 105.0 s  (faultSeconds + 90s)", "42.022 s", "ok"],
        ["outage of reads, by service", "≤ 2.8 s  (read + 2s)", "0.321 s", "ok"],
    ]
    soon = node_kill_report(mode="ALL-ONE", writes_down_ms=9_000)
    assert soon.verdict.state is State.UNKNOWN
    assert "writeOutage (service): 9.022 s; at least 15.000 s (faultSeconds): it must show" in soon.verdict.reasons[0]
    reads = node_kill_report(mode="ALL-ONE", writes_down_ms=42_000, reads_down_ms=4_000)
    assert [reason.split(":")[0] for reason in reads.verdict.reasons] == ["readOutage (service)"]


def test_a_cassandra_run_that_lost_what_it_acked_or_stood_still_too_long_is_invalid() -> None:
    lost = node_kill_report(lost=[60_500])
    assert lost.verdict.reasons == ("lost: 1 of 5970; forbidden.",)
    slow = node_kill_report(writes_down_ms=3_000)
    assert (slow.verdict.state, slow.verdict.reasons[0].split(";")[0]) == (
        State.VIOLATED,
        "writeOutage (service): 3.022 s",
    )


def test_a_suite_of_several_engines_names_both_what_fails_over_and_what_is_out() -> None:
    def header(*reports: RunReport) -> str:
        lines = render_suite(reports).split("\n")
        return " ".join(lines[1 : next(number for number, line in enumerate(lines) if line.startswith("---"))])

    assert re.search(r"failover .*or outage", header(of_cassandra(), valid()))
    assert "outage" in header(of_cassandra())
    assert "failover" not in header(of_cassandra(), of_cassandra_at_all())
    assert "outage" not in header(valid(), of_redis())
    assert "outage time" in render_suite([of_cassandra(), of_cassandra()])


def test_the_second_clock_counts_from_the_injection_and_says_what_it_lacks() -> None:
    report = of_redis()
    stamped = replace(
        report.record, first_commit=FirstCommit(NEW_ID, report.record.wall_anchor.unix_ns + 12_021_000_000)
    )
    assert clock_check(stamped, report.findings) == ClockCheck(NEW_ID, 2.021, 2.003)
    assert clock_check(stamped, ()) == ClockCheck(NEW_ID, 2.021, None, "the probes saw no outage")
    lacking = clock_check(report.record, report.findings)
    assert lacking == ClockCheck("", None, 2.003, "the server has no write under a new replication id")
    (line,) = [line for line in lines_of(replace(report, clock=lacking)) if line.startswith("second clock")]
    assert line.startswith("second clock: first write under a new replication id: no stamp of the server's; probes'")
    assert clock_check(control().record, control().findings) is None
    assert clock_check(of_cassandra().record, of_cassandra().findings) is None
    assert not any(line.startswith("second clock") for line in lines_of(control()))


def test_a_lost_write_is_counted_marked_and_given_as_the_reason() -> None:
    lines = lines_of(with_two_lost())
    assert "· INVALID ·" in lines[0]
    assert lines[lines.index("why it is invalid:") + 1] == "  - lost: 2 of 2800; forbidden."
    assert ["acked writes lost", "forbidden", "2 of 2,800", "VIOLATED"] in table_of(lines, "predicted")
    lost = {(row[0], row[2]): row[7] for row in table_of(lines, "every vantage")}
    assert (lost["a", "add"], lost["b", "add"], lost["c", "add"]) == ("0", "1", "1")


def test_a_run_without_evidence_or_scan_claims_nothing_about_what_survived() -> None:
    lines = lines_of(without_evidence())
    assert "· UNKNOWN ·" in lines[0]
    assert "· not healed · NO EVIDENCE that it was live (nothing seen)" in lines[1]
    assert "  - There is no evidence that the kill of pg-0 was live." in lines
    assert ["acked writes lost", "forbidden", "not measured", "unknown"] in table_of(lines, "predicted")
    rows = table_of(lines, "every vantage")
    assert rows[0][3:9] == [">= 19.993 s", "1,000", "334", "?", "?", "?"]
    assert "no stamp of the server's; probes' first ack not seen (no commit was" in "\n".join(lines)
    assert rows[0][9:] == ["100 %", "0 %", "-", "-", "-"]


def test_a_lower_bound_says_so_beside_its_budget() -> None:
    (failover,) = [row for row in table_of(lines_of(without_evidence()), "predicted") if row[0] == "failover time"]
    assert failover[2:] == [">= 19.993 s", "unknown"]


def test_a_row_with_a_route_shows_the_lower_bound_of_that_route_only() -> None:
    row = Expectation(
        engine="postgres",
        mode="quorum",
        fault="kill-primary",
        properties=(PropertyExpectation(property="failoverTime", promise=Promise.POSSIBLE, route="direct"),),
        why="why",
        source="source",
    )
    rows = [row for row in killed_run(down_ms=90_000) if row["op"] != "add"] + [
        row for row in killed_run() if row["op"] == "add"
    ]
    report = report_of(rows, fault_windows=WINDOW)
    report = replace(report, verdict=judge(row, report.record, report.findings))
    assert table_of(lines_of(report), "predicted") == [["failover time, by direct", "possible", "2.023 s", "ok"]]


def test_a_control_run_says_that_nothing_was_hit() -> None:
    lines = lines_of(control())
    assert lines[1] == "  no fault: a control run"
    assert ["outages", "forbidden", "0", "ok"] in table_of(lines, "predicted")
    assert table_of(lines, "every vantage")[0][9:] == ["100 %", "-", "-", "-", "-"]


def test_a_run_with_no_findings_at_all_is_rendered_and_says_so() -> None:
    lines = lines_of(failed_lab())
    assert "  no fault: no kill-primary is recorded" in lines
    assert "no findings: no history was checked" in lines
    assert ["acked writes lost", "forbidden", "not measured", "unknown"] in table_of(lines, "predicted")
    assert not any(line.startswith("every vantage") for line in lines)


def test_a_budget_without_a_value_is_shown_as_unknown() -> None:
    (failover,) = [
        row for row in table_of(lines_of(valid(settings={"ttl": 20})), "predicted") if row[0] == "failover time"
    ]
    assert failover[1:] == ["≤ ?  (ttl + 2 * loopWait + 2s)", "not measured", "unknown"]


def test_a_long_budget_wraps_in_its_column() -> None:
    lines = lines_of(valid(mode="async"))
    assert any("≤ 10,985  (maximumLagOnFailover / 100B +" in line for line in lines)
    assert any(line.strip() == "writesPerSecond * loopWait)" for line in lines)


@pytest.mark.parametrize("make", ALL)
def test_colour_is_only_there_if_asked_and_changes_nothing_else(make: Any) -> None:
    report = make()
    coloured = render_run(report, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == render_run(report)
    assert "\x1b" not in render_run(report) + render_suite([report])
    code = {"VALID": 32, "INVALID": 31, "UNKNOWN": 33}[report.verdict.state.value.upper()]
    assert f"\x1b[{code}m{report.verdict.state.value.upper()}\x1b[0m" in coloured.split("\n")[0]


def test_a_suite_is_a_line_a_run_the_spread_of_repeats_and_the_count_of_verdicts() -> None:
    lines = render_suite([make() for make in POSTGRES]).split("\n")
    kill_primary = "postgres quorum kill-primary"
    assert table_of(lines, "runs") == [
        [kill_primary, "VALID", "2.023 s", "9 ms", "2,800", "0", "0", "93.3 %", "run-1"],
        [kill_primary, "INVALID", "2.023 s", "-", "2,800", "2", "0", "93.3 %", "run-2"],
        [kill_primary, "UNKNOWN", ">= 19.993 s", "-", "1,000", "?", "?", "33 %", "run-3"],
        ["postgres quorum none", "VALID", "0.000 s", "-", "3,000", "0", "0", "100 %", "run-4"],
        [kill_primary, "UNKNOWN", "?", "-", "?", "?", "?", "?", "run-5"],
    ]
    (row, *more) = table_of(lines, "repeats")
    cells = [" ".join(parts).strip() for parts in zip(row, *more, strict=True)]
    assert cells == [
        kill_primary,
        "4",
        ">= 2.023 / 2.023 / 19.993 s (3 of 4)",
        "0 / 1 / 2 (2 of 4)",
        "33 / 93.3 / 93.3 % (3 of 4)",
    ]
    assert lines[-2] == "2 valid · 1 invalid · 2 unknown"


def test_a_suite_of_nothing_and_one_without_repeats_are_rendered() -> None:
    assert render_suite([]) == "0 valid · 0 invalid · 0 unknown\n"
    assert "repeats" not in render_suite([valid(), control()])


def test_every_line_fits_and_is_ascii_but_for_two_signs() -> None:
    reports = [make() for make in ALL]
    for text in (*map(render_run, reports), render_suite(reports)):
        assert max(map(len, text.split("\n"))) <= WIDTH
        assert re.fullmatch(r"[\x20-\x7e\n≤·]*", text)


NAMES = st.text("abc-/ é", min_size=1, max_size=70)
COUNTS = st.integers(0, 999_999)


@given(NAMES, NAMES, st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=3), COUNTS, st.floats(0, 5000))
def test_whatever_the_names_every_line_fits_and_columns_are_in_line(
    name: str, run_id: str, labels: list[tuple[str, str]], count: int, seconds: float
) -> None:
    counts: dict[str, Any] = dict.fromkeys(("attempted", "acked", "survived", "lost", "unacked_found"), count)
    open_end: dict[str, Any] = {"failover_seconds": seconds, "lower_bounds": ["failover_seconds"]}
    sides = [{"vantage": vantage, "route": route} for vantage, route in labels]
    rows = [{**side, "op": "add", **open_end} for side in sides]
    phases = [{**row, "phase": "outage", "ack_ratio": count / 999_999} for row in rows]
    findings = (
        Finding(
            property="durability",
            state=State.HOLDS,
            reason="",
            figures={**counts, "by_vantage": [{**side, **counts} for side in sides]},
        ),
        Finding(
            property="availability",
            state=State.VIOLATED,
            reason="",
            figures={**open_end, "series": rows, "phases": phases},
        ),
    )
    window = replace(WINDOW[0], target=run_id, evidence=(name, run_id), healed_ns=at(9_000_000))
    report = valid(fault_windows=(window,))
    report = replace(report, name=name, run_id=run_id, findings=findings)
    for text in (render_run(report), render_suite([report, report])):
        assert max(map(len, text.split("\n"))) <= WIDTH
    lines = lines_of(report)
    rule = next(
        line for line in lines[lines.index("every vantage and route, and its ack ratio by phase") :] if "--" in line
    )
    body = lines[lines.index(rule) + 1 : lines.index("", lines.index(rule))]
    gaps = [match.start() for match in re.finditer(" ", rule)]
    assert all(line[gap : gap + 1] in ("", " ") for line in body for gap in gaps)
