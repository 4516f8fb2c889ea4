"""report.html, made from results alone: the table, each run's section, and what is packed for its script."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkers.histories import (
    at,
    history,
    kill,
    killed_run,
    node_kill_report,
    node_kill_run,
    operation,
    report_of,
)
from support.runs.page_suites import (
    HOSTILE,
    LOST,
    OVERLAPS,
    STALE,
    hostile_fields,
    redis_rows,
    write_control,
    write_suite,
)

from caplab import cli
from caplab.check import Context
from caplab.command_error import CommandError
from caplab.files import chart_library, results
from caplab.model.fields import FieldError
from caplab.report.html import anomalies
from caplab.report.html.history import MOST_OPERATIONS, view_of
from caplab.report.html.markup import Markup, element, joined, table
from caplab.report.html.page import page
from caplab.report.html.stages import stages_of
from caplab.report.html.trade_offs import trade_offs
from caplab.report.html.values import RunPage, SuitePage
from caplab.report.html.yearly import budgets, duration
from caplab.report.timeline import title
from caplab.run import pages, reporting

WINDOW = (kill(10_000, 22_000),)
NOT_MADE = "postgres/control durability=quorum"


@pytest.fixture(scope="module", autouse=True)
def no_library() -> Iterator[None]:
    """Spare the bundling of the charts: test_page_in_browser.py has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "chart_library", lambda: "")
        yield


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("page") / "20261129-180000-core")


@pytest.fixture(scope="module")
def text(suite: Path) -> str:
    """Return the suite's page."""
    return pages.write_suite(suite, {NOT_MADE: "the API server is away"}).read_text()


def unpacked(text: str, name: str) -> str:
    found = re.search(rf'<script type="text/plain" id="packed-{name}">([^<]*)</script>', text)
    assert found, name
    return gzip.decompress(base64.b64decode(found[1])).decode()


