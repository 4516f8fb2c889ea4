"""A PostgresCluster on the real cluster: made, changed live, scaled, failed over and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE as OPERATOR_NAMESPACE
from caplab_cluster.kind_cluster import ZONES
from support.kind.cluster_object import await_gone
from support.kind.kind_lab import Lab, wait_until
from support.kind.postgres_cluster import await_status, is_ready, postgres, sql, status

from caplab.contract.names import PREFIX


def change(lab: Lab, namespace: str, **spec: Any) -> None:
    lab.kubectl("patch", "postgrescluster", "-n", namespace, "pg", "--type=merge", "-p", json.dumps({"spec": spec}))


@pytest.fixture
def pg(lab: Lab, namespace: str) -> str:
    """A cluster named pg, Ready; the namespace it is in."""
    lab.apply(postgres(namespace))
    await_status(lab, namespace, "three members Ready", is_ready(3))
    return namespace


def test_a_cluster_gets_a_member_a_zone_and_replicates_to_each(lab: Lab, pg: str) -> None:
    pg_status = status(lab, pg)
    assert sorted(member["zone"] for member in pg_status["members"]) == list(ZONES)
    assert [member["role"] for member in pg_status["members"]].count("primary") == 1
    assert pg_status["epoch"] == 1
    assert pg_status["durability"] == "async"
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
    lab: Lab, namespace: str, spec: dict[str, Any], field: str, says: str
) -> None:
    refused = lab.try_apply(postgres(namespace, **spec))
    assert not refused.ok
    assert field in refused.err
    assert says in refused.err


def test_the_operator_is_back_within_seconds_of_its_death_and_disturbs_no_member(lab: Lab, pg: str) -> None:
    before = {pod["metadata"]["uid"]: pod["status"] for pod in lab.get("pods", "-n", pg)["items"]}
    selector = "app.kubernetes.io/name=caplab-operator"
    lab.kubectl("delete", "pod", "-n", OPERATOR_NAMESPACE, "-l", selector, "--grace-period=0", "--force")
    change(lab, pg, durability="quorum")
    seconds = wait_until(
        "the new operator applied the change", lambda: status(lab, pg).get("durability") == "quorum", 30
    )
    print(f"a change was applied {seconds:.1f} s after the operator died")
    assert {pod["metadata"]["uid"] for pod in lab.get("pods", "-n", pg)["items"]} == set(before)
    assert "finalizers" not in lab.get("postgrescluster", "-n", pg, "pg")["metadata"]


def test_only_the_agents_run_as_root_and_nothing_may_do_everything(lab: Lab, pg: str) -> None:
    pods = [*lab.get("pods", "-n", OPERATOR_NAMESPACE)["items"], *lab.get("pods", "-n", pg)["items"]]
    agents = [pod for pod in pods if pod["metadata"]["name"].startswith("caplab-agent-")]
    assert len(agents) == len(ZONES)
    assert len(pods) == 2 + 2 * len(ZONES) + 3 + 1  # operator, Prometheus, probers, agents, members, their exporter
    for pod in pods:
        assert all(
            container["securityContext"]["readOnlyRootFilesystem"] is True for container in pod["spec"]["containers"]
        )
        privileged = [container["securityContext"].get("privileged", False) for container in pod["spec"]["containers"]]
        assert any(privileged) == (pod in agents), pod["metadata"]["name"]
        if pod in agents:
            continue
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert "livenessProbe" not in container or pod["metadata"]["namespace"] == OPERATOR_NAMESPACE
    for binding in lab.get("clusterrolebindings")["items"]:
        for subject in binding.get("subjects") or []:
            if subject.get("namespace") == OPERATOR_NAMESPACE:
                assert binding["roleRef"]["name"] != "cluster-admin"
