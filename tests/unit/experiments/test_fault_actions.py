"""Faults as experiments make them and ask about them: targets, refusals, proof, and the end of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from chaoscaplab.faults import actions, injecting, nodes, probes
from chaoscaplab.faults.specs import prefix_of, target_of
from chaoslib.exceptions import ActivityFailed
from support.objects.fake_objects import of_run
from support.runs.held_runs import begin_run
from support.runs.run_faults import body_of as fault
from support.runs.run_faults import entry, lost_node

from caplab.contract.objects import FaultSpec, Freeze
from caplab.kube.errors import Refused
from caplab.run_context import current_run, release


class FakeServer:
    """Faults that stand as they are told; made ones are Active at once, with nobody hit."""

    def __init__(self, *faults: dict[str, Any]) -> None:
        self.faults = {fault["metadata"]["name"]: fault for fault in faults}
        self.foreign: set[str] = set()  # those that this run did not make
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.status: dict[str, Any] = {"phase": "Active", "targets": []}
        self.then: list[dict[str, Any]] = []  # statuses of every fault, one a look

    def create(self, kind: str, namespace: str, name: str, spec: dict[str, Any]) -> None:
        self.made.append((namespace, spec))
        metadata = {"namespace": namespace, "name": name, "uid": f"uid of {name}"}
        self.faults[name] = {"metadata": metadata, "spec": spec, "status": self.status}

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self._go_on()
        return self.faults.get(name)

    def list(self, kind: str, namespace: str) -> Sequence[dict[str, Any]]:
        self._go_on()
        return [
            of_run(body, current_run().run_id) if name not in self.foreign else body
            for name, body in self.faults.items()
        ]

    def remove(self, kind: str, body: dict[str, Any]) -> None:
        del self.faults[body["metadata"]["name"]]

    def _go_on(self) -> None:
        if self.then:
            status = self.then.pop(0)
            self.faults = {name: {**fault, "status": status} for name, fault in self.faults.items()}


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path / "cache"))
    begin_run("PostgresCluster")
    yield
    release()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    for module in (actions, injecting, probes):
        monkeypatch.setattr(module, "Server", lambda _: fake)
    return fake


# --- actions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "target", "prefix"),
    [
        ({"cluster": "pg"}, {"kind": "PostgresCluster", "name": "pg", "role": "primary", "count": 1}, "primary"),
        (
            {"cluster": "cs", "kind": "CassandraCluster", "role": "any", "count": "2", "max_members": "2"},
            {"kind": "CassandraCluster", "name": "cs", "role": "any", "count": 2, "maxMembers": 2},
            "any",
        ),
        (
            {"cluster": "pg", "members": ["pg-0", "pg-2"]},
            {"kind": "PostgresCluster", "name": "pg", "members": ["pg-0", "pg-2"]},
            "members",
        ),
        ({"zone": "a"}, {"zone": "a"}, "zone"),
        ({"zone": "a", "cluster": "pg"}, {"kind": "PostgresCluster", "name": "pg", "zone": "a"}, "zone"),
        ({"node": "caplab-worker", "max_members": 1}, {"node": "caplab-worker", "maxMembers": 1}, "node"),
    ],
)
@pytest.mark.parametrize(
    ("action", "what"),
    [
        (actions.kill, {"kill": {"signal": "SIGKILL", "keepDown": True}}),
        (actions.freeze, {"freeze": {}}),
        (actions.partition, {"partition": {"from": "peers", "direction": "both", "dns": "Keep"}}),
    ],
)
def test_every_fault_hits_whom_it_is_told(
    server: FakeServer, action: Any, what: dict[str, Any], arguments: dict[str, Any], target: Any, prefix: str
) -> None:
    status = action(seconds="12", seed="7", configuration={"namespace": "ns"}, **arguments)
    assert server.made == [("ns", {"target": target, **what, "durationSeconds": 12, "seed": 7})]
    ((name, made),) = current_run().state.faults.items()
    assert name.startswith(f"{next(iter(what))}-{prefix}-")
    assert status == made.status_or_empty.to_body()


def test_a_partition_says_from_whom_and_which_way(server: FakeServer) -> None:
    actions.partition("pg", cut_from="controlPlane", direction="in", dns="Cut")
    ((_, spec),) = server.made
    assert spec["partition"] == {"from": "controlPlane", "direction": "in", "dns": "Cut"}


def test_what_does_not_fit_together_goes_to_the_api_server_as_it_is() -> None:
    """It refuses, with the field and the hint: a second list of the rules here would only differ some day."""
    target = target_of("PostgresCluster", "", "any", 1, ["pg-0"], "a", "n", 0)
    assert target.to_body() == {
        "kind": "PostgresCluster", "role": "any", "count": 1, "members": ["pg-0"], "zone": "a", "node": "n",
    }  # fmt: skip
    assert prefix_of(FaultSpec(target=target, freeze=Freeze())) == "freeze-any"


@pytest.mark.parametrize("action", [actions.kill, actions.freeze, actions.partition])
@pytest.mark.parametrize(("seconds", "refused"), [(20, True), ("19", True), (21, False)])
def test_a_fault_that_lasts_no_longer_than_the_rows_budget_is_refused(
    server: FakeServer, action: Any, seconds: Any, refused: bool
) -> None:
    current_run().state.budget_seconds = 20.0
    if refused:
        with pytest.raises(ActivityFailed, match=r"the row allows the failover 20 s.*Hint: .* for more than 20 s"):
            action("pg", seconds=seconds)
        assert server.made == []
    else:
        action("pg", seconds=seconds)
        assert len(server.made) == 1


def test_a_member_that_may_come_back_at_once_may_be_killed_for_any_time(server: FakeServer) -> None:
    current_run().state.budget_seconds = 20.0
    actions.kill("pg", seconds=1, keep_down=False)
    ((_, spec),) = server.made
    assert spec["kill"] == {"signal": "SIGKILL", "keepDown": False}


def test_a_fault_is_live_once_it_is_active_though_nothing_proves_it_yet(server: FakeServer) -> None:
    server.then = [{}, {"phase": "Pending"}, {"phase": "Active", "targets": [entry()]}]
    assert actions.partition("pg") == {"phase": "Active", "targets": [entry()]}


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"phase": "Failed", "message": "pg has no primary"}, "failed: pg has no primary"),
        ({"phase": "Failed", "targets": [entry(problem="no process")]}, "failed: pg-0: no process"),
        ({"phase": "Pending"}, r"was not live in time; .*: Gave up after 0\.1 s .*: it is Pending\. Hint: "),
        ({}, "it is new"),
    ],
)
def test_a_fault_that_is_not_live_says_why(
    server: FakeServer, status: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "_LIVE_SECONDS", 0.1)
    server.status = status
    with pytest.raises(ActivityFailed, match=says):
        actions.freeze("pg")


def test_a_refusal_of_the_api_server_is_told_in_its_words(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Refused(422, body=json.dumps({"message": "name exactly one of role, members, zone and node"}))

    def create(*_: Any) -> None:
        raise refusal

    monkeypatch.setattr(server, "create", create)
    with pytest.raises(ActivityFailed, match="name exactly one of role, members, zone and node"):
        actions.kill(role="any", zone="a")


def test_heal_ends_every_fault_and_brings_nodes_back(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.faults = {"f": fault(), "g": fault(name="g")}
    monkeypatch.setattr(nodes, "restore_own_nodes", lambda _: (["caplab-worker"], []))
    assert actions.heal("ns") == ["f", "g", "caplab-worker"]
    assert server.faults == {}


def test_heal_and_the_end_of_all_faults_leave_those_of_others_alone(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults, server.foreign = {"f": fault(), "theirs": fault(name="theirs")}, {"theirs"}
    assert actions.heal("ns") == ["f"]
    assert list(server.faults) == ["theirs"]
    assert probes.all_ended(0, "ns")


def test_heal_says_which_node_stays_away_and_ends_the_faults_all_the_same(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = {"f": fault()}
    monkeypatch.setattr(nodes, "restore_own_nodes", lambda _: ([], ["caplab-worker does not come back"]))
    with pytest.raises(ActivityFailed, match="caplab-worker does not come back"):
        actions.heal("ns")
    assert server.faults == {}


# --- probes ------------------------------------------------------------------------------------------------


def test_what_is_live_is_told_in_plain_values(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    over = fault(entry(state="Healed"), phase="Healed", name="over")
    cut: dict[str, Any] = {"partition": {"from": "peers", "direction": "in"}}
    server.faults = {"over": over, "f": fault(entry(), entry("pg-1", end="other", proven=True), what=cut)}
    monkeypatch.setattr(nodes, "live", lambda _: [lost_node()])
    rows = probes.live("ns")
    assert json.loads(json.dumps(rows)) == rows
    assert [(row["name"], row["kind"], row["detail"], row["pods"], row["proven"]) for row in rows] == [
        ("f", "partition", "from peers, in", ["pg-0"], True),
        ("caplab-worker-1", "pause-node", "", [], True),
    ]
    server.faults = {"over": over}
    monkeypatch.setattr(nodes, "live", lambda _: [])
    assert probes.live("ns") == []


def test_proof_is_awaited_since_a_first_packet_may_come_a_moment_later(server: FakeServer) -> None:
    actions.partition("pg")
    unproven = {"phase": "Active", "targets": [entry(), entry("pg-1", end="other")]}
    server.then = [
        unproven,
        unproven,
        {"phase": "Active", "targets": [entry(), entry("pg-1", end="other", proven=True)]},
    ]
    assert probes.proven(within_seconds=10)
    assert server.then == []


@pytest.mark.parametrize(
    "targets",
    [[], [entry(proven=False)], [entry(proven=True), entry("pg-1")], [entry("pg-1", end="other", proven=True)]],
)
def test_a_fault_of_which_a_pod_shows_nothing_is_named(server: FakeServer, targets: list[dict[str, Any]]) -> None:
    server.status = {"phase": "Active", "targets": targets}
    actions.kill("pg")
    with pytest.raises(ActivityFailed, match="no evidence of kill-primary-"):
        probes.proven(within_seconds=0)


def test_a_lost_node_that_shows_nothing_is_named_and_no_fault_at_all_proves_nothing(server: FakeServer) -> None:
    with pytest.raises(ActivityFailed, match="has made no fault"):
        probes.proven(within_seconds=0)
    current_run().state.note_lost_node(lost_node())
    assert probes.proven(within_seconds=0)
    current_run().state.note_lost_node(lost_node(proven=False))
    with pytest.raises(ActivityFailed, match="no evidence of caplab-worker"):
        probes.proven(within_seconds=0)


def test_a_fault_that_is_gone_is_judged_by_its_last_word(server: FakeServer) -> None:
    """As is one whose name another fault has taken."""
    server.status = {"phase": "Active", "targets": [entry(proven=True)]}
    actions.kill("pg")
    ((name, made),) = server.faults.items()
    server.faults = {name: {**made, "metadata": {**made["metadata"], "uid": "another"}, "status": {}}}
    assert probes.proven(within_seconds=0)
    server.faults = {}
    assert probes.proven(within_seconds=0)


def test_all_has_ended_when_faults_are_over_and_nodes_are_back(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = {"f": fault(phase="Healed"), "g": fault(phase="Failed", name="g")}
    assert probes.all_ended(0, "ns")
    assert set(current_run().state.faults) == {"f", "g"}
    monkeypatch.setattr(probes, "_LATE_SECONDS", 0.0)
    current_run().state.note_lost_node(lost_node())
    with pytest.raises(ActivityFailed, match=r"every fault has ended: caplab-worker"):
        probes.all_ended(0, "ns")
    current_run().state.note_lost_node(lost_node(over=True))
    assert probes.all_ended(0, "ns")
    server.faults["h"] = fault(phase="Healing", name="h")
    with pytest.raises(ActivityFailed, match=r"every fault has ended: h"):
        probes.all_ended(0, "ns")
