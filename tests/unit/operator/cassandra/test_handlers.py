"""What the operator asks members and the API server for in a round, and what it applies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.cassandra import manifests, observe
from caplab_operator.engines.cassandra.manifests import PersistedState
from caplab_operator.engines.cassandra.observe import Member, ObservedCassandra, Place
from caplab_operator.engines.objects import part
from caplab_operator.handlers import clusters
from caplab_operator.handlers.cassandra import CassandraClusters
from caplab_operator.handlers.engines import controllers
from caplab_operator.ledger import Ledger
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.databases.fake_cassandra_management import FakeManagement
from support.databases.loopback import listening
from support.objects.fake_server import FakeServer
from support.operator.fault_inventory import owned_by_stateful_set
from support.operator.observed_cassandra import (
    BODY,
    HOSTS,
    PODS,
    SPEC,
    STARTS,
    WAITS,
    ZONES,
    before,
    host,
    observed,
    pod,
    up,
)

from caplab.contract.engines import CASSANDRA
from caplab.contract.names import FILES_ANNOTATION, SETTLED_ANNOTATION

# --- the management port ----------------------------------------------------------------------------------


def over_http(
    monkeypatch: pytest.MonkeyPatch, fake: FakeManagement, ask: Callable[[Place], Any], password: str = "pw"
) -> Any:
    """What comes of asking a member at that port."""

    async def run() -> Any:
        async with listening(fake):
            monkeypatch.setattr(observe, "MANAGEMENT_PORT", fake.port)
            return await asyncio.to_thread(ask, Place((pod(0, address="127.0.0.1"),), password))

    return asyncio.run(run())


def test_a_member_is_asked_and_let_in_by_password(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeManagement()
    assert over_http(monkeypatch, fake, observe.look).members == {"cs-0": WAITS}
    assert fake.requests == ["GET /state"]


def test_a_member_that_does_not_take_the_password_is_told_apart_from_a_silent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = over_http(monkeypatch, FakeManagement(), observe.look, password="old")
    assert (cluster.members, cluster.refused) == ({}, {"cs-0"})
    silent = over_http(monkeypatch, FakeManagement(raw=b""), observe.look)
    assert (silent.members, silent.refused) == ({}, set())


@pytest.mark.parametrize(
    "fake",
    [
        FakeManagement(state=["no", "member"]),
        FakeManagement(state={"fresh": True}),
        FakeManagement(raw=b"garbage\r\n\r\n"),
        FakeManagement(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        FakeManagement(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000),
        FakeManagement(raw=b"HTTP/1.1 500 Error\r\nContent-Length: 2\r\n\r\n{}"),
    ],
)
def test_what_nobody_can_read_is_silence(monkeypatch: pytest.MonkeyPatch, fake: FakeManagement) -> None:
    assert over_http(monkeypatch, fake, observe.look) == ObservedCassandra(
        Place((pod(0, address="127.0.0.1"),), "pw"), {}
    )


def test_one_that_hangs_is_waited_for_no_longer_than_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "TIMEOUT_SECONDS", 0.05)
    assert over_http(monkeypatch, FakeManagement(hang=True), observe.look).members == {}


def test_a_member_without_an_address_is_silent_and_of_nobody_nothing_is_seen() -> None:
    assert observe.look(Place((pod(0, address=None),), "pw")).members == {}
    assert observe.look(Place((), "pw")).members == {}
    assert observe.send(Place((), "pw"), pod(0, address=None), "/start", {}) == "cs-0 has no address"


def test_a_member_is_told_in_a_query_and_its_refusal_is_its_own_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(place: Place) -> str:
        return observe.send(place, place.pods[0], "/repair", {"id": "a b&c"})

    fake = FakeManagement()
    assert over_http(monkeypatch, fake, send) == ""
    assert fake.requests == ["POST /repair?id=a+b%26c"]
    busy = FakeManagement(refusal=(409, "Another repair is under way."))
    assert over_http(monkeypatch, busy, send) == "409 Another repair is under way."
    assert over_http(monkeypatch, FakeManagement(), send, password="old").startswith("401")
    assert over_http(monkeypatch, FakeManagement(raw=b""), send)


# --- a round ----------------------------------------------------------------------------------------------


class FakeApi:
    """A cluster's objects as the API server has them."""

    def __init__(self, replicas: int | None = 3, revision: str = "r1", generation: int = 3) -> None:
        self.ledger = Ledger()
        self.requests: list[str] = []
        self.applied: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.annotated: list[tuple[str, ...]] = []
        self.written: list[Mapping[str, Any]] = []
        self.password = "pw"
        self.zone_map = dict(ZONES)
        self.pod_list = [self.pod(number) for number in range(3)]
        self.stateful_set: dict[str, Any] | None = None
        if replicas is not None:
            made = manifests.stateful_set(
                replace(SPEC, generation=generation), "image", PersistedState(replicas, HOSTS)
            )
            made["metadata"]["generation"] = 1
            self.stateful_set = {**made, "status": {"observedGeneration": 1, "updateRevision": revision}}

    @staticmethod
    def pod(number: int) -> dict[str, Any]:
        pod = PODS[number]
        return {
            "metadata": {
                "name": pod.name, "namespace": "demo", "uid": pod.uid,
                "labels": {"controller-revision-hash": "r1", **part(SPEC)},
                **owned_by_stateful_set(pod.name),
            },
            "spec": {"nodeName": pod.node},
            "status": {"podIP": pod.address, "conditions": [{"type": "Ready", "status": "True"}]},
        }  # fmt: skip

    def get(self, _version: str, kind: str, _namespace: str, _name: str) -> dict[str, Any] | None:
        self.requests.append(kind)
        return self.stateful_set if kind == "StatefulSet" else None

    def pods(self, _namespace: str, _labels: Mapping[str, str]) -> list[dict[str, Any]]:
        self.requests.append("pods")
        return self.pod_list

    def secret(self, _namespace: str, name: str) -> dict[str, str]:
        self.requests.append(name)
        return {"management": self.password}

    def zones(self) -> dict[str, str]:
        self.requests.append("zones")
        return dict(self.zone_map)

    def zone_of(self, node: str) -> str:
        return self.zone_map[node]

    def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.applied.append(manifest)
        return {"uid": "u-2"}

    def is_current(self, manifest: Mapping[str, Any]) -> bool:
        return manifest in self.applied

    def look(self, _manifest: Mapping[str, Any]) -> None:
        return None

    def metadata_of_all(self, *_: str) -> list[dict[str, Any]]:
        return []

    def value(self) -> bytes:
        return b"the root key"

    @property
    def root_key(self) -> FakeApi:
        return self

    def delete_pod(self, _namespace: str, name: str, uid: str) -> None:
        self.deleted.append(f"{name} {uid}")

    def annotate_pod(self, _namespace: str, name: str, _uid: str, annotations: Mapping[str, str]) -> None:
        self.annotated.append((name, *annotations))

    def apply_status(self, _body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        self.written.append(status)

    def sizes(self) -> list[int]:
        return [manifest["spec"]["replicas"] for manifest in self.applied if manifest["kind"] == "StatefulSet"]


class Members:
    """In the place of the members: what they say, and what they are told."""

    def __init__(self, answers: Mapping[int, Member | None] | None = None, refusal: str = "") -> None:
        self.answers: Mapping[int, Member | None] = answers or {}
        self.refusal = refusal
        self.locked = False
        self.sent: list[tuple[str, ...]] = []

    def look(self, place: Place) -> ObservedCassandra:
        if self.locked or place.password != "pw":
            return ObservedCassandra(place, {}, frozenset(pod.name for pod in place.pods))
        return replace(observed(self.answers, place.pods), place=place)

    def send(self, _place: Place, to: Any, path: str, query: Mapping[str, str]) -> str:
        self.sent.append((to.name, path, *(f"{name}={value}" for name, value in query.items())))
        return self.refusal


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CASSANDRA.image_variable, "image")
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")


