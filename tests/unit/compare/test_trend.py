"""`caplab trend`: one page that needs nothing beside it: figures over their runs, and what changed between them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.runs.suite_results import ROW, measured, run, series, write

from caplab.cli import main
from caplab.compare.reading import read
from caplab.trend.chart import axis, chart, far_limit
from caplab.trend.page import page
from caplab.trend.series import Row, rows_of

_SVG = "{http://www.w3.org/2000/svg}"


def rows(folder: Path, last: int = 100) -> tuple[Row, ...]:
    return rows_of(read(folder).runs, last)


def drawn(row: Row, number: int = 0) -> Xml.Element:
    return Xml.fromstring(chart(row, row.lines[number], "a <figure>"))


def by_class(svg: Xml.Element, name: str) -> list[Xml.Element]:
    return [element for element in svg.iter() if name in element.attrib.get("class", "").split()]


def text_of(folder: Path) -> str:
    return page(rows(folder), "results", (), "now")


def test_every_run_is_a_point_in_order_and_as_high_as_its_value(tmp_path: Path) -> None:
    write(tmp_path, series("failoverTime", [20.0, 10.0, 40.0, 0.0]))
    (row,) = rows(tmp_path)
    dots = by_class(drawn(row), "dot")
    assert [float(dot.attrib["cx"]) for dot in dots] == sorted(float(dot.attrib["cx"]) for dot in dots)
    heights = [float(dot.attrib["cy"]) for dot in dots]
    assert heights == pytest.approx([70.0, 97.0, 16.0, 124.0])
    assert dots[0].attrib["data-text"].startswith("2026-11-01 00:00 UTC · 20.000 s · ok · run 20261101-000000-")


def test_what_was_violated_and_what_proves_nothing_differ_by_shape(tmp_path: Path) -> None:
    doubt: dict[str, Any] = {"verdict": "unknown", "reasons": ["no evidence"]}
    runs = [
        run(0, measured("lost", 0, "forbidden")),
        run(1, measured("lost", 3, "forbidden")),
        run(2, measured("lost", 0, "forbidden"), **doubt),
    ]
    write(tmp_path, runs)
    (row,) = rows(tmp_path)
    svg = drawn(row)
    assert [element.tag.removeprefix(_SVG) for element in by_class(svg, "dot")] == ["circle", "path", "circle"]
    assert len(by_class(svg, "invalid")) == len(by_class(svg, "unknown")) == len(by_class(svg, "valid")) == 1
    text = text_of(tmp_path)
    assert '<span class="invalid">1 promise broken</span>' in text
    assert '<span class="badge unknown">NOT PROVEN</span>' in text  # the newest run


def test_the_line_is_broken_where_a_run_has_no_figure(tmp_path: Path) -> None:
    values = [1.0, 2.0, None, 3.0, 4.0, None, 5.0]
    write(tmp_path, [run(number, measured("failoverTime", value)) for number, value in enumerate(values)])
    svg = drawn(rows(tmp_path)[0])
    assert len(by_class(svg, "dot")) == 5
    assert [len(element.attrib["points"].split()) for element in by_class(svg, "path")] == [2, 2]


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"versions": {"postgres": "18.0"}}, "version of postgres: 17.12 → 18.0"),
        ({"images": {"postgres": f"p@sha256:{'ab' * 32}"}}, "image of postgres: sha256:1 → sha256:abababababab"),
        ({"settings": {"ttlSeconds": 30}}, "setting of ttlSeconds: 20 → 30"),
        ({"settings": {}}, "setting of ttlSeconds: 20 → not set"),
        ({"versions": {"postgres": "17.12", "kernel": "6.1"}}, None),  # it was not kept before
    ],
)
def test_a_change_is_marked_before_the_first_run_of_it(
    tmp_path: Path, change: Mapping[str, Any], label: str | None
) -> None:
    before, after = series("failoverTime", [1.0, 2.0]), series("failoverTime", [3.0, 4.0], 2)
    write(tmp_path, [*before, *({**run, **change} for run in after)])
    (row,) = rows(tmp_path)
    assert [(mark.index, mark.changes) for mark in row.marks] == ([(2, (label,))] if label else [])
    marks = by_class(drawn(row), "mark")
    assert len(marks) == len(row.marks)
    if label:
        line = next(element for element in marks[0].iter() if element.tag.removeprefix(_SVG) == "line")
        dots = [float(dot.attrib["cx"]) for dot in by_class(drawn(row), "dot")]
        assert dots[1] < float(line.attrib["x1"]) < dots[2]
        assert f'<li value="1">2026-11-01 02:00 UTC: {label}</li>' in text_of(tmp_path)


def test_another_promise_is_marked_and_a_bound_that_is_near_is_drawn(tmp_path: Path) -> None:
    def of(begin: int, limit: float) -> list[dict[str, Any]]:
        bound: dict[str, Any] = {"promise": "bounded", "budget": f"{limit}s", "limit": limit}
        return [run(begin + number, measured("failoverTime", 20.0 + number, **bound)) for number in range(2)]

    write(tmp_path, [*of(0, 24.0), *of(2, 34.0)])
    (row,) = rows(tmp_path)
    assert row.marks[0].changes == ("promise of failoverTime: bounded 24.0s → bounded 34.0s",)
    (limit,) = by_class(drawn(row), "limit")
    assert len(limit.attrib["points"].split()) == 8
    assert far_limit(row.lines[0]) is None


def test_a_bound_that_is_far_off_is_told_and_does_not_flatten_the_figures(tmp_path: Path) -> None:
    bound: dict[str, Any] = {"promise": "bounded", "budget": "x", "limit": 10_665.76}
    write(tmp_path, [run(number, measured("lost", number, **bound)) for number in range(3)])
    (row,) = rows(tmp_path)
    assert by_class(drawn(row), "limit") == []
    assert "newest 2, median 1, bound 10,665<" in text_of(tmp_path)


def test_what_is_the_same_in_every_run_is_a_sentence(tmp_path: Path) -> None:
    runs = [run(number, measured("lost", 0), measured("failovers", 1), measured("failoverTime", 20.0 + number))
            for number in range(3)]  # fmt: skip
    write(tmp_path, runs)
    text = text_of(tmp_path)
    assert "acked writes lost 0; failovers 1" in text
    assert "Not drawn, because the same in every run:" in text
    assert text.count("<figure>") == 1


def test_a_row_of_one_run_does_not_speak_of_several(tmp_path: Path) -> None:
    write(tmp_path, [run(0, measured("lost", 0))])
    text = text_of(tmp_path)
    assert ">1 run, the newest " in text
    assert "One run so far, and a trend takes two. It measured:</span> acked writes lost 0" in text


def test_a_row_that_measured_nothing_says_so(tmp_path: Path) -> None:
    write(tmp_path, [run(number, measured("failoverTime", None)) for number in range(2)])
    assert "Nothing is drawn: no run of this row measured a figure." in text_of(tmp_path)


def test_the_last_runs_of_each_row_are_drawn(tmp_path: Path) -> None:
    write(tmp_path, series("failoverTime", [1.0, 2.0, 3.0, 4.0]))
    (row,) = rows(tmp_path, last=2)
    assert row.lines[0].values == (3.0, 4.0)


def test_the_page_needs_nothing_beside_it_and_takes_no_markup_from_results(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>\x1b[31m'
    runs = series("failoverTime", [1.0, 2.0], row=f"postgres {evil}")
    changed = [{**run, "versions": {"postgres": evil}, "run": f"{number}{evil}"} for number, run in enumerate(runs)]
    write(tmp_path, [*runs, *changed])
    text = page(rows(tmp_path), evil, (evil,), "now")
    assert text.count("<script") == 1
    assert "\x1b" not in text
    assert "alert(&quot;" in text
    assert not re.search(r"(?:src|href|url|@import)\s*[=(]?\s*[\"']?\s*(?:https?:|//)", text)
    assert text.startswith("<!DOCTYPE html>")
    for svg in re.findall(r"<svg viewBox=\"0 0 360.*?</svg>", text, re.DOTALL):
        Xml.fromstring(svg)


def test_with_many_rows_those_that_are_well_are_folded(tmp_path: Path) -> None:
    well = [run for number in range(30) for run in series("lost", [0], row=f"redis {number} none")]
    write(tmp_path, [*well, *series("lost", [1], promise="forbidden")])
    text = text_of(tmp_path)
    assert len(re.findall(r'<details class="row" [^>]*open>', text)) == 1
    assert f'data-name="{ROW}" open>' in text


def test_many_changes_are_folded_but_for_the_newest(tmp_path: Path) -> None:
    runs = series("failoverTime", [float(number) for number in range(12)])
    write(tmp_path, [{**run, "settings": {"ttlSeconds": number}} for number, run in enumerate(runs)])
    text = text_of(tmp_path)
    assert "<summary>3 earlier changes</summary>" in text
    assert text.index('<li value="11">') < text.index('<li value="1">')


@given(some.lists(some.floats(0, 1e9, allow_subnormal=False), max_size=5), some.booleans())
def test_an_axis_holds_its_values_in_a_few_round_steps(values: list[float], whole: bool) -> None:
    top, ticks = axis(values, whole)
    assert top >= max(values, default=0.0) * (1 - 1e-9)
    assert ticks[0] == 0
    assert ticks[-1] == top
    assert 2 <= len(ticks) <= 5
    if whole:
        assert ticks[1] >= 1


def test_the_command_writes_the_page_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "results" / "one", series("failoverTime", [1.0, 2.0]))
    (tmp_path / "results" / "bad").mkdir()
    (tmp_path / "results" / "bad" / "verdict.json").write_text("{")
    file = tmp_path / "new" / "page.html"
    assert main(["trend", str(tmp_path / "results"), "--output", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: runs 2, rows 1, files that could not be read 1\n"
    assert "files that could not be read: 1" in file.read_text()


@pytest.mark.parametrize("broken", ["missing", "empty", "unwritable"])
def test_where_nothing_can_be_drawn_it_ends_with_3_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    place, file = tmp_path / "results", tmp_path / "page.html"
    if broken == "empty":
        place.mkdir()
    if broken == "unwritable":
        write(place, series("lost", [0]))
        file.mkdir()
    assert main(["trend", str(place), "--output", str(file)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("FAILED: ")
    assert "Hint: " in error


def test_it_needs_no_scipy(tmp_path: Path) -> None:
    write(tmp_path / "results", series("failoverTime", [1.0, 2.0]))
    script = f"""
