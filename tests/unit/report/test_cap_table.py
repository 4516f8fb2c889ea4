"""The CAP table: the page is up to date, and says what was promised, measured, and never measured."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from caplab_cluster.paths import REPOSITORY

from caplab.check.finding import State
from caplab.files.expectations_file import parse
from caplab.model.fields import FieldError
from caplab.report.cap_table.evidence import Evidence
from caplab.report.cap_table.page import cap_table, tally
from caplab.run import plans
from caplab.run.plans import Machine, SuitePlan

ROWS = """rows:
- engine: postgres
  mode: quorum
  fault: kill-primary
  properties: {failovers: must-show, failoverTime: {atMost: ttl + 2s}, lost: forbidden}
  why: Because | so.
  source: The manual.
- engine: cassandra
  mode: ONE-ONE
  fault: kill-node
  route: service
  properties: {failoverTime: possible, lost: {atMost: writesPerSecond * 100ms}, writeOutage: {atLeast: faultSeconds}}
  sides:
  - {side: minority, route: direct, properties: {lost: must-show, unackedShare: possible}}
  why: For this.
  source: The book.
"""
QUORUM, ONE = "postgres quorum kill-primary", "cassandra ONE-ONE kill-node"


def judged(name: str, promise: str, measured: float | None, state: str = "valid", **more: Any) -> dict[str, Any]:
    unit = "s" if name.endswith(("Time", "Outage")) else ""
    beside = {"reason": "", "unit": unit, "budget": None, "limit": None}
    return {"property": name, "promise": promise, "state": state, "measured": measured, **beside, **more}


def failover(seconds: float | None = 12.5, state: str = "valid", **more: Any) -> dict[str, Any]:
    return judged("failoverTime", "bounded", seconds, state, **({"budget": "ttl + 2s", "limit": 22.0} | more))


def quorum_run(*properties: dict[str, Any], verdict: str = "valid", reasons: tuple[str, ...] = ()) -> dict[str, Any]:
    named = {
        judgement["property"]: judgement
        for judgement in (judged("failovers", "must-show", 1), failover(), judged("lost", "forbidden", 0))
    }
    merged = [*(named | {judgement["property"]: judgement for judgement in properties}).values()]
    return {"run": "id", "name": QUORUM, "row": QUORUM, "verdict": verdict, "reasons": [*reasons], "properties": merged}


def one_run(*properties: dict[str, Any]) -> dict[str, Any]:
    return quorum_run() | {"row": ONE, "properties": [*properties]}


def suite(
    *runs: dict[str, Any], date: str = "2026-11-21 08:04:23 UTC", name: str = "core", **more: Any
) -> dict[str, Any]:
    machine = {"cores": 2, "memory_bytes": 24 * 2**30, "load": 0.34}
    return {"suite": name, "date": date, "machine": machine, "verdict": "valid", "runs": [*runs], **more}


def page(*suites: dict[str, Any], rows: str = ROWS) -> str:
    evidence = [Evidence.from_json(f"{suite['suite']}.json", suite) for suite in suites]
    return cap_table(parse(rows), evidence, {"cassandra"})


def cells(text: str, name: str) -> list[list[str]]:
    """The lines of the property, each as its cells from 'promised' to 'date'."""
    split = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return [[*row[4:7], row[7].removesuffix("|").strip()] for row in split if len(row) == 8 and row[3] == name]


def test_a_row_that_was_never_measured_says_so() -> None:
    text = page()
    assert "**2 rows, 0 measured: 0 as promised, 0 promise broken, 0 not proven**" in text
    assert cells(text, "failover time") == [["≤ ttl + 2s", "not measured", "-", ""]]
    assert cells(text, "outage of writes") == [["must show ≥ faultSeconds", "not measured", "-", ""]]
    assert "**suites**" not in text


def test_promised_and_measured_stand_beside_each_other_with_the_budgets_value() -> None:
    text = page(suite(quorum_run()))
    assert "**2 rows, 1 measured: 1 as promised, 0 promise broken, 0 not proven**" in text
    assert "**1 row, 0 measured: 0 as promised, 0 promise broken, 0 not proven**" in text
    assert "| quorum | kill-primary | all | failovers | must show | 1 | as promised | 2026-11-21 |" in text
    assert "|  |  |  | failover time | ≤ 22.0 s  (ttl + 2s) | 12.500 s | as promised |  |" in text
    assert "| core | 2026-11-21 08:04:23 UTC | 2 cores, 24 GiB | 0.3 | 1 |" in text
    # Nothing fails over in Cassandra; and its row is of one route, but for what is not told by route.
    assert "| ONE-ONE | kill-node | service | outage time | possible | not measured | - |  |" in text
    assert "|  |  | all | acked writes lost | ≤ writesPerSecond \\* 100ms | not measured | - |  |" in text


def test_why_and_source_are_folded_away_below_each_engines_table() -> None:
    text = page()
    assert text.index("- **quorum kill-primary**: Because \\| so. *Source: The manual.*") < text.index("## cassandra")
    assert text.count("<details>") == text.count("</details>") == 4  # each engine's properties, and its reasons


def test_the_first_table_has_a_line_a_row_with_what_clients_went_through_and_what_was_promised() -> None:
    of_side = judged("lost", "must-show", 7, side="minority", route="direct")
    text = page(suite(quorum_run(), one_run(judged("failoverTime", "possible", 3.5, route="service"), of_side)))
    # Columns that no row of an engine has anything for are left out.
    assert "| mode | fault | not served for | acked writes lost | verdict |" in text
    assert "| quorum | kill-primary | 12.500 s (≤ 22.0 s) | 0 (forbidden) | as promised |" in text
    line = (
        "| ONE-ONE | kill-node | 3.500 s; writes: not measured (must show ≥ faultSeconds);"
        " minority share: not measured | not measured (≤ writesPerSecond \\* 100ms); minority: 7 (must show) |"
        " not proven |"
    )
    assert line in text


def test_rows_with_the_same_reasons_share_them() -> None:
    more = ROWS + ROWS.removeprefix("rows:\n").split("- engine: cassandra")[0].replace("quorum", "async")
    assert "- **quorum kill-primary, async kill-primary**: Because" in page(rows=more)


def test_several_runs_of_a_row_are_shown_from_least_to_most_and_the_worst_decides() -> None:
    bad = quorum_run(judged("lost", "forbidden", 3, "invalid"), failover(20.0), verdict="invalid", reasons=("lost: 3",))
    text = page(suite(quorum_run(), bad, quorum_run(failover(None, "unknown"), verdict="unknown", reasons=("f",))))
    assert cells(text, "failover time")[0] == [
        "≤ 22.0 s  (ttl + 2s)",
        "12.500 s to 20.000 s; 2 of 3 runs",
        "not proven",
        "",
    ]
    assert cells(text, "acked writes lost")[0] == ["forbidden", "0 to 3; 3 runs", "PROMISE BROKEN", ""]
    assert "1 measured: 0 as promised, 1 promise broken, 0 not proven" in text


def test_the_newest_suite_that_has_a_row_counts() -> None:
    old = suite(quorum_run(failover(19.0)), name="full", date="2026-11-20 23:59:59 UTC")
    newest = suite(name="other", date="2026-11-23 00:00:00 UTC")
    assert cells(page(suite(quorum_run()), newest, old), "failover time")[0][1] == "12.500 s"
    assert cells(page(old), "failover time")[0][1] == "19.000 s"


def test_a_run_that_is_no_case_of_its_row_says_nothing() -> None:
    bad = judged("lost", "forbidden", 3, "invalid")
    for reasons in (("There is no evidence of the fault.", "lost: 3"), ("The baseline failed.",)):
        text = page(suite(quorum_run(bad, verdict="unknown", reasons=reasons)))
        assert cells(text, "acked writes lost")[0][1:3] == ["3", "not proven"]
        assert "1 measured: 0 as promised, 0 promise broken, 1 not proven" in text
    # The other way round: one property was not measured, and the others hold.
    text = page(suite(quorum_run(failover(None, "unknown"), verdict="unknown", reasons=("failoverTime: no",))))
    assert cells(text, "acked writes lost")[0][1:3] == ["0", "as promised"]
    assert cells(text, "failover time")[0][1:3] == ["not measured", "not proven"]


@pytest.mark.parametrize(
    ("was", "name"),
    [
        (failover(budget="ttl + 9s"), "failover time"),
        (judged("lost", "possible", 0), "acked writes lost"),
        (judged("failovers", "must-show", 1, budget="faultSeconds", limit=1), "failovers"),
    ],
)
def test_what_was_judged_by_another_promise_is_not_told_as_kept(was: dict[str, Any], name: str) -> None:
    text = page(suite(quorum_run(was)))
    promised, _, verdict, _ = cells(text, name)[0]
    assert verdict == "promise changed"
    assert "22.0" not in promised
    assert "1 measured: 0 as promised, 0 promise broken, 1 not proven" in text


def test_a_property_that_the_row_did_not_have_was_not_measured() -> None:
    run = quorum_run()
    run["properties"].pop()
    text = page(suite(run))
    assert cells(text, "acked writes lost")[0][1:3] == ["not measured", "-"]
    assert "1 measured: 0 as promised, 0 promise broken, 1 not proven" in text


def test_a_lower_bound_is_told_as_one_and_counts_have_no_fractions() -> None:
    lost = judged("lost", "bounded", 1234, budget="writesPerSecond * 100ms", limit=1500.9, of=2000)
    of_service: dict[str, Any] = {"route": "service", "budget": "faultSeconds", "limit": 15, "at_least": True}
    text = page(suite(one_run(lost, judged("writeOutage", "must-show", 15.25, **of_service))))
    assert cells(text, "acked writes lost")[1][:2] == ["≤ 1,500  (writesPerSecond \\* 100ms)", "1,234 of 2,000"]
    assert cells(text, "outage of writes")[0][:2] == ["must show ≥ 15.0 s  (faultSeconds)", "≥ 15.250 s"]


def test_a_side_is_told_apart_from_all_and_from_other_routes() -> None:
    of_all = judged("lost", "bounded", 0, budget="writesPerSecond * 100ms", limit=12)
    of_side = judged("lost", "must-show", 7, side="minority", route="direct")
    share = judged("unackedShare", "possible", 0.253, side="minority", route="direct")
    elsewhere = judged("lost", "must-show", 9, side="minority", route="service")
    text = page(suite(one_run(of_all, of_side, elsewhere, share)))
    assert "| minority, direct | acked writes lost | must show | 7 | as promised |" in text
    assert "|  |  |  | share unacked under the fault | possible | 25 % | as promised |" in text
    assert [line[1] for line in cells(text, "acked writes lost")] == ["not measured", "0", "7"]


def test_evidence_of_rows_that_are_gone_is_named() -> None:
    text = page(suite(quorum_run() | {"row": "postgres sync kill-primary"}))
    assert "Measured, but no row of the table any more: postgres sync kill-primary." in text


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (suite() | {"runs": None}, "core.json: field 'runs' must be a list"),
        ({"suite": "core", "runs": []}, "core.json: field 'machine' is missing"),
        (
            suite(quorum_run(verdict="good")),
            r"core.json.runs\[0\]: field 'verdict' must be one of valid, invalid, unknown",
        ),
        (
            suite(quorum_run(judged("lost", "allowed", 0))),
            "field 'promise' must be one of forbidden, bounded, possible",
        ),
        (suite(quorum_run(judged("lost", "forbidden", "many"))), "field 'measured' must be a number, found 'many'"),  # type: ignore[arg-type]
    ],
)
def test_evidence_that_is_none_is_refused_by_file_and_field(broken: dict[str, Any], says: str) -> None:
    with pytest.raises(FieldError, match=says):
        page(broken)


def test_a_count_that_no_double_holds_is_read_from_its_text() -> None:
    lost: Any = "9007199254740993"
    assert cells(page(suite(quorum_run(judged("lost", "forbidden", lost)))), "acked writes lost")[0][1].startswith(
        "9,007"
    )


def test_rows_are_tallied_by_verdict() -> None:
    states = [None, State.HOLDS, State.HOLDS, State.VIOLATED]
    assert tally(states) == "4 rows, 3 measured: 2 as promised, 1 promise broken, 0 not proven"


def bench() -> ModuleType:
    """bench/cap_table.py, which is no package."""
    spec = importlib.util.spec_from_file_location("bench_cap_table", REPOSITORY / "bench" / "cap_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


BENCH: Any = bench()


def test_the_page_is_up_to_date() -> None:
    assert BENCH.main(["--check"]) == 0, "Hint: make cap-table"


@pytest.fixture
def places(tmp_path: Path) -> Any:
    (tmp_path / "rows.yaml").write_text(ROWS)
    return BENCH.Places(tmp_path / "rows.yaml", tmp_path / "cap", tmp_path / "page.md")


def results_of(folder: Path, **verdict: Any) -> Path:
    folder.mkdir(parents=True)
    written = {"verdict": "valid", "runs": [quorum_run()], "repeats": [], "suite": "core", "failures": []} | verdict
    (folder / "verdict.json").write_text(json.dumps(written))
    return folder


def test_a_suite_is_added_with_its_date_and_the_machine_of_its_plan(tmp_path: Path, places: Any) -> None:
    folder = results_of(tmp_path / "results" / "20261121-080423-core")
    plans.write(
        folder,
        SuitePlan(
            suite="core",
            name="core",
            settings={},
            repeat=1,
            machine=Machine(cores=3, memory_bytes=2**34, load=0.5),
            runs=(),
        ),
    )
    assert BENCH.main(["--check"], places) == 1
    assert BENCH.main(["--add", str(folder)], places) == 0
    assert BENCH.main(["--check"], places) == 0
    copy = json.loads((places.evidence / "core.json").read_text())
    assert copy["date"] == "2026-11-21 08:04:23 UTC"
    unknown = {"cpu": "", "architecture": "", "kernel": ""}
    assert copy["machine"] == {"cores": 3, "memory_bytes": 2**34, "load": 0.5} | unknown
    assert "| core | 2026-11-21 08:04:23 UTC | 3 cores, 16 GiB | 0.5 | 1 |" in places.page.read_text()
    places.page.write_text("old")
    assert BENCH.main(["--check"], places) == 1


def test_of_a_suite_without_a_plan_the_load_is_not_known(tmp_path: Path, places: Any) -> None:
    BENCH.main(["--add", str(results_of(tmp_path / "20261121-080423-core"))], places)
    machine = json.loads((places.evidence / "core.json").read_text())["machine"]
    assert (machine["cores"], machine["load"]) == (os.cpu_count(), None)


def test_what_cannot_be_added_is_refused_and_leaves_all_as_it_is(
    tmp_path: Path, places: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    newer, older = (results_of(tmp_path / f"2026112{day}-000000-core") for day in (2, 1))
    assert BENCH.main(["--add", str(newer)], places) == 0
    kept = (places.evidence / "core.json").read_text()
    empty = tmp_path / "20261123-000000-core"
    empty.mkdir()
    broken = results_of(tmp_path / "20261124-000000-core", runs=[{}])
    for folder, says in (
        (older, "core.json is newer than"),
        (tmp_path, "is not a suite's folder. Hint"),
        (empty, "No such file"),
        (broken, "is missing"),
    ):
        assert BENCH.main(["--add", str(folder)], places) == 1
        assert says in capsys.readouterr().err
    assert (places.evidence / "core.json").read_text() == kept