def one_round(
    monkeypatch: pytest.MonkeyPatch,
    api: Any,
    members: Members,
    so_far: Mapping[str, Any] | None = None,
    handlers: CassandraClusters | None = None,
    body: Mapping[str, Any] = BODY,
) -> Mapping[str, Any]:
    monkeypatch.setattr(observe, "look", members.look)
    monkeypatch.setattr(observe, "send", members.send)
    so_far = before(0, 1, 2) if so_far is None else so_far
    return clusters.look(api, handlers or CassandraClusters(), body, so_far, {})


def test_a_quiet_round_lists_pods_once_reads_the_password_never_again_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, members, handlers = FakeApi(), Members(), CassandraClusters()
    first = one_round(monkeypatch, api, members, handlers=handlers)
    assert (first["phase"], len(api.written)) == ("Ready", 1)
    api.requests.clear()
    applied = [*api.applied]
    assert one_round(monkeypatch, api, members, first, handlers) is not first
    assert api.requests == ["pods", "StatefulSet"]
    assert (len(api.written), api.applied, members.sent) == (1, applied, [])


def test_a_password_that_is_refused_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members, handlers = FakeApi(), Members(), CassandraClusters()
    api.password = "old"
    assert one_round(monkeypatch, api, members, handlers=handlers)["readyMembers"] == 0
    api.password = "pw"
    assert one_round(monkeypatch, api, members, handlers=handlers)["readyMembers"] == 3
    assert api.requests.count("cs-passwords") == 2


