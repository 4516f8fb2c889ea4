"""Every flow that the lab needs passes its NetworkPolicies, and others do not, by a small reading of what they say.

The lab's own pod network enforces none, so that the real cluster would not show a rule that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from caplab_cluster.paths import CHART
from caplab_operator.engines import exporter, objects
from caplab_operator.engines.cassandra import manifests as cassandra
from caplab_operator.engines.postgres import manifests as postgres
from caplab_operator.engines.postgres.exporter import EXPORTER as POSTGRES_EXPORTER
from caplab_operator.engines.redis import manifests as redis
from caplab_operator.engines.redis.exporter import EXPORTER as REDIS_EXPORTER
from support.chart.templates import filled
from support.operator import observed_cassandra, observed_redis
from support.operator.observed_postgres import SPEC

from caplab.contract.names import CLIENTS_LABEL, CLUSTER_LABEL, MONITORING_LABEL, VANTAGE_LABEL

LAB = "caplab-system"
Policy = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """A pod, or somebody outside; ports have names as the pod's container calls them."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    of_namespace: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> Mapping[str, str]:
        return {"kubernetes.io/metadata.name": self.namespace, **self.of_namespace}


def member(labels: Mapping[str, str], namespace: str = "demo") -> End:
    return End(namespace, labels)


PG = member(objects.part(SPEC))
OTHER_PG = member({**objects.part(SPEC), CLUSTER_LABEL: "other"})
RD, SENTINEL = (member(objects.part(observed_redis.SPEC, part)) for part in ("member", "sentinel"))
CS = member(objects.part(observed_cassandra.SPEC))
OPERATOR = End(LAB, {"app.kubernetes.io/name": "caplab-operator"}, ports={"metrics": 9188, "targets": 9189})
PROBER = End(LAB, {"app.kubernetes.io/name": "caplab-prober", VANTAGE_LABEL: "a"}, ports={"metrics": 9187})
AGENT = End(LAB, {"app.kubernetes.io/name": "caplab-agent"}, ports={"metrics": 9186})
PROMETHEUS = End(LAB, {"app.kubernetes.io/name": "caplab-prometheus"}, ports={"web": 9090})
MONITORING = End("monitoring", {}, {MONITORING_LABEL: "allowed"})
PG_EXPORTER, RD_EXPORTER = member(objects.part(SPEC, "exporter")), member(objects.part(observed_redis.SPEC, "exporter"))
OTHER_PG_EXPORTER = member({**objects.part(SPEC, "exporter"), CLUSTER_LABEL: "other"})
RUNNER, RESULTS = (End(LAB, {"app.kubernetes.io/name": name}) for name in ("caplab-runner", "caplab-results"))
UNINSTALL = End(LAB, {"app.kubernetes.io/name": "caplab-uninstall"})
APPLICATION = End("demo", {"app": "shop"})
STRANGER = End("elsewhere", {"app.kubernetes.io/name": "caplab-operator"})  # it may call itself what it likes
CLIENT_ELSEWHERE = End("elsewhere", {}, {CLIENTS_LABEL: "allowed"})
DNS = End("kube-system", {"k8s-app": "kube-dns"})
API_SERVER = OUTSIDE = End()


def of_chart() -> list[Policy]:
    """As templates stand, with everything enabled."""
    templates = ((CHART / "templates" / name).read_text() for name in ("network.yaml", "prometheus-network.yaml"))
    return [policy for text in templates for policy in yaml.safe_load_all(_enabled(text))]


def _enabled(template: str) -> str:
    lines = filled(template).replace("{{ .Release.Namespace | quote }}", LAB).splitlines()
    return "\n".join(line for line in lines if not line.startswith("{{- "))


def of_clusters() -> list[Policy]:
    made = [
        *postgres.build(SPEC, "image", LAB, 3),
        *redis.build(observed_redis.SPEC, "image", LAB, observed_redis.STANDING),
        *cassandra.build(observed_cassandra.SPEC, "image", LAB, {}, cassandra.PersistedState(3)),
        *exporter.build(SPEC, POSTGRES_EXPORTER, "image", LAB, "p", "r"),
        *exporter.build(observed_redis.SPEC, REDIS_EXPORTER, "image", LAB, "p", "r"),
    ]
    return [item for item in made if item["kind"] == "NetworkPolicy"]


