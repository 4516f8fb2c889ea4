"""A CassandraCluster on the real cluster: its levels, hints and repairs; and members come, go and are replaced."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from caplab_cluster.kind_cluster import ZONES
from support.kind.cassandra_cluster import KIND, NEEDED, WRITES_ONLY, adds, cql, held, manage, password, state, states
from support.kind.cluster_object import ClusterObject, await_gone
from support.kind.fault_objects import fault, fault_status
from support.kind.frozen_and_cut import assert_acks_nothing_until_heal
from support.kind.kind_lab import Lab, wait_until
from support.kind.measured_load import Measured, load, record
from support.kind.workload_checks import assert_promises_are_kept

from caplab.contract.names import CHAOS_LABEL

pytestmark = pytest.mark.paired  # which levels answer in time is also a matter of who else uses the machine

NAMESPACE = f"cassandra-tests-{uuid.uuid4().hex[:6]}"
READY_SECONDS = 120.0
MEMBERS = ("cs-0", "cs-1", "cs-2")
LEVEL_SECONDS = 6.0
SETTLE_NS = 3_500_000_000  # also for a ring that has just begun: its first lightweight transactions take longest
# A commit log has a marker each 100 ms (AbstractCommitLogService); the rest is the kill itself.
MARKER_SECONDS = 0.3
SEEDS = itertools.count()  # not always the same member: its node waits longer each time before it starts it again
QUORUM = {"read": "QUORUM", "write": "QUORUM"}
LIGHT = 20.0  # operations a second of each zone, while members start: two cores do both


@pytest.fixture(scope="module")
def cs(lab: Lab) -> Iterator[ClusterObject]:
    """One cluster named cs for all tests here; each leaves it Ready with three members."""
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, f"{CHAOS_LABEL}=allowed")
    cluster = ClusterObject(lab=lab, kind=KIND, namespace=NAMESPACE, name="cs", timeout_seconds=READY_SECONDS)
    started = time.monotonic()
    cluster.apply()
    cluster.await_ready(3)
    print(f"\nfrom the applied object to Ready: {time.monotonic() - started:.1f} s")
    yield cluster
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@dataclass(frozen=True)
class Outage:
    """Who was killed, and when the first of them was dead, by the clock of histories."""

    dead: tuple[str, ...]
    since_ns: int


@contextmanager
def down(lab: Lab, cs: ClusterObject, count: int, seconds: int = 120) -> Iterator[Outage]:
    """So many members are dead while the block runs, and the others know."""
    name = f"down-{uuid.uuid4().hex[:6]}"
    lab.apply(
        fault(
            cs.namespace,
            name,
            seconds,
            role="any",
            kind=KIND,
            cluster="cs",
            count=count,
            seed=next(SEEDS),
            keepDown=True,
        )
    )
    cs.await_status(f"{count} members are seen down", lambda status: list(states(status).values()).count("DN") == count)
    targets = fault_status(lab, cs.namespace, name)["targets"]
    yield Outage(tuple(target["pod"] for target in targets), min(target["injectedNs"] for target in targets))
    lab.kubectl("delete", "fault", "-n", cs.namespace, name)
    wait_until("the fault is gone", lambda: not faults(lab, cs.namespace), 20)
    cs.await_ready(3)


def faults(lab: Lab, namespace: str) -> list[Any]:
    items: list[Any] = lab.get("faults", "-n", namespace)["items"]
    return items


def no_hints_left(lab: Lab) -> bool:
    return all(manage(lab, NAMESPACE, member, "POST", "/hints/flush")["hints"] == {} for member in MEMBERS)


def test_every_member_has_its_zone_for_a_rack_and_sees_all_others_up(lab: Lab, cs: ClusterObject) -> None:
    status = cs.status()
    assert sorted(member["zone"] for member in status["members"]) == list(ZONES)
    for member in status["members"]:
        assert (member["state"], member["seenUpBy"], member["seenDownBy"]) == ("UN", 2, 0)
        assert member["owns"] == pytest.approx(100)
        member_state = state(lab, NAMESPACE, member["name"])
        assert (member_state["rack"], member_state["hostId"]) == (member["zone"], member["hostId"])
        assert member_state["version"].startswith("5.0.")
    assert "primary" not in status


def test_nobody_manages_a_member_without_its_password_and_jmx_is_not_open_to_the_network(
    lab: Lab, cs: ClusterObject
) -> None:
    address = cs.pods()["cs-1"]["status"]["podIP"]
    ask = "curl -s -o /dev/null -w '%{http_code} ' -m 5"
    shell = f"{ask} http://{address}:7480/state; {ask} -u operator:wrong http://{address}:7480/state; true"
    assert lab.inside(NAMESPACE, "cs-0", "bash", "-c", shell).out.split() == ["401", "401"]
    for port, opens in ((9042, True), (7480, True), (7199, False)):
        tried = lab.inside(NAMESPACE, "cs-0", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
        assert tried.ok == opens, f"port {port}: {tried.err}"
    listening = lab.inside(NAMESPACE, "cs-1", "nodetool", "info")
    assert listening.ok, "nodetool finds no JMX on the loopback either"


def check_levels(lab: Lab, alive: int) -> None:
    """Each level succeeds exactly when enough replicas are alive."""
    answers = answers_of_levels(lab)
    for (name, op), words in answers.items():
        shown = f"{op} at {name} with {alive} of 3 alive: {', '.join(sorted(words))}"
        if alive >= NEEDED[name]:
            assert words == {"ok"}, shown
        else:
            assert words, shown
            assert "ok" not in words, shown
    words_of = {f"{op} {name}": "/".join(sorted(words)) for (name, op), words in answers.items()}
    kinds = sorted(set(words_of.values()))
    print(f"\nwith {alive} of 3 replicas alive")
    for kind in kinds:
        print(f"  {kind}: {', '.join(sorted(level for level, word in words_of.items() if word == kind))}")


def answers_of_levels(lab: Lab) -> dict[tuple[str, str], set[str]]:
    """Level and operation -> how its operations ended, from one zone, by the Service."""
    probes = [
        {
            "name": name.lower().replace("_", "-"),
            "workload": "register",
            "rate": 8,
            "routes": ["service"],
            "levels": {"write": name} | ({} if name in WRITES_ONLY else {"read": name}),
        }
        for name in NEEDED
    ]
    rows = record(lab, KIND, NAMESPACE, "cs", probes, LEVEL_SECONDS, vantages=ZONES[:1]).to_pylist()
    begun_ns = max(min(row["scheduled_ns"] for row in rows if row["level"] == name) for name in NEEDED)
    answers: dict[tuple[str, str], set[str]] = {
        (name, op): set() for name in NEEDED for op in (("write",) if name in WRITES_ONLY else ("write", "read"))
    }
    for row in rows:
        # A dozen drivers begin at once in one prober: until all have, what it is late with is its own.
        settled = row["scheduled_ns"] > begun_ns + SETTLE_NS and row["error"] != "overload"
        if settled and (row["level"], row["op"]) in answers:
            answers[row["level"], row["op"]].add(f"{row['outcome']} {row['error'] or ''}".strip())
    return answers


def test_each_level_succeeds_while_all_replicas_are_alive(lab: Lab, cs: ClusterObject) -> None:
    check_levels(lab, 3)


def test_every_workload_and_read_routing_keeps_its_promises_in_the_steady_state(lab: Lab, cs: ClusterObject) -> None:
    assert_promises_are_kept(lab, KIND, NAMESPACE, "cs")


def test_a_member_that_is_frozen_or_cut_off_from_clients_acks_nothing_until_heal(lab: Lab, cs: ClusterObject) -> None:
    assert_acks_nothing_until_heal(cs, "any", levels={"write": "ONE"})


def test_with_one_down_two_replicas_serve_and_hints_bring_it_what_it_missed(lab: Lab, cs: ClusterObject) -> None:
    """Each member's own copy is read, and nothing else has mended it: its table has no read repair."""
    with load(lab, KIND, NAMESPACE, "cs", LIGHT, levels=QUORUM) as measured:
        with down(lab, cs, 1) as outage:
            (dead,) = outage.dead
            wait_until("the others keep hints for it", lambda: hinted(lab, cs, dead), 20)
            check_levels(lab, 2)
        wait_until("the hints are delivered", lambda: no_hints_left(lab), 60)
    measured.assert_nothing_lost()
    copies = held(measured)
    assert {name: copies[name] for name in MEMBERS if name != dead} == {
        name: everything(measured) for name in MEMBERS if name != dead
    }
    # No hint is kept of what it had acknowledged itself, and its commit log is replayed up to the last marker only.
    missing = [row for row in adds(measured) if row["value"] not in copies[dead]]
    early = [(outage.since_ns - row["invoke_ns"]) / 1e9 for row in missing]
    assert all(0 <= seconds < MARKER_SECONDS for seconds in early), f"missing after the hints: {early}"
    during = [row for row in adds(measured) if row["invoke_ns"] > outage.since_ns]
    print(f"\n{dead} has all of {len(during)} writes acked since its death, and lacks {len(missing)} of just before it")


