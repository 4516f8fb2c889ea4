"""The operator dies or is upgraded beside running clusters, which notice nothing of it; and what runs as whom."""

from __future__ import annotations

import pytest
from caplab_cluster.chart import NAMESPACE as OPERATOR_NAMESPACE
from caplab_cluster.kind_cluster import ZONES
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until
from support.kind.measured_load import load

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def both(lab: Lab, shared_namespace: str) -> tuple[ClusterObject, ClusterObject]:
    """A Postgres and a Redis cluster, which become Ready at the same time."""
    pg = ClusterObject(lab=lab, kind="PostgresCluster", namespace=shared_namespace, name="pg")
    rd = ClusterObject(lab=lab, kind="RedisCluster", namespace=shared_namespace, name="rd")
    pg.apply()
    rd.apply()
    pg.await_ready(3)
    rd.await_ready(3)
    return pg, rd


@pytest.fixture(scope="module")
def pg(both: tuple[ClusterObject, ClusterObject]) -> ClusterObject:
    return both[0]


@pytest.fixture(scope="module")
def rd(both: tuple[ClusterObject, ClusterObject]) -> ClusterObject:
    return both[1]


def test_only_the_agents_run_as_root_and_nothing_may_do_everything(
    lab: Lab, pg: ClusterObject, rd: ClusterObject
) -> None:
    pods = [item for where in (OPERATOR_NAMESPACE, pg.namespace) for item in lab.get("pods", "-n", where)["items"]]
    agents = [pod for pod in pods if pod["metadata"]["name"].startswith("caplab-agent-")]
    assert len(agents) == len(ZONES)
    # Operator, Prometheus, probers, agents; Postgres' members and exporter; Redis' members, Sentinels and exporter.
    assert len(pods) == 2 + 2 * len(ZONES) + 3 + 1 + 3 + 3 + 1
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


def test_the_operator_is_back_within_seconds_of_its_death_and_disturbs_no_member(
    lab: Lab, pg: ClusterObject, rd: ClusterObject
) -> None:
    before = [pg.uids(), rd.uids()]
    selector = "app.kubernetes.io/name=caplab-operator"
    lab.kubectl("delete", "pod", "-n", OPERATOR_NAMESPACE, "-l", selector, "--grace-period=0", "--force")
    pg.change(durability="quorum")
    seconds = wait_until("the new operator applied the change", lambda: pg.status().get("durability") == "quorum", 30)
    print(f"a change was applied {seconds:.1f} s after the operator died")
    assert [pg.uids(), rd.uids()] == before
    assert "finalizers" not in pg.read()["metadata"]


def test_an_upgrade_of_the_operator_disturbs_no_client(lab: Lab, rd: ClusterObject) -> None:
    before = rd.uids()
    with load(lab, rd.kind, rd.namespace, rd.name) as measured:
        lab.kubectl("rollout", "restart", "-n", OPERATOR_NAMESPACE, "deployment/caplab-operator")
        lab.kubectl("rollout", "status", "-n", OPERATOR_NAMESPACE, "deployment/caplab-operator", "--timeout=60s")
        rd.change(minReplicasMaxLagSeconds=9)
        rd.await_ready(3)
    measured.assert_all_acked(route="service")
    measured.assert_nothing_lost()
    assert rd.uids() == before
