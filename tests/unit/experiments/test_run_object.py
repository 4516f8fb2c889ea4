"""What a Run object says when its run is judged: figures, and beside them what the row promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from caplab_cluster.paths import CHART
from chaoscaplab.controls.report import RunObject, bounds_of, by_side
from support.checkers.histories import run_record

from caplab.check import Finding, State
from caplab.judging import JudgedRun
from caplab.model.expectations import Expectation, Promise, PropertyExpectation
from caplab.model.fields import Json
from caplab.run_context import RunContext
from caplab.verdict import judge

_ADDS: Json = [{"vantage": "a", "route": "direct", "lost": 0}]
_OUTAGES: Json = [{"vantage": vantage, "route": "direct", "op": "add", "failover_seconds": 12.0} for vantage in "ac"]
FINDINGS = (
    Finding(property="durability", state=State.HOLDS, reason="", figures={"lost": 0, "acked": 5, "by_vantage": _ADDS}),
    Finding(
        property="availability", state=State.HOLDS, reason="", figures={"failover_seconds": 12.0, "series": _OUTAGES}
    ),
    Finding(property="staleness", state=State.VIOLATED, reason="", figures={"stale": 3, "reads": 9}),
)
SIDES = {"minority": ("c",), "majority": ("a", "b")}


def judged(*properties: PropertyExpectation, sides: Any = None) -> JudgedRun:
    record = replace(run_record(), sides=sides or {})
    row = Expectation(
        engine="postgres", mode="async", fault="kill-primary", properties=properties, why="why", source="source"
    )
    by_side = {side: {"all": {"failover_seconds": 1.0}, "direct": {"failover_seconds": 1.0}} for side in sides or ()}
    findings = [replace(finding, figures={**finding.figures, "by_side": by_side}) for finding in FINDINGS]
    return JudgedRun(record, tuple(findings), judge(row, record, findings))


def bounds(
    *properties: PropertyExpectation, side: str | None = None, route: str | None = None, sides: Any = None
) -> Any:
    of = bounds_of(judged(*properties, sides=sides).verdict.judgements, side, route)
    return of.to_body() if of else {}


@pytest.mark.parametrize(
    ("expected", "bound"),
    [
        (
            PropertyExpectation(property="failoverTime", promise=Promise.BOUNDED, budget="ttl + 2s"),
            {"failoverSeconds": 22.0},
        ),
        (PropertyExpectation(property="failoverTime", promise=Promise.FORBIDDEN), {"failoverSeconds": 0.0}),
        (PropertyExpectation(property="lost", promise=Promise.FORBIDDEN), {"lost": 0.0}),
        (PropertyExpectation(property="stale", promise=Promise.FORBIDDEN), {"staleReads": 0.0}),
        (PropertyExpectation(property="lost", promise=Promise.POSSIBLE), {}),
        (
            PropertyExpectation(property="failoverTime", promise=Promise.MUST_SHOW, budget="ttl"),
            {},
        ),  # the least, and no most
        (PropertyExpectation(property="failovers", promise=Promise.FORBIDDEN), {}),
    ],
)
def test_a_bound_is_the_most_that_the_row_promises(expected: PropertyExpectation, bound: dict[str, float]) -> None:
    assert bounds(expected) == bound


def test_a_side_and_a_route_have_bounds_of_their_own_and_the_run_as_a_whole_has_none_of_them() -> None:
    majority = PropertyExpectation(property="failoverTime", promise=Promise.BOUNDED, budget="ttl + 2s", side="majority")
    direct = PropertyExpectation(
        property="failoverTime", promise=Promise.BOUNDED, budget="ttl", side="majority", route="direct"
    )
    both = (majority, direct)
    assert bounds(*both, sides=SIDES) == {}
    assert bounds(*both, side="minority", route="direct", sides=SIDES) == {}
    assert bounds(*both, side="majority", route="service", sides=SIDES) == {"failoverSeconds": 22.0}
    assert bounds(*both, side="majority", route="direct", sides=SIDES) == {"failoverSeconds": 20.0}  # both bind


def test_what_is_judged_of_a_part_of_the_clients_is_told_with_its_bound() -> None:
    properties = (
        PropertyExpectation(
            property="failoverTime", promise=Promise.BOUNDED, budget="ttl + 2s", side="majority", route="direct"
        ),
        PropertyExpectation(
            property="lost", promise=Promise.MUST_SHOW, side="minority", route="direct"
        ),  # nothing was measured there
        PropertyExpectation(property="lost", promise=Promise.FORBIDDEN),
        PropertyExpectation(property="failovers", promise=Promise.POSSIBLE, route="direct"),
    )
    assert [row.to_body() for row in by_side(judged(*properties, sides=SIDES).verdict.judgements)] == [
        {"side": "majority", "route": "direct", "failoverSeconds": 1.0, "bounds": {"failoverSeconds": 22.0}},
        {"side": "minority", "route": "direct"},
    ]
    (forbidden,) = by_side(
        judged(
            PropertyExpectation(property="stale", promise=Promise.FORBIDDEN, route="service"), sides={}
        ).verdict.judgements
    )
    assert forbidden.to_body() == {"side": "all", "route": "service", "staleReads": 3, "bounds": {"staleReads": 0.0}}


class Server:
    def __init__(self) -> None:
        self.status: Any = None

    def apply_status(self, _kind: str, _namespace: str, _name: str, status: Any) -> None:
        self.status = status


def status_of(of: JudgedRun) -> Any:
    server: Any = Server()
    plan: Any = SimpleNamespace(namespace="ns", engine="postgres", mode="async", fault="kill-primary", seed=1, spec={})
    RunObject(server, plan, RunContext(folder=Path("results"))).done(of)
    return server.status


def test_a_judged_run_says_its_figures_and_bounds_its_time_is_that_of_the_judged_side() -> None:
    majority = PropertyExpectation(property="failoverTime", promise=Promise.BOUNDED, budget="ttl + 2s", side="majority")
    status = status_of(judged(PropertyExpectation(property="lost", promise=Promise.FORBIDDEN), majority, sides=SIDES))
    assert status["figures"] == {"acked": 5, "lost": 0, "failoverSeconds": 1.0, "staleReads": 3}
    assert status["bounds"] == {"failoverSeconds": 22.0, "lost": 0.0}
    assert status_of(judged())["figures"]["failoverSeconds"] == 12.0
    assert [row["bounds"] for row in status["byVantage"]] == [{"failoverSeconds": 22.0, "lost": 0.0}, {"lost": 0.0}]
    assert "bounds" not in status_of(judged())["byVantage"][0]


def test_the_schema_knows_all_that_is_said() -> None:
    """What a schema does not name, the API server drops without a word."""
    (version,) = yaml.safe_load((CHART / "templates" / "crds" / "run.yaml").read_text())["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    status = status_of(
        judged(
            PropertyExpectation(property="lost", promise=Promise.FORBIDDEN),
            PropertyExpectation(property="failoverTime", promise=Promise.BOUNDED, budget="ttl"),
        )
    )
    status["bySide"] = status_of(
        judged(PropertyExpectation(property="stale", promise=Promise.FORBIDDEN, route="service"))
    )["bySide"]
    assert set(status) <= set(schema)
    for field in ("figures", "bounds"):
        assert set(status[field]) <= set(schema[field]["properties"])
    for field in ("bySide", "byVantage"):
        of_row = schema[field]["items"]["properties"]
        assert status[field]
        for row in status[field]:
            assert set(row) <= set(of_row)
            assert set(row["bounds"]) <= set(of_row["bounds"]["properties"])
