"""A PostgresCluster on the real cluster: made, changed live, scaled, failed over and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from caplab_cluster.kind_cluster import ZONES
from support.kind.cluster_object import ClusterObject, await_gone
from support.kind.frozen_and_cut import assert_acks_nothing_until_heal
from support.kind.kind_lab import Lab, wait_until
from support.kind.postgres_cluster import await_status, is_ready, postgres, sql, status
from support.kind.workload_checks import assert_promises_are_kept

from caplab.contract.names import PREFIX

pytestmark = pytest.mark.beside


def change(lab: Lab, namespace: str, **spec: Any) -> None:
    lab.kubectl("patch", "postgrescluster", "-n", namespace, "pg", "--type=merge", "-p", json.dumps({"spec": spec}))


@pytest.fixture(scope="module")
def pg(lab: Lab, shared_namespace: str) -> str:
    """One cluster named pg for all tests here; the namespace it is in."""
    lab.apply(postgres(shared_namespace))
    await_status(lab, shared_namespace, "three members Ready", is_ready(3))
    return shared_namespace


def test_a_cluster_gets_a_member_a_zone_and_replicates_to_each(lab: Lab, pg: str) -> None:
    pg_status = status(lab, pg)
    assert sorted(member["zone"] for member in pg_status["members"]) == list(ZONES)
    assert [member["role"] for member in pg_status["members"]].count("primary") == 1
    assert pg_status["epoch"] == 1
    assert pg_status["durability"] == "async"
    # One round, not 4,096: what a client pays each time that it turns to a new primary.
    kept = sql(lab, pg, pg_status["primary"], "select rolpassword from pg_authid where rolname = 'caplab'")
    assert kept.startswith("SCRAM-SHA-256$1:")
    sql(lab, pg, pg_status["primary"], "create table t (v int); insert into t values (42)")
    for member in pg_status["members"]:

        def has_the_row(name: str = member["name"]) -> bool:
            there = sql(lab, pg, name, "select count(*) from pg_tables where tablename = 't'") == "1"
            return there and sql(lab, pg, name, "select v from t") == "42"

        wait_until(f"{member['name']} has the row", has_the_row)


def waits_as_asked(durability: str, standby_names: str) -> bool:
    """Whether synchronous_standby_names is what a durability stands for."""
    if durability == "async":
        return standby_names == ""
    if durability == "quorum":
        return standby_names.startswith("ANY 1 (")
    return standby_names.replace('"', "").startswith(("pg-", "1 (", "FIRST 1 ("))


def test_durability_is_switched_live_as_postgres_itself_says(lab: Lab, pg: str) -> None:
    before = {pod["metadata"]["uid"] for pod in lab.get("pods", "-n", pg)["items"]}
    for durability in ("quorum", "sync", "async"):

        def applied(observed: dict[str, Any], wanted: str = durability) -> bool:
            return observed.get("durability") == wanted

        change(lab, pg, durability=durability)
        primary: str = await_status(lab, pg, durability, applied)["primary"]

        def waits(wanted: str = durability, primary: str = primary) -> bool:
            return waits_as_asked(wanted, sql(lab, pg, primary, "show synchronous_standby_names"))

        wait_until(f"the primary waits as {durability} asks", waits)
        assert sql(lab, pg, primary, "show synchronous_commit") == "on"
    assert {pod["metadata"]["uid"] for pod in lab.get("pods", "-n", pg)["items"]} == before


def test_every_workload_and_read_routing_keeps_its_promises_in_the_steady_state(lab: Lab, pg: str) -> None:
    assert_promises_are_kept(lab, "PostgresCluster", pg, "pg")


def test_a_member_that_is_frozen_or_cut_off_from_clients_acks_nothing_until_heal(lab: Lab, pg: str) -> None:
    assert_acks_nothing_until_heal(ClusterObject(lab=lab, kind="PostgresCluster", namespace=pg, name="pg"), "primary")


def test_a_crashed_primary_is_replaced_and_the_status_says_so(lab: Lab, pg: str) -> None:
    old = status(lab, pg)["primary"]
    # Every process but the container's first: Postgres dies, Patroni lives and gives up the lock.
    lab.inside(pg, old, "bash", "-c", "kill -9 -1")
    pg_status = await_status(
        lab,
        pg,
        "another primary in a later epoch",
        lambda observed: observed.get("primary") != old and observed.get("epoch", 0) > 1,
    )
    assert pg_status["primary"] != old
    pg_status = await_status(lab, pg, "all members Ready again", is_ready(3))
    assert pg_status["lastFailover"]["to"] == pg_status["primary"]
    service = lab.get("endpoints", "-n", pg, "pg-primary")["subsets"][0]["addresses"][0]["ip"]
    assert service == lab.get("pod", "-n", pg, pg_status["primary"])["status"]["podIP"]


def test_a_cluster_scales_up_and_down(lab: Lab, pg: str) -> None:
    change(lab, pg, replicas=4)
    await_status(lab, pg, "four members Ready", is_ready(4))
    change(lab, pg, replicas=2)
    pg_status = await_status(lab, pg, "two members Ready", is_ready(2))
    assert len(pg_status["members"]) == 2
    wait_until("no volume is left over", lambda: len(lab.get("pvc", "-n", pg)["items"]) == 2)


@contextmanager
def lingering(lab: Lab, namespace: str, kind: str, name: str) -> Iterator[None]:
    """The last to go of all objects, as a busy garbage collector may have it."""
    finalizers = {"metadata": {"finalizers": [f"{PREFIX}test"]}}
    lab.kubectl("patch", kind, "-n", namespace, name, "--type=merge", "-p", json.dumps(finalizers))
    yield
    nothing = {"metadata": {"finalizers": None}}
    lab.kubectl("patch", kind, "-n", namespace, name, "--type=merge", "-p", json.dumps(nothing))


@pytest.mark.parametrize(("on_deletion", "volumes_left"), [("Delete", 0), ("Retain", 1)])
def test_deletion_removes_everything_and_keeps_volumes_only_where_asked(
    lab: Lab, namespace: str, on_deletion: str, volumes_left: int
) -> None:
    lab.apply(postgres(namespace, replicas=1, storage={"onDeletion": on_deletion}))
    await_status(lab, namespace, "one member Ready", is_ready(1))
    with lingering(lab, namespace, "rolebinding", "pg-patroni"):
        lab.kubectl("delete", "postgrescluster", "-n", namespace, "pg", "--wait=false")
        wait_until("its pod is gone", lambda: lab.get("pods", "-n", namespace)["items"] == [])
    await_gone(lab, namespace)
    wait_until(
        f"{volumes_left} volumes are left", lambda: len(lab.get("pvc", "-n", namespace)["items"]) == volumes_left
    )


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"replicas": -1}, "spec.replicas", "greater than or equal to 1"),
        ({"durability": "eventual"}, "spec.durability", "supported values"),
        ({"replicas": 1, "durability": "quorum"}, "spec.replicas", "need a standby"),
        ({"failover": {"ttlSeconds": 8}}, "spec.failover.ttlSeconds", "greater than or equal to 20"),
        (
            {"failover": {"loopWaitSeconds": 10, "retryTimeoutSeconds": 10}},
            "spec.failover.ttlSeconds",
            "raise ttlSeconds",
        ),
        ({"storage": {"size": "much"}}, "spec.storage.size", "should match"),
        ({"storage": {"size": "511Mi"}}, "spec.storage.size", "512Mi or more"),
        ({"parameters": {"fsync": "off"}}, "spec.parameters", "leave it out"),
        ({"replicas": "three"}, "spec.replicas", 'got "string", expected "integer"'),
    ],
)
def test_a_bad_spec_is_refused_with_its_field_named(
    lab: Lab, shared_namespace: str, spec: dict[str, Any], field: str, says: str
) -> None:
    refused = lab.try_apply(postgres(shared_namespace, **spec))
    assert not refused.ok
    assert field in refused.err
    assert says in refused.err
