"""`caplab report --record`: one page for auditors, made from results alone."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from support.runs.page_suites import HOSTILE, LOST, hostile_fields, write_control, write_suite

from caplab import cli
from caplab.files import results
from caplab.model.fields import FieldError
from caplab.report.drill_record import drill_html
from caplab.run import drills


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("drills") / "20261129-180000-core")


@pytest.fixture(scope="module")
def text(suite: Path) -> str:
    """Return the suite's record as Markdown."""
    drills.write_suite(suite)
    return (suite / results.DRILL).read_text()


def sections(text: str, number: int) -> dict[str, str]:
    """Return the sections of a run's record, by their heading; '' is what is before the first."""
    pages = [page for page in text.split("\n\n---\n\n") if page.startswith("# Drill record: ")]
    parts = pages[number - 1].split("\n## ")
    return {"": parts[0]} | {part.partition("\n")[0]: part for part in parts[1:]}


def test_each_run_with_a_verdict_has_its_record(text: str) -> None:
    assert len(re.findall("^# Drill record: ", text, re.MULTILINE)) == 4
    for number in range(1, 5):
        assert set(sections(text, number)) == {
            "", "Objectives", "What was done", "Who saw what", "Deviations", "Everything that was promised", "Evidence",
            "Settings in force and versions", "Signed",
        }  # fmt: skip


def test_it_names_date_system_scenario_result_and_machine(text: str) -> None:
    head = sections(text, 1)[""]
    assert re.search(r"\| Date \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \|", head)
    assert "| System | postgres · quorum" in head
    assert "AS PROMISED" in head
    assert "2 cores, 24 GiB, One, x86\\_64" in head.replace("x86_64", "x86\\_64")
    assert "caplab run postgres/kill-primary --set durability=quorum" in head


def test_recovery_and_loss_are_beside_their_objectives(text: str) -> None:
    kept, broken = sections(text, 1)["Objectives"], sections(text, 2)["Objectives"]
    assert re.search(r"\| recovery time: failover time \| ≤ .* \| met \|", kept)
    assert re.search(r"\| data loss: acked writes lost \| forbidden \| 0 .* \| met \|", kept)
    assert re.search(r"\| data loss: acked writes lost \| forbidden \| 1 .* \| NOT MET \|", broken)


def test_what_is_not_as_promised_is_a_deviation_and_so_is_what_may_happen_and_cost_something(text: str) -> None:
    assert "None: everything was as promised." in sections(text, 1)["Deviations"]
    assert "lost" in sections(text, 2)["Deviations"]
    assert f"{LOST}" in sections(text, 3)["Deviations"]
    assert "NO EVIDENCE" in sections(text, 4)["What was done"]
    assert "None" not in sections(text, 4)["Deviations"]


def test_what_each_zone_saw_is_told_of_writes_and_of_shares_apart(text: str) -> None:
    tables = [block.splitlines() for block in sections(text, 1)["Who saw what"].split("\n\n") if block[:1] == "|"]
    heads = [[cell.strip() for cell in table[0].strip("|").split("|")] for table in tables]
    assert [head[0] for head in heads] == ["zone, route, operation"] * 2
    assert heads[0][1:] == ["failover", "attempted", "acked", "survived", "lost", "unacked found"]
    assert all(name.startswith("% acked ") for name in heads[1][1:])
    names = [[line.split("|")[1].strip() for line in table[2:]] for table in tables]
    assert names[0] == names[1]
    assert "a, direct, add" in names[0]


def test_no_objective_of_a_run_that_proves_nothing_is_met(text: str) -> None:
    for name in ("Objectives", "Everything that was promised"):
        assert not re.search(r"\| (met|ok) \|", sections(text, 4)[name]), name
    assert "NOT PROVEN" in sections(text, 4)["Objectives"]


def test_no_address_becomes_a_link(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    (run,) = folder.glob("01-*")
    journal = results.read_journal(run)
    results.write_journal(run, {**journal, "experiment": {"description": "see https://a.example or www.a.example"}})
    drills.write_suite(folder)
    shown = (folder / results.DRILL).read_text()
    assert "a.example" in shown
    assert "https://a" not in shown
    assert "www.a" not in shown


def test_the_raw_history_is_named_by_its_digest(suite: Path, text: str) -> None:
    content = (suite / "01-postgres-kill-primary" / results.HISTORY).read_bytes()
    assert f"SHA-256 {hashlib.sha256(content).hexdigest()}" in sections(text, 1)["Evidence"]
    assert f"{len(content):,} bytes" in sections(text, 1)["Evidence"]


def test_without_its_history_a_record_says_so_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    history = next(folder.glob("*/")) / results.HISTORY
    whole = history.read_bytes()
    history.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FieldError, match=r"history\.parquet: "):
        drills.write_suite(folder)
    assert not (folder / results.DRILL).exists()


def test_without_an_objective_what_was_measured_stands_alone(tmp_path: Path) -> None:
    folder = write_control(tmp_path / "control")
    drills.write_suite(folder)
    objectives = sections((folder / results.DRILL).read_text(), 1)["Objectives"]
    assert "| recovery time | no objective | not measured |" in objectives


def test_a_run_alone_has_a_record_too(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = suite / "03-redis-kill-primary"
    assert cli.main(["report", "--record", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / results.DRILL}\n{run / results.DRILL_PAGE}\n"
    assert (run / results.DRILL).read_text().count("# Drill record: ") == 1


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "20261129-180000-core", hostile_fields())
    run = folder / "03-redis-kill-primary"
    journal = results.read_journal(run)
    results.write_journal(run, {**journal, "experiment": {"description": HOSTILE}})
    shown = drills.write_suite(folder)[-1].read_text()
    assert "<img" not in shown
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in (folder / results.DRILL).read_text()


def test_a_title_is_escaped() -> None:
    assert "<title>&lt;b&gt;</title>" in drill_html("# One\n", "<b>\x1b\u202e")


@pytest.mark.parametrize(
    "text",
    ["# Signed", "1. one", "12) two", "> quoted", "- - nested", "+ more", "---", "=", "~~~", "~~gone~~", "_slanted_"],
)
def test_no_text_becomes_a_heading_a_list_or_a_rule(tmp_path: Path, text: str) -> None:
    folder = write_control(tmp_path / "control")
    (run,) = folder.glob("01-*")
    journal = results.read_journal(run)
    results.write_journal(run, {**journal, "experiment": {"description": text}})
    page = drills.write_suite(folder)[-1].read_text()
    done = page[page.index("What was done") : page.index("Who saw what")]
    assert text.replace(">", "&gt;") in done
    assert done.count("<li>") == 2
    assert "<ol" not in done
    assert "<hr" not in done
    assert "<s>" not in done
    assert "<em>" not in done
    assert done.count("<h") == 1


def test_no_script_and_nothing_from_elsewhere(suite: Path, text: str) -> None:
    page = (suite / results.DRILL_PAGE).read_text()
    assert text
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert "@media print" in page
    assert json.dumps("Signed")[1:-1] in page
