"""The rules of a Probe's schema that name an engine: they take from it what its client takes, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from caplab_probes.engines import factory_for
from caplab_probes.spec import CLIENT_FIELDS
from support.chart.crd_schema import schemas

from caplab.contract.engines import BY_KIND
from caplab.contract.objects import CACHE

KIND = re.compile(r"self\.target\.kind (==|!=) '(\w+)'")
SPEC: dict[str, Any] = schemas()["Probe"]["properties"]["spec"]
RULES = [" ".join(rule["rule"].split()) for rule in SPEC["x-kubernetes-validations"]]
# Fields of spec.client that the API server takes for some kinds only. The prober refuses the others by its own table.
GUARDED = ("readRouting", "clockSkewMilliseconds", "timeoutMilliseconds")


def assert_fits(rule: str, taking: set[str]) -> None:
    """Assert that a rule refuses nothing that an engine's client takes, and is right about the kind that it names.

    What it lets pass besides, such as for an engine that it does not name, the prober refuses by its own table.
    """
    ((operator, kind),) = KIND.findall(rule)
    assert kind in BY_KIND, f"no engine has clusters of the kind {kind}"
    allowed = {kind} if operator == "==" else BY_KIND.keys() - {kind}
    assert taking <= allowed
    assert (kind in allowed) == (kind in taking)


def rule_about(field: str, rules: list[str]) -> str:
    (rule,) = (each for each in rules if each.startswith(f"!has(self.client) || !has(self.client.{field}) || "))
    return rule


@pytest.mark.parametrize("field", GUARDED)
def test_a_field_of_a_client_is_for_the_kinds_whose_client_takes_it(field: str) -> None:
    taking = {kind for kind in BY_KIND if CLIENT_FIELDS[field] in factory_for(kind).client_options}
    assert_fits(rule_about(field, RULES), taking)


def test_a_cache_is_for_the_kind_whose_client_reads_through_one() -> None:
    (rule,) = (each for each in RULES if each.startswith(f"self.workload != '{CACHE}' || ") and "kind" in each)
    assert_fits(rule, {kind for kind in BY_KIND if CACHE in factory_for(kind).workloads})


def test_a_rule_about_a_clients_field_is_one_of_these_and_no_rule_names_a_kind_that_is_none() -> None:
    about_clients = [rule for rule in RULES if rule.startswith("!has(self.client)") and KIND.search(rule)]
    assert len(about_clients) == len(GUARDED)
    assert {kind for rule in RULES for _, kind in KIND.findall(rule)} <= BY_KIND.keys()


@pytest.mark.parametrize(
    "planted",
    [
        "self.target.kind == 'RedisCluster'",
        "self.target.kind != 'CassandraCluster'",
        "self.target.kind == 'OracleCluster'",
    ],
)
def test_a_rule_for_another_kind_is_seen(planted: str) -> None:
    with pytest.raises(AssertionError):
        assert_fits(planted, {"CassandraCluster"})
