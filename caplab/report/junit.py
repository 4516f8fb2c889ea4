"""junit.xml: a test case for each run, for tools that show test results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from caplab.check.finding import State
from caplab.model.fields import Json

from .headline import headline
from .values import RunReport

# Characters that XML 1.0 does not allow, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class LabFailure:
    """A run that the lab could not make: its name, and the sentence that says why not."""

    experiment: str  # such as postgres/kill-primary
    name: str  # the same with its settings
    sentence: str
    seconds: float


def junit_xml(suite: str, ended: Sequence[RunReport | LabFailure]) -> str:
    """Build the document, in the order of the runs.

    An invalid run is a failure; one that is unknown, or that the lab could not make, is an error of the type 'unknown'
    or 'lab'. Characters that XML does not allow are replaced.
    """
    cases = [_case(result) for result in ended]
    wrong = {tag: str(sum(case.find(tag) is not None for case in cases)) for tag in ("failure", "error")}
    seconds = f"{sum(float(case.attrib['time']) for case in cases):.3f}"
    counts = {"tests": str(len(cases)), "failures": wrong["failure"], "errors": wrong["error"], "time": seconds}
    top = Xml.Element("testsuites", {"name": "caplab", **counts})
    Xml.SubElement(top, "testsuite", {"name": _clean(suite), **counts}).extend(cases)
    Xml.indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(top, encoding="unicode")}\n'


def _case(ended: RunReport | LabFailure) -> Xml.Element:
    return _run(ended) if isinstance(ended, RunReport) else _lab_failure(ended)


def _run(report: RunReport) -> Xml.Element:
    record, verdict = report.record, report.verdict
    where = f"{record.engine}.{record.mode}"
    case = _element("testcase", classname=where, name=report.name, time=f"{sum(report.seconds.values()):.3f}")
    properties = Xml.SubElement(case, "properties")
    properties.append(_element("property", name="run", value=report.run_id))
    for judgement in verdict.judgements:
        properties.extend(_figures(judgement.to_json()))
    shown = headline(report)
    told = "\n".join(filter(None, (shown.title, shown.line, shown.served)))
    if verdict.state is State.HOLDS:
        case.append(_element("system-out", told))
    else:
        tag = "failure" if verdict.state is State.VIOLATED else "error"
        text = "\n".join((told, *verdict.reasons))
        case.append(_element(tag, text, message=shown.line, type=verdict.state.value))
    return case


def _lab_failure(failure: LabFailure) -> Xml.Element:
    engine = failure.experiment.rpartition("/")[0] or failure.experiment
    case = _element("testcase", classname=engine, name=failure.name, time=f"{failure.seconds:.3f}")
    case.append(_element("error", failure.sentence, message=failure.sentence, type="lab"))
    return case


def _figures(judgement: Mapping[str, Json]) -> list[Xml.Element]:
    """Build the elements of a property's figure and limit; of a side 'minority.direct.lost'."""
    parts = (judgement.get("side"), judgement.get("route"), judgement["property"])
    name = ".".join(str(part) for part in parts if part)
    unit = f" {judgement['unit']}" if judgement.get("unit") else ""
    measured, limit = judgement.get("measured"), judgement.get("limit")
    elements = [_element("property", name=name, value="not measured" if measured is None else f"{measured}{unit}")]
    if limit is not None:
        elements.append(_element("property", name=f"{name}.limit", value=f"{limit}{unit}"))
    return elements


def _element(tag: str, text: str | None = None, **attributes: str) -> Xml.Element:
    made = Xml.Element(tag, {name: _clean(value) for name, value in attributes.items()})
    made.text = None if text is None else _clean(text)
    return made


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(_REPLACEMENT, text)
