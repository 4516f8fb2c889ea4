"""What a RedisCluster's status says is so: what is changed by hand is mended within seconds, or told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, wait_until
from support.kind.measured_load import load
from support.kind.redis_cluster import KIND, ask, await_ready, redis, setting, status

from caplab.contract.names import CLUSTER_LABEL, CLUSTERS_LABEL, PART_LABEL

pytestmark = pytest.mark.paired  # what is changed by hand is mended within seconds

NAMESPACE = f"redis-truth-{uuid.uuid4().hex[:6]}"
_SECONDS = 5  # within which what somebody changed is as it was


@pytest.fixture(scope="module")
def rd(lab: Lab) -> Iterator[str]:
    """One cluster that fsyncs before it answers, for all tests here; each leaves it Ready."""
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, f"{CLUSTERS_LABEL}=allowed")
    lab.apply(redis(NAMESPACE, persistence="always", minReplicasToWrite=1))
    await_ready(lab, NAMESPACE)
    yield NAMESPACE
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def conditions(lab: Lab) -> dict[str, tuple[str, str]]:
    return {
        condition["type"]: (condition["status"], condition["message"])
        for condition in status(lab, NAMESPACE)["conditions"]
    }


def logins(lab: Lab, pod: str, port: int = 6379) -> str:
    """What a client with its own login is answered."""
    command = f'REDISCLI_AUTH="$APPLICATION_PASSWORD" redis-cli --no-auth-warning --user caplab -p {port} ping'
    return lab.inside(NAMESPACE, pod, "bash", "-c", command).out.strip()


@pytest.mark.parametrize(
    ("pod", "name", "off", "wanted"),
    [
        ("rd-0", "appendfsync", "no", "always"),
        ("rd-1", "min-replicas-to-write", "0", "1"),
        ("rd-2", "no-appendfsync-on-rewrite", "yes", "no"),
        ("rd-1", "save", "60 1", ""),
        ("rd-0", "appendonly", "no", "yes"),
    ],
)
def test_durability_changed_by_hand_on_one_member_is_mended_within_seconds(
    lab: Lab, rd: str, pod: str, name: str, off: str, wanted: str
) -> None:
    ask(lab, rd, pod, "config", "set", name, off)
    ask(lab, rd, pod, "config", "rewrite")
    took = wait_until(f"{name} of {pod} is mended", lambda: setting(lab, rd, pod, name) == wanted, _SECONDS)
    print(f"\n{name} of {pod} was mended after {took:.1f} s")
    assert await_ready(lab, rd)["persistence"] == "always"
    assert conditions(lab)["DurabilityApplied"][0] == "True"


@pytest.mark.parametrize(("pod", "port"), [("rd-0", 6379), ("rd-sentinel-2", 26379)])
@pytest.mark.parametrize("change", [["off"], ["resetpass", ">other"]], ids=["switched off", "another password"])
def test_users_changed_by_hand_can_log_in_again_and_no_others(
    lab: Lab, rd: str, pod: str, port: int, change: list[str]
) -> None:
    ask(lab, rd, pod, "acl", "setuser", "caplab", *change)
    ask(lab, rd, pod, "acl", "setuser", "mallory", "on", "nopass", "+@all", "~*")
    wait_until("clients log in", lambda: logins(lab, pod, port) == "PONG", _SECONDS)
    wait_until("nobody else does", lambda: "mallory" not in "".join(ask(lab, rd, pod, "acl", "list")), _SECONDS)
    await_ready(lab, rd)


def test_a_member_whose_operator_login_is_off_is_told_and_not_taken_for_well(lab: Lab, rd: str) -> None:
    replica = next(member["name"] for member in status(lab, rd)["members"] if member["role"] == "replica")
    ask(lab, rd, replica, "acl", "setuser", "operator", "off")
    rd_status = ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd").await_status(
        "it is told", lambda observed: observed["persistence"] == "unknown" and observed["phase"] == "Degraded"
    )
    state = {member["name"]: member["state"] for member in rd_status["members"]}
    assert state[replica] == "refuses the operator"
    assert {kind: condition[0] for kind, condition in conditions(lab).items()}["DurabilityApplied"] == "Unknown"
    lab.kubectl("delete", "pod", "-n", rd, replica)
    await_ready(lab, rd)


def settle(lab: Lab, **spec: Any) -> dict[str, Any]:
    ClusterObject(lab=lab, kind=KIND, namespace=NAMESPACE, name="rd").change(**spec)
    return await_ready(lab, NAMESPACE)


def test_a_primary_whose_pod_is_deleted_hands_over_and_loses_nothing_though_nothing_is_on_disk(
    lab: Lab, rd: str
) -> None:
    primary = settle(lab, persistence="none", minReplicasToWrite=0)["primary"]
    with load(lab, KIND, rd, "rd") as measured:
        lab.kubectl("delete", "pod", "-n", rd, primary)
        rd_status = await_ready(lab, rd)
    measured.assert_nothing_lost()
    assert rd_status["primary"] != primary
    assert rd_status["lastFailover"]["cause"] == "its pod was deleted"
    print(f"\ndeleted under load: {measured.outcomes(route='service')} by the Service")


@pytest.mark.long
def test_a_primary_whose_node_is_drained_hands_over_and_loses_nothing(lab: Lab, rd: str) -> None:
    primary = settle(lab, persistence="none", minReplicasToWrite=0)["primary"]
    node = lab.get("pod", "-n", rd, primary)["spec"]["nodeName"]
    selector = f"--pod-selector={CLUSTER_LABEL}=rd"
    try:
        with load(lab, KIND, rd, "rd") as measured:
            lab.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", selector, "--timeout=60s")
            wait_until("another is primary", lambda: status(lab, rd).get("primary") not in (None, primary))
    finally:
        lab.kubectl("uncordon", node)
    measured.assert_nothing_lost()
    await_ready(lab, rd)


def keys(lab: Lab, rd: str, pod: str) -> int:
    """How many a member has; -1: it does not answer."""
    answer = lab.inside(rd, pod, "lab-redis-cli", "dbsize")
    return int(answer.out) if answer.ok and answer.out.strip().isdigit() else -1


def write_to(lab: Lab, rd: str, primary: str, number: int) -> None:
    name = uuid.uuid4().hex[:6]
    command = f"for i in $(seq {number}); do echo set {name}-$i $i; done | lab-redis-cli"
    answer = lab.inside(rd, primary, "bash", "-c", command)
    assert answer.out.split() == ["OK"] * number


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(f"{CLUSTER_LABEL}=rd", id="and the Sentinels"),
        pytest.param(f"{CLUSTER_LABEL}=rd,{PART_LABEL}=member", id="members only", marks=pytest.mark.long),
    ],
)
def test_all_members_at_once_and_the_one_with_the_most_data_leads(lab: Lab, rd: str, which: str) -> None:
    primary = settle(lab, persistence="always", minReplicasToWrite=0)["primary"]
    replicas = sorted({"rd-0", "rd-1", "rd-2"} - {primary})
    before = {replica: keys(lab, rd, replica) for replica in replicas}
    for replica in replicas:
        ask(lab, rd, replica, "replicaof", "nowhere.invalid", "6379")
    write_to(lab, rd, primary, 200)
    assert {replica: keys(lab, rd, replica) for replica in replicas} == before, "a replica has what it should not have"
    cluster = ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd")
    written, uids = keys(lab, rd, primary), cluster.uids()
    assert written == before[replicas[0]] + 200
    lab.kubectl("delete", "pod", "-n", rd, "-l", which, "--wait=false")
    cluster.await_replaced(uids)
    rd_status = await_ready(lab, rd)
    assert {name: keys(lab, rd, name) for name in uids} == dict.fromkeys(uids, written), cluster.described()
    assert rd_status["primary"] == primary


@pytest.mark.long
def test_all_members_at_once_and_the_primary_has_lost_its_disk(lab: Lab, rd: str) -> None:
    primary = settle(lab, persistence="always", minReplicasToWrite=0)["primary"]
    write_to(lab, rd, primary, 200)
    written, cluster = keys(lab, rd, primary), ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd")
    wait_until("all have it", lambda: all(keys(lab, rd, name) == written for name in cluster.uids()))
    uids = cluster.uids()
    lab.inside(rd, primary, "find", "/data", "-mindepth", "1", "-delete")
    lab.kubectl("delete", "pod", "-n", rd, "-l", f"{CLUSTER_LABEL}=rd", "--wait=false")
    cluster.await_replaced(uids)
    rd_status = await_ready(lab, rd)
    assert {name: keys(lab, rd, name) for name in cluster.uids()} == dict.fromkeys(cluster.uids(), written)
    assert rd_status["primary"] != primary


@pytest.mark.long
def test_a_change_of_resources_restarts_the_replicas_first_though_the_primary_is_the_last_by_number(
    lab: Lab, rd: str
) -> None:
    cluster = ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd")
    for _ in range(6):
        if (primary := settle(lab, persistence="everysec")["primary"]) == "rd-2":
            break
        lab.kubectl("delete", "pod", "-n", rd, primary)
    assert primary == "rd-2"
    with load(lab, KIND, rd, "rd") as measured:
        cluster.change(resources={"cpuRequest": "60m"})
        waiting = cluster.await_status("it tells what waits", lambda observed: bool(observed.get("rollout")))
        applied = next(condition for condition in waiting["conditions"] if condition["type"] == "SettingsApplied")
        primaries = [primary]

        def rolled() -> bool:
            rd_status = status(lab, rd)
            if (now := rd_status.get("primary")) not in (None, primaries[-1]):
                primaries.append(now)
            return rd_status["phase"] == "Ready" and "rollout" not in rd_status

        wait_until("all are restarted", rolled, 120)
    assert (applied["status"], applied["reason"]) == ("False", "WaitsForRestart")
    assert len(primaries) == 2, primaries
    newest = max(cluster.pods().values(), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    assert newest["metadata"]["name"] == "rd-2"
    measured.assert_nothing_lost()


@pytest.mark.long
def test_a_cluster_made_again_over_kept_volumes_is_led_by_who_has_the_data(lab: Lab, rd: str) -> None:
    for _ in range(3):
        if (primary := settle(lab, persistence="always", storage={"onDeletion": "Retain"})["primary"]) != "rd-0":
            break
        lab.kubectl("delete", "pod", "-n", rd, primary)
    write_to(lab, rd, primary, 300)
    written = keys(lab, rd, primary)
    for replica in {"rd-0", "rd-1", "rd-2"} - {primary}:
        ask(lab, rd, replica, "replicaof", "nowhere.invalid", "6379")
    ask(lab, rd, primary, "set", "the-last-one", "42")
    lab.kubectl("delete", KIND, "-n", rd, "rd", "--wait=true")
    wait_until("its pods are gone", lambda: not ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd").pods())
    lab.apply(redis(rd, persistence="always", storage={"onDeletion": "Delete"}))
    rd_status = await_ready(lab, rd)
    assert keys(lab, rd, rd_status["primary"]) == written + 1
