"""Cassandra as experiments see it: its settings in force, whether its members have all, and a run without a primary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chaoscaplab.clusters import cassandra
from chaoscaplab.clusters.engines import scan_routes
from chaoscaplab.clusters.provision import Cluster
from chaoscaplab.controls.measured import MeasuredRun
from chaoscaplab.controls.plan import Plan
from chaoscaplab.probes.loads import Loads
from support.runs.held_runs import begin_run, switchover

from caplab.contract.objects import Fault, FaultSpec, Metadata, Target
from caplab.kube.errors import ExecFailed
from caplab.model.budgets import evaluate
from caplab.model.fields import Json
from caplab.run_context import current_run, release

PODS = ("cs-0", "cs-1", "cs-2")
ADDRESSES = {pod: f"10.244.{number}.7" for number, pod in enumerate(PODS, 1)}
HOSTS = {pod: f"host-{pod}" for pod in PODS}
IN_FORCE: dict[str, Json] = {
    "phiConvictThreshold": 5.0,
    "hintedHandoffEnabled": True,
    "hintWindowSeconds": 10800,
    "hintsFlushPeriodMilliseconds": 1000,
    "readMilliseconds": 800,
    "writeMilliseconds": 800,
    "casMilliseconds": 800,
    "paxosVariant": "v2",
    "commitlogSync": "periodic",
    "commitlogSyncPeriodMilliseconds": 1000,
    "ringDelayMilliseconds": 5000,
    "numTokens": 4,
    "replicationFactor": 3,
    "heapBytes": 335_544_320,
}
SPEC: dict[str, Any] = {
    "replicas": 3,
    "replicationFactor": 3,
    "heap": "320Mi",
    "phiConvictThreshold": 5,
    "commitlogSync": "periodic",
    "commitlogSyncPeriodMilliseconds": 1000,
    "paxosVariant": "v2",
    "hintedHandoff": {"enabled": True, "windowSeconds": 10800, "flushPeriodMilliseconds": 1000},
    "gossip": {"settleMilliseconds": 500, "settleIntervalMilliseconds": 250, "ringDelayMilliseconds": 5000},
    "timeouts": {"readMilliseconds": 800, "writeMilliseconds": 800, "casMilliseconds": 800},
}


@pytest.fixture(autouse=True)
def no_run() -> Iterator[None]:
    release()
    yield
    release()


def state(**change: Any) -> dict[str, Any]:
    """What a member says that is one of three, all up."""
    every = list(ADDRESSES.values())
    return {
        "stage": "running",
        "problem": "",
        "native": True,
        "live": every,
        "unreachable": [],
        "joining": [],
        "leaving": [],
        "schemas": dict.fromkeys(every, "s1"),
        "settings": IN_FORCE,
        "hints": {},
        "version": "5.0.6",
        **change,
    }


class FakeServer:
    """Members' managements: change and hints by pod; a text or an ExecFailed in the place of a state is what comes."""

    def __init__(self, change: dict[str, Any] | None = None, hints: dict[str, Any] | None = None) -> None:
        self.commands: list[tuple[str, ...]] = []
        self._change, self._hints = change or {}, hints or {}

    def execute(self, namespace: str, pod: str, *command: str) -> str:
        self.commands.append((pod, *command))
        change = self._change.get(pod, {})
        if command == ("lab-cassandra", "POST", "/hints/flush"):
            change = self._hints.get(pod, {"hints": {}})
            return self._said(change)
        assert command == ("lab-cassandra", "GET", "/state")
        return self._said(state(**change) if isinstance(change, dict) else change)

    def get(self, kind: str, namespace: str, name: str) -> Any:
        assert (kind, namespace, name) == ("CassandraCluster", "ns", "cs")
        return cluster()

    @staticmethod
    def _said(answer: Any) -> str:
        if isinstance(answer, ExecFailed):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer)


def fake(change: dict[str, Any] | None = None, hints: dict[str, Any] | None = None) -> Any:
    return FakeServer(change, hints)


def cluster(**status: Any) -> dict[str, Any]:
    members = [{"name": pod, "state": "UN", "ready": True, "hostId": HOSTS[pod], "seenDownBy": 0} for pod in PODS]
    full = {"observedGeneration": 2, "phase": "Ready", "readyMembers": 3, "members": members}
    return {"metadata": {"name": "cs", "generation": 2}, "spec": SPEC, "status": {**full, **status}}


def settings_of(server: Any) -> dict[str, Json]:
    return cassandra.settings_in_force(server, "ns", cluster())


# --- settings ---------------------------------------------------------------------------------------------


def test_every_member_says_its_settings_and_budgets_can_name_them() -> None:
    settings = settings_of(fake())
    assert settings == {**IN_FORCE, "replicas": 3, "serverVersion": "5.0.6"}
    assert cassandra.differences(SPEC, settings) == []
    assert evaluate("cas + max(read, write)", settings) == pytest.approx(1.6)


