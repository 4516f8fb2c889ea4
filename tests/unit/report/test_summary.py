from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from support.checkers.histories import NEW_ID, OLD_ID, REDIS, kill, killed_run, node_kill_report, report_of

from caplab.report import RunReport, summary_markdown, verdict_json

WINDOW = (kill(10_000, 22_000),)


def run(lost: tuple[int, ...] = (), down_ms: int = 2000, **fields: Any) -> RunReport:
    return report_of(killed_run(lost, down_ms), **({"fault_windows": WINDOW} | fields))


def without_findings() -> RunReport:
    return replace(run(run_id="run-9"), findings=())


def test_the_summary_begins_with_the_table_and_folds_each_run() -> None:
    text = summary_markdown([run(), run((30_100,), run_id="run-2")])
    lines = text.split("\n")
    assert lines[2] == "1 as promised · 1 promise broken · 0 not proven"
    served = "clients were served again after 2.02 s"
    assert lines[8:10] == [
        f"| postgres/kill-primary | AS PROMISED | none of 2,800 acknowledged writes lost | {served} |",
        f"| postgres/kill-primary | PROMISE BROKEN | 1 of 2,800 acknowledged writes lost (promised: none) | {served} |",
    ]
    assert "| postgres/kill-primary | 2 | 2.023 / 2.023 / 2.023 s | 0 / 0.5 / 1 | 93.3 / 93.3 / 93.3 % |" in lines
    assert "<details><summary>postgres/kill-primary: AS PROMISED: none of 2,800 acknowledged writes lost" in text
    assert "<details open><summary>postgres/kill-primary: PROMISE BROKEN: 1 of 2,800 acknowledged" in text
    assert text.count("<details") == text.count("</details>") == 2
    assert "- acked writes lost: 1 of 2,800; forbidden." in lines
    assert "| acked writes lost | forbidden | 1 of 2,800 | VIOLATED |" in lines
    assert "| acked writes lost | forbidden | 0 of 2,800 (&lt; 3/n = 0.11 % at 95 %) | ok |" in lines


def test_the_summary_of_a_suite_stays_short() -> None:
    text = summary_markdown([run(run_id=f"run-{number}") for number in range(20)])
    assert len(text.split("\n")) < 30 * 20
    assert "every vantage" not in text


def test_the_summary_of_a_redis_run_is_told_in_redis_words() -> None:
    text = summary_markdown([report_of(killed_run(epochs=(OLD_ID, NEW_ID)), fault_windows=WINDOW, **REDIS)])
    assert "| failover time | ≤ 18.0 s  (downAfter + 2 \\* failoverTimeout + 5s) | 2.023 s | ok |" in text
    assert "\nredis everysec-wait-0 kill-primary · run-1\n" in text


def test_the_summary_of_a_cassandra_run_knows_no_failover() -> None:
    text = summary_markdown([node_kill_report(lacking=[60_995])])
    assert "| outage time, via service | ≤ 17.8 s" in text
    assert "failover" not in text


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    report = run(experiment="a|b <script> *x*")
    text = summary_markdown([report, without_findings()])
    assert "a\\|b &lt;script> \\*x\\*" in text
    tables = [block.split("\n") for block in text.strip().split("\n\n") if block.startswith("|")]
    assert len(tables) >= 3
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_a_run_without_findings_says_so() -> None:
    assert "No findings: no history was checked." in summary_markdown([without_findings()])


def test_verdict_json_merges_the_verdicts_and_lists_runs_with_their_reasons() -> None:
    plain: Any = verdict_json([run(), run((30_100,), run_id="run-2")])
    assert plain["verdict"] == "invalid"
    assert [(run["run"], run["name"], run["verdict"]) for run in plain["runs"]] == [
        ("run-1", "postgres quorum kill-primary", "valid"),
        ("run-2", "postgres quorum kill-primary", "invalid"),
    ]
    assert plain["runs"][1]["reasons"] == ["lost: 1 of 2,800; forbidden."]
    lost = next(judgement for judgement in plain["runs"][1]["properties"] if judgement["property"] == "lost")
    assert (lost["state"], lost["measured"]) == ("invalid", 1)
    assert json.loads(json.dumps(plain)) == plain


def test_verdict_json_gives_the_spread_of_repeats_and_how_many_it_is_of() -> None:
    runs = [run(), run(down_ms=4000, run_id="run-2"), without_findings()]
    plain: Any = verdict_json(runs)
    (spread,) = plain["repeats"]
    assert (spread["name"], spread["n"]) == ("postgres quorum kill-primary", 3)
    assert spread["failover_seconds"] == {"n": 2, "min": 2.023, "median": 3.023, "max": 4.023, "at_least": False}
    assert (spread["lost"]["n"], spread["lost"]["max"]) == (2, 0)
    only: Any = verdict_json([without_findings(), without_findings()])["repeats"]
    assert only[0]["lost"] == {"n": 0, "min": None, "median": None, "max": None, "at_least": False}


def test_one_run_of_a_name_is_no_repeat_and_no_run_is_no_verdict() -> None:
    assert verdict_json([run()])["repeats"] == []
    assert verdict_json([]) == {"verdict": "unknown", "runs": [], "repeats": []}


def test_numbers_that_doubles_cannot_hold_are_strings() -> None:
    report = run()
    (first, *rest) = report.verdict.judgements
    huge = replace(report.verdict, judgements=(replace(first, measured=2**53 + 1, limit=2**53), *rest))
    plain: Any = verdict_json([replace(report, verdict=huge)])
    (properties, *_) = plain["runs"][0]["properties"]
    assert (properties["measured"], properties["limit"]) == ("9007199254740993", 2**53)
