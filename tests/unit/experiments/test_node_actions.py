"""Whole nodes as experiments lose them: which one is meant, what is refused, and what a run keeps of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from caplab_cluster.kind_cluster import CONTROL_PLANE, WORKERS
from caplab_cluster.machine.processes import name_of
from caplab_cluster.node_loss import losses
from caplab_cluster.node_loss.recovery import bring_back
from caplab_cluster.node_loss.store import Clock, NodeLossStore
from caplab_cluster.paths import Cache
from chaoscaplab.controls import measured
from chaoscaplab.controls.leftovers import remove_leftovers
from chaoscaplab.controls.measured import MeasuredRun
from chaoscaplab.controls.plan import Plan
from chaoscaplab.faults import node_choice, nodes
from chaoscaplab.waiting import NotInTime
from chaoslib.exceptions import ActivityFailed
from support.cluster.fake_engine import ADDRESSES, FakeEngine, fake_engine
from support.runs.held_runs import begin_run

from caplab.contract.names import CLUSTER_LABEL, PART_LABEL
from caplab.kube.context import ContextRefused
from caplab.model.runs import WallAnchor
from caplab.run_context import RunContext, current_run, release

ZONES = dict(zip(WORKERS, "abc", strict=True))


def node(name: str) -> dict[str, Any]:
    labels = {"labels": {"topology.kubernetes.io/zone": ZONES[name]}} if name in ZONES else {}
    addresses = [{"type": "InternalIP", "address": ADDRESSES[name]}, {"type": "Hostname", "address": name}]
    return {"metadata": {"name": name, **labels}, "status": {"addresses": addresses}}


class FakeServer:
    """A Postgres cluster of three, its primary pg-1 on the second worker."""

    def __init__(self) -> None:
        members = [{"name": f"pg-{number}"} for number in range(3)]
        self.body: dict[str, Any] | None = {
            "metadata": {"name": "pg"},
            "status": {"primary": "pg-1", "members": members},
        }
        self.on: dict[str, str | None] = {f"pg-{number}": WORKERS[number] for number in range(3)}

    @property
    def run(self) -> RunContext:
        return current_run()

    def nodes(self) -> list[Any]:
        return [node(name) for name in (CONTROL_PLANE, *WORKERS)]

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return self.body if (kind, namespace, name) == ("PostgresCluster", "ns", "pg") else None

    def pods(self, namespace: str, selector: str) -> list[Any]:
        assert selector == f"{CLUSTER_LABEL}=pg,{PART_LABEL}=member"
        return [
            {"metadata": {"name": pod}, "spec": {"nodeName": where} if where else {}} for pod, where in self.on.items()
        ]

    def list(self, kind: str, namespace: str) -> list[Any]:
        return []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(nodes, "Server", lambda _: fake)
    return fake


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> Iterator[FakeEngine]:
    fake = fake_engine(tmp_path / "engine")
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nodes, "begin", lambda progress, cache: SimpleNamespace(engine=fake.engine))
    monkeypatch.setattr(losses, "start_watchdog", lambda store, loss: None)
    begin_run("PostgresCluster")
    yield fake
    release()


def store() -> NodeLossStore:
    return NodeLossStore.of(Cache.from_environment())


CONFIGURATION = {"namespace": "ns"}
OTHER = name_of(1)  # a process that runs as long as this host does


@pytest.mark.parametrize(
    ("arguments", "hit"),
    [
        ({"node": WORKERS[2]}, WORKERS[2]),
        ({"zone": "a"}, WORKERS[0]),
        ({"cluster": "pg"}, WORKERS[1]),
        ({"cluster": "pg", "role": "primary", "kind": "PostgresCluster"}, WORKERS[1]),
    ],
)
def test_a_node_is_meant_by_its_name_its_zone_or_who_runs_on_it(
    fake: FakeEngine, arguments: dict[str, Any], hit: str
) -> None:
    (lost,) = nodes.pause_node(seconds=10, configuration=CONFIGURATION, **arguments)
    assert fake.orders() == [f"pause {hit}"]
    assert (lost["node"], lost["kind"], lost["state"], lost["proven"]) == (hit, "pause-node", "paused", True)
    assert list(current_run().state.lost_nodes.values()) == [lost]
    assert nodes.live(current_run()) == [lost]


def test_which_replica_is_the_seeds_choice_and_never_the_primary(server: FakeServer) -> None:
    assert server.body
    chosen = {node_choice.member_of(server.body, "replica", seed) for seed in range(20)}
    assert chosen == {"pg-0", "pg-2"}
    assert {node_choice.member_of(server.body, "any", seed) for seed in range(20)} == {"pg-0", "pg-1", "pg-2"}
    assert len({node_choice.member_of(server.body, "any", 3) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "name exactly one of node, zone and cluster"),
        ({"node": WORKERS[0], "zone": "a"}, "name exactly one"),
        ({"node": "caplab-worker9"}, f"There is no node caplab-worker9. Hint: name one of {CONTROL_PLANE}"),
        ({"node": CONTROL_PLANE}, "is the control plane.* Hint: Name one of caplab-worker,"),
        ({"zone": "z"}, "no node in zone z. Hint: name one of a, b, c"),
        ({"cluster": "gone"}, "There is no PostgresCluster ns/gone"),
        ({"cluster": "pg", "kind": "MongoCluster"}, "no clusters of kind 'MongoCluster'"),
        ({"cluster": "pg", "role": "leader"}, "role is 'leader'. Hint: use one of primary, replica, any"),
        ({"node": WORKERS[0], "seconds": 0}, "seconds is 0. Hint: give a kill-node from 1 to 3600 s"),
        ({"node": WORKERS[0], "seconds": 3601}, "from 1 to 3600 s"),
        ({"node": WORKERS[0], "max_nodes": 0}, "max_nodes is 0"),
    ],
)
def test_what_is_meant_by_nobody_is_refused_with_the_hint(
    fake: FakeEngine, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ActivityFailed, match=says):
        nodes.kill_node(configuration=CONFIGURATION, **arguments)
    assert fake.orders() == []
    assert current_run().state.lost_nodes == {}
    assert nodes.live(current_run()) == []


def test_a_cluster_without_a_primary_or_a_pod_without_a_node_is_refused(server: FakeServer) -> None:
    server.on["pg-1"] = None
    with pytest.raises(ActivityFailed, match="The pod pg-1 is on no node"):
        nodes.pause_node(cluster="pg", configuration=CONFIGURATION)
    assert server.body
    del server.body["status"]["primary"]
    for role in ("primary", "replica"):
        with pytest.raises(ActivityFailed, match=f"pg has no {role} now. Hint: .* or use role any"):
            nodes.pause_node(cluster="pg", role=role, configuration=CONFIGURATION)


def test_a_context_that_must_be_named_is_refused(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: RunContext) -> None:
        raise ContextRefused("The current kube context 'prod' is not a kind cluster's.")

    monkeypatch.setattr(nodes, "Server", refuse)
    with pytest.raises(ActivityFailed, match="'prod' is not a kind cluster's"):
        nodes.pause_node(node=WORKERS[0])
    assert fake.orders() == []


@pytest.mark.parametrize("action", [nodes.pause_node, nodes.stop_node, nodes.kill_node])
def test_a_node_lost_for_no_longer_than_the_rows_budget_is_refused(fake: FakeEngine, action: Any) -> None:
    current_run().state.budget_seconds = 20.0
    with pytest.raises(
        ActivityFailed, match=r"the row allows the failover 20 s.*keep the node away for more than 20 s"
    ):
        action(node=WORKERS[0], seconds=20)
    assert fake.orders() == []
    action(node=WORKERS[0], seconds=21)
    assert len(fake.orders()) == 1


@pytest.mark.parametrize(("orderly", "order"), [(False, "kill"), (True, "stop -t 10")])
def test_a_restart_is_over_at_once_and_needs_no_budget(fake: FakeEngine, orderly: bool, order: str) -> None:
    current_run().state.budget_seconds = 20.0
    (lost,) = nodes.restart_node(node=WORKERS[0], orderly=orderly)
    assert fake.orders() == [f"{order} {WORKERS[0]}", f"start {WORKERS[0]}"]
    assert (lost["over"], lost["proven"]) == (True, True)
    assert nodes.refresh_lost_nodes(current_run()) == []


def test_of_a_zone_all_nodes_go_or_none(fake: FakeEngine, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ZONES, WORKERS[1], "a")
    with pytest.raises(ActivityFailed, match="max_nodes is 1"):
        nodes.pause_node(zone="a")
    assert nodes.live(current_run()) == []
    assert fake.state(WORKERS[0]) == "running"
    assert len(nodes.pause_node(zone="a", max_nodes=2)) == 2


def taken_by(id_: str, process: str) -> None:
    """As if another process had taken that node."""
    (loss,) = [loss for loss in store().live() if loss.id == id_]
    store().put(replace(loss, taker=process))


def test_heal_brings_back_the_nodes_that_its_own_run_lost(fake: FakeEngine) -> None:
    (other,) = nodes.pause_node(node=WORKERS[0])
    taken_by(other["id"], OTHER)
    begin_run("PostgresCluster")  # another run, in another process
    nodes.stop_node(node=WORKERS[1], max_nodes=2)
    assert nodes.refresh_lost_nodes(current_run()) == [WORKERS[1]]
    assert nodes.restore_own_nodes(current_run()) == ([WORKERS[1]], [])
    assert fake.state(WORKERS[0]) == "paused"
    assert nodes.refresh_lost_nodes(current_run()) == []
    (lost,) = current_run().state.lost_nodes.values()
    assert (lost["over"], lost["proven"]) == (True, True)


def test_a_node_that_does_not_come_back_is_told_and_hinders_no_other(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.pause_node(node=WORKERS[0])
    nodes.stop_node(node=WORKERS[1], max_nodes=2)
    monkeypatch.setattr(Clock, "sleep", lambda self, seconds: None)
    monkeypatch.setattr("caplab_cluster.node_loss.recovery._BACK_SECONDS", 1.0)
    fake.refuse("unpause")
    back, (problem,) = nodes.restore_own_nodes(current_run())
    assert back == [WORKERS[1]]
    assert f"The node {WORKERS[0]} does not come back" in problem
    assert "Hint: Bring it back by hand: docker unpause" in problem


# --- a run -------------------------------------------------------------------------------------------------


def run() -> MeasuredRun:
    load = {"name": "set", "workload": "set", "rate": 40.0}
    plan = Plan(
        namespace="ns",
        cluster="pg",
        spec={"replicas": 3},
        loads=[load],
        vantages=("a", "b", "c"),
        engine="postgres",
        mode="quorum",
        fault="pause-node",
        seed=0,
    )
    nothing: Any = None
    server: Any = FakeServer()
    return MeasuredRun(begin_run("PostgresCluster", "r-1", "ns"), server, plan, "title", nothing)


def test_a_lost_node_is_a_window_of_the_run_as_it_ended(fake: FakeEngine) -> None:
    under_way = run()
    (lost,) = nodes.pause_node(node=WORKERS[0], seconds=12)
    (loss,) = store().live()
    bring_back(store(), loss)  # by the watchdog
    (window,) = under_way._windows(lost["boot_id"], WallAnchor(0, 0))
    assert (window.kind, window.target, window.proven) == ("pause-node", WORKERS[0], True)
    assert window.healed_ns
    assert window.healed_ns > window.injected_ns
    (elsewhere,) = under_way._windows("another machine", WallAnchor(0, 0))
    assert not elsewhere.proven
    assert under_way._own_settings()[measured.FAULT_SECONDS] == 12


def test_a_run_begins_with_every_node_back(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.pause_node(node=WORKERS[0])
    remove_leftovers(run()._server, "ns")
    assert fake.state(WORKERS[0]) == "running"
    monkeypatch.setattr(nodes, "restore_nodes_of_ended_runs", lambda _: ["it does not come back"])
    with pytest.raises(NotInTime, match="it does not come back"):
        remove_leftovers(run()._server, "ns")


def test_a_node_that_another_run_keeps_away_stays_away_until_that_run_is_dead(fake: FakeEngine) -> None:
    (lost,) = nodes.pause_node(node=WORKERS[0])
    with subprocess.Popen(["sleep", "60"]) as other:
        taken_by(lost["id"], name_of(other.pid))
        under_way = run()
        with pytest.raises(NotInTime, match=rf"{WORKERS[0]} is kept away by the run {lost['run']}.*Hint: wait"):
            remove_leftovers(under_way._server, "ns")
        assert fake.state(WORKERS[0]) == "paused"
        other.kill()
    remove_leftovers(under_way._server, "ns")
    assert fake.state(WORKERS[0]) == "running"


def test_of_a_note_that_does_not_say_who_took_the_node_its_time_decides(fake: FakeEngine) -> None:
    (lost,) = nodes.pause_node(node=WORKERS[0])
    old = store().folder / f"{lost['id']}.json"
    note = json.loads(old.read_text())
    del note["run"], note["taker"]
    old.write_text(json.dumps(note))
    (still_away,) = nodes.restore_nodes_of_ended_runs(current_run())
    assert "kept away by the run of another version" in still_away
    old.write_text(json.dumps({**note, "due_ns": 0}))
    assert nodes.restore_nodes_of_ended_runs(current_run()) == []
    assert fake.state(WORKERS[0]) == "running"
