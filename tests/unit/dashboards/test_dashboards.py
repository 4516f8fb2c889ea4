"""The dashboards as files: in step with their code, good by Grafana's schema and the lab's own rules."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from caplab_cluster.paths import CHART, REPOSITORY
from caplab_dashboards import __main__ as entry
from caplab_dashboards import files, links, linter, sources
from caplab_dashboards.grid import line
from caplab_operator.engines.postgres import exporter as postgres
from chaoscaplab.controls import report
from grafana_foundation_sdk.models import dashboard

from caplab import grafana
from caplab.run_context import RunContext

BOARDS = files.read()


def test_the_json_is_what_the_code_makes() -> None:
    there = {name: (files.FOLDER / name).read_text() for name in files.rendered()}
    assert files.rendered() == there, "run `python -m caplab_dashboards write`"
    assert {path.name for path in files.FOLDER.glob("*.json")} == set(there)


def test_json_that_differs_from_its_code_is_written_anew(tmp_path: Any) -> None:
    assert len(files.write(tmp_path)) == len(BOARDS)
    (tmp_path / "run.json").write_text("{}\n")
    assert files.write(tmp_path) == [tmp_path / "run.json"]
    assert files.write(tmp_path) == []


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_lost_on_the_way_through_the_models_of_grafanas_schema(name: str) -> None:
    assert files.through_models(BOARDS[name]) == BOARDS[name]


def test_what_the_schema_does_not_know_does_not_pass() -> None:
    board = copy.deepcopy(BOARDS["run"])
    timeline = next(panel for panel in board["panels"] if panel["type"] == "state-timeline")
    timeline["options"]["mergeValue"] = True
    assert files.through_models(board) != board


@pytest.mark.parametrize("name", BOARDS)
def test_the_lab_s_own_rules_hold(name: str) -> None:
    assert linter.check(BOARDS[name], sources.known_series()) == []
    assert entry.main(["lint"]) == 0


def test_each_dashboard_has_the_uid_by_which_links_know_it() -> None:
    assert {board["uid"] for board in BOARDS.values()} == set(links.UIDS)
    assert {name: board["uid"] for name, board in BOARDS.items()} == {name: f"caplab-{name}" for name in BOARDS}


def test_the_links_of_caplab_run_choose_what_the_run_dashboard_can_show() -> None:
    plan = SimpleNamespace(engine="postgres", fault="kill-primary", mode="quorum", seed=0, spec={}, namespace="runs")
    plan.cluster = "pg"
    nothing: Any = None
    described: Any = plan
    chosen = report.RunObject(nothing, described, RunContext(folder=Path("results"))).labels
    variables = {variable["name"] for variable in BOARDS["run"]["templating"]["list"]}
    assert chosen.keys() <= variables
    assert BOARDS["run"]["uid"] == grafana.RUN_DASHBOARD


def test_the_chart_carries_every_dashboard() -> None:
    folder = CHART / "files" / "dashboards"
    assert {path.name: path.read_text() for path in folder.iterdir()} == files.rendered()


def test_the_lists_of_exporters_name_what_their_configurations_export() -> None:
    beans = yaml.safe_load((REPOSITORY / "images" / "cassandra" / "conf" / "exporter.yaml").read_text())["rules"]
    exported = {rule["name"]: rule["type"].lower() for rule in beans}
    named = {name: type_ for name, type_ in sources.CASSANDRA.items() if name.startswith("cassandra_")}
    assert named.items() <= exported.items()
    off = {flag.removeprefix("--no-collector.") for flag in postgres.EXPORTER.command if flag.startswith("--no-")}
    assert "database" in off
    assert not [name for name in sources.POSTGRES if name.startswith(tuple(f"pg_{collector}_" for collector in off))]


def test_a_line_that_does_not_fill_the_width_is_refused() -> None:
    with pytest.raises(ValueError, match="is 12 columns wide"):
        line(7, (12, dashboard.Panel(title="Half")))


def test_the_page_of_metrics_is_read_by_its_tables() -> None:
    page = "| `caplab_x_total` | counter | a b | things | Things |\n| `caplab_y_seconds` | histogram | | s | |\ntext\n"
    assert sources.of_page(page) == {"caplab_x_total": "counter", "caplab_y_seconds": "histogram"}
    assert set(sources.series({"caplab_y_seconds": "histogram"})) == {
        f"caplab_y_seconds_{part}" for part in ("bucket", "count", "sum")
    }
