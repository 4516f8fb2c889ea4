"""What a CassandraCluster's status says is so: what is changed by hand is mended within seconds, or told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from support.kind.cassandra_cluster import KIND, cql, password, state
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until
from support.kind.measured_load import load

from caplab.contract.names import CHAOS_LABEL

pytestmark = [
    pytest.mark.alone,
    pytest.mark.long,
]  # a cluster of its own; what the gate tries of this is in test_cassandra_cluster.py
NAMESPACE = f"cassandra-truth-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def cs(lab: Lab) -> Iterator[ClusterObject]:
    """One cluster named cs for all tests here; each leaves it Ready with three members."""
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, f"{CHAOS_LABEL}=allowed")
    cluster = ClusterObject(lab=lab, kind=KIND, namespace=NAMESPACE, name="cs", timeout_seconds=120)
    cluster.apply()
    cluster.await_ready(3)
    yield cluster
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def condition_of(cs: ClusterObject, kind: str) -> tuple[str, str]:
    (condition,) = [condition for condition in cs.status()["conditions"] if condition["type"] == kind]
    return condition["status"], condition["message"]


@pytest.mark.parametrize(
    ("command", "name", "wanted"),
    [
        (("nodetool", "disablehandoff"), "hintedHandoffEnabled", True),
        (("nodetool", "setmaxhintwindow", "1000"), "hintWindowSeconds", 10800),
        (("nodetool", "pausehandoff"), "hintsPaused", False),
        (("nodetool", "disablehintsfordc", "dc1"), "hintsDisabledDatacenters", ""),
    ],
    ids=lambda case: case[1] if isinstance(case, tuple) else "",
)
def test_hints_changed_by_hand_on_one_member_are_mended_within_seconds(
    lab: Lab, cs: ClusterObject, command: tuple[str, ...], name: str, wanted: object
) -> None:
    assert lab.inside(NAMESPACE, "cs-1", *command).ok
    took = wait_until(f"{name} is mended", lambda: state(lab, NAMESPACE, "cs-1")["settings"][name] == wanted, 5)
    print(f"\nafter {' '.join(command)} {name} was mended after {took:.1f} s")
    cs.await_ready(3)


def test_other_copies_are_told_and_not_made_behind_peoples_back(lab: Lab, cs: ClusterObject) -> None:
    alter = "ALTER KEYSPACE caplab WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': %d}"
    cql(lab, NAMESPACE, "cs-0", alter % 1, password(lab, NAMESPACE))
    cs.await_status("it is told", lambda _: condition_of(cs, "DurabilityApplied")[0] == "False")
    assert "cs-2: keyspaceReplication is NetworkTopologyStrategy {dc1=1}" in condition_of(cs, "DurabilityApplied")[1]
    cql(lab, NAMESPACE, "cs-0", alter % 3, password(lab, NAMESPACE))
    cs.await_ready(3)


def test_a_keyspace_that_was_dropped_is_there_again(lab: Lab, cs: ClusterObject) -> None:
    cql(lab, NAMESPACE, "cs-0", "DROP KEYSPACE caplab", password(lab, NAMESPACE))
    settings = "settings"
    wait_until("it is there", lambda: "keyspaceReplication" in state(lab, NAMESPACE, "cs-1")[settings], 20)
    cs.await_ready(3)
    assert "CREATE" not in cql(
        lab, NAMESPACE, "cs-1", "CREATE TABLE caplab.t (k int PRIMARY KEY)", password(lab, NAMESPACE)
    )


def test_an_option_that_waits_for_a_restart_is_named_until_all_have_it(lab: Lab, cs: ClusterObject) -> None:
    cs.change(parameters={"concurrent_compactors": "2"})
    cs.await_status("it is named", lambda _: "waits for a restart" in condition_of(cs, "SettingsApplied")[1])
    cs.await_ready(3)
    assert condition_of(cs, "SettingsApplied")[0] == "True"
    for member in ("cs-0", "cs-1", "cs-2"):
        assert state(lab, NAMESPACE, member)["options"]["concurrent_compactors"] == "2"
    assert lab.inside(NAMESPACE, "cs-2", "nodetool", "setconcurrentcompactors", "1").ok
    by_hand = "cs-2: concurrent_compactors is 1, not 2 (waits for a restart)"
    cs.await_status("what was changed by hand is named", lambda _: by_hand in condition_of(cs, "SettingsApplied")[1])
    lab.kubectl("delete", "pod", "-n", NAMESPACE, "cs-2")
    cs.await_ready(3)


def test_a_deleted_pod_ends_in_order_and_keeps_what_it_acknowledged_at_one(lab: Lab, cs: ClusterObject) -> None:
    with load(lab, KIND, NAMESPACE, "cs", 60, levels={"read": "ONE", "write": "ONE"}) as measured:
        lab.kubectl("delete", "pod", "-n", NAMESPACE, "cs-1")
        cs.await_ready(3)
    for name in ("lost", "unexpected"):
        assert measured.figure("durability", name) == 0, measured.findings["durability"].reason
    assert measured.figure("durability", "acked") > 100
    print(f"\ndeleted under load at ONE: {measured.outcomes(route='service')}")
