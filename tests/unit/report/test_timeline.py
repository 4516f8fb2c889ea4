from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from support.checkers.histories import (
    Row,
    at,
    cut_report,
    cut_run,
    history,
    kill,
    killed_run,
    node_kill_report,
    node_kill_run,
    operation,
    report_of,
    table,
)

from caplab.check import State
from caplab.model.runs import CONTROL
from caplab.report import RunReport
from caplab.report.timeline.bins import BIN_NS, BinnedRun, Strip, binned
from caplab.report.timeline.marks import DOUBT
from caplab.report.timeline.picture import WIDTH, timeline
from caplab.report.timeline.strips import RAMP, levels
from caplab.report.timeline.svg import Frame, fitted, width

WINDOW = (kill(10_000, 22_000),)
SETTLED_NS = at(25_000)
NONE, ALL = RAMP[0], RAMP[-1]


def drawn(rows: list[Row], **fields: Any) -> ElementTree.Element:
    return ElementTree.fromstring(timeline(table(rows), killed(rows, **fields)))


def killed(rows: list[Row], **fields: Any) -> RunReport:
    beside: dict[str, Any] = {"fault_windows": WINDOW, "settled_ns": SETTLED_NS}
    return report_of(rows, **(beside | fields))


def control(rows: list[Row]) -> ElementTree.Element:
    return drawn(rows, fault=CONTROL, fault_windows=(), settled_ns=None)


def named(svg: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if element.tag.rpartition("}")[2] == tag]


def classed(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if element.get("class") == name]


def texts(svg: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in named(svg, "text")]


def pixel(svg: ElementTree.Element, seconds: float) -> float:
    """Where a moment is, by the figures of the axis."""
    ticks = {
        element.text: float(element.get("x", ""))
        for element in named(svg, "text")
        if re.fullmatch(r"-?\d+", element.text or "")
    }
    return ticks["0"] + (ticks["10"] - ticks["0"]) / 10 * seconds


def strip(of: BinnedRun, vantage: str, kind: str) -> Strip:
    return next(candidate for candidate in of.strips if (candidate.vantage, candidate.kind) == (vantage, kind))


def colour_at(of: BinnedRun, drawn_strip: Strip, seconds: float) -> str:
    return RAMP[levels(drawn_strip.share)[int(seconds / of.bin_seconds) - of.first]]


def test_the_bins_of_the_outage_are_red_and_the_others_blue() -> None:
    of = binned(history(killed_run()), at(10_000), (), ())
    for vantage in "abc":
        for kind in ("writes", "reads"):
            drawn_strip = strip(of, vantage, kind)
            colours = [colour_at(of, drawn_strip, seconds) for seconds in (-5, -0.15, 0.05, 1.0, 1.95, 2.05, 10)]
            assert colours == [ALL, ALL, NONE, NONE, NONE, ALL, ALL]


def test_an_outage_is_one_red_stroke_from_the_injection_on() -> None:
    svg = drawn(killed_run())
    red = [element for element in named(svg, "path") if element.get("stroke") == NONE]
    assert len(red) == 6  # of three vantages' writes and reads
    for stroke in red:
        assert re.match(r"M100 21h20$", stroke.get("d", ""))  # bins of 100 ms, the first one 10 s ahead


def test_the_fault_window_is_where_it_was() -> None:
    svg = drawn(killed_run())
    (column,) = classed(svg, "fault")
    left, wide = float(column.get("x", "")), float(column.get("width", ""))
    assert left == pytest.approx(pixel(svg, 0), abs=0.1)
    assert left + wide == pytest.approx(pixel(svg, 12), abs=0.1)
    assert "kill of pg-0" in texts(svg)


def test_the_end_of_the_failover_and_the_members_return_are_lines() -> None:
    rows = killed_run()
    svg = drawn(rows)
    failover = killed(rows).measured("availability", "failover_seconds")
    assert failover is not None
    places = {element.get("x1") for element in named(svg, "line") if element.get("stroke-width") == "1.6"}
    assert {round(float(place or "")) for place in places} == {round(pixel(svg, at_)) for at_ in (failover, 15)}
    assert f"served again after {failover:.2f} s" in texts(svg)
    assert "all members back" in texts(svg)


