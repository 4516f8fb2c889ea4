"""What is done to a cluster by its own means: asked for, waited for, and kept as an event with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chaoscaplab.clusters import actions, lookup, redis_memory
from chaoscaplab.clusters.provision import Cluster
from chaoslib.exceptions import ActivityFailed
from support.runs.held_runs import begin_run

from caplab.contract.names import FAST_PATH_LABEL
from caplab.kube.errors import ExecFailed
from caplab.run_context import Event, current_run, release

Body = dict[str, Any]


class FakeServer:
    """A cluster that does what it is asked at once, unless it is stubborn."""

    def __init__(self, spec: Body, status: Body) -> None:
        self.spec, self.status = spec, status
        self.asked: list[tuple[str, str]] = []
        self.stubborn = False
        self.uids: dict[str, str] = {}  # of pods that were deleted once
        self.started = datetime.now(UTC) - timedelta(hours=1)
        self.labels: dict[str, str] = {}
        self.evicted = iter([0, *range(0, 10**9, 1000)])
        self.taken: list[str] = []  # replies to a chunk of fillers; all of it where there is none left

    def get(self, kind: str, _namespace: str, name: str) -> Body:
        metadata = {"name": name, "generation": 1}
        return {"kind": kind, "metadata": metadata, "spec": self.spec, "status": self.status}

    def replace(self, _kind: str, _body: Body, spec: Body) -> None:
        if self.stubborn:
            return
        if spec.get("operations") != self.spec.get("operations"):
            self.started = datetime.now(UTC) + timedelta(seconds=1)
        self.spec = spec

    def pods(self, _namespace: str, _selector: str) -> list[Any]:
        running = {"state": {"running": {"startedAt": f"{self.started:%Y-%m-%dT%H:%M:%SZ}"}}}
        return [
            {
                "metadata": {"name": f"m-{n}", "uid": self.uids.get(f"m-{n}", "first"), "labels": self.labels},
                "status": {"containerStatuses": [running]},
            }
            for n in range(self.spec["replicas"])
        ]

    def delete_pod(self, _namespace: str, name: str, uid: str) -> None:
        assert uid == self.uids.get(name, "first"), "another pod of its name is meant"
        if not self.stubborn:
            self.uids[name] = "second"

    def switch_over(self, namespace: str, pod: str) -> None:
        self.execute(namespace, pod, "switchover", "now")

    def execute(self, _namespace: str, pod: str, *command: str) -> str:
        words = " ".join(command).removeprefix("lab-redis-cli -e ")
        self.asked.append((pod, " ".join(words.split())))
        if self.stubborn:
            raise ExecFailed("it does not want to")
        if "switchover" in words or "FAILOVER" in words:
            self.status["primary"] = "m-1"
        if words.startswith("INFO stats"):
            return f"evicted_keys:{next(self.evicted)}\r\n"
        if words.startswith("DBSIZE"):
            return "2000\n"
        if "string.rep" in words:
            return self.taken.pop(0) if self.taken else "500\n"
        return "0\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    fake = FakeServer({"replicas": 3}, {"primary": "m-0", "sentinels": [{"name": "s-0"}]})
    monkeypatch.setattr(lookup, "Server", lambda _: fake)
    monkeypatch.setattr(Cluster, "not_steady", lambda _: "")
    begin_run("PostgresCluster")
    yield fake
    release()


def event() -> Event:
    (only,) = current_run().state.events
    assert only.ended_unix_ns is not None
    assert only.ended_unix_ns >= only.began_unix_ns
    return only


@pytest.mark.parametrize(
    ("kind", "fast", "asked"),
    [
        ("PostgresCluster", False, ("m-0", "switchover now")),
        ("RedisCluster", False, ("s-0", "SENTINEL FAILOVER caplab")),
        ("RedisCluster", True, ("m-0", "switchover now")),
    ],
)
def test_a_switchover_is_asked_of_who_can_do_it_and_is_over_with_a_new_primary(
    server: FakeServer, kind: str, fast: bool, asked: tuple[str, str]
) -> None:
    server.labels = {FAST_PATH_LABEL: "2"} if fast else {}
    assert actions.switchover("pg", kind=kind) == {"old": "m-0", "new": "m-1"}
    assert server.asked == [asked]
    assert (event().kind, event().target, event().proven) == ("switchover", "m-0", True)
    assert event().evidence == ("the primary was m-0, and is now m-1",)


def test_a_switchover_that_is_refused_or_that_nobody_can_do_fails_and_proves_nothing(server: FakeServer) -> None:
    server.stubborn = True
    with pytest.raises(ActivityFailed, match="pg refused the switchover: it does not want to"):
        actions.switchover("pg")
    assert (event().evidence, event().proven) == ((), False)
    with pytest.raises(ActivityFailed, match="CassandraCluster has no primary"):
        actions.switchover("cs", kind="CassandraCluster")


def test_a_switchover_after_which_the_primary_is_the_same_is_none(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "execute", lambda *_: "")
    with pytest.raises(ActivityFailed, match="a primary other than m-0: the primary is m-0"):
        actions.switchover("pg", within_seconds=0)
    assert not event().proven


def test_a_members_pod_is_deleted_in_order_until_another_has_its_place(server: FakeServer) -> None:
    server.status["members"] = [{"name": f"m-{n}"} for n in range(3)]
    assert actions.delete_member("pg") == {"member": "m-0", "old": "first", "new": "second"}
    assert (event().kind, event().target, event().proven) == ("deletion", "m-0", True)
    assert event().evidence[0].startswith("the pod first was replaced by second after ")
    server.stubborn = True
    with pytest.raises(ActivityFailed, match=r"another pod replaces m-\d: the pod is first"):
        actions.delete_member("pg", role="replica", within_seconds=0)
    server.status["primary"] = "m-9"
    with pytest.raises(ActivityFailed, match=r"There is no pod m-9\. Hint"):
        actions.delete_member("pg")


def test_a_rolling_restart_is_over_when_every_member_has_started_since(server: FakeServer) -> None:
    server.spec["operations"] = {"repair": "r", "restart": ""}
    assert actions.rolling_restart("cs", kind="CassandraCluster") == ["m-0", "m-1", "m-2"]
    assert server.spec["operations"]["repair"] == "r"  # what else is asked for stays
    assert event().proven
    server.stubborn, server.started = True, datetime.now(UTC) - timedelta(hours=1)
    with pytest.raises(ActivityFailed, match="m-0, m-1, m-2 still to restart"):
        actions.rolling_restart("cs", within_seconds=0, kind="CassandraCluster")


def test_a_rolling_restart_of_what_has_none_is_refused(server: FakeServer) -> None:
    with pytest.raises(ActivityFailed, match=r"PostgresCluster has no operations.restart"):
        actions.rolling_restart("pg")


def test_a_cluster_is_scaled_and_keeps_the_rest_of_its_spec(server: FakeServer) -> None:
    server.spec["heap"] = "256Mi"
    assert actions.scale("cs", 4) == {"before": 3}
    assert server.spec == {"replicas": 4, "heap": "256Mi"}
    assert event().evidence == ("it had 3 members, and now has 4",)
    server.stubborn = True
    with pytest.raises(ActivityFailed, match="cs has 3 members: it has 4 members"):
        actions.scale("cs", 3, within_seconds=0)


def test_memory_is_full_where_writes_are_refused_and_is_emptied_again(server: FakeServer) -> None:
    server.taken = ["500\n", "17\n"]
    assert actions.fill_memory("rd", 0, kind="RedisCluster") == {"keys": 517, "evicted_keys": 1000, "refused": True}
    assert event().evidence == ("517 keys of 10000 B were written; then writes were refused",)
    assert "UNLINK" in server.asked[-1][1]


def test_memory_is_full_where_everything_has_probably_been_evicted(server: FakeServer) -> None:
    done = actions.fill_memory("rd", 0, kind="RedisCluster")
    assert (done["refused"], done["evicted_keys"]) == (False, 13_000)  # more than six times its 2,000 keys
    assert event().proven


def test_memory_that_never_runs_out_proves_nothing_and_is_emptied_too(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.evicted = iter([0] * 10_000)
    monkeypatch.setattr(redis_memory, "_MAX_CHUNKS", 3)
    with pytest.raises(ActivityFailed, match=r"1500 keys of 10000 B were written in vain. Hint: .*smaller maxMemory"):
        actions.fill_memory("rd", 0, kind="RedisCluster")
    assert not event().proven
    assert "UNLINK" in server.asked[-1][1]
    with pytest.raises(ActivityFailed, match="PostgresCluster has no maxMemory"):
        actions.fill_memory("pg", 0)
