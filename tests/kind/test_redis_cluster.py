"""A RedisCluster on the real cluster: made, changed live, rolled, scaled, wiped in part, and left alone by upgrades."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from caplab_cluster.kind_cluster import ZONES
from support.kind.cluster_object import ClusterObject, await_gone
from support.kind.frozen_and_cut import assert_acks_nothing_until_heal
from support.kind.kind_lab import Lab, wait_until
from support.kind.measured_load import load
from support.kind.operator_pod import operator_replicas
from support.kind.redis_cluster import KIND, ask, await_ready, await_status, redis, setting, status, watched
from support.kind.workload_checks import assert_promises_are_kept

from caplab.contract.names import CHAOS_LABEL, CLUSTER_LABEL

pytestmark = pytest.mark.beside

NAMESPACE = f"redis-tests-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def rd(lab: Lab) -> Iterator[str]:
    """One cluster named rd for all tests here, each leaves it Ready; the namespace it is in."""
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, f"{CHAOS_LABEL}=allowed")
    started = time.monotonic()
    lab.apply(redis(NAMESPACE))
    await_ready(lab, NAMESPACE)
    print(f"\nfrom the applied object to Ready: {time.monotonic() - started:.1f} s")
    yield NAMESPACE
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def change(lab: Lab, **spec: Any) -> None:
    ClusterObject(lab=lab, kind=KIND, namespace=NAMESPACE, name="rd").change(**spec)


def members(lab: Lab) -> dict[str, dict[str, Any]]:
    return ClusterObject(lab=lab, kind=KIND, namespace=NAMESPACE, name="rd").pods()


def uids(lab: Lab) -> dict[str, str]:
    return ClusterObject(lab=lab, kind=KIND, namespace=NAMESPACE, name="rd").uids()


def addresses(lab: Lab, service: str) -> set[str]:
    """Where a Service leads to, as kube-proxy sees it."""
    slices = lab.get("endpointslices", "-n", NAMESPACE, "-l", f"kubernetes.io/service-name={service}")["items"]
    return {
        address
        for endpoint_slice in slices
        for endpoint in endpoint_slice["endpoints"] or []
        for address in endpoint["addresses"]
    }


def address(lab: Lab, pod: str) -> str:
    return str(lab.get("pod", "-n", NAMESPACE, pod)["status"]["podIP"])


def test_a_cluster_has_a_member_and_a_sentinel_in_each_zone_and_services_that_lead_there(lab: Lab, rd: str) -> None:
    rd_status = status(lab, rd)
    for part in ("members", "sentinels"):
        assert sorted(pod["zone"] for pod in rd_status[part]) == list(ZONES)
    assert [member["role"] for member in rd_status["members"]].count("primary") == 1
    assert rd_status["persistence"] == "everysec"
    assert len(rd_status["epoch"]) == 40
    primary = address(lab, rd_status["primary"])
    every = {address(lab, pod["name"]) for pod in rd_status["members"]}
    assert addresses(lab, "rd-primary") == {primary}
    assert addresses(lab, "rd-replicas") == every - {primary}
    assert addresses(lab, "rd-any") == every
    ask(lab, rd, rd_status["primary"], "set", "k", "42")
    for member in rd_status["members"]:
        name = member["name"]
        wait_until(f"{name} has the value", lambda name=name: ask(lab, rd, name, "get", "k") == ["42"])  # type: ignore[misc]


def client(lab: Lab, pod: str, port: int, *command: str, password: str = "$APPLICATION_PASSWORD") -> str:
    """What a client with its own login is answered, or one without any."""
    login = f'REDISCLI_AUTH="{password}" redis-cli --no-auth-warning --user caplab' if password else "redis-cli"
    return lab.inside(NAMESPACE, pod, "bash", "-c", f"{login} -p {port} {' '.join(command)}").out.strip()


@pytest.mark.parametrize(("pod", "port"), [("rd-0", 6379), ("rd-sentinel-0", 26379)])
def test_nobody_comes_in_without_a_password_and_a_client_may_not_administer(
    lab: Lab, rd: str, pod: str, port: int
) -> None:
    assert "NOAUTH" in client(lab, pod, port, "ping", password="")
    assert client(lab, pod, port, "ping") == "PONG"
    refused = [["shutdown"], ["acl", "list"]]
    own = {
        6379: [
            ["config", "get", "maxmemory"],
            ["replicaof", "no", "one"],
            ["flushall"],
            ["client", "kill", "type", "normal"],
        ],
        26379: [["sentinel", "failover", "caplab"], ["sentinel", "set", "caplab", "quorum", "1"]],
    }
    for command in [*refused, *own[port]]:
        assert "NOPERM" in client(lab, pod, port, *command), command


def test_every_workload_and_read_routing_keeps_its_promises_in_the_steady_state(lab: Lab, rd: str) -> None:
    assert_promises_are_kept(lab, KIND, rd, "rd")


def test_a_member_that_is_frozen_or_cut_off_from_clients_acks_nothing_until_heal(lab: Lab, rd: str) -> None:
    assert_acks_nothing_until_heal(ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd"), "primary")


def test_what_redis_can_change_live_is_changed_under_load_and_disturbs_nobody(lab: Lab, rd: str) -> None:
    before = uids(lab)
    with load(lab, KIND, rd, "rd") as measured:
        change(
            lab,
            persistence="always",
            minReplicasToWrite=1,
            minReplicasMaxLagSeconds=7,
            maxMemory="100Mi",
            evictionPolicy="allkeys-lfu",
            failover={
                "downAfterMilliseconds": 1500,
                "failoverTimeoutMilliseconds": 7000,
                "restartedPrimary": "ComeBack",
            },
            storage={"onDeletion": "Retain"},
            parameters={"hz": "20"},
        )
        await_ready(lab, rd)
        wanted = {
            "appendonly": "yes", "appendfsync": "always", "min-replicas-to-write": "1", "min-replicas-max-lag": "7",
            "maxmemory": str(100 * 2**20), "maxmemory-policy": "allkeys-lfu", "hz": "20",
        }  # fmt: skip
        for name in before:
            assert {key: setting(lab, rd, name, key) for key in wanted} == wanted
        for number in range(3):
            timing = watched(lab, rd, f"rd-sentinel-{number}")
            assert (timing["down-after-milliseconds"], timing["failover-timeout"]) == ("1500", "7000")
        assert status(lab, rd)["persistence"] == "always"
        change(lab, persistence="none")
        await_ready(lab, rd)
        assert {setting(lab, rd, name, "appendonly") for name in before} == {"no"}
    measured.assert_all_acked(route="service")
    measured.assert_nothing_lost()
    assert uids(lab) == before
    change(
        lab,
        persistence="everysec",
        minReplicasToWrite=0,
        minReplicasMaxLagSeconds=10,
        evictionPolicy="noeviction",
        maxMemory="128Mi",
        failover={
            "downAfterMilliseconds": 1000,
            "failoverTimeoutMilliseconds": 6000,
            "restartedPrimary": "WaitForDecision",
        },
        storage={"onDeletion": "Delete"},
        parameters={"hz": None},
    )
    await_ready(lab, rd)
    assert uids(lab) == before


def test_the_number_of_sentinels_is_changed_under_load_and_none_that_is_gone_is_counted(lab: Lab, rd: str) -> None:
    before = uids(lab)
    with load(lab, KIND, rd, "rd") as measured:
        for number in (5, 3):
            change(lab, sentinels=number)
            await_ready(lab, rd, sentinels=number)
            for sentinel in range(number):
                knows = watched(lab, rd, f"rd-sentinel-{sentinel}")
                assert (knows["num-other-sentinels"], knows["quorum"]) == (str(number - 1), str(number // 2 + 1))
    measured.assert_all_acked(route="service")
    measured.assert_nothing_lost()
    assert uids(lab) == before


def test_what_redis_cannot_change_live_is_rolled_replicas_first_and_the_primary_after_a_switchover(
    lab: Lab, rd: str
) -> None:
    before, primary = uids(lab), status(lab, rd)["primary"]
    with load(lab, KIND, rd, "rd") as measured:
        change(lab, parameters={"databases": "4"})
        await_ready(lab, rd)
    after = members(lab)
    assert not set(before.values()) & set(uids(lab).values())
    newest = max(after.values(), key=lambda pod: pod["metadata"]["creationTimestamp"])
    assert newest["metadata"]["name"] == primary, "the primary was not the last one"
    assert status(lab, rd)["primary"] != primary
    assert {setting(lab, rd, name, "databases") for name in after} == {"4"}
    measured.assert_nothing_lost()
    print(f"\na rolling restart: {measured.outcomes(route='service')} by the Service")


def test_a_cluster_scales_up_and_down_under_load(lab: Lab, rd: str) -> None:
    with load(lab, KIND, rd, "rd") as measured:
        change(lab, replicas=4)
        await_ready(lab, rd, 4)
        change(lab, replicas=3)
        await_ready(lab, rd, 3)
    measured.assert_all_acked(route="service")
    measured.assert_nothing_lost()
    assert set(members(lab)) == {"rd-0", "rd-1", "rd-2"}
    wait_until("no volume is left over", lambda: len(lab.get("pvc", "-n", rd)["items"]) == 3)


@pytest.mark.long
def test_a_primary_that_is_to_go_hands_over_first(lab: Lab, rd: str) -> None:
    change(lab, replicas=4)
    await_ready(lab, rd, 4)
    operator_replicas(lab, 0)  # it would take back what is set by hand
    for name in ("rd-0", "rd-1", "rd-2"):
        ask(lab, rd, name, "config", "set", "replica-priority", "0")
    wait_until("the Sentinel may choose rd-3 only", lambda: barred(lab) >= 2)
    ask(lab, rd, "rd-sentinel-0", "sentinel", "failover", "caplab")
    wait_until("rd-3 is primary", lambda: ask(lab, rd, "rd-3", "role")[0] == "master")
    operator_replicas(lab, 1)
    await_status(lab, rd, "the operator sees it", lambda observed: observed.get("primary") == "rd-3")
    await_ready(lab, rd, 4)
    with load(lab, KIND, rd, "rd") as measured:
        change(lab, replicas=3)
        rd_status = await_ready(lab, rd, 3)
    assert rd_status["primary"] in {"rd-0", "rd-1", "rd-2"}
    assert set(members(lab)) == {"rd-0", "rd-1", "rd-2"}
    measured.assert_nothing_lost()


def barred(lab: Lab) -> int:
    """How many replicas a Sentinel knows that must not become primary."""
    lines = ask(lab, NAMESPACE, "rd-sentinel-0", "sentinel", "replicas", "caplab")
    return sum(lines[i : i + 2] == ["slave-priority", "0"] for i in range(len(lines)))


def test_a_wiped_replica_catches_up(lab: Lab, rd: str) -> None:
    rd_status = status(lab, rd)
    replica = next(member["name"] for member in rd_status["members"] if member["role"] == "replica")
    ask(lab, rd, rd_status["primary"], "set", "before-the-wipe", "42")
    ClusterObject(lab=lab, kind=KIND, namespace=rd, name="rd").wipe(replica)
    wait_until("it has the data", lambda: has(lab, replica, "before-the-wipe"), 60)
    assert await_ready(lab, rd)["primary"] == rd_status["primary"]


def has(lab: Lab, member: str, key: str) -> bool:
    """Whether a member answers, and with the value; it may just be starting."""
    answer = lab.inside(NAMESPACE, member, "lab-redis-cli", "get", key)
    return answer.ok and answer.out.strip() == "42"


def test_all_members_at_once_come_back_with_their_data(lab: Lab, rd: str) -> None:
    """Everybody waits for a decision, and there is one: nobody is left waiting for ever."""
    ask(lab, rd, status(lab, rd)["primary"], "set", "before-the-end", "42")
    before = uids(lab)
    # Not with kubectl's own wait: it can miss the end of a pod whose name is there again at once.
    lab.kubectl("delete", "pod", "-n", rd, "-l", f"{CLUSTER_LABEL}=rd", "--wait=false")
    wait_until(
        "every member is another",
        lambda: before.keys() == (now := uids(lab)).keys() and all(now[name] != uid for name, uid in before.items()),
        90,
    )
    for name in before:
        wait_until(f"{name} has the data", lambda name=name: has(lab, name, "before-the-end"), 60)  # type: ignore[misc]
    await_ready(lab, rd)
    assert not set(before.values()) & set(uids(lab).values())


def test_deletion_removes_everything_and_keeps_volumes_only_where_asked(lab: Lab, rd: str) -> None:
    """The last one here: the cluster goes."""
    change(lab, storage={"onDeletion": "Retain"})
    await_ready(lab, rd)
    lab.kubectl("delete", "rediscluster", "-n", rd, "rd")
    await_gone(lab, rd)
    assert len(lab.get("pvc", "-n", rd)["items"]) == 3
