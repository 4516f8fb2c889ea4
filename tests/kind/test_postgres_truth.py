"""A PostgresCluster on the real cluster: what its status says is so, and what ends hands over before."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until
from support.kind.postgres_cluster import sql

from caplab.contract.names import ENGINE_LABEL

pytestmark = pytest.mark.paired  # what is changed by hand is mended within seconds

_SETTLED_SECONDS = 10.0  # a round a second, and Patroni's own loop


class Postgres(ClusterObject):
    """A PostgresCluster named pg, and what its own Postgres says."""

    @property
    def primary(self) -> str:
        return str(self.status()["primary"])

    def sql(self, member: str, statement: str) -> str:
        return sql(self.lab, self.namespace, member, statement)

    def shown(self, setting: str) -> set[str]:
        """The values that the members have."""
        return {self.sql(name, f"show {setting}") for name in self.pods()}

    def condition(self, name: str) -> tuple[str, str]:
        conditions = [condition for condition in self.status().get("conditions", []) if condition["type"] == name]
        return (conditions[0]["status"], conditions[0]["message"]) if conditions else ("", "")

    def switch_over_to(self, candidate: str) -> None:
        """By Patroni's own means."""
        primary = self.primary
        command = ("patronictl", "-c", "/etc/caplab/patroni.yml", "switchover", "pg-primary")
        answer = self.lab.inside(
            self.namespace, primary, *command, "--leader", primary, "--candidate", candidate, "--force"
        )
        assert answer.ok, answer.err
        self.await_status(f"{candidate} is primary", lambda status: status.get("primary") == candidate)
        self.await_ready(len(self.pods()))


class Writer:
    """A client in a member's pod: a row after the other, each in a connection of its own by the primary's Service."""

    _LOOP = (
        'export PGPASSWORD="$APPLICATION_PASSWORD" PGCONNECT_TIMEOUT=2; n=0; while [ ! -e /tmp/enough ]; do '
        'n=$((n+1)); psql -h pg-primary -U caplab -d caplab -qXc "insert into acked values ($n)" 2> /dev/null '
        "&& echo $n; done"
    )

    def __init__(self, pg: Postgres, member: str) -> None:
        self._pg, self._member = pg, member
        pg.lab.inside(pg.namespace, member, "rm", "-f", "/tmp/enough")
        pg.sql(pg.primary, "create table if not exists acked (n int); truncate acked; grant all on acked to caplab")
        self._output = ""
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        wait_until("the writer writes", lambda: self.rows() > 5)

    def _write(self) -> None:
        command = ("exec", "-n", self._pg.namespace, self._member, "--", "bash", "-c", self._LOOP)
        self._output = self._pg.lab.cluster.kubectl(*command, timeout_seconds=120).out

    def rows(self) -> int:
        return int(self._pg.sql(self._pg.primary, "select count(*) from acked"))

    def stop(self) -> None:
        self._pg.lab.inside(self._pg.namespace, self._member, "touch", "/tmp/enough")
        self._thread.join()

    def lost(self) -> set[int]:
        """What was acknowledged, and is not there any more."""
        acked = {int(line) for line in self._output.split()}
        assert acked
        return acked - {int(line) for line in self._pg.sql(self._pg.primary, "select n from acked").split()}


def made(lab: Lab, namespace: str, **spec: Any) -> Postgres:
    pg = Postgres(lab=lab, kind="PostgresCluster", namespace=namespace, name="pg", timeout_seconds=150.0)
    pg.apply(**spec)
    pg.await_ready(spec.get("replicas", 3))
    return pg


def await_durable(pg: Postgres, settings: Mapping[str, str]) -> None:
    """Within seconds every member has these, and the status says so."""

    def holds() -> bool:
        values = all(pg.shown(name) == {value} for name, value in settings.items())
        return values and pg.condition("DurabilityApplied")[0] == "True"

    seconds = wait_until("durability is as asked", holds, _SETTLED_SECONDS)
    print(f"mended after {seconds:.1f} s")


def delete_primary_under_writes(pg: Postgres) -> tuple[int, set[int]]:
    """The epochs that it took, and what was lost."""
    primary, epoch = pg.primary, int(pg.status()["epoch"])
    writer = Writer(pg, next(name for name in pg.pods() if name != primary))
    try:
        pg.lab.kubectl("delete", "pod", "-n", pg.namespace, primary, "--wait=false")
        pg.await_status("another is primary", lambda status: status.get("primary") not in (None, primary))
        before = writer.rows()
        wait_until("the writer writes again", lambda: writer.rows() > before + 5)
    finally:
        writer.stop()
    lost = writer.lost()
    pg.await_ready(len(pg.pods()))
    return int(pg.status()["epoch"]) - epoch, lost