import sys
sys.modules["scipy"] = None
from caplab.cli import main
sys.exit(main(["trend", {str(tmp_path / "results")!r}, "--output", {str(tmp_path / "page.html")!r}]))
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("limit", [float("inf"), float("nan"), -1.0])
@pytest.mark.parametrize("name", ["lost", "failoverTime"])
def test_a_bound_without_end_is_no_bound(tmp_path: Path, name: str, limit: float) -> None:
    write(tmp_path, [run(number, measured(name, float(number), limit=limit)) for number in range(3)])
    assert '<polyline class="limit" points="5' not in text_of(tmp_path)


@pytest.mark.parametrize("least", [5e-324, 1e-320, 1e-300])
def test_the_least_numbers_have_an_axis(tmp_path: Path, least: float) -> None:
    write(tmp_path, series("failoverTime", [least, 0.0]))
    assert len(by_class(drawn(rows(tmp_path)[0]), "dot")) == 2


def test_what_was_measured_in_another_unit_lies_on_no_axis_with_the_rest(tmp_path: Path) -> None:
    write(tmp_path, [run(n, measured("failoverTime", 20.0 + n, unit="s" if n else "ms")) for n in range(3)])
    (row,) = rows(tmp_path)
    assert row.lines[0].values == (21.0, 22.0)
    assert row.marks[0].changes == ("unit of failoverTime: ms → s",)
