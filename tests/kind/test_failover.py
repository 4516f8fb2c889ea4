"""Failover at once, on the real cluster: what it takes, and what happens without it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from support.kind.cluster_object import ClusterObject
from support.kind.fault_objects import await_phase, fault_on
from support.kind.kind_lab import Lab, wait_until
from support.kind.operator_pod import operator_replicas
from support.kind.postgres_cluster import postgres
from support.kind.redis_cluster import await_ready, await_status, redis, status, watched

from caplab.contract.deaths import Death, Fence
from caplab.contract.names import ALLOWED, CHAOS_LABEL, DECIDED_ANNOTATION

pytestmark = pytest.mark.alone  # the operator is away for a while

TTL_SECONDS = 20  # of a Postgres lock, by default
NAMESPACE = f"failover-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def place(lab: Lab) -> Iterator[str]:
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, f"{CHAOS_LABEL}={ALLOWED}")
    yield NAMESPACE
    lab.kubectl("delete", "faults", "--all", "-n", NAMESPACE, "--wait=true", "--timeout=30s")
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def rd(lab: Lab, place: str) -> str:
    """One cluster for all tests of Redis here; each leaves it Ready."""
    lab.apply(redis(place, failover={"downAfterMilliseconds": 5000}))
    await_ready(lab, place)
    return place


@pytest.fixture(scope="module")
def pg(lab: Lab, place: str) -> ClusterObject:
    """One cluster for all tests of Postgres here; each leaves it Ready."""
    lab.apply(postgres(place, durability="quorum", failover={"fencing": "agent"}))
    cluster = ClusterObject(lab=lab, kind="PostgresCluster", namespace=place, name="pg")
    cluster.await_ready(3)
    return cluster


REDIS, PATRONI = "^redis-server .*:6379", "/usr/bin/patroni /etc/caplab/patroni.yml"  # not the node's Sentinel


def kill(lab: Lab, pod: str, process: str = REDIS) -> None:
    """End a member's container as its node would see it: nobody asked for it."""
    node = lab.get("pod", "-n", NAMESPACE, pod)["spec"]["nodeName"]
    lab.engine.must("exec", node, "pkill", "-KILL", "-f", process)


def assert_decided(lab: Lab, pod: str) -> dict[str, Any]:
    """Check that the death of its last container was proven, held and decided. Returns the pod."""
    body: dict[str, Any] = lab.get("pod", "-n", NAMESPACE, pod)
    death = Death.of(body)
    assert death
    assert death.held
    assert body["metadata"]["annotations"][DECIDED_ANNOTATION] == death.container_id
    return body


def test_a_dead_primary_is_replaced_before_a_sentinel_could_miss_it(lab: Lab, rd: str) -> None:
    old = await_ready(lab, rd)["primary"]
    kill(lab, old)
    began = time.monotonic()
    wait_until("another is primary", lambda: status(lab, rd).get("primary") not in (None, old), 4.5)
    print(f"\nthe status had another primary {time.monotonic() - began:.2f} s after the kill; downAfter is 5 s")
    await_status(lab, rd, "it is back as a replica", lambda seen: seen["phase"] == "Ready" and seen["primary"] != old)
    assert_decided(lab, old)


def test_without_the_operator_it_is_the_sentinels_own_failover(lab: Lab, rd: str) -> None:
    old = await_ready(lab, rd)["primary"]
    sentinel = "rd-sentinel-0"
    named = watched(lab, rd, sentinel)["ip"]
    operator_replicas(lab, 0)
    try:
        kill(lab, old)
        wait_until("the Sentinels name another", lambda: watched(lab, rd, sentinel)["ip"] != named, 40)
    finally:
        operator_replicas(lab, 1)
    await_status(lab, rd, "the operator sees it", lambda seen: seen.get("primary") not in (None, old))
    await_ready(lab, rd)


def test_a_dead_postgres_primary_is_replaced_long_before_its_lock_ends(lab: Lab, pg: ClusterObject) -> None:
    old = pg.await_ready(3)["primary"]
    kill(lab, old, PATRONI)
    began = time.monotonic()
    wait_until("another is primary", lambda: pg.status().get("primary") not in (None, old), TTL_SECONDS / 2)
    print(f"\nthe status had another primary {time.monotonic() - began:.2f} s after the kill; ttl is {TTL_SECONDS} s")
    assert pg.await_ready(3)["primary"] != old
    assert_decided(lab, old)


def test_a_frozen_postgres_primary_is_fenced_and_then_replaced(lab: Lab, pg: ClusterObject) -> None:
    old = pg.await_ready(3)["primary"]
    (container,) = lab.get("pod", "-n", pg.namespace, old)["status"]["containerStatuses"]
    target = {"kind": pg.kind, "name": pg.name, "role": "primary"}
    lab.apply(fault_on(pg.namespace, "frozen", target, TTL_SECONDS, freeze={}))
    await_phase(lab, pg.namespace, "frozen", "Active", within_seconds=10)
    began = time.monotonic()
    wait_until("another is primary", lambda: pg.status().get("primary") not in (None, old), TTL_SECONDS * 0.6)
    print(f"\nthe status had another primary {time.monotonic() - began:.2f} s after the freeze; ttl is {TTL_SECONDS} s")
    await_phase(lab, pg.namespace, "frozen", "Healed", within_seconds=TTL_SECONDS + 5)
    assert pg.await_ready(3)["primary"] != old
    fence = Fence.of(assert_decided(lab, old))
    assert fence
    assert container["containerID"].endswith(fence.container_id)