def test_the_files_follow_a_new_node(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members, handlers = FakeApi(), Members(), CassandraClusters()
    one_round(monkeypatch, api, members, handlers=handlers)
    api.zone_map["node-9"] = "c"
    api.pod_list[2]["spec"]["nodeName"] = "node-9"
    one_round(monkeypatch, api, members, handlers=handlers)
    assert ("cs-0", FILES_ANNOTATION) in api.annotated  # its node brings it the file now, and not in a minute
    racks = [manifest["data"]["racks"].splitlines() for manifest in api.applied if manifest["kind"] == "ConfigMap"]
    assert ("node-9 c" in racks[0], "node-9 c" in racks[-1]) == (False, True)


def test_a_member_that_waits_is_told_how_to_begin_and_a_refusal_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members = FakeApi(), Members(dict.fromkeys(range(3), WAITS), refusal="409 no")
    written = one_round(monkeypatch, api, members, {})
    assert members.sent == [("cs-0", "/start", "as=first")]
    assert written["rollout"] == "cs-0 starts a new cluster: refused: 409 no"
    assert written["phase"] == "Creating"


def test_settings_are_corrected_in_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    off = up(1, settings={**up(1).settings, "readMilliseconds": 5000})
    api, members = FakeApi(), Members({1: off, 2: STARTS}, refusal="400 no")
    written = one_round(monkeypatch, api, members)
    assert members.sent == [("cs-1", "/settings", "readMilliseconds=800")]
    assert [condition["message"] for condition in written["conditions"] if condition["reason"] == "Refused"] == [
        "cs-1: 400 no"
    ]


def test_a_login_that_was_changed_by_hand_is_made_good_in_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    members = Members({number: up(number, application="the role caplab may not log in") for number in range(3)})
    written = one_round(monkeypatch, api, members)
    assert members.sent == [("cs-0", "/application")]
    assert [condition["reason"] for condition in written["conditions"] if condition["type"] == "Ready"] == [
        "ClientsTurnedAway"
    ]


def test_an_outdated_pod_is_deleted_and_no_later_one_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members = FakeApi(revision="r2"), Members()
    written = one_round(monkeypatch, api, members)
    assert (written["phase"], written["rollout"]) == ("Degraded", "3 of 3 members to restart")
    assert api.deleted == ["cs-2 u-2"]


LEFT = {number: up(number, [0, 1]) for number in (0, 1)} | {2: up(2, mode="DECOMMISSIONED")}
SMALLER = {**BODY, "spec": {**BODY["spec"], "replicas": 2, "replicationFactor": 2}}


def test_the_set_shrinks_once_a_member_has_left_and_keeps_what_it_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members = FakeApi(), Members(LEFT)
    one_round(monkeypatch, api, members, body=SMALLER)
    assert api.sizes() == [2]
    (made,) = [manifest for manifest in api.applied if manifest["kind"] == "StatefulSet"]
    assert made["metadata"]["annotations"][SETTLED_ANNOTATION] == "h0,h1,h2"


def test_a_set_that_was_made_for_a_newer_spec_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members = FakeApi(), Members(LEFT)

    class Overtaken(Members):
        def look(self, place: Place) -> ObservedCassandra:
            return members.look(place)

    newer, answers = FakeApi(generation=4).stateful_set, iter([api.stateful_set])
    monkeypatch.setattr(api, "get", lambda *_: next(answers, newer))
    one_round(monkeypatch, api, Overtaken(), body=SMALLER)
    assert api.sizes() == []


def test_a_repair_is_asked_for_once_and_its_progress_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    repairing = {**BODY, "spec": {**BODY["spec"], "operations": {"repair": "r1", "restart": ""}}}
    api, members = FakeApi(), Members()
    written = one_round(monkeypatch, api, members, body=repairing)
    assert members.sent == [("cs-0", "/repair", "id=r1")]
    assert (written["phase"], written["repair"]) == ("Ready", {"request": "r1", "done": []})


@pytest.mark.parametrize(("current", "size"), [(None, 3), (5, 5), (2, 3)])
def test_a_spec_is_applied_whole_and_takes_no_member_away(current: int | None, size: int) -> None:
    api: Any = FakeApi(current)
    CassandraClusters().reconcile(api, BODY)
    assert [manifest["metadata"]["name"] for manifest in api.applied][:2] == ["cs-passwords", "cs-application"]
    assert api.sizes() == [size]
    assert [manifest["kind"] for manifest in api.applied][-2:] == ["ConfigMap", "StatefulSet"]
    kept = ",".join(sorted(HOSTS)) if current else ""
    assert api.applied[-1]["metadata"]["annotations"][SETTLED_ANNOTATION] == kept


def test_a_cluster_without_a_set_yet_has_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(None)
    api.pod_list = []
    assert one_round(monkeypatch, api, Members(), {})["phase"] == "Creating"


def test_what_is_known_of_a_cluster_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    api, members, handlers = FakeApi(), Members(), CassandraClusters()

    async def come_and_go() -> None:
        following = asyncio.create_task(handlers.follow(api, BODY))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    one_round(monkeypatch, api, members, handlers=handlers)
    asyncio.run(come_and_go())
    one_round(monkeypatch, api, members, handlers=handlers)
    assert api.requests.count("cs-passwords") == 2


# --- shared -----------------------------------------------------------------------------------------------


def test_the_kind_is_registered() -> None:
    assert "CassandraCluster" in controllers()


def test_nodes_are_listed_with_their_zones() -> None:
    label, server = "topology.kubernetes.io/zone", FakeServer()
    for name, labels in (("n-1", {label: "a"}), ("n-2", None), ("n-3", {})):
        server.put("Node", name, namespace="", metadata={"labels": labels})
    assert server.zones() == {"n-1": "a", "n-2": "", "n-3": ""}
    assert host(1) in HOSTS
