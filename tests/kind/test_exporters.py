"""The engines' own exporters on the real cluster: each member is told of, and what is lost of it comes back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_dashboards.sources import CASSANDRA, POSTGRES, REDIS
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until
from support.kind.postgres_cluster import sql
from support.kind.redis_cluster import ask

from caplab.contract.names import CLUSTERS_LABEL, PART_LABEL

pytestmark = pytest.mark.beside

RESTORED_SECONDS = 5.0
# Told only of what is there to be told of: a follower, another member that replicates, a client that was refused.
_OF_SOME = {"redis_master_link_up", "pg_stat_replication_pg_wal_lsn_diff", "pg_locks_count"}


@dataclass(frozen=True)
class Watched:
    """A Postgres and a Redis cluster with their exporters."""

    lab: Lab
    namespace: str

    def cluster(self, name: str) -> ClusterObject:
        kind = {"pg": "PostgresCluster", "rd": "RedisCluster"}[name]
        return ClusterObject(lab=self.lab, kind=kind, namespace=self.namespace, name=name)

    def metrics(self, name: str, member: str) -> str:
        """What the exporter tells of a member; '' where it does not."""
        address = self.cluster(name).pods()[member]["status"].get("podIP", "")
        paths = {
            "pg": f"9187/proxy/probe?auth_module=monitor&target={address}:5432",
            "rd": f"9121/proxy/scrape?target={quote(f'redis://{address}:6379', safe='')}",
        }
        return raw(self.lab, f"/api/v1/namespaces/{self.namespace}/services/{name}-exporter:{paths[name]}")

    def is_up(self, name: str, member: str) -> bool:
        return re.search(r"^(pg|redis)_up 1$", self.metrics(name, member), re.MULTILINE) is not None

    def await_up(self, name: str, within_seconds: float = 60) -> None:
        for member in self.cluster(name).pods():
            wait_until(f"{member} is told of", lambda member=member: self.is_up(name, member), within_seconds)  # type: ignore[misc]


def raw(lab: Lab, path: str) -> str:
    """What answers at a path of the API server; '' where nobody does."""
    return lab.cluster.kubectl("get", "--raw", path).out


def names(text: str) -> set[str]:
    """The metrics that are told of."""
    return {match[1] for match in re.finditer(r"^([a-z]\w+)[{ ]", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def watched(lab: Lab) -> Iterator[Watched]:
    name = f"exporters-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", name)
    lab.kubectl("label", "namespace", name, f"{CLUSTERS_LABEL}=allowed")
    pair = Watched(lab, name)
    try:
        for cluster in ("pg", "rd"):
            pair.cluster(cluster).apply(replicas=2)
        for cluster in ("pg", "rd"):
            pair.cluster(cluster).await_ready(2)
        yield pair
    finally:
        lab.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize(("name", "wanted"), [("pg", set(POSTGRES)), ("rd", set(REDIS))])
def test_each_member_is_told_of_with_all_that_dashboards_ask_for(watched: Watched, name: str, wanted: set[str]) -> None:
    watched.await_up(name)
    names_of_members = [names(watched.metrics(name, member)) for member in watched.cluster(name).pods()]
    assert [wanted - _OF_SOME - exported for exported in names_of_members] == [set(), set()]
    assert wanted <= set().union(*names_of_members)


def test_a_login_that_somebody_changed_is_set_back(watched: Watched) -> None:
    primary = watched.cluster("pg").status()["primary"]
    sql(watched.lab, watched.namespace, primary, "alter role monitor nologin superuser")
    ask(watched.lab, watched.namespace, "rd-0", "acl", "deluser", "monitor")
    wait_until("rd-0 lets the exporter in", lambda: watched.is_up("rd", "rd-0"), RESTORED_SECONDS)
    wait_until("the primary does", lambda: watched.is_up("pg", primary), 2 * RESTORED_SECONDS)
    question = "select rolsuper, rolcanlogin from pg_roles where rolname = 'monitor'"
    assert sql(watched.lab, watched.namespace, primary, question) == "f|t"


def test_the_login_reads_no_data(watched: Watched) -> None:
    lab, where = watched.lab, watched.namespace
    primary = watched.cluster("pg").status()["primary"]
    sql(lab, where, primary, "create table if not exists secrets (a int)")
    refused = lab.inside(
        where, primary, "psql", "-h", "/tmp", "-U", "monitor", "-d", "caplab", "-c", "select * from secrets"
    )
    assert "permission denied for table secrets" in refused.err
    assert "no permissions to run the 'get' command" in " ".join(
        ask(lab, where, "rd-0", "acl", "dryrun", "monitor", "get", "k")
    )


def test_an_exporter_that_somebody_deleted_is_there_again(watched: Watched) -> None:
    exporter = ("-n", watched.namespace, "statefulset/rd-exporter")
    before = watched.lab.get(*exporter[:2], exporter[2])["metadata"]["uid"]
    watched.lab.kubectl("delete", *exporter, "--wait=false")

    def is_restored() -> bool:
        uid = watched.lab.cluster.kubectl("get", *exporter, "-o", "jsonpath={.metadata.uid}").out
        return uid not in ("", before)

    wait_until("another one is there", is_restored, RESTORED_SECONDS)
    watched.await_up("rd")


def switch(lab: Lab, on: bool) -> None:
    """As the chart's exporters.enabled does it."""
    where = ("-n", LAB_NAMESPACE, "deployment/caplab-operator")
    lab.kubectl("set", "env", *where, f"CAPLAB_EXPORTERS={str(on).lower()}")
    lab.kubectl("rollout", "status", *where, "--timeout=60s")


@pytest.mark.long
def test_switched_off_and_on_again_exporters_go_and_come_and_no_member_restarts(watched: Watched) -> None:
    lab, clusters = watched.lab, [watched.cluster(name) for name in ("pg", "rd")]
    for name in ("pg", "rd"):
        watched.await_up(name)
    before = [cluster.uids() for cluster in clusters]
    kinds = (
        "statefulsets,services,secrets,networkpolicies,pods",
        "-n",
        watched.namespace,
        "-l",
        f"{PART_LABEL}=exporter",
    )
    role = "select count(*) from pg_roles where rolname = 'monitor'"
    primary = clusters[0].status()["primary"]
    try:
        switch(lab, on=False)
        wait_until("exporters are gone", lambda: not lab.get(*kinds)["items"], 40)
        wait_until("so is the role", lambda: sql(lab, watched.namespace, primary, role) == "0", 20)
        users = ("rd-0", "acl", "users")
        wait_until("so is the user", lambda: "monitor" not in ask(lab, watched.namespace, *users), 20)
    finally:
        switch(lab, on=True)
    for name in ("pg", "rd"):
        watched.await_up(name)
    for cluster in clusters:
        cluster.await_ready(2)
    assert [cluster.uids() for cluster in clusters] == before


@pytest.mark.long
def test_members_of_cassandra_tell_themselves(lab: Lab, namespace: str) -> None:
    cluster = ClusterObject(lab=lab, kind="CassandraCluster", namespace=namespace, name="cs", timeout_seconds=240.0)
    cluster.apply(replicas=1, replicationFactor=1)
    cluster.await_ready(1)
    text = raw(lab, f"/api/v1/namespaces/{namespace}/pods/cs-0:7070/proxy/metrics")
    assert set(CASSANDRA) <= names(text)
    assert "cassandra_endpoints_up 1.0" in text