def hinted(lab: Lab, cs: ClusterObject, dead: str) -> bool:
    """Whether all who live have hints for one who does not."""
    host = next(member["hostId"] for member in cs.status()["members"] if member["name"] == dead)
    living = [name for name in MEMBERS if name != dead]
    return all(host in manage(lab, NAMESPACE, name, "POST", "/hints/flush")["hints"] for name in living)


def everything(measured: Measured) -> set[int]:
    return set().union(*held(measured).values())


def test_with_two_down_one_replica_serves_and_a_repair_heals_what_hints_do_not(lab: Lab, cs: ClusterObject) -> None:
    """An outage longer than hints are kept for."""
    cs.change(hintedHandoff={"windowSeconds": 1})
    cs.await_ready(3)
    with load(lab, KIND, NAMESPACE, "cs", LIGHT, levels={"read": "ONE", "write": "ONE"}) as measured:
        with down(lab, cs, 2) as outage:
            check_levels(lab, 1)
        wait_until("the hints are delivered", lambda: no_hints_left(lab), 60)
    written, copies = {row["value"] for row in adds(measured)}, held(measured)
    missed = {name: len(written - copies[name]) for name in outage.dead}
    assert min(missed.values()) > 50, f"there was nothing to repair: {missed}"
    cs.change(operations={"repair": "after-the-outage"}, hintedHandoff={"windowSeconds": 10800})
    done = cs.await_status("the repair is done", lambda status: "at" in status.get("repair", {}))["repair"]
    assert (done["request"], sorted(done["done"])) == ("after-the-outage", sorted(MEMBERS))
    measured.scan("again")
    assert held(measured) == dict.fromkeys(MEMBERS, everything(measured))
    print(f"\nof {len(written)} acked writes {missed} were missed after the hints, none after the repair")


