"""What is to be done to a RedisCluster next: settings, resets, rolling restarts, changes of size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import configuration, rollout, settings_drift
from caplab_operator.engines.redis.observe import KnownReplica, Member, ObservedRedis, Sentinel
from caplab_operator.engines.redis.primary import primary_of
from caplab_operator.engines.redis.rollout import Deployed, Resize, Restart, Switchover, Wait
from caplab_operator.engines.redis.spec import RedisSpec
from support.operator.observed_redis import (
    CURRENT,
    GONE,
    PODS,
    SPEC,
    WATCHERS,
    host,
    master,
    naming,
    observed,
    replica,
    sentinel,
)

from caplab.contract.names import GENERATION_ANNOTATION


def test_what_differs_is_set_where_it_differs_and_only_if_redis_can() -> None:
    off = {**configuration.directives(SPEC), "hz": "11", "databases": "3"}
    look = observed(
        {"rd-1": replica(settings=off)}, {"rd-sentinel-1": sentinel(periods={"info-period": "10000"}, settings={})}
    )
    members, sentinels = settings_drift.members_drift(SPEC, look), settings_drift.sentinels_drift(SPEC, look)
    assert members == {"rd-1": {"hz": "10", "databases": "16"}}
    assert settings_drift.member_commands(members["rd-1"]) == [("CONFIG", "SET", "hz", "10")]
    assert settings_drift.sentinel_commands(sentinels["rd-sentinel-1"]) == [
        ("SENTINEL", "SET", "caplab", "down-after-milliseconds", "1000"),
        ("SENTINEL", "SET", "caplab", "failover-timeout", "6000"),
        ("SENTINEL", "SET", "caplab", "parallel-syncs", "2"),
        ("SENTINEL", "SET", "caplab", "quorum", "2"),
        ("SENTINEL", "DEBUG", "info-period", "1000"),
        ("SENTINEL", "DEBUG", "min-link-reconnect-period", "1000"),
        ("SENTINEL", "DEBUG", "ping-period", "250"),
    ]


def test_a_member_that_is_to_go_must_not_become_primary() -> None:
    smaller = replace(SPEC, replicas=2)
    assert settings_drift.members_drift(smaller, observed()) == {"rd-2": {"replica-priority": "0"}}


@pytest.mark.parametrize(
    ("look", "chosen"),
    [
        (observed(), None),
        (observed(sentinels={"rd-sentinel-1": sentinel(others=3)}), "rd-sentinel-1"),
        (observed(sentinels={f"rd-sentinel-{i}": sentinel(others=4) for i in range(3)}), "rd-sentinel-0"),
        # not while anything else is amiss
        (observed({"rd-2": None}, {"rd-sentinel-1": sentinel(others=3)}), None),
        (observed(sentinels={"rd-sentinel-1": sentinel(others=3), "rd-sentinel-2": None}), None),
        (observed(sentinels={"rd-sentinel-1": sentinel(others=3), "rd-sentinel-2": sentinel(others=0)}), None),
        (observed(sentinels={"rd-sentinel-1": sentinel(others=3), "rd-sentinel-2": sentinel("rd-1")}), None),
        (observed(sentinels={"rd-sentinel-1": sentinel(flags="master,failover_in_progress", others=3)}), None),
    ],
)
def test_a_sentinel_forgets_who_is_gone_one_at_a_time_and_only_in_quiet_times(
    look: ObservedRedis, chosen: str | None
) -> None:
    sentinel_pod = settings_drift.to_reset(SPEC, look, primary_of(look))
    assert (sentinel_pod.name if sentinel_pod else None) == chosen


def revised(*revisions: str, **changes: Any) -> list[Pod]:
    return [replace(pod, revision=revision, **changes) for pod, revision in zip(PODS, revisions, strict=True)]


def step(look: ObservedRedis, deployed: Deployed = CURRENT, spec: RedisSpec = SPEC) -> tuple[str, Any] | None:
    """The kind of the step, and what it is about."""
    match rollout.next_step(spec, look, primary_of(look), deployed):
        case None:
            return None
        case Restart(chosen):
            return "restart", chosen.name
        case Switchover(watcher):
            return "hand over", watcher.name
        case Resize(replicas):
            return "resize", replicas
        case Wait(why):
            return "wait", why
    raise AssertionError


UNLINKED: dict[str, Member | None] = {"rd-2": replica(link_up=False)}


@pytest.mark.parametrize(
    ("look", "wanted"),
    [
        (observed(), None),
        (observed(pods=revised("r0", "r0", "r0")), ("restart", "rd-2")),
        (observed(pods=revised("r0", "r0", "r1")), ("restart", "rd-1")),
        (observed(pods=revised("r0", "r1", "r1")), ("hand over", "rd-sentinel-0")),
        (
            observed(UNLINKED, pods=revised("r0", "r0", "r1")),
            ("wait", "2 of 3 members to restart: not ready: rd-2 (unlin"),
        ),
        (
            observed(pods=[*revised("r0", "r0", "r1")[:2], replace(PODS[2], terminating=True)]),
            ("wait", "2 of 3 members to"),
        ),
        (
            observed({"rd-0": None}, pods=revised("r0", "r0", "r1")),
            ("wait", "2 of 3 members to restart: no member that"),
        ),
        # one that was started with a setting that keeps it from starting is replaced, whatever else there is
        (observed({"rd-2": None}, pods=[*PODS[:2], replace(PODS[2], revision="r0", ready=False)]), ("restart", "rd-2")),
        (observed({"rd-2": None}, pods=[*PODS[:2], replace(PODS[2], revision="r0")]), ("wait", "1 of 3 members to")),
    ],
)
def test_members_are_restarted_one_by_one_and_the_primary_last(
    look: ObservedRedis, wanted: tuple[str, str] | None
) -> None:
    chosen = step(look)
    assert (chosen and chosen[0]) == (wanted and wanted[0])
    assert wanted is None or (chosen is not None and chosen[1].startswith(wanted[1]))


def test_settings_that_are_not_applied_hold_up_no_restart() -> None:
    off = {name: replica(settings={}) for name in ("rd-1", "rd-2")}
    assert step(observed(off, pods=revised("r0", "r0", "r0"))) == ("restart", "rd-2")


def test_the_only_member_is_restarted_without_anybody_to_hand_over_to() -> None:
    alone = replace(SPEC, replicas=1, sentinels=1)
    lone_sentinel = Sentinel(
        names=host("rd-0"), flags=frozenset({"master"}), replicas=(), others=0, settings={}, periods={}
    )
    look = observed({}, {"rd-sentinel-0": lone_sentinel}, revised("r0", "r0", "r0")[:1], WATCHERS[:1])
    assert step(look, Deployed(1, "r1", True), alone) == ("restart", "rd-0")


def test_nothing_is_restarted_or_resized_by_what_is_not_yet_known() -> None:
    for deployed in (Deployed(3, "r1", False), Deployed(5, "r1", False)):
        chosen = step(observed(pods=revised("r0", "r0", "r0")), deployed)
        assert chosen
        assert chosen[0] == "wait"
    made = {
        "metadata": {"generation": 7, "annotations": {GENERATION_ANNOTATION: "3"}},
        "spec": {"replicas": 4},
    }
    seen_by_controller = {**made, "status": {"observedGeneration": 7, "updateRevision": "r9"}}
    assert rollout.deployed_from(SPEC, seen_by_controller) == Deployed(4, "r9", True)
    assert not rollout.deployed_from(replace(SPEC, generation=4), seen_by_controller).is_current
    assert not rollout.deployed_from(SPEC, made).is_current


@pytest.mark.parametrize(
    ("primary", "current", "wanted"),
    [("rd-0", None, 3), (None, 2, 3), ("rd-2", 5, 3), ("rd-3", 5, 5), (None, 5, 5), ("rd-12", 13, 13), (None, 3, 3)],
)
def test_there_are_no_fewer_members_while_the_primary_would_have_to_go(
    primary: str | None, current: int | None, wanted: int
) -> None:
    assert rollout.wanted_replicas(SPEC, primary, current) == wanted


def test_a_primary_that_is_to_go_hands_over_to_one_that_stays() -> None:
    smaller = replace(SPEC, replicas=1)
    primary_goes = observed(
        {"rd-0": replica("rd-1"), "rd-1": master(), "rd-2": replica("rd-1")}, naming("rd-1", "rd-1", "rd-1")
    )
    chosen = step(primary_goes, spec=smaller)
    assert chosen
    assert (chosen[0], chosen[1][:40]) == ("wait", "from 3 members to 1: no Sentinel knows y")
    barred = [
        KnownReplica(host(name), frozenset({"slave"}), priority) for name, priority in (("rd-0", 100), ("rd-2", 0))
    ]
    knowing = replace(
        primary_goes, sentinels={**primary_goes.sentinels, "rd-sentinel-2": sentinel("rd-1", replicas=barred)}
    )
    assert step(knowing, spec=smaller) == ("hand over", "rd-sentinel-2")
    assert step(observed(), spec=smaller) == ("resize", 1)
    assert step(GONE, spec=smaller) == ("wait", "from 3 members to 1: there is no primary")