def test_a_fault_without_evidence_and_an_outage_without_end_say_so() -> None:
    svg = drawn(killed_run(down_ms=90_000), fault_windows=(kill(10_000, None, proven=False),), settled_ns=None)
    assert "kill of pg-0: NO EVIDENCE, not healed" in texts(svg)
    assert any(text.startswith("not served again within ") for text in texts(svg))
    assert classed(svg, "fault")[0].get("stroke-dasharray")
    assert not any("all members back" in text for text in texts(svg))


def test_a_lost_write_is_marked_where_it_was_written() -> None:
    svg = drawn(killed_run(lost=[30_600]))  # the 601st: scheduled at 6 s, so 4 s before the injection
    (mark,) = classed(svg, "lost")
    assert float(mark.get("x", "")) + 1 == pytest.approx(pixel(svg, -4), abs=0.1)
    assert any("1 of 2,800 acknowledged writes lost" in text for text in texts(svg))
    assert "acknowledged write that was lost (1 shown)" in texts(svg)


def test_nothing_is_marked_where_nothing_is_known_to_be_lost() -> None:
    report = killed(killed_run(lost=[30_600]))
    unknown = tuple(
        replace(finding, state=State.UNKNOWN) if finding.property == "durability" else finding
        for finding in report.findings
    )
    svg = ElementTree.fromstring(timeline(table(killed_run()), replace(report, findings=unknown)))
    assert not classed(svg, "lost")


def test_a_control_run_has_no_fault_column_and_counts_from_its_start() -> None:
    svg = control(killed_run(down_ms=0))
    assert not classed(svg, "fault")
    shown = texts(svg)
    assert "seconds since the first operation" in shown
    assert any("failovers" in text for text in shown)  # in the headline: the epoch changed all the same
    assert not any("fault is live" in text or "served again" in text for text in shown)
    assert not [element for element in named(svg, "path") if element.get("stroke") == NONE]


def test_what_comes_from_outside_is_escaped_and_the_name_is_cut_to_its_room() -> None:
    rows = [{**row, "vantage": "<b>&"} for row in killed_run()]
    window = (replace(WINDOW[0], target='<script>"&\x00'),)
    hostile = '</title><script>alert("&")' + "x" * 10_000
    report = replace(killed(rows, fault_windows=window, experiment=hostile), run_id="<&>")
    svg = ElementTree.fromstring(timeline(table(rows), report))
    assert not named(svg, "script")
    assert 'kill of <script>"&' in texts(svg)
    assert "<&>" in texts(svg)
    assert "<b>&" in texts(svg)
    assert all(len(text) < 130 for text in texts(svg))


def test_it_stands_alone() -> None:
    svg_text = timeline(table(killed_run()), killed(killed_run()))
    assert svg_text.startswith("<svg ")
    assert f'width="{WIDTH}"' in svg_text
    assert re.findall(r'(?:href|src|url\()\S*|<style|<script|on\w+="', svg_text) == []
    assert re.findall(r"https?://[^\"]*", svg_text) == ["http://www.w3.org/2000/svg"]


def test_labels_meet_neither_each_other_nor_the_edge() -> None:
    windows = (kill(10_000, 10_400), replace(kill(10_200, 10_600), target="pg-1"), replace(WINDOW[0], target="pg-2"))
    svg = drawn(killed_run(down_ms=500), fault_windows=windows, settled_ns=at(11_000))
    bold = [element for element in named(svg, "text") if element.get("font-size") == "11.5"]
    boxes = [
        (float(element.get("x", "")), float(element.get("y", "")), width(element.text or "", 11.5, bold=True))
        for element in bold
    ]
    assert len(boxes) == 5
    for number, (left, baseline, wide) in enumerate(boxes):
        assert left + wide <= WIDTH
        assert not any(y == baseline and left < x + w and x < left + wide for x, y, w in boxes[number + 1 :])


def test_targets_that_were_hit_at_once_share_a_column() -> None:
    svg = drawn(killed_run(), fault_windows=(*WINDOW, replace(WINDOW[0], target="pg-1")))
    assert len(classed(svg, "fault")) == 1
    assert "kill of pg-0, pg-1" in texts(svg)


def test_a_run_without_a_primary_is_drawn_with_its_outage_and_what_direct_means() -> None:
    shown = texts(ElementTree.fromstring(timeline(table(node_kill_run()), node_kill_report())))
    assert "clients were served again after 0.32 s" in shown
    assert {"served again after 0.32 s", "kill of cs-1", "all members back"} <= set(shown)
    assert "direct: to each member in turn, so one that is down costs its share of them" in shown  # writes too
    assert not any("failover" in text for text in shown)
    assert not any("in turn" in text for text in texts(drawn(killed_run())))  # direct adds stay with the primary


