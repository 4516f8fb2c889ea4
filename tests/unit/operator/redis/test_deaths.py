"""A Redis primary's proven death: when a Sentinel is told to fail over, which one, and when none is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from caplab_operator.api import Api
from caplab_operator.engines.redis import forced, observe
from caplab_operator.engines.redis.observe import ObservedRedis, Place
from caplab_operator.handlers.redis import deaths
from support.operator.observed_redis import (
    BODY,
    GONE,
    PROMOTED,
    SPEC,
    WATCHERS,
    naming,
    observed,
    promoting,
    replica,
    sentinel,
)

from caplab.contract.deaths import Death
from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL

DIED_NS = 1_795_977_733_000_000_000
DEATH = Death(container_id="c" * 64, unix_ns=DIED_NS, held=True)
POD = {"metadata": {"namespace": "demo", "name": "rd-0", "labels": {CLUSTER_LABEL: "rd", ENGINE_LABEL: "redis"}}}


def refusal(seen: ObservedRedis, member: str = "rd-0", milliseconds: int = 50) -> str:
    return forced.refusal(SPEC, seen, member, DEATH, DIED_NS + milliseconds * 1_000_000)


def test_a_sentinel_may_be_told_of_a_primary_that_most_of_them_name() -> None:
    assert refusal(GONE) == ""
    assert refusal(observed({"rd-0": None}, {"rd-sentinel-2": None})) == ""


@pytest.mark.parametrize(
    ("seen", "member", "milliseconds", "why"),
    [
        pytest.param(observed(), "rd-0", 50, "the member answers", id="alive"),
        pytest.param(observed({"rd-1": None}), "rd-1", 50, "0 of 3 Sentinels name it", id="a replica"),
        pytest.param(PROMOTED, "rd-0", 50, "0 of 3 Sentinels name it", id="failed over since"),
        pytest.param(
            observed({"rd-0": None}, naming("rd-0", "rd-1", "rd-1")), "rd-0", 50, "1 of 3 Sentinels", id="in doubt"
        ),
        pytest.param(
            observed({"rd-0": None}, {"rd-sentinel-1": None, "rd-sentinel-2": None}),
            "rd-0",
            50,
            "1 of 3 Sentinels",
            id="a minority answers",
        ),
        pytest.param(
            observed({"rd-0": None}, {"rd-sentinel-1": promoting("rd-2")}), "rd-0", 50, "fails over already", id="begun"
        ),
        pytest.param(
            observed({"rd-0": None, "rd-1": None, "rd-2": None}),
            "rd-0",
            50,
            "no other member answers",
            id="all are dead",
        ),
        pytest.param(GONE, "rd-0", 501, "it died 501 ms ago", id="late"),
    ],
)
def test_no_sentinel_is_told(seen: ObservedRedis, member: str, milliseconds: int, why: str) -> None:
    assert why in refusal(seen, member, milliseconds)


def test_a_primary_that_is_to_come_back_as_such_is_waited_for() -> None:
    returning = replace(SPEC, failover=replace(SPEC.failover, restarted_primary="ComeBack"))
    assert forced.refusal(returning, GONE, "rd-0", DEATH, DIED_NS) == "it is to come back as the primary"


def test_half_of_down_after_is_the_latest() -> None:
    slow = replace(SPEC, failover=replace(SPEC.failover, down_after_milliseconds=5000))
    assert forced.refusal(slow, GONE, "rd-0", DEATH, DIED_NS + 2_400_000_000) == ""
    assert forced.refusal(slow, GONE, "rd-0", DEATH, DIED_NS + 2_600_000_000) != ""


def test_the_one_that_is_told_is_on_another_node_if_there_is_one() -> None:
    assert forced.leader(GONE, "rd-0") == "rd-sentinel-1"
    assert forced.leader(observed({"rd-0": None}, {"rd-sentinel-1": None, "rd-sentinel-2": None}), "rd-0") == (
        "rd-sentinel-0"
    )
    assert forced.leader(observed({"rd-0": None}, naming("rd-0", "rd-1", "rd-0")), "rd-0") == "rd-sentinel-2"
    assert forced.leader(PROMOTED, "rd-0") is None


class FakeApi:
    """An API server that knows one cluster."""

    def get(self, *_: str) -> Mapping[str, Any]:
        return BODY

    def secret(self, *_: str) -> Mapping[str, str]:
        return {"operator": "pw"}


class Lab:
    """A cluster as it is observed, one observation after the other, and what a Sentinel was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *seen: ObservedRedis, refused: str = "") -> None:
        self.seen, self.told, self.refused = list(seen), cast("list[tuple[str, object]]", []), refused
        monkeypatch.setattr(deaths, "_place", lambda *_: seen[0].place)
        monkeypatch.setattr(observe, "look", self.look)
        monkeypatch.setattr(observe, "send_to_sentinel", self.send)
        monkeypatch.setattr("time.time_ns", lambda: DIED_NS + 100_000_000)
        monkeypatch.setattr(deaths, "_LOOK_SECONDS", 0.0)
        monkeypatch.setattr(deaths, "_PROMOTED_SECONDS", 0.2)

    def look(self, _place: Place, seconds: float) -> ObservedRedis:
        assert seconds < 1
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]

    def send(self, _place: Place, pod: Any, commands: Any) -> list[str]:
        self.told.append((pod.name, commands))
        return [self.refused] if self.refused else []

    def decide(self, pod: Mapping[str, Any] = POD) -> str:
        return deaths.decide(cast(Api, FakeApi()), pod, DEATH, [])


def test_one_sentinel_is_told_and_the_promotion_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(monkeypatch, GONE, GONE, PROMOTED)
    assert lab.decide().startswith("rd-sentinel-1 fails over; rd-1 was promoted within ")
    assert lab.told == [("rd-sentinel-1", [("SENTINEL", "FAILOVER", "caplab")])]


def test_nobody_is_told_of_a_replicas_death(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(monkeypatch, observed({"rd-1": None}))
    pod = {"metadata": {**POD["metadata"], "name": "rd-1"}}
    assert lab.decide(pod) == "no Sentinel is told to fail over: 0 of 3 Sentinels name it as the primary"
    assert lab.told == []


def test_a_refusal_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(monkeypatch, GONE, refused="NOGOODSLAVE No suitable replica to promote")
    assert lab.decide() == "rd-sentinel-1 does not fail over: NOGOODSLAVE No suitable replica to promote"
    assert len(lab.told) == 1, "another might promote another replica"


def test_a_promotion_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Lab(monkeypatch, GONE).decide() == "rd-sentinel-1 fails over; nobody was promoted for 0.2 s"


def test_a_pod_of_no_cluster_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(
        monkeypatch, observed({"rd-0": None, "rd-2": replica()}, {"rd-sentinel-0": sentinel()}, watchers=WATCHERS)
    )
    pod = {"metadata": {**POD["metadata"], "name": "somebody"}}
    assert lab.decide(pod) == "it is no member of a cluster"
    assert lab.told == []
