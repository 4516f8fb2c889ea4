"""Every alert fires when it must and not when it must not, by promtool; and has its section in docs/alerts.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY
from support.chart import rule_checks
from support.chart.rule_checks import alerts, expected, files_of

PAGE = REPOSITORY / "docs" / "alerts.md"
METRICS = REPOSITORY / "docs" / "metrics.md"


def on_this_machine(folder: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", rule_checks.SCRIPT], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    print(done.stderr)
    return done.stdout


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here: tests/kind runs this in Prometheus' image")
def test_the_rules_pass_their_tests_and_no_spoilt_rule_does(tmp_path: Path) -> None:
    assert rule_checks.wrong(rule_checks.outcomes(tmp_path, on_this_machine)) == []


def test_rules_that_are_not_well_formed_are_told(tmp_path: Path) -> None:
    printed = "Unit Testing:  as-they-are/two-primaries.test.yaml\n  FAILED:\nparse error\n"
    assert rule_checks.outcomes(tmp_path, lambda _: printed) == {"as-they-are": False, "well-formed": False}


def test_a_case_that_did_not_run_or_went_otherwise_is_told() -> None:
    outcomes = {f"{name}-{way}": False for name, way, _ in rule_checks.spoilt()}
    assert rule_checks.wrong({**outcomes, "as-they-are": True}) == ["well-formed: None, not True"]
    fine = {**outcomes, "as-they-are": True, "well-formed": True}
    assert rule_checks.wrong(fine) == []
    assert rule_checks.wrong({**fine, "CaplabTwoPrimaries-never": True}) == [
        "CaplabTwoPrimaries-never: True, not False"
    ]


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_is_seen_to_fire_and_not_to_fire(alert: str) -> None:
    looks = {fires for path in files_of(alert) for fires in expected(alert, path.read_text())}
    assert looks == {True, False}


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_has_a_severity_a_summary_and_its_own_section_of_the_page(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{alert.lower()}"


def of_the_lab(text: str) -> set[str]:
    """The lab's own metrics that a text names; recorded ones have colons."""
    return set(re.findall(r"(?<![\w:])caplab_[a-z_]+(?![\w:])", text))


def names_unknown(text: str) -> set[str]:
    """The metrics that rules name and docs/metrics.md does not, by which a rule would never say anything."""
    return of_the_lab(text) - of_the_lab(METRICS.read_text())


def test_rules_and_their_tests_name_metrics_that_are_exported() -> None:
    assert "caplab_member_primary" in of_the_lab(rule_checks.RULES.read_text())
    assert names_unknown(rule_checks.RULES.read_text()) == set()
    assert [path.name for path in rule_checks.TESTS.glob("*.yaml") if names_unknown(path.read_text())] == []


def test_a_metric_that_nobody_exports_is_told() -> None:
    text = rule_checks.RULES.read_text().replace("caplab_member_primary", "caplab_members_primary")
    assert names_unknown(text) == {"caplab_members_primary"}


def test_rates_are_of_counters_only() -> None:
    rated = re.findall(r"(?:rate|increase)\((\w+)", rule_checks.RULES.read_text())
    assert rated
    assert [name for name in rated if not name.endswith("_total")] == []


def sections(text: str) -> dict[str, str]:
    """Second-level sections of a page by their heading."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def differences(text: str) -> list[str]:
    """What the page and the rules do not have in common."""
    described = {heading: body for heading, body in sections(text).items() if heading.startswith("Caplab")}
    missing = [f"no section {name}" for name in alerts() if name not in described]
    needless = [f"no alert {name}" for name in described if name not in alerts()]
    silent = [
        f"{name} does not say its severity"
        for name, body in described.items()
        if name in alerts() and f"**{alerts()[name]['labels']['severity'].capitalize()}**" not in body
    ]
    return missing + needless + silent


def test_the_page_and_the_rules_have_the_same_alerts() -> None:
    assert differences(PAGE.read_text()) == []


def test_an_alert_without_a_section_and_a_section_without_an_alert_are_told() -> None:
    text = PAGE.read_text().replace("## CaplabTwoPrimaries", "## CaplabThreePrimaries")
    assert differences(text) == ["no section CaplabTwoPrimaries", "no alert CaplabThreePrimaries"]
