"""The promtool tests of the lab's rules, and the same with each alert spoilt, for any promtool."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from caplab_cluster.paths import CHART, REPOSITORY

RULES = CHART / "files" / "rules.yaml"
CONFIG = CHART / "files" / "prometheus.yaml"
TESTS = REPOSITORY / "tests" / "rules"
# Runs in a folder with the configuration and the cases (each a copy of the rules with its tests): all at once, because
# promtool takes long to start.
SCRIPT = (
    "promtool check config --syntax-only prometheus.yaml && promtool check rules */rules.yaml && echo CHECKED; "
    "promtool test rules */*.test.yaml 2>&1"
)
_TESTED = re.compile(r"Unit Testing:  (.+?)/+[^/]+\.test\.yaml\n +(SUCCESS|FAILED)")

Run = Callable[[Path], str]  # runs SCRIPT in a folder, and returns what it prints
Rule = dict[str, Any]


def alerts() -> dict[str, Rule]:
    """Return the alerts by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def expected(alert: str, text: str) -> list[bool]:
    """Return, for each time at which a test file checks an alert, whether it must fire."""
    return [
        bool(look.get("exp_alerts"))
        for test in yaml.safe_load(text)["tests"]
        for look in test.get("alert_rule_test", ())
        if look["alertname"] == alert
    ]


def files_of(alert: str) -> list[Path]:
    """Return the test files that check an alert."""
    return [path for path in sorted(TESTS.glob("*.yaml")) if expected(alert, path.read_text())]


def _never(rule: Rule) -> Rule:
    return {**rule, "expr": f"({rule['expr']}) and vector(0) == 1"}


def _at_once(rule: Rule) -> Rule:
    return {name: value for name, value in rule.items() if name != "for"}


def _whatever_there_is(rule: Rule) -> Rule:
    """Spoil an alert so that it fires whenever the compared series exists, on either side of its threshold."""
    ways = (("> ", "<= "), ("== 0", "== 1"))
    other = next(rule["expr"].replace(*way) for way in ways if way[0] in rule["expr"])
    return {**rule, "expr": f"({rule['expr']}) or ({other})"}


def spoilt() -> Iterator[tuple[str, str, Rule]]:
    """Return each alert spoilt in each way: its name, the way, and the result."""
    for name, rule in alerts().items():
        yield name, "never", _never(rule)
        yield name, "whatever-there-is", _whatever_there_is(rule)
        if "for" in rule:
            yield name, "at-once", _at_once(rule)


def lay_out(folder: Path, with_spoilt: bool = True) -> None:
    """Write the cases for SCRIPT: `as-they-are` with every test, and the spoilt ones if wanted."""
    shutil.copy(CONFIG, folder / "prometheus.yaml")
    _lay_out_case(folder / "as-they-are", RULES.read_text(), sorted(TESTS.glob("*.yaml")))
    for name, way, rule in spoilt() if with_spoilt else ():
        rules = yaml.safe_load(RULES.read_text())
        for group in rules["groups"]:
            group["rules"] = [rule if other.get("alert") == name else other for other in group["rules"]]
        _lay_out_case(folder / f"{name}-{way}", yaml.safe_dump(rules, sort_keys=False), files_of(name))


def _lay_out_case(folder: Path, rules: str, tests: list[Path]) -> None:
    folder.mkdir()
    (folder / "rules.yaml").write_text(rules)
    for test in tests:
        text = test.read_text().replace("../../charts/caplab/files/rules.yaml", "rules.yaml")
        (folder / f"{test.stem}.test.yaml").write_text(text)


def outcomes(folder: Path, run: Run, with_spoilt: bool = True) -> Mapping[str, bool]:
    """Lay out and run the cases. Returns whether all tests of each passed, and whether all rules are well formed."""
    lay_out(folder, with_spoilt)
    printed = run(folder)
    tested: dict[str, bool] = {"well-formed": "CHECKED\n" in printed}
    for case, word in _TESTED.findall(printed):
        tested[case] = tested.get(case, True) and word == "SUCCESS"
    return tested


def wrong(outcomes: Mapping[str, bool], with_spoilt: bool = True) -> list[str]:
    """Return what is wrong: the rules as they are must pass, and no spoilt one may."""
    must = {"as-they-are": True, "well-formed": True}
    must |= {f"{name}-{way}": False for name, way, _ in spoilt() if with_spoilt}
    return [
        f"{case}: {outcomes.get(case)}, not {wanted}" for case, wanted in must.items() if outcomes.get(case) != wanted
    ]