POLICIES = [*of_chart(), *of_clusters()]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects what has the labels."""
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    more = selector.get("matchExpressions", ())
    return exact and all(
        EXPRESSIONS[expression["operator"]](labels.get(expression["key"]), expression.get("values", ()))
        for expression in more
    )


EXPRESSIONS: Mapping[str, Callable[[str | None, Sequence[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
}


def is_peer(peer: Mapping[str, Any], policy: Policy, end: End) -> bool:
    if "namespaceSelector" in peer:
        within = selects(peer["namespaceSelector"], end.namespace_labels) and bool(end.namespace)
    else:
        within = end.namespace == policy["metadata"]["namespace"]
    return within and selects(peer.get("podSelector", {}), end.labels)


def lets(policy: Policy, way: str, peers: str, other: End, port: tuple[str, int], named: Mapping[str, int]) -> bool:
    """Whether one policy lets a flow through, in one of its ways."""

    def fits(rule: Mapping[str, Any]) -> bool:
        ports = [(port["protocol"], named.get(port["port"], port["port"])) for port in rule.get("ports", ())]
        return (not ports or port in ports) and (
            peers not in rule or any(is_peer(peer, policy, other) for peer in rule[peers])
        )

    return any(fits(rule) for rule in policy["spec"].get(way, ()))


def passes(source: End, to: End, port: int, protocol: str = "TCP") -> bool:
    """Whether the policies of both ends let a connection through: one that none selects is open."""

    def end_lets(end: End, kind: str, way: str, peers: str, other: End, named: Mapping[str, int]) -> bool:
        mine = [
            policy
            for policy in POLICIES
            if policy["metadata"]["namespace"] == end.namespace
            and kind in policy["spec"]["policyTypes"]
            and selects(policy["spec"]["podSelector"], end.labels)
        ]
        return not mine or any(lets(policy, way, peers, other, (protocol, port), named) for policy in mine)

    return end_lets(source, "Egress", "egress", "to", to, {}) and end_lets(
        to, "Ingress", "ingress", "from", source, to.ports
    )


@pytest.mark.parametrize(
    ("source", "to", "ports"),
    [
        (PG, PG, [5432, 8008]),  # replication, pg_rewind, and whom Patroni asks for failsafe and before a failover
        (RD, RD, [6379]),
        (RD, SENTINEL, [26379]),  # a member that starts asks whom to follow
        (SENTINEL, RD, [6379]),
        (SENTINEL, SENTINEL, [26379]),
        (CS, CS, [7000, 7480, 9042]),
        (OPERATOR, PG, [8008, 5432]),
        (OPERATOR, RD, [6379]),
        (OPERATOR, SENTINEL, [26379]),
        (OPERATOR, CS, [7480, 9042]),
        (PROBER, PG, [5432]),
        (PROBER, RD, [6379]),
        (PROBER, SENTINEL, [26379]),
        (PROBER, CS, [9042]),
        (APPLICATION, PG, [5432]),
        (APPLICATION, RD, [6379]),
        (APPLICATION, CS, [9042]),
        (CLIENT_ELSEWHERE, PG, [5432]),
        (OUTSIDE, PROBER, [9187]),  # the API server's proxy, for `caplab run`
        (MONITORING, PROBER, [9187]),
        (MONITORING, OPERATOR, [9188]),  # a Prometheus of one's own
        (MONITORING, AGENT, [9186]),
        (PROMETHEUS, OPERATOR, [9188, 9189]),  # metrics, and what there is to scrape
        (PROMETHEUS, PROBER, [9187]),
        (PROMETHEUS, AGENT, [9186]),
        (PROMETHEUS, PG_EXPORTER, [9187]),
        (PROMETHEUS, RD_EXPORTER, [9121]),
        (PROMETHEUS, CS, [7070]),
        (MONITORING, PG_EXPORTER, [9187]),
        (MONITORING, RD_EXPORTER, [9121]),
        (MONITORING, CS, [7070]),
        (PG_EXPORTER, PG, [5432]),
        (RD_EXPORTER, RD, [6379]),
    ],
)
def test_what_the_lab_needs_passes(source: End, to: End, ports: Sequence[int]) -> None:
    assert [port for port in ports if not passes(source, to, port)] == []


@pytest.mark.parametrize("source", [PG, RD, SENTINEL, CS, OPERATOR, PROBER, AGENT, UNINSTALL, PROMETHEUS])
def test_names_are_looked_up_by_everybody(source: End) -> None:
    assert passes(source, DNS, 53, "UDP")
    assert passes(source, DNS, 53)


@pytest.mark.parametrize("source", [PG, OPERATOR, PROBER, AGENT, UNINSTALL, RUNNER])
def test_whoever_has_a_token_reaches_the_api_server(source: End) -> None:
    assert passes(source, API_SERVER, 443)
    assert passes(source, API_SERVER, 6443)


@pytest.mark.parametrize(
    ("source", "to", "port"),
    [
        (STRANGER, PG, 5432),
        (STRANGER, RD, 6379),
        (OTHER_PG, PG, 8008),  # another cluster's member is a client like others
        (APPLICATION, PG, 8008),
        (APPLICATION, CS, 7480),
        (APPLICATION, CS, 7000),
        (PROBER, PG, 8008),
        (PROBER, CS, 7480),
        (CLIENT_ELSEWHERE, CS, 7480),
        (PG, OUTSIDE, 80),
        (RD, OUTSIDE, 443),
        (CS, API_SERVER, 6443),
        (APPLICATION, AGENT, 80),
        (APPLICATION, AGENT, 9186),
        (STRANGER, AGENT, 9186),
        (PG, AGENT, 9186),
        (OUTSIDE, OPERATOR, 9188),
        (APPLICATION, OPERATOR, 9188),
        (PROMETHEUS, OPERATOR, 8080),
        (MONITORING, AGENT, 80),
        (APPLICATION, PROBER, 8080),
        (PROBER, OUTSIDE, 5432),
        (AGENT, PG, 5432),
        (APPLICATION, PROMETHEUS, 9090),
        (OUTSIDE, PROMETHEUS, 9090),
        (PROBER, OPERATOR, 9189),
        (APPLICATION, OPERATOR, 9189),
        (PROMETHEUS, PG, 5432),
        (PROMETHEUS, RD, 6379),
        (PROMETHEUS, OUTSIDE, 443),
        (PROMETHEUS, API_SERVER, 6443),
        (RESULTS, API_SERVER, 443),
        (RUNNER, PG, 5432),
        (MONITORING, RESULTS, 8080),
        (CLIENT_ELSEWHERE, PG_EXPORTER, 9187),
        (MONITORING, PG, 5432),
        (PG_EXPORTER, PG, 8008),  # it is no member
        (PG_EXPORTER, OTHER_PG, 5432),  # it logs in wherever it is sent
        (PG_EXPORTER, OUTSIDE, 5432),
        (PG_EXPORTER, API_SERVER, 443),
        (PG_EXPORTER, DNS, 53),
        (RD_EXPORTER, SENTINEL, 26379),
        (PG, PG_EXPORTER, 9187),
        (APPLICATION, PG_EXPORTER, 9187),
        (APPLICATION, CS, 7070),
        (PROBER, RD_EXPORTER, 9121),
        (OPERATOR, PG_EXPORTER, 9187),
    ],
)
def test_nothing_else_does(source: End, to: End, port: int) -> None:
    assert not passes(source, to, port)


@pytest.mark.parametrize("rule", ["ingress", "egress"])
def test_a_rule_that_is_missing_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the members' policy without its first rule, by which they reach each other."""

    def without(policy: Policy) -> Policy:
        return {**policy, "spec": {**policy["spec"], rule: policy["spec"].get(rule, [])[1:]}}

    assert passes(PG, PG, 8008)
    monkeypatch.setattr(f"{__name__}.POLICIES", [without(policy) for policy in POLICIES])
    assert not passes(PG, PG, 8008)