def test_the_head_says_what_was_done_its_verdict_with_the_cost_and_how_clients_were_served() -> None:
    title = "The whole cache is down, at twice the load that the database can take (stale-while-revalidate)"
    rows = killed_run(lost=[30_100])
    svg = drawn(rows, experiment=title)
    shown = texts(svg)
    assert title in shown  # whole, in smaller letters
    assert "PROMISE BROKEN: 1 of 2,800 acknowledged writes lost (promised: none)" in shown
    assert "clients were served again after 2.02 s" in shown
    (verdict,) = named(svg, "tspan")
    assert (verdict.text, verdict.get("fill")) == ("PROMISE BROKEN", DOUBT)
    long = f"{title} {'word ' * 40}"
    cut = next(text for text in texts(drawn(rows, experiment=long)) if text.startswith("The whole"))
    assert cut.removesuffix("...").split() == long.split()[: len(cut.split())]


def test_each_side_of_a_cut_has_its_mark() -> None:
    report = replace(cut_report(), record=replace(cut_report().record, settled_ns=None))
    shown = texts(ElementTree.fromstring(timeline(table(cut_run()), report)))
    assert {"majority served again after 2.02 s", "cut-off zone served again after 40.0 s"} <= set(shown)


def test_the_warm_up_is_pale() -> None:
    svg = drawn(killed_run(), steady_ns=at(3_000))
    (veil,) = classed(svg, "warm-up")
    assert float(veil.get("x", "")) + float(veil.get("width", "")) == pytest.approx(pixel(svg, -7), abs=0.1)
    assert not classed(drawn(killed_run()), "warm-up")


def test_a_run_without_load_is_still_a_picture() -> None:
    svg = ElementTree.fromstring(timeline(table([]), killed(killed_run())))
    assert "kill of pg-0" in texts(svg)
    assert control([])


def test_a_bin_holds_its_share_and_its_nearest_rank_p99() -> None:
    rows = [operation(number, latency_ms=1 + number, route="service") for number in range(100)]
    rows += [operation(200, "fail"), operation(201, latency_ms=7), operation(400, "info", latency_ms=None)]
    of = binned(history(rows), at(0), (), ())
    assert [(row.route, row.kind) for row in of.strips] == [("service", "writes"), ("unnamed", "writes")]
    np.testing.assert_array_equal(of.strips[0].share, [1, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(of.strips[0].p99_seconds, [0.099, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(of.strips[1].share, [np.nan, np.nan, 0.5, np.nan, 0])
    np.testing.assert_array_equal(of.strips[1].p99_seconds, [np.nan, np.nan, 0.007, np.nan, np.nan])


def test_the_ends_of_the_ramp_are_for_none_and_all_only() -> None:
    shares = np.array([np.nan, 0, 0.001, 0.5, 0.999, 1])
    assert levels(shares).tolist() == [-1, 0, 1, 3, 5, 6]


def test_a_long_and_restless_run_stays_small() -> None:
    rng, rows = random.Random(7), []
    for number in range(6000):  # ten minutes; every bin and its latency differ from the next
        for vantage in "abc":
            labels = {
                "vantage": vantage,
                "route": rng.choice(("service", "direct")),
                "op": rng.choice(("write", "read")),
            }
            outcome = rng.choice(("ok", "fail"))
            rows.append(operation(100 * number, outcome, 10 ** rng.uniform(0, 4), **labels))
    of = binned(history(rows), at(0), (), ())
    assert of.bin_seconds * 1e9 > BIN_NS
    assert of.count * len(of.strips) <= 9_000
    assert len(timeline(table(rows), killed(rows))) < 300_000


def test_texts_are_cut_to_their_room() -> None:
    assert fitted("zone a", 60, 13) == "zone a"
    short = fitted("a very long name of a zone", 60, 13)
    assert short.endswith("...")
    assert width(short, 13) <= 60


def test_moments_outside_are_on_the_edge() -> None:
    frame = Frame(left=100, right=200, top=0, bottom=10, begin_seconds=-1, end_seconds=1)
    assert [frame.x(seconds) for seconds in (-5, -1, 0, 1, 9)] == [100, 100, 150, 200, 200]
