"""A run removes what it made, or what a run that is over left where this one is; whatever others made stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chaoscaplab.clusters import postgres
from chaoscaplab.clusters.provision import Cluster
from chaoscaplab.controls import leftovers
from chaoscaplab.faults import actions, injecting, nodes
from chaoscaplab.namespaces import namespace_of
from chaoscaplab.server import NotOurs, Server
from chaoslib.exceptions import ActivityFailed
from support.objects.fake_objects import FakeObjects, of_run, server_of
from support.runs.held_runs import begin_run

from caplab import ownership
from caplab.ownership import SuiteSession, run_of, suite_session_of
from caplab.run import tidy
from caplab.run_context import RunContext, current_run, release
from caplab.run_lease import Leases

KIND = "PostgresCluster"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunContext]:
    """A run under way in ns, which it holds."""
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path))
    context = begin_run(KIND, "r-now", "ns")
    context.state.lease_problem = lambda: ""
    yield context
    release()


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


@pytest.fixture
def server(objects: FakeObjects, run: RunContext) -> Server:
    return server_of(objects, run)


# --- whose an object is ------------------------------------------------------------------------------------


def test_what_a_run_makes_says_which_run_and_session(server: Server) -> None:
    server.create("Fault", "ns", "f", {})
    server.apply("Probe", "ns", "p", {})
    for kind, name in (("Fault", "f"), ("Probe", "p")):
        body = server.get(kind, "ns", name)
        assert body
        assert (run_of(body), suite_session_of(body)) == ("r-now", server.run.suite_session.id)


def test_a_label_that_somebody_copied_does_not_make_an_object_a_runs() -> None:
    body = {"metadata": {"name": "pg"}}
    assert run_of(of_run(body, "r-1")) == "r-1"
    assert run_of(of_run(body, "r-1", manager="kubectl-client-side-apply")) == ""
    assert run_of(body) == ""
    # A run's own fields alone do not either: the label has to be there.
    assert run_of({"metadata": {"managedFields": of_run(body)["metadata"]["managedFields"]}}) == ""


# --- what may be removed -----------------------------------------------------------------------------------


def test_what_no_run_made_is_never_removed(server: Server, objects: FakeObjects) -> None:
    body = objects.put(KIND, "orders")
    with pytest.raises(NotOurs, match="PostgresCluster ns/orders is left as it is: no run has made it"):
        server.remove(KIND, body)
    assert objects.removed == []


def test_what_a_run_that_is_over_left_goes_only_while_its_namespace_is_held(
    server: Server, objects: FakeObjects, run: RunContext
) -> None:
    body = objects.put_of_run(KIND, "pg", "r-dead")
    run.state.lease_problem = lambda: "the namespace ns is now held by r-2"
    with pytest.raises(NotOurs, match="now held by r-2"):
        server.remove(KIND, body)
    run.state.lease_problem = None
    with pytest.raises(NotOurs, match="does not hold its namespace"):
        server.remove(KIND, body)
    run.state.lease_problem = lambda: ""
    server.run = replace(run, namespace="elsewhere")
    with pytest.raises(NotOurs, match="does not hold its namespace"):
        server.remove(KIND, body)
    assert objects.removed == []
    server.run = run
    server.remove(KIND, body)
    assert objects.removed == ["pg"]


def test_what_a_run_made_itself_it_ends_even_where_it_lost_the_namespace(
    server: Server, objects: FakeObjects, run: RunContext
) -> None:
    fault = server.create("Fault", "ns", "f", {})
    run.state.lease_problem = lambda: "the namespace ns is now held by r-2"
    server.remove("Fault", fault)
    assert objects.removed == ["f"]


def test_another_object_that_has_the_name_by_now_stays(server: Server, objects: FakeObjects) -> None:
    old = server.create("Fault", "ns", "f", {})
    server.remove("Fault", old)
    server.create("Fault", "ns", "f", {})
    server.remove("Fault", old)
    assert objects.names("Fault") == ["f"]
    assert objects.removed == ["f"]


# --- before a run begins -----------------------------------------------------------------------------------

UNDER_WAY: dict[str, Any] = {
    "Fault": {"status": {"phase": "Active"}},
    "Probe": {"status": {"vantages": [{"name": "a", "phase": "Done"}, {"name": "b", "phase": "Running"}]}},
}
OVER: dict[str, Any] = {
    "Fault": {"status": {"phase": "Healed"}},
    "Probe": {"status": {"vantages": [{"name": "a", "phase": "Done"}]}},
}


@pytest.mark.parametrize("kind", ["Fault", "Probe"])
def test_a_fault_or_load_of_somebodys_own_is_named_and_the_run_does_not_begin(
    server: Server, objects: FakeObjects, kind: str
) -> None:
    body = objects.put(kind, "mine")
    statuses: tuple[dict[str, Any], ...] = ({}, UNDER_WAY[kind])
    for status in statuses:
        body.update(status)
        with pytest.raises(NotOurs, match=rf"{kind} ns/mine was made by no run.*Hint: remove it \(kubectl delete"):
            leftovers.refuse_foreign_activity(server, "ns")
    body.update(OVER[kind])
    leftovers.refuse_foreign_activity(server, "ns")
    leftovers.remove_leftovers(server, "ns")
    assert objects.names(kind) == ["mine"]  # it does no harm


def test_faults_and_loads_of_runs_that_are_over_go(server: Server, objects: FakeObjects) -> None:
    for kind, status in UNDER_WAY.items():
        objects.put_of_run(kind, f"old-{kind.lower()}", "r-dead", **status)
    leftovers.refuse_foreign_activity(server, "ns")
    leftovers.remove_leftovers(server, "ns")
    assert sorted(objects.removed) == ["old-fault", "old-probe"]
    assert objects.there == {}


@pytest.fixture
def cluster(server: Server, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """One that is Ready as soon as it is there."""
    monkeypatch.setattr(postgres, "settings_in_force", lambda *_: {})
    monkeypatch.setattr(postgres, "differences", lambda *_: [])
    monkeypatch.setattr(Cluster, "_not_ready", lambda _: "")
    monkeypatch.setattr(Cluster, "not_steady", lambda _: "")
    monkeypatch.setattr(Cluster, "_differences", lambda _: [])
    return Cluster(server=server, engine=postgres, namespace="ns", name="pg", spec={"replicas": 3})


def test_a_cluster_that_no_run_made_is_never_applied_over(objects: FakeObjects, cluster: Cluster) -> None:
    before = dict(objects.put(KIND, "pg", {"replicas": 1}))
    with pytest.raises(NotOurs, match=r"PostgresCluster ns/pg was made by no run.*Hint: .*--set namespace=NAME"):
        cluster.provision()
    assert objects.there["postgresclusters", "ns", "pg"] == before
    with pytest.raises(NotOurs):
        cluster.delete()


def test_one_that_somebody_makes_at_the_same_moment_is_not_either(
    objects: FakeObjects, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "_read", lambda _: None)
    objects.put(KIND, "pg", {"replicas": 1})
    with pytest.raises(NotOurs, match="was made by no run"):
        cluster.provision()
    assert objects.there["postgresclusters", "ns", "pg"]["spec"] == {"replicas": 1}
    assert cluster.server.run.suite_session.made == []


def test_a_new_cluster_is_the_sessions_and_one_of_an_earlier_run_is_taken_over(
    objects: FakeObjects, cluster: Cluster
) -> None:
    cluster.provision()
    (made,) = cluster.server.run.suite_session.made
    assert (made.kind, made.namespace, made.name) == (KIND, "ns", "pg")
    cluster.provision()  # by the next run of the suite
    assert len(cluster.server.run.suite_session.made) == 1
    assert cluster.server.run.suite_session.reused == set()
    session = SuiteSession()
    cluster.server.run = replace(cluster.server.run, suite_session=session)
    objects.conflicts = 2
    cluster.provision()
    assert session.made == []
    assert session.reused == {(KIND, "ns", "pg")}
    body = objects.there["postgresclusters", "ns", "pg"]
    assert (body["metadata"]["uid"], body["spec"]) == (made.uid, {"replicas": 3})
    assert suite_session_of(body) == session.id
    cluster.delete()  # it did not come back, and is made anew
    cluster.provision()
    assert session.reused == set()
    assert len(session.made) == 1


# --- one namespace for a run -------------------------------------------------------------------------------


def test_every_step_is_in_the_namespace_of_the_run(run: RunContext) -> None:
    assert namespace_of(run, None) == "ns"
    assert namespace_of(run, {"namespace": "configured"}, "ns") == "ns"
    with pytest.raises(ActivityFailed, match="The run is in the namespace ns, but this step names team-db"):
        namespace_of(run, None, "team-db")
    run = replace(run, namespace="")  # without a run under way
    assert namespace_of(run, {"namespace": "configured"}, "team-db") == "team-db"
    assert namespace_of(run, {"namespace": "configured"}) == "configured"
    assert namespace_of(run, None) == ownership.NAMESPACE


def test_a_fault_on_a_whole_zone_is_refused_where_a_database_of_others_is_in_the_namespace(
    server: Server, objects: FakeObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "Server", lambda _: server)
    monkeypatch.setattr(injecting, "_LIVE_SECONDS", 0.0)
    objects.put_of_run(KIND, "pg", "r-now")
    objects.put("RedisCluster", "sessions")
    with pytest.raises(ActivityFailed, match=r"would also hit RedisCluster ns/sessions.*Hint: name the cluster"):
        actions.kill(zone="a")
    assert objects.names("Fault") == []
    with pytest.raises(ActivityFailed, match="was not live"):  # nobody is there to make it so
        actions.kill("pg", zone="a")
    objects.there.pop(("redisclusters", "ns", "sessions"))
    with pytest.raises(ActivityFailed, match="was not live"):
        actions.kill(zone="a")
    assert len(objects.names("Fault")) == 2


# --- at a suite's end --------------------------------------------------------------------------------------


class FakeLeases:
    """Nobody holds anything, or somebody all the time."""

    def __init__(self, holder: str = "") -> None:
        self.holder, self.renewals = holder, 0

    def lease(self, *_: str) -> tuple[str, str, str]:
        self.renewals += 1
        return self.holder, f"t{self.renewals}", "1"

    def write_lease(self, _namespace: str, _name: str, holder: str, _version: str) -> None:
        self.holder = holder

    def delete_lease(self, *_: str) -> None:
        self.holder = ""


@pytest.fixture
def leases(objects: FakeObjects, monkeypatch: pytest.MonkeyPatch) -> FakeLeases:
    fake = FakeLeases()
    monkeypatch.setattr(tidy, "Leases", lambda _: fake)
    monkeypatch.setattr(tidy, "_ACQUIRE_SECONDS", 0.0)
    return fake


def made_by(session: SuiteSession, objects: FakeObjects, name: str = "pg", kind: str = KIND) -> None:
    session.note_made(kind, objects.put_of_run(kind, name, "r-1", session.id))


def test_a_suite_removes_the_clusters_it_made_and_no_other(objects: FakeObjects, leases: FakeLeases) -> None:
    session = SuiteSession()
    objects.put(KIND, "orders")
    objects.put_of_run("RedisCluster", "rd", "r-0", "s-of-another-suite")
    made_by(session, objects)
    made_by(session, objects, "cs", "CassandraCluster")
    assert tidy.remove_made(session, objects) == []
    assert objects.removed == ["pg", "cs"]
    assert leases.holder == ""
    assert tidy.remove_made(session, objects) == []  # what is gone is gone


def test_a_suite_that_made_nothing_asks_for_nothing() -> None:
    assert tidy.remove_made(SuiteSession()) == []  # nobody to ask: it would fail


def test_what_another_suite_uses_by_now_or_another_object_of_the_name_stays(
    objects: FakeObjects, leases: FakeLeases
) -> None:
    session = SuiteSession()
    made_by(session, objects)
    made_by(session, objects, "pg2")
    objects.put_of_run(
        KIND,
        "pg",
        "r-2",
        "s-2",
        metadata=of_run(objects.there["postgresclusters", "ns", "pg"], "r-2", "s-2")["metadata"],
    )
    objects.there.pop(("postgresclusters", "ns", "pg2"))
    objects.put(KIND, "pg2")
    first, second = tidy.remove_made(session, objects)
    assert objects.removed == []
    assert "not the one that this suite made" in first + second
    assert "another suite has taken it over" in first + second


def test_where_another_run_is_under_way_by_now_nothing_is_removed(objects: FakeObjects, leases: FakeLeases) -> None:
    session = SuiteSession()
    made_by(session, objects)
    leases.holder = "r-2"
    (left,) = tidy.remove_made(session, objects)
    assert "PostgresCluster ns/pg is left: The run r-2 is under way in ns" in left
    assert (objects.removed, leases.holder) == ([], "r-2")


def test_clusters_that_were_there_before_are_told_of() -> None:
    session = SuiteSession()
    session.reused.add((KIND, "ns", "pg"))
    (sentence,) = tidy.left_by_others(session)
    assert sentence.endswith("to remove it: kubectl delete postgrescluster -n ns pg")


def test_the_protocol_of_leases_is_that_of_the_api_server() -> None:
    assert issubclass(Server, Leases)
    assert nodes.restore_nodes_of_ended_runs(current_run()) == []