def test_what_cassandra_can_change_live_is_changed_and_disturbs_nobody(lab: Lab, cs: ClusterObject) -> None:
    before = cs.uids()
    wanted = {
        "phiConvictThreshold": 8, "paxosVariant": "v1", "hintedHandoffEnabled": False, "hintWindowSeconds": 60,
        "readMilliseconds": 700, "writeMilliseconds": 600, "casMilliseconds": 500,
    }  # fmt: skip
    with load(lab, KIND, NAMESPACE, "cs", LIGHT, levels=QUORUM, routes=["service"]) as measured:
        cs.change(
            phiConvictThreshold=8,
            paxosVariant="v1",
            hintedHandoff={"enabled": False, "windowSeconds": 60},
            timeouts={"readMilliseconds": 700, "writeMilliseconds": 600, "casMilliseconds": 500},
            storage={"onDeletion": "Retain"},
        )
        cs.await_ready(3)
        for member in MEMBERS:
            in_force = state(lab, NAMESPACE, member)["settings"]
            assert {name: in_force[name] for name in wanted} == wanted
        cs.change(
            phiConvictThreshold=5,
            paxosVariant="v2",
            hintedHandoff={"enabled": True, "windowSeconds": 10800},
            timeouts={"readMilliseconds": 800, "writeMilliseconds": 800, "casMilliseconds": 800},
            storage={"onDeletion": "Delete"},
        )
        cs.await_ready(3)
    measured.assert_all_acked()
    measured.assert_nothing_lost()
    assert cs.uids() == before


