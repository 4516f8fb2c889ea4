"""What Cassandra tells Prometheus: each bean by its full name and by a rule, and all that dashboards ask for."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from caplab_cluster.paths import LAB_IMAGES
from caplab_dashboards.sources import CASSANDRA

FOLDER = LAB_IMAGES / "cassandra"
CONFIGURATION: dict[str, Any] = yaml.safe_load((FOLDER / "conf" / "exporter.yaml").read_text())
RULES: list[dict[str, Any]] = CONFIGURATION["rules"]
BEANS: list[str] = CONFIGURATION["includeObjectNames"]
# What a bean of each type says that is told of.
ATTRIBUTES = ("Count", "Value", "50thPercentile", "UpEndpointCount", "DownEndpointCount")


def names_of(bean: str) -> set[str]:
    """The names of the metrics that a bean becomes: rules see it as domain<property=value, ...><>attribute."""
    domain, properties = bean.split(":")
    head = f"{domain}<{', '.join(properties.split(','))}><>"
    lines = [f"{head}{attribute}: 1" for attribute in ATTRIBUTES]
    first = (next((rule for rule in RULES if re.search(rule["pattern"], line)), None) for line in lines)
    return {rule["name"] for rule in first if rule}


def patterns(beans: list[str]) -> list[str]:
    return [bean for bean in beans if "*" in bean or "?" in bean]


def test_no_bean_is_asked_for_by_a_pattern() -> None:
    """A pattern is tried on thousands of beans: with ten of them a scrape took 60 ms of a processor, not 8."""
    assert patterns(BEANS) == []
    assert patterns([*BEANS, "org.apache.cassandra.metrics:type=Storage,name=*"]) != []


@pytest.mark.parametrize("bean", BEANS)
def test_each_bean_that_is_read_is_told_of(bean: str) -> None:
    assert names_of(bean)


def test_each_rule_has_a_bean() -> None:
    assert set().union(*map(names_of, BEANS)) == {rule["name"] for rule in RULES}


def test_names_follow_the_conventions() -> None:
    for rule in RULES:
        assert rule["name"].startswith("cassandra_")
        assert (rule["type"] == "COUNTER") == rule["name"].endswith("_total")
        assert rule["help"]


def test_all_that_dashboards_ask_of_cassandra_is_told() -> None:
    expected = {name for name in CASSANDRA if name.startswith("cassandra_")}
    assert expected
    assert expected <= {rule["name"] for rule in RULES}


def test_the_agent_is_pinned_and_started_with_this_file_at_the_port_that_is_declared() -> None:
    (jar,) = re.findall(r"jmx_prometheus_javaagent-([\d.]+)\.jar", (FOLDER / "jars.sha256").read_text())
    assert re.search(
        rf"<artifactId>jmx_prometheus_javaagent</artifactId>\s*<version>{jar}<", (FOLDER / "pom.xml").read_text()
    )
    assert "=7070:/opt/cassandra/conf/exporter.yaml" in (FOLDER / "run-member").read_text()
