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
    return render_run(report, colour=colour, verbose=True).split("\n")


def table_of(lines: list[str], title: str) -> list[list[str]]:
    """A table's cells, below its rule, as two spaces or more (or, if need be, one) part them."""
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    rule = next(number for number in range(start, len(lines)) if lines[number].startswith("---"))
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    body = lines[rule + 1 : lines.index("", rule)]
    return [[line[low:high].strip() for low, high in spans] for line in body]


def test_a_valid_run_shows_what_was_hit_what_was_predicted_and_what_was_measured() -> None:
    lines = lines_of(valid())
    assert lines[:4] == [
        "postgres/kill-primary",
        "AS PROMISED: none of 2,800 acknowledged writes lost",
        "clients were served again after 2.02 s",
        "  postgres quorum kill-primary · run-1",
    ]
    assert lines[4] == "  kill of pg-0 · at 2023-11-14 22:13:30.000 UTC · for 12.000 s · cgroup empty"
    assert table_of(lines, "promised beside measured") == [
        ["failovers", "must show", "1", "ok"],
        ["failover time", "≤ 32.0 s  (ttl + 2 * loopWait + 2s)", "2.023 s", "ok"],
        ["acked writes lost", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["unacked writes found", "possible", "0", "ok"],
        ["unexpected values", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["duplicated values", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
        ["split-brain writes", "forbidden", "0 of 2,800 (< 3/n = 0.11 % at 95 %)", "ok"],
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
    assert "the whole run, step by step: baseline 5.100 s · fault 12.000 s · collect 101.3 s · in all 118.4 s" in text


def test_a_prober_that_stood_still_is_told() -> None:
    report = valid()
    text = " ".join(
        " ".join(lines_of(replace(report, record=replace(report.record, prober_standstills={"b": 3.25})))).split()
    )
    assert "the event loop of zone b stalled for 3.250 s" in text


def test_a_redis_run_is_told_in_redis_words() -> None:
    lines = lines_of(of_redis())
    assert lines[:2] == ["redis/kill-primary", "AS PROMISED: none of 2,800 acknowledged writes lost"]
    assert table_of(lines, "promised beside measured")[:4] == [
        ["failovers", "must show", "1", "ok"],
        ["failover time", "≤ 18.0 s  (downAfter + 2 * failoverTimeout +", "2.023 s", "ok"],
        ["", "5s)", "", ""],
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
    assert lines[:2] == ["cassandra/kill-node", "AS PROMISED: none of 5,970 acknowledged writes lost"]
    assert table_of(lines, "promised beside measured") == [
        ["outage of writes, via service", "≤ 2.8 s  (write + 2s)", "0.322 s", "ok"],
        ["outage time, via service", "≤ 17.8 s  (phiConvictThreshold * 3s", "0.322 s", "ok"],
        ["", "+ max(read, write) + 2s)", "", ""],
        ["acked writes lost", "forbidden", "0 of 5,970 (< 3/n = 0.050 % at 95 %)", "ok"],
        ["unacked writes found", "possible", "0", "ok"],
        ["unexpected values", "forbidden", "0 of 5,970 (< 3/n = 0.050 % at 95 %)", "ok"],
        ["duplicated values", "forbidden", "0 of 5,970 (< 3/n = 0.050 % at 95 %)", "ok"],
        ["outages after heal, via service", "possible", "0", "ok"],
    ]
    rows = table_of(lines, "every vantage and route")
    assert [row[:4] for row in rows[:3]] == [
        ["a", "direct", "write", "40.012 s"],  # bound to members in turn: a third is out, and decides nothing
        ["a", "service", "add", "0.322 s"],
        ["a", "service", "read", "0.321 s"],
    ]
    assert "acked values that each member's own copy lacks, of 5,970: cs-0 0 · cs-1 2 · cs-2 0" in lines
    assert not re.search("failover|primar|clock|epoch|timeline|None", "\n".join(lines))


def test_a_write_at_all_that_waits_for_the_dead_member_is_shown_as_what_must_be() -> None:
    predicted = table_of(lines_of(of_cassandra_at_all()), "promised beside measured")
    assert predicted[:3] == [
        ["outage of writes, via service", "must show ≥ 15.0 s  (faultSeconds)", "42.022 s", "ok"],
        ["outage time, via service", "≤ 105.0 s  (faultSeconds + 90s)", "42.022 s", "ok"],
        ["outage of reads, via service", "≤ 2.8 s  (read + 2s)", "0.321 s", "ok"],
    ]
    soon = node_kill_report(mode="ALL-ONE", writes_down_ms=9_000)
    assert soon.verdict.state is State.UNKNOWN
    assert "writeOutage (service): 9.022 s; at least 15.000 s (faultSeconds): it must show" in soon.verdict.reasons[0]
    reads = node_kill_report(mode="ALL-ONE", writes_down_ms=42_000, reads_down_ms=4_000)
    assert [reason.split(":")[0] for reason in reads.verdict.reasons] == ["readOutage (service)"]


def test_a_cassandra_run_that_lost_what_it_acked_or_stood_still_too_long_is_invalid() -> None:
    lost = node_kill_report(lost=[60_500])
    assert lost.verdict.reasons == ("lost: 1 of 5,970; forbidden.",)
    slow = node_kill_report(writes_down_ms=3_000)
    assert (slow.verdict.state, slow.verdict.reasons[0].split(";")[0]) == (
        State.VIOLATED,
        "writeOutage (service): 3.022 s",
    )


def test_the_second_clock_counts_from_the_injection_and_says_what_it_lacks() -> None:
    report = of_redis()
    stamped = replace(
        report.record, first_commit=FirstCommit(NEW_ID, report.record.wall_anchor.unix_ns + 12_021_000_000)
    )
    assert clock_check(stamped, report.findings) == ClockCheck(NEW_ID, 2.021, 2.003)
    assert clock_check(stamped, ()) == ClockCheck(NEW_ID, 2.021, None, "the probes saw no outage")
    several = [
        replace(finding, figures={**finding.figures, "begun_after_injection": 3})
        if finding.property == "epochs"
        else finding
        for finding in report.findings
    ]
    apart = clock_check(stamped, several)  # the stamp is of the last epoch, the first ack may be of another
    assert apart == ClockCheck(NEW_ID, 2.021, None, "not comparable: 3 new epochs followed each other")
    (line,) = [line for line in lines_of(replace(report, clock=apart)) if line.startswith("second clock")]
    assert "first ack" not in line
    lacking = clock_check(report.record, report.findings)
    assert lacking == ClockCheck("", None, 2.003, "the server has no write under a new replication id")
    (line,) = [line for line in lines_of(replace(report, clock=lacking)) if line.startswith("second clock")]
    assert line.startswith("second clock: first write under a new replication id: no stamp from the server; probes'")
    assert clock_check(control().record, control().findings) is None
    assert clock_check(of_cassandra().record, of_cassandra().findings) is None
    assert not any(line.startswith("second clock") for line in lines_of(control()))


def test_a_lost_write_is_counted_marked_and_given_as_the_reason() -> None:
    lines = lines_of(with_two_lost())
    assert lines[1].startswith("PROMISE BROKEN: 2 of 2,800 acknowledged writes lost (promised: none)")
    assert lines[lines.index("why:") + 1] == "  - acked writes lost: 2 of 2,800; forbidden."
    assert ["acked writes lost", "forbidden", "2 of 2,800", "VIOLATED"] in table_of(lines, "promised")
    lost = {(row[0], row[2]): row[7] for row in table_of(lines, "every vantage")}
    assert (lost["a", "add"], lost["b", "add"], lost["c", "add"]) == ("0", "1", "1")


def test_a_run_without_evidence_or_scan_claims_nothing_about_what_survived() -> None:
    lines = lines_of(without_evidence())
    assert lines[1].startswith("NOT PROVEN: There is no evidence that the kill of pg-0 was live")
    assert "· not healed · NO EVIDENCE that it was live (nothing seen)" in lines[4]
    assert "  - There is no evidence that the kill of pg-0 was live." in lines
    assert ["acked writes lost", "forbidden", "not measured", "unknown"] in table_of(lines, "promised")
    rows = table_of(lines, "every vantage")
    assert rows[0][3:9] == ["≥ 19.973 s", "1,000", "334", "?", "?", "?"]
    assert "no stamp from the server; probes' first ack not seen (no commit was" in "\n".join(lines)
    assert rows[0][9:] == ["100 %", "0 %", "-", "-", "-"]


def test_a_lower_bound_says_so_beside_its_budget() -> None:
    (failover,) = [row for row in table_of(lines_of(without_evidence()), "promised") if row[0] == "failover time"]
    assert failover[2:] == ["≥ 19.993 s", "unknown"]


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
    assert table_of(lines_of(report), "promised") == [["failover time, direct", "possible", "2.023 s", "ok"]]


def test_a_control_run_says_that_nothing_was_hit() -> None:
    lines = lines_of(control())
    assert lines[1] == "nothing happened, AS PROMISED"
    assert lines[3] == "  no fault: a control run"
    assert ["outages", "forbidden", "0", "ok"] in table_of(lines, "promised")
    assert table_of(lines, "every vantage")[0][9:] == ["100 %", "-", "-", "-", "-"]


def test_a_run_with_no_findings_at_all_is_rendered_and_says_so() -> None:
    lines = lines_of(failed_lab())
    assert "  no fault: no kill-primary is recorded" in lines
    assert "no findings: no history was checked" in lines
    assert ["acked writes lost", "forbidden", "not measured", "unknown"] in table_of(lines, "promised")
    assert not any(line.startswith("every vantage") for line in lines)


def test_a_budget_without_a_value_is_shown_as_unknown() -> None:
    (failover,) = [
        row for row in table_of(lines_of(valid(settings={"ttl": 20})), "promised") if row[0] == "failover time"
    ]
    assert failover[1:] == ["≤ ?  (ttl + 2 * loopWait + 2s)", "not measured", "unknown"]


def test_a_long_budget_wraps_in_its_column() -> None:
    lines = lines_of(valid(mode="async"))
    assert any("≤ 10,985  (maximumLagOnFailover / 100B +" in line for line in lines)
    assert any(line.strip() == "writesPerSecond * loopWait)" for line in lines)


@pytest.mark.parametrize("make", ALL)
def test_colour_is_only_there_if_asked_and_changes_nothing_else(make: Any) -> None:
    report = make()
    for verbose in (False, True):
        coloured = render_run(report, colour=True, verbose=verbose)
        assert re.sub(r"\x1b\[\d+m", "", coloured) == render_run(report, verbose=verbose)
        word = {"valid": "AS PROMISED", "invalid": "PROMISE BROKEN", "unknown": "NOT PROVEN"}[
            report.verdict.state.value
        ]
        code = {"valid": 32, "invalid": 31, "unknown": 33}[report.verdict.state.value]
        assert f"\x1b[{code}m{word}\x1b[0m" in coloured.split("\n")[1]
    assert "\x1b" not in render_run(report) + render_suite([report])


@pytest.mark.parametrize("width", [80, WIDTH])
@pytest.mark.parametrize("make", ALL)
def test_a_run_is_shown_in_less_than_25_lines(make: Any, width: int) -> None:
    lines = render_run(make(), width=width).rstrip("\n").split("\n")
    assert len(lines) < 25
    assert max(map(len, lines)) <= width


def test_the_verdict_what_was_promised_beside_what_was_measured_and_the_worst_vantage_are_shown() -> None:
    assert (
        render_run(with_two_lost(), width=80)
        == """\
postgres/kill-primary
PROMISE BROKEN: 2 of 2,800 acknowledged writes lost (promised: none)
clients were served again after 2.02 s
  kill of pg-0 · at 2023-11-14 22:13:30.000 UTC · for 12.0 s · proven

promised beside measured
property           promised   measured
-----------------  ---------  ----------  --------
acked writes lost  forbidden  2 of 2,800  VIOLATED
failovers          must show  1           ok
failover time      ≤ 32.0 s   2.023 s     ok

none, as promised: unexpected values, duplicated values, split-brain writes
worst vantage: zone c, served again after 2.02 s (add, direct); zone b lost 1 of
    933 acked writes
run run-2 · more: --verbose, summary.md
"""
    )


def test_what_finds_no_room_is_counted_and_what_is_wrong_is_shown_first() -> None:
    report = with_two_lost()
    (wrong,) = [judgement for judgement in report.verdict.judgements if judgement.state is State.VIOLATED]
    must = PropertyExpectation(property="failovers", promise=Promise.MUST_SHOW)
    fine = replace(wrong, expected=must, state=State.HOLDS)
    many = replace(report, verdict=replace(report.verdict, judgements=(*(fine,) * 40, wrong)))
    lines = render_run(many, width=80).rstrip("\n").split("\n")
    assert len(lines) == 24
    assert lines[8].endswith("VIOLATED")
    (more,) = [line for line in lines if line.endswith("more (--verbose)")]
    assert more == f"and {41 - sum(line.startswith(('failovers', 'acked')) for line in lines)} more (--verbose)"


def test_an_outage_of_a_control_is_told_by_its_worst_zone() -> None:
    rows = [row | {"epoch": "1"} for row in killed_run(down_ms=1000)]
    shown = render_run(report_of(rows, fault="none", fault_windows=()))
    assert "PROMISE BROKEN: 6 outages (promised: none)" in shown
    assert "worst vantage: zone a, 2 of 6 outages" in shown
    assert "worst vantage: none, no zone had an outage" in render_run(control())


def test_a_suite_is_a_line_a_run_the_spread_of_repeats_and_the_count_of_verdicts() -> None:
    lines = render_suite([make() for make in POSTGRES]).split("\n")
    kill_primary = "postgres/kill-primary"
    assert table_of(lines, "runs") == [
        [kill_primary, "AS PROMISED", "2.02 s", "0 of 2,800"],
        [kill_primary, "PROMISE BROKEN", "2.02 s", "2 of 2,800"],
        [kill_primary, "NOT PROVEN", "≥ 20.0 s", "?"],
        [kill_primary, "AS PROMISED", "-", "0 of 3,000"],
        [kill_primary, "NOT PROVEN", "?", "?"],
    ]
    (row, *more) = table_of(lines, "repeats")
    assert [" ".join(parts).strip() for parts in zip(row, *more, strict=True)] == [
        kill_primary,
        "4",
        "≥ 2.023 / 2.023 / 19.993 s (3 of 4)",
        "0 / 1 / 2 (2 of 4)",
        "33 / 93.3 / 93.3 % (3 of 4)",
    ]
    assert lines[-2] == "2 as promised · 1 promise broken · 2 not proven"
    figures = table_of(render_suite([valid()], verbose=True).split("\n"), "more figures")
    assert figures == [["postgres quorum kill-primary", "run-1", "9 ms", "0", "93.3 %"]]


def test_the_name_of_a_run_is_never_broken_within_a_word() -> None:
    name = "The whole cache is down, at twice the load that the database can take (stale-while-revalidate)"
    report = replace(valid(), record=replace(valid().record, experiment=name))
    for width in (80, WIDTH):
        cells = [row[0] for row in table_of(render_suite([report], width=width).split("\n"), "runs")]
        assert " ".join(cells) == name


def test_a_suite_of_nothing_and_one_without_repeats_are_rendered() -> None:
    assert render_suite([]) == "0 as promised · 0 promise broken · 0 not proven\n"
    assert "repeats" not in render_suite([valid(), control()])


def test_every_line_fits_and_is_ascii_but_for_three_signs() -> None:
    reports = [make() for make in ALL]
    told = [render_run(report, verbose=verbose) for report in reports for verbose in (False, True)]
    for text in (*told, render_suite(reports, verbose=True)):
        assert max(map(len, text.split("\n"))) <= WIDTH
        assert re.fullmatch(r"[\x20-\x7e\n≤≥·]*", text)


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
    record = replace(report.record, experiment=name)
    report = replace(report, name=name, run_id=run_id, findings=findings, record=record)
    brief = [render_run(report, width=width) for width in (80, WIDTH)]
    assert all(text.count("\n") < 25 for text in brief)
    assert max(map(len, brief[0].split("\n"))) <= 80
    for text in (brief[1], render_run(report, verbose=True), render_suite([report, report], verbose=True)):
        assert max(map(len, text.split("\n"))) <= WIDTH
    lines = lines_of(report)
    rule = next(
        line for line in lines[lines.index("every vantage and route, and the share acked by phase") :] if "--" in line
    )
    body = lines[lines.index(rule) + 1 : lines.index("", lines.index(rule))]
    gaps = [match.start() for match in re.finditer(" ", rule)]
    assert all(line[gap : gap + 1] in ("", " ") for line in body for gap in gaps)


def test_of_much_evidence_the_first_lines_are_shown_and_it_is_said_how_many_there_are() -> None:
    window = replace(WINDOW[0], evidence=tuple(f"dropped {number} packets" for number in range(8)))
    text = " ".join("\n".join(lines_of(valid(fault_windows=(window,)))).split())
    assert "dropped 0 packets, dropped 1 packets, dropped 2 packets, and 5 more lines in run.json" in text
    assert "dropped 3" not in text
