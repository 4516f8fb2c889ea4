"""The chart as helm renders it, where this machine has a helm; the tests on kind run the same checks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from caplab_cluster.failure import Failure
from caplab_cluster.setup_context import built_tools
from support.chart.chart_checks import CHECKS, POD_MONITOR, PROMETHEUS_RULE, Chart
from support.chart.json_schema import problems
from support.kind.kind_lab import setup_context


@pytest.fixture(scope="module")
def chart() -> Chart:
    try:
        helm = built_tools(setup_context()).helm
    except Failure:
        helm = shutil.which("helm") or ""
    if not Path(helm).exists():
        pytest.skip("no helm here: `make up` builds one, as the gate does first")
    return Chart(helm)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_helm_renders(chart: Chart, check: Callable[[Chart], None]) -> None:
    check(chart)


def test_a_field_that_a_monitor_or_a_rule_does_not_have_is_found() -> None:
    relabeling = {"source_labels": ["a"]}
    endpoint = {"port": "p", "path": "/", "interval": "1s", "scrapeTimeout": "1s", "relabelings": [relabeling]}
    spec = {"selector": {"matchLabels": {}}, "namespaceSelector": {}, "podMetricsEndpoints": [endpoint]}
    assert "source_labels" in " ".join(problems(spec, POD_MONITOR))
    rule = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "1", "summary": "s"}]}]}
    assert "summary" in " ".join(problems(rule, PROMETHEUS_RULE))