def run_of(text: str, number: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(unpacked(text, str(number)))
    return content


def visible(text: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", text))


def test_the_table_shows_what_happened_and_what_was_promised(text: str) -> None:
    rows = [visible(row) for row in re.findall(r"<tr class=\"\w+\".*?</tr>|<tr data-engine.*?</tr>", text, re.DOTALL)]
    assert len(rows) == 5
    assert "2.023 s" in rows[0]
    assert "≤ 32.0 s" in rows[0]
    assert "0 of 2,800" in rows[0]
    assert "1 of 2,800" in rows[1]
    assert "1 of 2,800 acknowledged writes lost (promised: none)" in rows[1]  # why it is red
    assert "There is no evidence that the kill of pg-0 was live" in rows[3]
    assert f"{STALE} of 60" in rows[2]
    assert "not measured" in rows[0]  # stale reads: no read has a key
    assert "not judged" in rows[2]  # stale reads: they were measured, and no row names them
    assert "not judged" not in rows[0]
    assert NOT_MADE in rows[4]
    assert "the API server is away" in rows[4]


def test_a_runs_section_has_the_picture_the_judgements_and_the_command(text: str) -> None:
    content = run_of(text, 3)
    shown = visible(content["html"])
    for part in (
        "redis everysec-wait-0 kill-primary", "PROMISE BROKEN", "kill of rd-0",
        "Promised and measured", "split-brain writes",
        f"{LOST} acknowledged writes that were lost", f"{STALE} stale reads", f"{OVERLAPS} split-brain writes",
        "rd-1 · epoch 39110c49", "Where the time went", "As a yearly budget", "8.8 h", "53 min",
        "caplab run redis/kill-primary --set wait=0", "downAfterMilliseconds", "seed 7",
    ):  # fmt: skip
        assert part in shown, part
    assert content["html"].count('class="outage"') == 6
    assert content["data"]["frame"]["top"] < title.HEIGHT  # the section has a heading of its own
    assert f"this fault lost {LOST} of " in shown
    assert "Downtime is not the only cost" not in visible(run_of(text, 1)["html"])


def test_every_anomaly_is_marked_and_listed_with_its_witness(text: str) -> None:
    marks = run_of(text, 3)["data"]["marks"]
    kinds = [mark[0] for mark in marks]
    assert {kind: kinds.count(kind) for kind in kinds} == {"lost": LOST, "stale": STALE, "two-primaries": OVERLAPS}
    _, seconds, strip, what, cells, witness = next(mark for mark in marks if mark[0] == "stale")
    assert "This read of k returned 53, although 54" in what
    assert cells[2] == "read k: 53"
    assert witness[2] == "write k = 54"
    assert strip >= 0
    assert float(cells[4]) == pytest.approx(seconds)
    overlap = next(mark for mark in marks if mark[0] == "two-primaries")
    assert "epoch e7fde5a2, though it was sent after epoch 39110c49" in overlap[3]


def test_anomalies_are_those_that_the_checkers_count() -> None:
    rows = redis_rows()
    report = report_of(rows, mode="quorum", fault_windows=WINDOW)
    found = anomalies.anomalies_of(history(rows), Context.of(report.record), at(10_000))
    assert found.counts["lost"] == report.figures("durability")["lost"] == LOST
    assert found.counts["stale"] == report.figures("staleness")["stale"] == STALE
    assert found.counts["two-primaries"] == report.figures("epochs")["overlaps"] == OVERLAPS
    assert len(found.behind_ns) == STALE


def test_without_a_usable_scan_nothing_is_called_lost() -> None:
    rows = redis_rows()
    report = report_of(rows, mode="quorum", fault_windows=WINDOW, final_scan=None)
    assert anomalies.anomalies_of(history(rows), Context.of(report.record), 0).counts["lost"] == 0


def test_of_very_many_anomalies_the_first_are_shown_and_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalies, "MOST", 5)
    rows = redis_rows()
    report = report_of(rows, mode="quorum", fault_windows=WINDOW)
    found = anomalies.anomalies_of(history(rows), Context.of(report.record), 0)
    assert len([anomaly for anomaly in found.shown if anomaly.kind == "lost"]) == 5
    assert found.counts["lost"] == LOST


def test_operations_are_drawn_one_by_one_near_what_changed_and_where_they_failed() -> None:
    rows = killed_run()
    view = view_of(history(rows), report_of(rows, fault_windows=WINDOW, settled_ns=at(25_000)))
    operations: Any = view.data["operations"]
    seconds = np.array(operations["t"])
    failed = np.array(operations["outcome"]) != operations["words"]["outcome"].index("ok")
    changed = np.abs(seconds[:, None] - np.array([0, 2.023, 12])).min(axis=1)
    assert (changed[~failed] <= 1.0).all()
    assert failed.sum() == 400
    assert view.raw[0] == len(seconds) <= MOST_OPERATIONS


def test_many_operations_are_thinned_and_the_page_says_so() -> None:
    rows = killed_run(down_ms=12_000, operations=3000)
    report = report_of(rows, fault_windows=WINDOW)
    view = view_of(history(rows), report)
    assert view.raw[0] < view.raw[1]
    text = page(SuitePage(suite="s", machine="", made="", runs=[RunPage(report=report, view=view)]), "")
    assert f"thinned from {view.raw[1]:,}" in run_of(text, 1)["html"]


def test_a_planned_fault_that_never_came_has_no_outage_that_was_measured() -> None:
    report = report_of(killed_run(), fault_windows=())
    text = page(SuitePage(suite="s", machine="", made="", runs=[RunPage(report=report)]), "")
    assert 'data-label="not served for" data-sort="-1"' in text


def test_a_control_run_and_one_without_a_primary_are_drawn(tmp_path: Path) -> None:
    text = pages.write_suite(write_control(tmp_path / "control"), {}).read_text()
    assert "No acknowledged write was lost" in run_of(text, 1)["html"]
    assert run_of(text, 1)["data"]["stages"] == []
    view = view_of(history(node_kill_run()), node_kill_report())
    assert "two-primaries" not in view.counts
    assert 'class="reign"' not in view.picture


def test_a_run_whose_history_is_gone_or_damaged_still_has_its_verdict(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    (run,) = folder.glob("01-*")
    (run / results.HISTORY).write_bytes(b"PAR1 damaged")
    content = run_of(pages.write_suite(folder, {}).read_text(), 1)
    assert "There is no picture: " in content["html"]
    assert "Promised and measured" in content["html"]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "20261129-180000-core", hostile_fields())
    text = pages.write_suite(folder, {NOT_MADE: HOSTILE}).read_text()
    section = run_of(text, 3)["html"]
    for part in (text, section):
        assert "<img" not in part
        assert "\x1b" not in part
        assert "\u202e" not in part
        assert "<script>window" not in part
        assert "long" * 1000 not in part
    assert "&lt;img src=x" in section
    assert "(the first 600 of 10,1" in section


def test_what_is_not_markup_is_escaped_wherever_it_stands() -> None:
    assert element("b", "<i>", title='"<') == '<b title="&quot;&lt;">&lt;i&gt;</b>'
    assert joined("<", [Markup("<i>"), "&"]) == "&lt;<i>&amp;"
    assert "<td>&lt;b&gt;</td>" in table(("a",), [("<b>",)], "c")


def test_the_page_fetches_nothing(text: str) -> None:
    assert "default-src 'none'" in unescape(text)
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', text) == []


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3.65 * 86400, "3.6 d"), (31536, "8.8 h"), (3153.6, "53 min"), (90, "90 s")]
)
def test_budgets_are_written_as_people_say_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_yearly_budget_counts_the_faults_that_fit() -> None:
    fit = {budget.target: budget.outages for budget in budgets(31.536)}
    assert fit == {0.99: 10_000, 0.999: 1000, 0.9999: 100, 0.99999: 10}
    assert budgets(0.0)[0].outages is None