def test_a_running_cluster_is_what_its_status_says_whatever_is_changed_by_hand_or_ended(
    lab: Lab, namespace: str
) -> None:
    pg = made(lab, namespace, durability="quorum")
    primary = pg.primary
    replica = next(name for name in pg.pods() if name != primary)
    pg.sql(primary, "alter system set synchronous_commit = off")
    pg.sql(primary, "alter role caplab set synchronous_commit = off")
    pg.sql(primary, "alter database caplab set synchronous_commit = local")
    pg.sql(replica, "alter system set fsync = off")
    for member in (primary, replica):
        pg.sql(member, "select pg_reload_conf()")
    await_durable(pg, {"synchronous_commit": "on", "fsync": "on"})
    assert pg.sql(primary, "select count(*) from pg_db_role_setting") == "0"

    pg.sql(primary, "alter role caplab password 'another'")
    wait_until("clients log in again", lambda: logs_in(pg), 20)

    pg.await_ready(3)
    pg.change(parameters={"max_connections": "300"})
    pg.await_status("it says that something is under way", lambda status: status.get("phase") != "Ready")
    pg.await_ready(3)
    assert pg.shown("max_connections") == {"300"}
    assert pg.status()["epoch"] == 2

    uids = pg.uids()
    pg.change(resources={"cpuRequest": "60m"})
    pg.await_status("it says what is under way", lambda status: "rollout" in status)
    pg.await_ready(3)
    assert not set(uids.values()) & set(pg.uids().values())
    assert pg.status()["epoch"] == 3
    assert pg.status()["lastFailover"]["cause"] == "handed over by the operator"

    assert delete_primary_under_writes(pg) == (1, set())
    assert pg.status()["lastFailover"]["cause"] == "its pod was deleted"


def logs_in(pg: Postgres) -> bool:
    command = 'PGPASSWORD="$APPLICATION_PASSWORD" psql -h pg-primary -U caplab -d caplab -qXc "select 1"'
    return pg.lab.inside(pg.namespace, pg.primary, "bash", "-c", command).ok


@pytest.fixture
def pg(lab: Lab, namespace: str) -> Iterator[Postgres]:
    """Asynchronous, and its primary is the one of the highest number."""
    cluster = made(lab, namespace)
    if cluster.primary != "pg-2":
        cluster.switch_over_to("pg-2")
    yield cluster
    lab.kubectl("delete", "postgrescluster", "-n", namespace, "pg", "--wait=false")


@pytest.mark.long
def test_fewer_connections_cost_no_failover(pg: Postgres) -> None:
    """No replica may have less than its primary: so that one is restarted in its place, and first."""
    epoch, primary = pg.status()["epoch"], pg.primary
    pg.change(parameters={"max_connections": "200"})
    pg.await_status("it says that something is under way", lambda status: status.get("phase") != "Ready")
    pg.await_ready(3)
    assert pg.shown("max_connections") == {"200"}
    assert (pg.status()["epoch"], pg.primary) == (epoch, primary)


@pytest.mark.long
def test_a_primary_that_goes_when_its_cluster_shrinks_hands_over_first_and_nothing_is_lost(pg: Postgres) -> None:
    epoch = pg.status()["epoch"]
    writer = Writer(pg, "pg-0")
    try:
        pg.change(replicas=2)
        pg.await_ready(2)
    finally:
        writer.stop()
    assert writer.lost() == set()
    assert pg.status()["epoch"] == epoch + 1


@pytest.mark.long
def test_the_end_of_an_asynchronous_primary_loses_nothing(pg: Postgres) -> None:
    for _ in range(3):
        assert delete_primary_under_writes(pg) == (1, set())


@pytest.mark.long
def test_a_drained_node_hands_its_primary_over_first(lab: Lab, pg: Postgres) -> None:
    primary, epoch = pg.primary, pg.status()["epoch"]
    node = pg.pods()[primary]["spec"]["nodeName"]
    writer = Writer(pg, "pg-0")
    try:
        selector = ("--pod-selector", f"{ENGINE_LABEL}=postgres", "--delete-emptydir-data", "--timeout=60s")
        lab.kubectl("drain", node, *selector)
        pg.await_status("another is primary", lambda status: status.get("primary") not in (None, primary))
    finally:
        lab.kubectl("uncordon", node)
        writer.stop()
    assert writer.lost() == set()
    pg.await_ready(3)
    assert pg.status()["epoch"] == epoch + 1


@pytest.mark.long
def test_a_replica_that_is_away_for_longer_than_the_log_is_kept_fills_no_volume_and_gets_a_new_copy(
    lab: Lab, pg: Postgres
) -> None:
    kept = "select (sum(size) / 1048576)::int from pg_ls_waldir()"
    more = "create table if not exists filler (n int); insert into filler values (1); select pg_switch_wal()"
    assert lab.inside(pg.namespace, "pg-0", "bash", "-c", "kill -STOP -1").ok
    try:
        pg.await_status("pg-0 is missed", lambda status: status.get("phase") == "Degraded")
        for _ in range(50):  # of 16 MiB each
            pg.sql(pg.primary, more)
        pg.sql(pg.primary, "checkpoint")
        assert int(pg.sql(pg.primary, kept)) <= 512
        assert "lost" in pg.sql(pg.primary, "select wal_status from pg_replication_slots where slot_name = 'pg_0'")
    finally:
        lab.inside(pg.namespace, "pg-0", "bash", "-c", "kill -CONT -1")
    pg.await_ready(3)
    assert pg.sql("pg-0", "select count(*) from filler") == "50"