def test_every_setting_of_cassandra_that_is_not_in_force_is_told_by_name() -> None:
    fits = settings_of(fake())
    compared = fits.keys() - {"serverVersion", "numTokens"}  # numTokens is the lab's own, in no spec
    for name in compared:
        (problem,) = cassandra.differences(SPEC, {**fits, name: "else"})
        assert problem.startswith(f"{name} is 'else', not ")
    assert len(cassandra.differences(SPEC, {})) == len(compared)


def test_a_batched_commit_log_has_no_period_to_compare() -> None:
    fits = {**settings_of(fake()), "commitlogSync": "batch", "commitlogSyncPeriodMilliseconds": 0}
    assert cassandra.differences({**SPEC, "commitlogSync": "batch"}, fits) == []
    assert len(cassandra.differences({**SPEC, "commitlogSync": "group"}, {**fits, "commitlogSync": "group"})) == 1


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"settings": {**IN_FORCE, "phiConvictThreshold": 8.0}}, "phiConvictThreshold", 8.0),
        ({"settings": {**IN_FORCE, "hintedHandoffEnabled": False}}, "hintedHandoffEnabled", False),
        ({"live": ["10.244.1.7"]}, "replicas", 1),
    ],
)
def test_one_member_that_differs_from_the_others_is_told_by_its_word(
    change: dict[str, Any], name: str, says: Json
) -> None:
    settings = settings_of(fake({"cs-2": change}))
    assert settings[name] == {"cs-0": settings_of(fake())[name], "cs-1": settings_of(fake())[name], "cs-2": says}
    (problem,) = cassandra.differences(SPEC, settings)
    assert problem.startswith(name)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"stage": "waiting"}, "cs-1 is waiting"),
        ({"stage": "failed", "problem": "no commit log"}, "cs-1 is failed: no commit log"),
        ("<html>", "'<html>' is not JSON"),
        ("[]", "is not an object"),
        (ExecFailed("lab-cassandra in cs-1: Connection refused"), "Connection refused"),
    ],
)
def test_a_member_that_is_not_running_has_no_settings_and_is_waited_for(answer: Any, says: str) -> None:
    server = fake({"cs-1": answer})
    with pytest.raises(ExecFailed, match=says):
        settings_of(server)
    (problem,) = Cluster(server=server, engine=cassandra, namespace="ns", name="cs", spec={})._differences()
    assert says in problem


def test_settings_are_compared_though_there_is_no_primary() -> None:
    assert Cluster(server=fake(), engine=cassandra, namespace="ns", name="cs", spec={})._differences() == []


# --- steady state -----------------------------------------------------------------------------------------


def test_a_cassandra_cluster_is_ready_when_nothing_changes_and_all_are_up_for_their_peers() -> None:
    assert cassandra.not_ready(cluster()) == ""
    assert "cs-2 joins" in cassandra.not_ready(cluster(rollout="cs-2 joins"))
    fine, *others = cluster()["status"]["members"]
    for change, says in (
        ({"state": "DN"}, "cs-0 is DN"),
        ({"state": ""}, "cs-0 is unknown"),
        ({"seenDownBy": 1}, "cs-0"),
    ):
        assert says in cassandra.not_ready(cluster(members=[{**fine, **change}, *others]))


def test_members_that_are_all_up_and_keep_no_hints_have_caught_up() -> None:
    server = fake()
    assert cassandra.not_caught_up(server, "ns", cluster()) == ""
    flushed = {pod for pod, *command in server.commands if command == ["lab-cassandra", "POST", "/hints/flush"]}
    assert flushed == set(PODS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stage": "starting"}, "cs-1 is starting"),
        ({"native": False}, "cs-1 does not serve clients"),
        (
            {"live": ["10.244.2.7", "10.244.1.7"], "unreachable": ["10.244.3.7"]},
            "cs-1 sees 2 of 3 members, and 10.244.3.7 unreachable",
        ),
        ({"joining": ["10.244.3.7"]}, "cs-1 sees 10.244.3.7 joining"),
        ({"leaving": ["10.244.3.7"]}, "cs-1 sees 10.244.3.7 leaving"),
        ({"live": ["10.244.2.7"]}, "cs-1 sees 1 of 3 members"),
        ({"schemas": {"10.244.2.7": "s2"}}, "the members have 2 schema versions"),
        (ExecFailed("lab-cassandra in cs-1: no container"), "cs-1 is silent: lab-cassandra in cs-1: no container"),
    ],
)
def test_a_member_that_misses_something_has_not_caught_up_and_nobody_is_asked_to_flush(change: Any, says: str) -> None:
    server = fake({"cs-1": change})
    assert cassandra.not_caught_up(server, "ns", cluster()) == says
    assert not any("POST" in command for command in server.commands)


def test_who_has_left_may_be_unreachable() -> None:
    """Gossip knows a former member, or a member's former address, for a while; members are all seen up beside it."""
    assert cassandra.not_caught_up(fake({"cs-1": {"unreachable": ["10.244.3.9"]}}), "ns", cluster()) == ""


