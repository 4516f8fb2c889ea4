"""`caplab report --charts`: each chart that has data, as SVG and PNG."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.runs.page_suites import HOSTILE, hostile_fields, write_control, write_suite

from caplab import cli
from caplab.files import chart_library, results
from caplab.report.html.still_charts import still_charts
from caplab.run.pages import view_of_run
from caplab.run.reading import read_report

REDIS = "03-redis-kill-primary"
DRAWN = {"operations", "latency", "staleness", "stages"}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("charts") / "20261129-180000-core")


def charts_of(folder: Path) -> dict[str, Any]:
    report = read_report(folder)
    return still_charts(report, view_of_run(folder, report)[0])


def test_each_chart_with_data_has_its_rows(suite: Path) -> None:
    charts = charts_of(suite / REDIS)
    assert set(charts) == DRAWN
    operations = charts["operations"]["data"]["values"]
    assert {row["outcome"] for row in operations} == {"acknowledged", "failed"}
    assert all(row["ms"] > 0 and row["strip"].startswith("zone ") for row in operations)
    assert charts["stages"]["data"]["values"][0]["begin"] == 0
    assert not any("params" in chart for chart in charts.values())
    report = read_report(suite / REDIS)
    for chart in charts.values():  # a picture by itself says which run it is of
        assert chart["title"]["text"] == chart["description"]
        assert chart["title"]["subtitle"] == f"{report.record.experiment} · {report.run_id}"


def test_what_has_no_data_is_left_out(tmp_path: Path) -> None:
    (run,) = write_control(tmp_path / "control").glob("01-*")
    assert set(charts_of(run)) == {"operations", "latency"}
    (run / results.HISTORY).unlink()
    assert charts_of(run) == {}


def test_a_run_without_anything_to_draw_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = write_control(tmp_path / "control").glob("01-*")
    (run / results.HISTORY).unlink()
    assert cli.main(["report", "--charts", str(run)]) == 3
    assert "there is nothing to draw: history.parquet is gone. Hint: " in capsys.readouterr().err
    assert not (run / results.CHARTS).exists()


def test_they_are_written_beside_the_run(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vl_convert", reason="of the lab's images only the runner has it")
    assert cli.main(["report", "--charts", str(suite / REDIS)]) == 0
    folder = suite / REDIS / results.CHARTS
    assert capsys.readouterr().out == f"{folder}\n"
    assert {file.name for file in folder.iterdir()} == {f"{name}.{end}" for name in DRAWN for end in ("svg", "png")}
    for name in DRAWN:
        assert titles_above_the_edge((folder / f"{name}.svg").read_text()) == []
        assert ElementTree.fromstring((folder / f"{name}.svg").read_text()).tag.endswith("svg")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


_SVG = "{http://www.w3.org/2000/svg}"


def titles_above_the_edge(svg: str) -> list[str]:
    """Return the lines of a picture's title whose baseline is less than a line below its upper edge."""
    found = []

    def walk(element: ElementTree.Element, down: float, in_title: bool) -> None:
        place = re.fullmatch(r"translate\(.+?,(.+?)\).*", element.get("transform", ""))
        down += float(place[1]) if place else 0.0
        in_title = in_title or "role-title" in element.get("class", "")
        if in_title and element.tag == f"{_SVG}text" and down < 9:
            found.append("".join(element.itertext()))
        for inner in element:
            walk(inner, down, in_title)

    walk(ElementTree.fromstring(svg), 0.0, False)
    return found


def test_a_title_above_the_edge_is_found(suite: Path) -> None:
    pytest.importorskip("vl_convert", reason="of the lab's images only the runner has it")
    chart = charts_of(suite / REDIS)["operations"]
    fitted = {**chart, "autosize": {"type": "fit", "contains": "padding"}, "padding": 0}
    assert titles_above_the_edge(chart_library.svg_of(chart)) == []
    assert chart["title"]["text"] in titles_above_the_edge(chart_library.svg_of(fitted))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="of the lab's images only the runner has it")
    run = write_suite(tmp_path / "20261129-180000-core", hostile_fields()) / REDIS
    history = results.read_history(run)
    place = history.column_names.index("server")
    results.write_history(run / results.HISTORY, history.set_column(place, "server", [[HOSTILE] * history.num_rows]))
    operations = charts_of(run)["operations"]
    (server,) = {row["server"] for row in operations["data"]["values"]}
    assert server.isprintable()
    assert len(server) <= 80
    subtitle = operations["title"]["subtitle"]
    assert subtitle.isprintable()
    assert len(subtitle) <= 140
    operations["encoding"]["color"] = {"field": "server", "type": "nominal"}  # in the legend
    assert "<img" not in chart_library.svg_of(operations)


def test_without_the_library_it_says_what_is_missing(
    suite: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", gone)
    assert cli.main(["report", "--charts", str(suite / REDIS)]) == 3
    assert "Hint: pip install vl-convert-python." in capsys.readouterr().err


def test_a_record_and_charts_are_asked_for_one_at_a_time(suite: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "--charts", "--record", str(suite)])
    assert ended.value.code == 3
