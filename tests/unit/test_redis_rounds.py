"""A round of the operator over a RedisCluster: what it finds it says, and mends in the same round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from caplab_operator.api import Api
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import configuration, observe
from caplab_operator.engines.redis.observe import Access, ObservedRedis, Place
from caplab_operator.handlers import redis
from caplab_operator.handlers.redis import RedisClusters
from observed_redis import BODY, CURRENT, SPEC, master, observed, replica, sentinel

PASSWORDS = {"operator": "o", "replication": "r", "sentinel": "s", "caplab": "c"}


@dataclass
class World:
    """What is seen, and what members and Sentinels are told."""

    look: ObservedRedis
    told: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)

    def tell(self, _place: Place, pod: Pod, commands: Sequence[Sequence[str]]) -> list[str]:
        self.told += [f"{pod.name} {' '.join(command)}" for command in commands]
        return []

    def delete_pod(self, _namespace: str, name: str, _uid: str) -> None:
        self.restarted.append(name)

    def apply(self, *_: object) -> dict[str, str]:
        return {"uid": "u"}

    def stands(self, _manifest: object) -> bool:
        return True

    def annotate_pod(self, *_: object) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(observed())
    monkeypatch.setattr(redis, "_passwords", lambda _api, _spec: PASSWORDS)
    monkeypatch.setattr(redis, "_place", lambda _api, _spec, _passwords: made.look.place)
    monkeypatch.setattr(redis, "_deployed", lambda _api, _spec: CURRENT)
    monkeypatch.setattr(observe, "look", lambda _place, _directives=(), **_: made.look)
    monkeypatch.setattr(observe, "send_to_member", made.tell)
    monkeypatch.setattr(observe, "send_to_sentinel", made.tell)
    monkeypatch.setattr(observe, "users_of", lambda _place, _pod: ("user caplab on",))
    return made


def conditions(found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["message"]) for one in found["conditions"]}


def round_of(world: World, clusters: RedisClusters) -> dict[str, Any]:
    return dict(clusters.watch_over(cast(Api, world), BODY, {"phase": "Ready"}, {}))


def with_users(*users: str) -> ObservedRedis:
    """All have the users they were set to, but rd-1."""
    well = ("user caplab on",)
    told = {f"rd-sentinel-{i}": sentinel(access=Access(f"run s{i}", well)) for i in range(3)}
    members = {"rd-0": master(access=Access("run 0", well)), "rd-2": replica(access=Access("run 2", well))}
    return observed({**members, "rd-1": replica(access=Access("run 1", users))}, told)


def test_a_setting_changed_by_hand_is_told_with_its_value_and_set_back_in_the_same_round(world: World) -> None:
    off = {**configuration.directives(SPEC), "appendonly": "no"}
    world.look = observed({"rd-1": replica(settings=off)})
    found = round_of(world, RedisClusters())
    assert (found["phase"], found["persistence"]) == ("Degraded", "other")
    assert conditions(found)["DurabilityApplied"] == ("False", "rd-1: appendonly is no, not yes")
    assert "rd-1 CONFIG SET appendonly yes" in world.told


def test_a_user_changed_by_hand_is_told_and_set_back_in_the_same_round(world: World) -> None:
    clusters = RedisClusters()
    world.look = with_users("user caplab on")
    assert round_of(world, clusters)["phase"] == "Ready"
    world.told.clear()
    world.look = with_users("user caplab off")
    found = round_of(world, clusters)
    assert conditions(found)["SettingsApplied"] == ("False", "not the spec's: rd-1: users caplab")
    assert any(said.startswith("rd-1 ACL SETUSER caplab reset on >c") for said in world.told)


def test_members_of_an_earlier_spec_are_named_and_the_next_one_is_restarted(world: World) -> None:
    world.look = observed(pods=[replace(pod, revision="r0") for pod in observed().place.members])
    found = round_of(world, RedisClusters())
    assert conditions(found)["SettingsApplied"] == ("False", "waits for a restart: rd-0; rd-1; rd-2")
    assert world.restarted == ["rd-2"]
