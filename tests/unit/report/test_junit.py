from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as Xml

from support.checkers.histories import kill, killed_run, report_of

from caplab.check.finding import State
from caplab.report import RunReport
from caplab.report.junit import LabFailure, junit_xml

VALID = report_of(
    killed_run(operations=1500), fault_windows=(kill(10_000, 14_000),), seconds={"load": 40.0, "fault": 7.5}
)


def invalid(*reasons: str, state: State = State.VIOLATED) -> RunReport:
    return replace(VALID, verdict=replace(VALID.verdict, state=state, reasons=reasons))


def cases(*ended: RunReport | LabFailure) -> list[Xml.Element]:
    return Xml.fromstring(junit_xml("core", ended)).findall("./testsuite/testcase")


def test_a_run_is_a_test_case_by_engine_mode_and_row_with_its_figures() -> None:
    (case,) = cases(VALID)
    assert (case.attrib["classname"], case.attrib["name"]) == ("postgres.quorum", "postgres quorum kill-primary")
    assert case.attrib["time"] == "47.500"
    figures = {element.attrib["name"]: element.attrib["value"] for element in case.findall("./properties/property")}
    assert figures["run"] == "run-1"
    assert figures["lost"] == "0"
    assert figures["failoverTime"].endswith(" s")
    assert figures["failoverTime.limit"] == "32.0 s"
    assert [child.tag for child in case] == ["properties", "system-out"]
    told = "postgres/kill-primary\nAS PROMISED: none of 1,300 acknowledged writes lost\nclients were served again after"
    assert (case.findtext("system-out") or "").startswith(told)


def test_an_invalid_run_is_a_failure_and_an_unknown_one_an_error() -> None:
    wrong, open_ = cases(invalid("lost: 1; forbidden.", "more"), invalid("a doubt", state=State.UNKNOWN))
    failure, error = wrong.find("failure"), open_.find("error")
    assert failure is not None
    assert failure.attrib["type"] == "invalid"
    assert failure.attrib["message"].startswith("PROMISE BROKEN: ")
    assert (failure.text or "").endswith("\nlost: 1; forbidden.\nmore")
    assert error is not None
    assert error.attrib == {"message": "NOT PROVEN: a doubt", "type": "unknown"}
    assert open_.find("skipped") is None


def test_a_run_that_the_lab_could_not_make_is_an_error_of_the_lab() -> None:
    (case,) = cases(LabFailure("redis/control", "redis/control wait=1", "no prober", 1.5))
    assert case.attrib == {"classname": "redis", "name": "redis/control wait=1", "time": "1.500"}
    error = case.find("error")
    assert error is not None
    assert error.attrib == {"message": "no prober", "type": "lab"}


def test_the_suite_counts_them_all() -> None:
    failed = LabFailure("a/b", "a/b", "z", 2.0)
    ended: list[RunReport | LabFailure] = [VALID, invalid("x"), invalid("y", state=State.UNKNOWN), failed]
    top = Xml.fromstring(junit_xml("core", ended))
    counts = {"tests": "4", "failures": "1", "errors": "2", "time": "144.500"}
    suite = top.find("testsuite")
    assert suite is not None
    assert top.attrib == {"name": "caplab", **counts}
    assert suite.attrib == {"name": "core", **counts}


def test_awkward_characters_are_escaped_and_those_that_xml_has_not_are_replaced() -> None:
    awkward = 'a <b> & "c" \x1b[31m\x00\ud800\uffff é 😀 ]]>'
    clean = 'a <b> & "c" \ufffd[31m\ufffd\ufffd\ufffd é 😀 ]]>'
    run = replace(invalid(awkward, state=State.UNKNOWN), name=awkward, run_id=awkward)
    case, failed = cases(run, LabFailure("x", awkward, f"one\n{awkward}", 0))
    doubt, error = case.find("error"), failed.find("error")
    assert doubt is not None
    assert error is not None
    assert case.attrib["name"] == clean
    assert (doubt.text or "").endswith(f"\n{clean}")
    assert doubt.attrib["message"] == 'NOT PROVEN: a <b> & "c" [31m é 😀 ]]>'
    assert (failed.attrib["name"], error.text) == (clean, f"one\n{clean}")


def test_nothing_at_all_is_a_document_too() -> None:
    assert cases() == []