def test_stages_follow_each_other_from_the_injection_on() -> None:
    stages = stages_of(report_of(killed_run(), fault_windows=WINDOW, settled_ns=at(25_000)))
    assert stages[0].begin_seconds == 0
    assert [stage.begin_seconds for stage in stages[1:]] == [stage.end_seconds for stage in stages[:-1]]
    assert stages[-1].end_seconds == 15
    assert stages[-1].until == "all members were back and caught up"


def test_a_cut_shows_what_a_mode_gives_up() -> None:
    sides = {"minority": ("c",), "majority": ("a", "b")}

    def trade(minority_serves: bool) -> str:
        rows = killed_run(down_ms=0, operations=4000)
        for row in rows:
            down = 10_000 <= (row["scheduled_ns"] - at(0)) / 1e6 < 22_000
            if row.get("vantage") == "c" and row["op"] == "add" and down and not minority_serves:
                row |= {"outcome": "fail", "error": "refused"}
        report = report_of(rows, fault_windows=WINDOW, sides=sides)
        return trade_offs([report])["postgres", "quorum"].short

    assert trade(minority_serves=True) == "PA/EC"
    assert trade(minority_serves=False) == "PC/EC"
    assert trade_offs([report_of(killed_run(), fault_windows=WINDOW)])["postgres", "quorum"].short == "P?/EC"


def test_the_command_makes_the_pages_of_suites_and_runs(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = suite / "03-redis-kill-primary"
    for folder in (suite, run):
        (folder / results.PAGE).unlink(missing_ok=True)
    assert cli.main(["report", str(suite), str(run)]) == 0
    assert capsys.readouterr().out == f"{suite / results.PAGE}\n{run / results.PAGE}\n"
    assert "caplab run redis/kill-primary --set wait=0" in run_of((run / results.PAGE).read_text(), 1)["html"]


def test_what_is_no_result_is_refused_with_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path)]) == 3
    assert "Hint: name the folder of a suite or a run." in capsys.readouterr().err
    folder = write_control(tmp_path / "control")
    (run,) = folder.glob("01-*")
    (run / results.FINDINGS).unlink()
    with pytest.raises(CommandError, match="no run has a verdict"):
        reporting.report([folder])
    with pytest.raises(CommandError, match="the run has no verdict"):
        reporting.report([run])


def test_a_journal_that_cannot_be_read_is_not_called_a_missing_verdict(suite: Path, tmp_path: Path) -> None:
    folder = tmp_path / suite.name
    shutil.copytree(suite, folder)
    damaged, ended = folder / "01-postgres-kill-primary", folder / "02-postgres-kill-primary"
    (damaged / "journal.json").write_text("{")
    (ended / results.FINDINGS).unlink()
    with pytest.raises(FieldError, match=r"journal\.json.* Hint: "):
        reporting.report([damaged])
    shown = visible(pages.write_suite(folder, {}).read_text())
    assert "its journal cannot be read: " in shown
    assert "it ended without a verdict" in shown
    assert "not made" in shown


def test_what_an_experiment_says_of_itself_stands_above_what_was_done(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    (run,) = folder.glob("01-*")
    journal = results.read_journal(run)
    results.write_journal(run, {**journal, "experiment": {"description": "Nobody is harmed."}})
    shown = visible(run_of(pages.write_suite(folder, {}).read_text(), 1)["html"])
    assert "Nobody is harmed." in shown[shown.index("What was done") : shown.index("What clients saw")]


def test_old_reads_that_no_row_judges_leave_open_what_a_mode_keeps() -> None:
    reads = report_of(redis_rows(), mode="quorum", fault_windows=WINDOW)
    assert trade_offs([reads])["postgres", "quorum"].short == "P?/E?"
    assert trade_offs([report_of(killed_run(), fault_windows=WINDOW)])["postgres", "quorum"].short == "P?/EC"


def test_a_page_that_cannot_be_written_is_refused_with_its_name(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    (folder / results.PAGE).mkdir()
    with pytest.raises(CommandError, match=r"report\.html"):
        reporting.report([folder])


def test_a_machine_without_the_library_has_no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert chart_library.chart_library() == ""


def test_the_library_is_bundled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vl_convert = pytest.importorskip("vl_convert", reason="the images' Python has no charts")
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda _: "window.vegaEmbed")
    assert chart_library.chart_library() == "window.vegaEmbed"
    monkeypatch.delattr(vl_convert, "javascript_bundle")
    assert chart_library.chart_library() == "window.vegaEmbed"


def test_an_operation_without_a_route_has_its_strip() -> None:
    rows = [operation(10 * number, op="add", value=number) for number in range(50)]
    found = anomalies.anomalies_of(
        history([*rows, operation(900_000, op="scan", value=1)]),
        Context.of(report_of([*rows, operation(900_000, op="scan", value=1)], fault_windows=WINDOW).record),
        at(0),
    )
    assert {anomaly.strip for anomaly in found.shown} == {("a", "writes", "unnamed")}
    assert found.counts["lost"] == 49
