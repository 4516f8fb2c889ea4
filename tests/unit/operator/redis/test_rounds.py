"""A round of the operator over a RedisCluster: what differs it reports, and corrects in the same round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from caplab_operator.api import Api
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import configuration, observe
from caplab_operator.engines.redis.observe import Access, ObservedRedis, Place
from caplab_operator.handlers.redis import clusters as redis
from caplab_operator.handlers.redis.clusters import RedisClusters
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.objects.fake_server import FakeServer
from support.operator.observed_redis import BODY, CURRENT, SPEC, master, observed, replica, sentinel

PASSWORDS = {"operator": "o", "replication": "r", "sentinel": "s", "caplab": "c"}


@dataclass
class FakeCluster:
    """What is seen, and what members and Sentinels are told."""

    look: ObservedRedis
    sent: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)

    def send(self, _place: Place, pod: Pod, commands: Sequence[Sequence[str]]) -> list[str]:
        self.sent += [f"{pod.name} {' '.join(command)}" for command in commands]
        return []

    def delete_pod(self, _namespace: str, name: str, _uid: str) -> None:
        self.restarted.append(name)

    def apply(self, *_: object) -> dict[str, str]:
        return {"uid": "u"}

    def is_current(self, _manifest: object) -> bool:
        return True

    def annotate_pod(self, *_: object) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(observed())
    monkeypatch.setattr(redis, "_passwords", lambda _api, _spec: PASSWORDS)
    monkeypatch.setattr(redis, "_place", lambda _api, _spec, _passwords: made.look.place)
    monkeypatch.setattr(redis, "_deployed", lambda _api, _spec: CURRENT)
    monkeypatch.setattr(observe, "look", lambda _place, _directives=(), **_: made.look)
    monkeypatch.setattr(observe, "send_to_member", made.send)
    monkeypatch.setattr(observe, "send_to_sentinel", made.send)
    monkeypatch.setattr(observe, "users_of", lambda _place, _pod: ("user caplab on",))
    return made


def conditions(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["status"], condition["message"]) for condition in status["conditions"]}


def round_of(cluster: FakeCluster, clusters: RedisClusters) -> dict[str, Any]:
    return dict(clusters.run_round(cast(Api, cluster), BODY, {"phase": "Ready"}, {}))


def with_users(*users: str) -> ObservedRedis:
    """All have the users they were set to, but rd-1."""
    well = ("user caplab on",)
    sentinels = {f"rd-sentinel-{i}": sentinel(access=Access(f"run s{i}", well)) for i in range(3)}
    members = {"rd-0": master(access=Access("run 0", well)), "rd-2": replica(access=Access("run 2", well))}
    return observed({**members, "rd-1": replica(access=Access("run 1", users))}, sentinels)


def test_a_setting_changed_by_hand_is_told_with_its_value_and_set_back_in_the_same_round(cluster: FakeCluster) -> None:
    off = {**configuration.directives(SPEC), "appendonly": "no"}
    cluster.look = observed({"rd-1": replica(settings=off)})
    status = round_of(cluster, RedisClusters())
    assert (status["phase"], status["persistence"]) == ("Degraded", "other")
    assert conditions(status)["DurabilityApplied"] == ("False", "rd-1: appendonly is no, not yes")
    assert "rd-1 CONFIG SET appendonly yes" in cluster.sent


def test_a_user_changed_by_hand_is_told_and_set_back_in_the_same_round(cluster: FakeCluster) -> None:
    clusters = RedisClusters()
    cluster.look = with_users("user caplab on")
    assert round_of(cluster, clusters)["phase"] == "Ready"
    cluster.sent.clear()
    cluster.look = with_users("user caplab off")
    status = round_of(cluster, clusters)
    assert conditions(status)["SettingsApplied"] == ("False", "different from the spec: rd-1: users caplab")
    assert any(command.startswith("rd-1 ACL SETUSER caplab reset on >c") for command in cluster.sent)


def test_members_of_an_earlier_spec_are_named_and_the_next_one_is_restarted(cluster: FakeCluster) -> None:
    cluster.look = observed(pods=[replace(pod, revision="r0") for pod in observed().place.members])
    status = round_of(cluster, RedisClusters())
    assert conditions(status)["SettingsApplied"] == ("False", "waits for a restart: rd-0; rd-1; rd-2")
    assert cluster.restarted == ["rd-2"]


def may_start_empty(server: FakeServer) -> bool:
    """What the ConfigMap says about members without data."""
    settings = server.at("configmaps", "rd-redis", SPEC.namespace)["data"]["lab.env"].splitlines()
    return "BOOTSTRAP=yes" in settings


@pytest.fixture
def server(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """An API server on which the cluster was applied, and has no pods."""
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")
    monkeypatch.setenv(SPEC.ENGINE.image_variable, "image")
    monkeypatch.setattr(redis, "refresh_files", lambda *_: None)
    return FakeServer()


def test_in_the_round_that_finds_it_ready_a_member_may_no_longer_start_empty(
    cluster: FakeCluster, server: FakeServer
) -> None:
    clusters = RedisClusters()
    clusters.reconcile(server, BODY)
    cluster.look = observed({"rd-2": None})
    status = clusters.run_round(server, BODY, {}, {})
    assert (status["phase"], may_start_empty(server)) == ("Creating", True)
    cluster.look = with_users("user caplab on")
    status = clusters.run_round(server, BODY, status, {})
    # Nothing but its status will change: no event would wake an apply.
    assert (status["phase"], may_start_empty(server)) == ("Ready", False)


def test_an_apply_that_has_not_seen_it_ready_takes_nothing_back(cluster: FakeCluster, server: FakeServer) -> None:
    clusters = RedisClusters()
    clusters.reconcile(server, BODY)
    clusters.run_round(server, BODY, {}, {})
    clusters.reconcile(server, BODY)  # BODY is from before: it has no status
    assert not may_start_empty(server)
    clusters.run_round(server, BODY, {}, {})  # its status could not be written
    assert not may_start_empty(server)