def test_what_is_changed_by_hand_is_mended_within_seconds(lab: Lab, cs: ClusterObject) -> None:
    """Durability and the clients' login; more of it in test_cassandra_truth.py."""
    mine = password(lab, NAMESPACE)
    assert lab.inside(NAMESPACE, "cs-1", "nodetool", "disablehandoff").ok
    assert cql(lab, NAMESPACE, "cs-0", "ALTER KEYSPACE caplab WITH durable_writes = false", mine) == "[]"
    wanted = {"hintedHandoffEnabled": True, "keyspaceDurableWrites": True}
    took = wait_until(
        "durability is as it was",
        lambda: all(wanted.items() <= state(lab, NAMESPACE, member)["settings"].items() for member in MEMBERS),
        10,
    )
    assert cql(lab, NAMESPACE, "cs-0", "ALTER ROLE caplab WITH PASSWORD = 'other'", mine) == "[]"
    again = wait_until(
        "clients log in",
        lambda: cql(lab, NAMESPACE, "cs-2", "SELECT key FROM system.local", mine).startswith("[Row"),
        15,
    )
    print(f"\ndurability was mended after {took:.1f} s, the clients' password after {again:.1f} s")
    conditions = {
        condition["type"]: (condition["status"], condition["message"]) for condition in cs.await_ready(3)["conditions"]
    }
    assert conditions["DurabilityApplied"][0] == "True"
    assert "the keyspace has 3 copies of each key" in conditions["DurabilityApplied"][1]


@pytest.mark.long  # a minute; the row of cassandra/join-and-leave asks for the same
def test_it_scales_out_and_in_under_load_and_loses_nothing(lab: Lab, cs: ClusterObject) -> None:
    with load(lab, KIND, NAMESPACE, "cs", LIGHT, levels=QUORUM, routes=["service"]) as measured:
        cs.change(replicas=4)
        four = cs.await_ready(4)
        owns = {member["name"]: member["owns"] for member in four["members"]}
        assert sum(owns.values()) == pytest.approx(300, abs=0.5)
        assert owns["cs-3"] > 10
        cs.change(replicas=3)
        three = cs.await_ready(3)
    assert [member["owns"] for member in three["members"]] == pytest.approx([100, 100, 100])
    assert set(cs.pods()) == set(MEMBERS)
    wait_until("no volume is left over", lambda: len(lab.get("pvc", "-n", NAMESPACE)["items"]) == 3)
    measured.assert_nothing_lost()
    shares = ", ".join(f"{name} {share:.1f} %" for name, share in sorted(owns.items()))
    print(
        f"\nof all copies of keys {owns['cs-3'] / 3:.1f} % moved to the fourth member ({shares}); {measured.outcomes()}"
    )


@pytest.mark.long
def test_a_wiped_member_takes_its_own_place_again(lab: Lab, cs: ClusterObject) -> None:
    before = {member["name"]: member["hostId"] for member in cs.status()["members"]}
    with load(lab, KIND, NAMESPACE, "cs", LIGHT, levels=QUORUM, routes=["service", "direct"]) as measured:
        cs.wipe("cs-0")
        wait_until(
            "it has another host id", lambda: host_ids(cs).get("cs-0") not in (None, before["cs-0"]), READY_SECONDS
        )
        status = cs.await_ready(3)
        wait_until("the hints are delivered", lambda: no_hints_left(lab), 60)
    assert {name: host for name, host in host_ids(cs).items() if name != "cs-0"} == {
        name: host for name, host in before.items() if name != "cs-0"
    }
    assert states(status) == dict.fromkeys(MEMBERS, "UN")
    assert before["cs-0"] not in state(lab, NAMESPACE, "cs-1")["hostIds"].values(), "the old one is still in the ring"
    measured.assert_nothing_lost()
    assert held(measured)["cs-0"] == everything(measured)


def host_ids(cs: ClusterObject) -> dict[str, str]:
    return {member["name"]: member.get("hostId") for member in cs.status()["members"]}


@pytest.mark.long
def test_a_rolling_restart_keeps_the_quorum(lab: Lab, cs: ClusterObject) -> None:
    before = cs.uids()
    with load(lab, KIND, NAMESPACE, "cs", LIGHT, levels=QUORUM, routes=["service"]) as measured:
        cs.change(operations={"restart": "once"})
        cs.await_status("a rollout is under way", lambda status: "rollout" in status)
        cs.await_ready(3)
    assert not set(before.values()) & set(cs.uids().values())
    measured.assert_nothing_lost()
    outcomes = measured.outcomes()
    assert outcomes["ok"] > 0.97 * sum(outcomes.values()), outcomes
    print(f"\na rolling restart: {outcomes}")


def test_deletion_removes_everything(lab: Lab, cs: ClusterObject) -> None:
    """The last one here: the cluster goes."""
    lab.kubectl("delete", KIND, "-n", NAMESPACE, "cs")
    await_gone(lab, NAMESPACE, "pvc")
