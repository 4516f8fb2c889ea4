"""Failover at once, on the real cluster: what it takes, and what happens without it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from support.kind.kind_lab import Lab, wait_until
from support.kind.operator_pod import operator_replicas
from support.kind.redis_cluster import await_ready, await_status, redis, status, watched

from caplab.contract.deaths import Death
from caplab.contract.names import CLUSTERS_LABEL, DECIDED_ANNOTATION

pytestmark = pytest.mark.alone  # the operator is away for a while

NAMESPACE = f"failover-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def rd(lab: Lab) -> Iterator[str]:
    """One cluster for all tests here; each leaves it Ready."""
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, f"{CLUSTERS_LABEL}=allowed")
    lab.apply(redis(NAMESPACE, failover={"downAfterMilliseconds": 5000}))
    await_ready(lab, NAMESPACE)
    yield NAMESPACE
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def kill(lab: Lab, pod: str) -> None:
    """End a member's container as its node would see it: nobody asked for it."""
    node = lab.get("pod", "-n", NAMESPACE, pod)["spec"]["nodeName"]
    lab.engine.must("exec", node, "pkill", "-KILL", "-f", "^redis-server .*:6379")  # not the node's Sentinel


def test_a_dead_primary_is_replaced_before_a_sentinel_could_miss_it(lab: Lab, rd: str) -> None:
    old = await_ready(lab, rd)["primary"]
    kill(lab, old)
    began = time.monotonic()
    wait_until("another is primary", lambda: status(lab, rd).get("primary") not in (None, old), 4.5)
    print(f"\nthe status had another primary {time.monotonic() - began:.2f} s after the kill; downAfter is 5 s")
    await_status(lab, rd, "it is back as a replica", lambda seen: seen["phase"] == "Ready" and seen["primary"] != old)
    pod = lab.get("pod", "-n", rd, old)
    death = Death.of(pod)
    assert death
    assert death.held
    assert pod["metadata"]["annotations"][DECIDED_ANNOTATION] == death.container_id


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
