"""The chart's values: linted, strict, and what they render is taken by the API server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import CONTEXT
from caplab_cluster.paths import CHART
from caplab_cluster.shell import CommandResult, ask
from support.chart.chart_checks import COMBINATIONS, Chart
from support.kind.kind_lab import Lab

pytestmark = pytest.mark.beside


def helm(lab: Lab, *arguments: str) -> CommandResult:
    program = lab.tools.helm
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    return ask([program, *arguments, *flags], timeout_seconds=120)


def test_helm_lint_finds_nothing(lab: Lab) -> None:
    answer = helm(lab, "lint", "--strict", str(CHART), "--values", str(lab.cache.cluster / "values.json"))
    assert answer.ok, answer.out + answer.err


def test_a_value_that_is_missing_or_misspelt_is_named(lab: Lab) -> None:
    missing = helm(lab, "template", str(CHART))
    assert "images" in missing.err
    assert not missing.ok
    misspelt = helm(lab, "template", str(CHART), "--values", str(lab.cache.cluster / "values.json"), "--set", "imges=1")
    assert not misspelt.ok
    assert "imges" in misspelt.err


@pytest.mark.parametrize("settings", COMBINATIONS, ids=lambda settings: " ".join(settings) or "defaults")
def test_the_api_server_takes_every_combination_of_values(lab: Lab, settings: tuple[str, ...], tmp_path: Path) -> None:
    rendered = Chart(lab.tools.helm).render(*settings, "schedule.namespace=default")
    file = tmp_path / "chart.yaml"
    file.write_text(yaml.safe_dump_all(rendered))
    tried = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(file)]
    answer = ask([*lab.kubectl_command(), *tried], timeout_seconds=120)
    assert answer.ok, answer.err


def test_what_the_api_server_does_not_take_is_seen(lab: Lab, tmp_path: Path) -> None:
    rendered = Chart(lab.tools.helm).render("schedule.enabled=true", "schedule.namespace=default")
    (cron,) = (manifest for manifest in rendered if manifest["kind"] == "CronJob")
    cron["spec"]["schedule"] = "61 * * * *"
    file = tmp_path / "chart.yaml"
    file.write_text(yaml.safe_dump(cron))
    answer = ask([*lab.kubectl_command(), "apply", "--server-side", "--dry-run=server", "-f", str(file)])
    assert not answer.ok
    assert "spec.schedule" in answer.err
