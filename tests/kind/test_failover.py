"""Failover at once, on the real cluster: what it takes, and what happens without it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from caplab_operator.engines.postgres.failover.release import LEADER
from caplab_operator.engines.postgres.manifests import scope
from support.kind.cluster_object import ClusterObject
from support.kind.fault_objects import await_phase, fault_on
from support.kind.kind_lab import Lab, wait_until
from support.kind.operator_pod import agents, operator_replicas
from support.kind.postgres_cluster import postgres, sql
from support.kind.redis_cluster import await_ready, await_status, redis, status, watched

from caplab.contract import meta
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


REDIS, PATRONI = "^redis-server .*:6379", "patroni /etc/caplab/patroni.yml"  # not the node's Sentinel


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


@pytest.mark.parametrize(
    ("operators", "with_agents"),
    [
        pytest.param(0, True, id="operator"),
        pytest.param(1, False, id="agents", marks=pytest.mark.long),
        pytest.param(0, False, id="both", marks=pytest.mark.long),
    ],
)
def test_without_operator_or_agents_it_is_the_sentinels_own_failover(
    lab: Lab, rd: str, operators: int, with_agents: bool
) -> None:
    old = await_ready(lab, rd)["primary"]
    sentinel = "rd-sentinel-0"
    named = watched(lab, rd, sentinel)["ip"]
    try:
        operator_replicas(lab, operators)
        if not with_agents:
            agents(lab, there=False)
        kill(lab, old)
        wait_until("the Sentinels name another", lambda: watched(lab, rd, sentinel)["ip"] != named, 40)
    finally:
        operator_replicas(lab, 1)
        if not with_agents:
            agents(lab, there=True)
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


@pytest.mark.long
def test_ten_kills_in_a_row_half_of_them_amid_a_failover_leave_three_members_and_every_acked_write(
    lab: Lab, pg: ClusterObject
) -> None:
    sql(lab, pg.namespace, pg.await_ready(3)["primary"], "create table kept (v int)")
    acked: list[int] = []
    for number in range(5):
        primary = streamed_from(lab, pg)
        kept = {int(row) for row in sql(lab, pg.namespace, primary, "select v from kept").splitlines()}
        print(f"{primary} leads, acked {acked}, kept {sorted(kept)}")
        assert set(acked) - kept == set(), primary
        acked += inserted(lab, pg, primary, 2 * number)
        kill(lab, primary, PATRONI)
        wait_until("another has the lock", lambda old=primary: holder(lab, pg) not in (None, old), 30)  # type: ignore[misc]
        primary = holder(lab, pg) or primary
        acked += inserted(lab, pg, primary, 2 * number + 1)
        kill(lab, primary, PATRONI)
    streamed_from(lab, pg)
    print(f"acked: {acked}")
    for member in pg.await_ready(3)["members"]:
        kept = {int(row) for row in sql(lab, pg.namespace, member["name"], "select v from kept").splitlines()}
        assert set(acked) - kept == set(), member


def inserted(lab: Lab, pg: ClusterObject, member: str, number: int) -> list[int]:
    """Insert a row, which a member that is being promoted may refuse. Returns it if it was acknowledged."""
    command = ("psql", "-h", "/tmp", "-U", "postgres", "-d", "caplab", "-qXc", f"insert into kept values ({number})")
    return [number] if lab.inside(pg.namespace, member, "timeout", "3", *command).ok else []


def holder(lab: Lab, pg: ClusterObject) -> str | None:
    """Return who has the leader lock now."""
    lock = lab.get("endpoints", "-n", pg.namespace, scope(pg.name))
    return meta.annotations_of(lock).get(LEADER)


def streamed_from(lab: Lab, pg: ClusterObject) -> str:
    """Wait until two replicas stream from the holder of the lock. Returns its name."""
    psql = ("psql", "-h", "/tmp", "-U", "postgres", "-AtXc")
    count = "select count(*) from pg_stat_replication where state = 'streaming'"

    def streamed() -> bool:
        primary = holder(lab, pg)
        return primary is not None and lab.inside(pg.namespace, primary, *psql, count).out.strip() == "2"

    print(f"two replicas stream again after {wait_until('two replicas stream', streamed, 90):.1f} s")
    return holder(lab, pg) or ""
