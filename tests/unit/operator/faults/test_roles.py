"""Who is primary, or up, by the word of each engine's own authority, as a fault asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from caplab_operator.engines import pods as engine_pods
from caplab_operator.engines.cassandra import observe as cassandra_observe
from caplab_operator.engines.postgres import manifests
from caplab_operator.engines.redis import observe as redis_observe
from caplab_operator.faults.targets import Roles
from caplab_operator.handlers import cassandra
from caplab_operator.handlers.postgres import clusters as postgres
from caplab_operator.handlers.redis import clusters as redis
from support.operator import observed_cassandra, observed_redis
from support.operator.fault_inventory import INVENTORY, listed, pod

CASSANDRA = [pod(f"cs-{number}", "abc"[number], 70 + number) for number in range(3)]
LISTED = [listed(pod) for pod in (*INVENTORY.pods, *CASSANDRA)]  # of all clusters of the namespace


class FakeApi:
    """Has passwords, and Endpoints with an annotation."""

    def __init__(self, annotations: Mapping[str, str] | None = None) -> None:
        self.annotations = annotations

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        return {"operator": f"{namespace}/{name}", "management": f"{namespace}/{name}"}

    def get(self, _version: str, kind: str, _namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind, name) == ("Endpoints", manifests.scope("pg"))
        return None if self.annotations is None else {"metadata": {"annotations": self.annotations}}

    def zone_of(self, node: str) -> str:
        return node[-1]


def names(pods: tuple[engine_pods.Pod, ...]) -> list[str]:
    return [pod.name for pod in pods]


@pytest.mark.parametrize(
    ("annotations", "primary"), [({"leader": "pg-2"}, "pg-2"), ({"other": "x"}, None), (None, None)]
)
def test_the_primary_of_postgres_is_who_holds_the_leader_object(
    annotations: Mapping[str, str] | None, primary: str | None
) -> None:
    def nobody() -> list[object]:
        raise AssertionError("members need not be asked")

    api: Any = FakeApi(annotations)
    assert postgres.PostgresClusters().roles(api, "demo", "pg", nobody) == Roles(primary=primary)


@pytest.mark.parametrize(("answers", "primary"), [((None, None), "rd-0"), ((observed_redis.replica(), None), None)])
def test_the_primary_of_redis_is_who_its_sentinels_want(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[Any, Any], primary: str | None
) -> None:
    def look(place: redis_observe.Place) -> redis_observe.ObservedRedis:
        assert names(place.members) == ["rd-0", "rd-1", "rd-2"]
        assert names(place.sentinels) == ["rd-sentinel-0", "rd-sentinel-1", "rd-sentinel-2"]
        assert place.password == "demo/rd-passwords"
        return observed_redis.observed({"rd-0": answers[0]} if answers[0] else {})

    monkeypatch.setattr(redis_observe, "look", look)
    api: Any = FakeApi()
    assert redis.RedisClusters().roles(api, "demo", "rd", lambda: LISTED) == Roles(primary=primary)


@pytest.mark.parametrize(
    ("members", "up"),
    [
        ({}, {"cs-0", "cs-1", "cs-2"}),
        (observed_cassandra.lost(1), {"cs-0", "cs-2"}),
        ({1: None}, {"cs-0", "cs-1", "cs-2"}),  # silent, and up by its peers' word
        (dict.fromkeys(range(3)), set()),
    ],
)
def test_up_in_cassandra_is_who_all_peers_see_up(
    monkeypatch: pytest.MonkeyPatch, members: dict[int, Any], up: set[str]
) -> None:
    def look(place: cassandra_observe.Place) -> cassandra_observe.ObservedCassandra:
        assert (names(place.pods), place.password) == (["cs-0", "cs-1", "cs-2"], "demo/cs-passwords")
        return observed_cassandra.observed(members)

    monkeypatch.setattr(cassandra_observe, "look", look)
    api: Any = FakeApi()
    roles = cassandra.CassandraClusters().roles(api, "demo", "cs", lambda: LISTED)
    assert roles == Roles(has_primaries=False, up=frozenset(up))
