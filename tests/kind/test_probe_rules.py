"""What a Probe may ask for: the API server refuses the rest, with the field and the hint. Nothing is started for it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE
from support.kind.kind_lab import Lab

from caplab.contract.names import API_VERSION, PROBE
from caplab.kube.context import connect
from caplab.kube.errors import Refused
from caplab.kube.paths import path_of

pytestmark = pytest.mark.beside

REPLICAS = {"kind": "PostgresCluster", "routes": ["service", "replica"]}
CASSANDRA = {"kind": "CassandraCluster"}
READERS = {"kind": "RedisCluster", "workload": "cache", "routes": ["service"], "cache": {"store": "pg"}}
TXN = {"workload": "txn"}
GOOD: list[dict[str, Any]] = [
    {},
    {**REPLICAS, "client": {"readRouting": "lag-aware", "maxLagBytes": 0}},
    {**REPLICAS, "client": {"readRouting": "causal", "replicaWaitMilliseconds": 1}},
    {**CASSANDRA, "client": {"clockSkewMilliseconds": -2000, "skewedVantages": ["a"]}},
    {"client": {"timeoutMilliseconds": 50}},
    TXN,
    {**TXN, "routes": ["replica"], "levels": {"read": "repeatable-read", "write": "serializable"}},
    {**TXN, "seconds": 3600, "transactions": {"model": "rw-register", "keys": 8, "readShare": 0}},
    {**TXN, "kind": "RedisCluster", "levels": {"write": "multi"}},
    {**TXN, **CASSANDRA, "levels": {"read": "ONE", "write": "SERIAL"}},
    READERS,
    {**READERS, "cache": {"store": "pg", "protection": "xfetch", "exponent": 0, "graceMilliseconds": 1}},
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("maxLagBytes goes with readRouting lag-aware only", {**REPLICAS, "client": {"maxLagBytes": 1}}),
    (
        "replicaWaitMilliseconds goes with readRouting causal only",
        {**REPLICAS, "client": {"readRouting": "plain", "replicaWaitMilliseconds": 1}},
    ),
    ("client.readRouting is for the route replica", {"client": {"readRouting": "plain"}}),
    ("a CassandraCluster has no replicas of a primary", {**CASSANDRA, "routes": ["replica"]}),
    ("client.clockSkewMilliseconds is for a CassandraCluster", {"client": {"clockSkewMilliseconds": 1}}),
    (
        "leave clientTimestamps true",
        {**CASSANDRA, "client": {"clockSkewMilliseconds": 1, "clientTimestamps": False}},
    ),
    ("skewedVantages goes with clockSkewMilliseconds only", {**CASSANDRA, "client": {"skewedVantages": ["a"]}}),
    (
        "client.skewedVantages names a zone that is not in vantages",
        {**CASSANDRA, "client": {"clockSkewMilliseconds": 1, "skewedVantages": ["c"]}},
    ),
    ("client.timeoutMilliseconds is for", {**CASSANDRA, "client": {"timeoutMilliseconds": 500}}),
    ("timeoutMilliseconds", {"client": {"timeoutMilliseconds": 49}}),
    ("transactions goes with the workload txn", {"transactions": {"keys": 1}}),
    ("spec.transactions.keys", {**TXN, "transactions": {"keys": 9}}),
    ("spec.transactions.model", {**TXN, "transactions": {"model": "sets"}}),
    ("lower rate or seconds", {**TXN, "rate": 100, "seconds": 10_000}),
    ("lower rate or seconds", {**TXN, "rate": 100, "seconds": 3600, "transactions": {"writesPerKey": 1024}}),
    ("is read-committed, repeatable-read or serializable", {**TXN, "levels": {"write": "QUORUM"}}),
    (
        "a replica has no serializable transactions",
        {**TXN, "routes": ["replica"], "levels": {"read": "serializable"}},
    ),
    (
        "client.readRouting does not route transactions",
        {**TXN, "routes": ["replica"], "client": {"readRouting": "causal"}},
    ),
    ("cache goes with the workload cache", {"cache": {"store": "pg"}}),
    ("cache goes with the workload cache", {"kind": "RedisCluster", "workload": "cache", "routes": ["service"]}),
    ("workload cache is for a RedisCluster", {**READERS, "kind": "PostgresCluster"}),
    ("readers of a cache go through the service only", {**READERS, "routes": ["service", "direct"]}),
    ("readers of a cache go through the service only", {**READERS, "routes": None}),
    ("spec.cache.store", {**READERS, "cache": {"protection": "lock"}}),
    ("spec.cache.protection", {**READERS, "cache": {"store": "pg", "protection": "luck"}}),
    ("spec.cache.places", {**READERS, "cache": {"store": "pg", "places": 65}}),
    ("spec.cache.connections", {**READERS, "cache": {"store": "pg", "connections": 61}}),
    ("spec.cache.ttlMilliseconds", {**READERS, "cache": {"store": "pg", "ttlMilliseconds": 0}}),
]


def refusal(asked: dict[str, Any]) -> str:
    """What the API server says against a Probe that would ask for this; '' where it takes it. It is not kept."""
    more = {name: value for name, value in asked.items() if name != "kind" and value is not None}
    spec = {
        "target": {"kind": asked.get("kind", "PostgresCluster"), "name": "one"},
        "workload": "register",
        "rate": 1,
        "vantages": ["a", "b"],
        "runId": "rules",
        **more,
    }
    body = {"apiVersion": API_VERSION, "kind": PROBE, "metadata": {"name": "rules"}, "spec": spec}
    try:
        connect().call("POST", path_of(API_VERSION, PROBE, NAMESPACE), {"dryRun": "All"}, body)
    except Refused as error:
        if error.status not in (400, 422):
            raise
        return error.reason
    return ""


def test_a_probe_asks_for_what_fits_together_and_nothing_else(lab: Lab) -> None:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    assert [(asked, problem) for asked in GOOD if (problem := refusal(asked))] == []
    refusals = [(part, asked, refusal(asked)) for part, asked in REFUSED]
    print("\n".join(problem for _, _, problem in refusals))
    assert [(part, asked, problem) for part, asked, problem in refusals if part not in problem] == []