def test_without_any_schema_or_member_nothing_is_known() -> None:
    assert "0 schema versions" in cassandra.not_caught_up(fake({pod: {"schemas": {}} for pod in PODS}), "ns", cluster())
    assert cassandra.not_caught_up(fake(), "ns", cluster(members=[])) == "there are no members"


def test_hints_that_only_a_flush_shows_are_told_with_whom_they_are_for() -> None:
    """The state says that there are none on disk: those in buffers are seen only once they are written."""
    hints = {"cs-0": {"hints": {HOSTS["cs-1"]: 123, "host-gone": 7}}, "cs-2": {"hints": {HOSTS["cs-1"]: 4}}}
    sentence = cassandra.not_caught_up(fake(hints=hints), "ns", cluster())
    assert sentence == "cs-0 still has hints: 123 B for cs-1, 7 B for host-gone; cs-2 still has hints: 4 B for cs-1"


@pytest.mark.parametrize(
    ("answer", "says"),
    [({}, "cs-0 does not report its hints"), (ExecFailed("409 Conflict"), "409 Conflict"), ("x", "'x' is not JSON")],
)
def test_a_flush_that_did_not_go_well_is_no_proof_of_no_hints(answer: Any, says: str) -> None:
    assert says in cassandra.not_caught_up(fake(hints={"cs-0": answer}), "ns", cluster())


# --- the run ----------------------------------------------------------------------------------------------


def test_each_copy_is_scanned_before_all_together_and_alone_only_where_it_is_whole() -> None:
    assert scan_routes(cassandra, SPEC) == ["direct", "service"]
    assert scan_routes(cassandra, {**SPEC, "replicas": 4}) == ["service"]


def test_the_scan_takes_the_engines_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, Any]] = []
    loads = Loads(
        server=fake(),
        namespace="ns",
        target={"kind": cassandra.ENGINE.kind, "name": "cs"},
        run_id="r-1",
        vantages=("a", "b", "c"),
        seed=0,
    )
    monkeypatch.setattr(Loads, "_make", lambda self, name, probe: made.append((name, probe)))
    monkeypatch.setattr(Loads, "_not_in_phase", lambda *_: "")
    loads.scan("set-scan", "b", cassandra.SCAN_ROUTES)
    loads.scan("set-scan", "a", ["service"], "again")
    assert [(name, probe["name"], probe["routes"], probe["vantages"]) for name, probe in made] == [
        ("final-scan", "final-scan", ["direct", "service"], ["b"]),
        ("again", "again", ["service"], ["a"]),
    ]


def measured(engine: str, mode: str, fault: str) -> MeasuredRun:
    load = {"name": "set", "workload": "set", "rate": 40.0}
    plan = Plan(
        namespace="ns",
        cluster="cs",
        spec={"replicas": 3},
        loads=[load],
        vantages=("a", "b", "c"),
        engine=engine,
        mode=mode,
        fault=fault,
        seed=0,
    )
    nothing: Any = None
    return MeasuredRun(begin_run("CassandraCluster", "r-1", "ns"), nothing, plan, "title", nothing)


def test_there_is_no_second_clock_without_a_primary() -> None:
    run = measured("cassandra", "QUORUM-QUORUM", "kill-node")
    assert [probe["name"] for probe in run._probes] == ["set"]
    assert run._first_commit() is None  # and nobody was asked
    assert cassandra.first_commit(fake(), "ns", cluster(), "None", "r-1-clock") is None
    postgres = measured("postgres", "quorum", "kill-primary")
    assert [probe["name"] for probe in postgres._probes] == ["set", "clock"]
    assert [probe["name"] for probe in measured("postgres", "quorum", "none")._probes] == ["set"]


def test_a_budget_that_lasts_as_long_as_the_fault_forbids_no_length_of_it() -> None:
    run = measured("cassandra", "QUORUM-QUORUM", "kill-node")
    run._settings = dict(IN_FORCE)
    assert run._budget_seconds() == pytest.approx(17.8)
    at_all = measured("cassandra", "ALL-ONE", "kill-node")
    at_all._settings = dict(IN_FORCE)
    assert at_all._budget_seconds() is None
    assert measured("cassandra", "ALL-ONE", "none")._budget_seconds() is None


def test_budgets_may_name_the_load_and_how_long_the_fault_was_asked_for() -> None:
    run = measured("cassandra", "ALL-ONE", "kill-node")
    assert run._own_settings() == {"writesPerSecond": 120, "vantages": 3}
    for name, seconds in (("f1", 15), ("f2", 9)):
        spec = FaultSpec(target=Target(), duration_seconds=seconds)
        current_run().state.note_fault(Fault(metadata=Metadata(name=name), spec=spec))
    assert run._own_settings() == {"writesPerSecond": 120, "vantages": 3, "faultSeconds": 15}
    current_run().state.note_event(switchover("cs", 20_500_000_000))
    assert run._own_settings()["faultSeconds"] == 20.5
