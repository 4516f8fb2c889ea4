"""Each rule for dashboards catches the violation that is planted for it, and nothing else does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from caplab_dashboards import expressions, files, linter, sources

Board = dict[str, Any]
KNOWN = sources.series(
    {
        "caplab_operations_total": "counter",
        "caplab_operation_latency_seconds": "histogram",
        "caplab_probe_running": "gauge",
        "caplab_fault_active": "gauge",
        "caplab_stale_reads_total": "counter",
        "caplab_read_staleness_seconds": "histogram",
        "caplab_seconds_since_last_ack": "gauge",
        "caplab_cluster_ready": "gauge",
        "caplab_cluster_epoch": "gauge",
        "caplab_member_up": "gauge",
        "caplab_member_primary": "gauge",
        "caplab_member_replication_lag_bytes": "gauge",
        **sources.PROMETHEUS,
        **sources.REDIS,
    }
)


def panel(board: Board, kind: str = "state-timeline") -> Any:
    return next(panel_ for panel_ in board["panels"] if panel_["type"] == kind)


def query(board: Board) -> Any:
    return panel(board)["targets"][0]


def _no_unit(board: Board) -> None:
    panel(board)["fieldConfig"]["defaults"]["unit"] = "seconds-ish"


def _no_description(board: Board) -> None:
    panel(board)["description"] = "Writes"


def _same_title(board: Board) -> None:
    first, other = [panel_ for panel_ in board["panels"] if panel_["type"] != "row"][:2]
    first["title"] = other["title"]


def _thresholds_downwards(board: Board) -> None:
    steps = [{"value": None, "color": "#2f9e5a"}, {"value": 5, "color": "#d64541"}, {"value": 1, "color": "#e6b012"}]
    panel(board)["fieldConfig"]["defaults"]["thresholds"]["steps"] = steps


def _link_to_nowhere(board: Board) -> None:
    panel(board)["links"][0]["url"] = "/d/somebody-elses?from=now"


def _fixed_source(board: Board) -> None:
    query(board)["datasource"] = {"type": "prometheus", "uid": "P1809F7CD0C75ACF3"}


def _one_over_another(board: Board) -> None:
    panel(board)["gridPos"]["h"] += 1


def _beyond_the_edge(board: Board) -> None:
    panel(board)["gridPos"] |= {"x": 20, "y": 1000}


def _coarse_step(board: Board) -> None:
    panel(board)["interval"] = "15s"


def _rate_of_a_gauge(board: Board) -> None:
    query(board)["expr"] = 'sum by (member) (rate(redis_up{cluster_namespace="$cluster_namespace"}[3s]))'


def _no_by(board: Board) -> None:
    query(board)["expr"] = "sum(caplab_probe_running)"


def _long_window(board: Board) -> None:
    query(board)["expr"] = "sum by (vantage) (rate(caplab_operations_total[5m]))"


def _unknown_metric(board: Board) -> None:
    query(board)["expr"] = "max by (member) (redis_uptime)"


def _unknown_variable(board: Board) -> None:
    query(board)["expr"] = 'max by (member) (redis_up{pod="$pod"})'


def _nameless_series(board: Board) -> None:
    query(board)["legendFormat"] = "__auto"


def _colour_of_its_own(board: Board) -> None:
    panel(board)["fieldConfig"]["defaults"]["mappings"][0]["options"]["0"]["color"] = "red"


PLANTED: dict[str, Callable[[Board], None]] = {
    "units": _no_unit,
    "descriptions": _no_description,
    "titles": _same_title,
    "thresholds": _thresholds_downwards,
    "links": _link_to_nowhere,
    "datasources": _fixed_source,
    "overlaps": _one_over_another,
    "widths": _beyond_the_edge,
    "steps": _coarse_step,
    "rates": _rate_of_a_gauge,
    "grouping": _no_by,
    "windows": _long_window,
    "metrics": _unknown_metric,
    "variables": _unknown_variable,
    "legends": _nameless_series,
    "colors": _colour_of_its_own,
}


@pytest.fixture(scope="module")
def redis() -> Board:
    return files.read()["redis"]


def test_every_rule_has_a_planted_violation() -> None:
    assert set(PLANTED) == set(linter.RULES)


def test_without_one_the_dashboard_is_clean(redis: Board) -> None:
    assert linter.check(redis, KNOWN) == []


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_violation_is_caught_by_its_rule(redis: Board, rule: str) -> None:
    board = copy.deepcopy(redis)
    PLANTED[rule](board)
    caught = linter.check(board, KNOWN)
    assert {violation.rule for violation in caught} == {rule}
    assert all(violation.what and violation.where.startswith("caplab / Redis: ") for violation in caught)


@pytest.mark.parametrize(
    ("rule", "expression"),
    [
        ("rates", "caplab_operations_total"),  # a counter as it is
        ("rates", "rate(sum by (vantage) (caplab_operations_total)[3s])"),
        ("grouping", "histogram_quantile(0.9, sum(rate(caplab_operation_latency_seconds_bucket[3s])))"),
        ("variables", 'max by (vantage) (caplab_probe_running{vantage="$vantage"})'),  # which may be several
    ],
)
def test_rules_see_more_than_one_kind_of_violation(redis: Board, rule: str, expression: str) -> None:
    board = copy.deepcopy(redis)
    query(board)["expr"] = expression
    assert rule in {violation.rule for violation in linter.check(board, KNOWN)}


def test_a_table_that_is_too_wide_is_caught() -> None:
    board = copy.deepcopy(files.read()["overview"])
    column = panel(board, "table")["fieldConfig"]["overrides"][0]
    width = next(property_ for property_ in column["properties"] if property_["id"] == "custom.width")
    width["value"] += 200
    assert "make them narrower" in str(
        [violation for violation in linter.check(board, KNOWN) if violation.rule == "widths"]
    )


def test_a_panels_own_link_that_asks_for_a_series_labels_is_caught(redis: Board) -> None:
    board = copy.deepcopy(redis)
    panel(board)["links"][0]["url"] = "/d/caplab-run?var-cluster=${__field.labels.cluster}"
    assert [violation.rule for violation in linter.check(board, KNOWN)] == ["links"]


def test_an_unused_variable_and_one_without_a_label_are_caught(redis: Board) -> None:
    board = copy.deepcopy(redis)
    spare = copy.deepcopy(board["templating"]["list"][1])
    board["templating"]["list"].append({**spare, "name": "spare", "label": ""})
    assert [violation.rule for violation in linter.check(board, KNOWN)] == ["variables", "variables"]


def test_what_an_expression_names() -> None:
    read = expressions.read(
        'histogram_quantile(0.99, sum by (le, route) (rate(x_bucket{a="sum(y)",b=~"$vantage"}[$__rate_interval])))'
        " / on (route) group_left (zone) (max without (pod) (g) > bool 0) or vector(0)"
    )
    assert read.metrics == {"x_bucket", "g"}
    assert read.rated == {"x_bucket"}
    assert read.ungrouped == ()
    assert read.windows == {"$__rate_interval"}
    assert read.variables == {"vantage", "__rate_interval"}
