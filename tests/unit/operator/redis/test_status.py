"""Who is primary, how everybody is, and what a RedisCluster's status says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.redis import configuration, health, observe, status
from caplab_operator.engines.redis.configuration import DEFAULTS
from caplab_operator.engines.redis.observe import Access, KnownReplica, Member, ObservedRedis
from caplab_operator.engines.redis.primary import primary_of
from caplab_wire.resp import Answer
from support.operator.observed_redis import (
    BOTH,
    GONE,
    LATER,
    NOW,
    PODS,
    PROMOTED,
    SPEC,
    master,
    naming,
    observed,
    promoting,
    replica,
    replicas_flagged,
    sentinel,
)


@pytest.mark.parametrize(
    ("look", "primary"),
    [
        (observed(), "rd-0"),
        (observed({"rd-0": None}), None),  # named, but silent
        (observed({"rd-0": replica("rd-1")}), None),  # named, but a replica
        (observed({"rd-0": master(loading=True)}), None),
        (observed(BOTH, naming("rd-1", "rd-1", "rd-0")), "rd-1"),  # a majority
        (observed(BOTH, naming("rd-1", "rd-0", "")), None),  # one each
        (observed(BOTH, naming("rd-1", "", "")), "rd-1"),  # of those that answer
        (observed({}, naming("", "", "")), None),  # a master by nobody's decision
        (observed({"rd-0": None, **BOTH}, {"rd-sentinel-2": promoting("rd-1")}), "rd-1"),
        (observed(BOTH, {"rd-sentinel-2": promoting("rd-1")}), "rd-1"),  # the old one does not know yet
        (observed({}, {"rd-sentinel-2": promoting("rd-1")}), "rd-0"),  # chosen, not promoted yet
        (observed(BOTH, {"rd-sentinel-2": replace(promoting("rd-1"), flags=frozenset({"master"}))}), "rd-0"),
        (
            observed(
                {**BOTH, "rd-2": master()}, {"rd-sentinel-1": promoting("rd-1"), "rd-sentinel-2": promoting("rd-2")}
            ),
            "rd-0",  # two failovers at once: the majority decides
        ),
        (observed({}, {f"rd-sentinel-{i}": sentinel(names="rd-0") for i in range(3)}), "rd-0"),
        (observed({}, {f"rd-sentinel-{i}": replace(sentinel(), names="10.0.0.0") for i in range(3)}), "rd-0"),
        (observed({}, {f"rd-sentinel-{i}": replace(sentinel(), names="10.9.9.9") for i in range(3)}), None),
    ],
)
def test_the_primary_is_a_master_that_the_sentinels_want(look: ObservedRedis, primary: str | None) -> None:
    assert primary_of(look) == primary


INFO = {
    "run_id": "1" * 40, "loading": 0, "role": "slave", "master_host": "10.0.0.7", "master_link_status": "up",
    "slave_repl_offset": 42, "master_replid": "a" * 40, "master_repl_offset": 43, "aof_enabled": 1,
    "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok", "aof_rewrite_in_progress": 0,
    "aof_rewrite_scheduled": 0,
}  # fmt: skip
MASTER_ANSWER: Answer = [
    "ip",
    "rd-0.x",
    "flags",
    "master,failover_in_progress",
    "num-other-sentinels",
    "2",
    "quorum",
    "2",
]
REPLICAS_ANSWER: Answer = [["ip", "rd-1.x", "flags", "slave,promoted", "slave-priority", "0"]]


def test_answers_of_members_and_sentinels_are_read() -> None:
    member = observe.member_from(INFO, ["hz", "10", "save", ""])
    assert member == Member(
        is_master=False,
        replication_id="a" * 40,
        offset=42,
        follows="10.0.0.7",
        link_up=True,
        loading=False,
        settings={"hz": "10", "save": ""},
    )
    primary = observe.member_from({**INFO, "role": "master", "loading": 1}, [])
    assert (primary.is_master, primary.offset, primary.follows, primary.loading) == (True, 43, "", True)
    watcher = observe.sentinel_from(MASTER_ANSWER, REPLICAS_ANSWER, ["INFO-PERIOD", "10000"])
    assert (watcher.names, watcher.others, watcher.periods) == ("rd-0.x", 2, {"info-period": "10000"})
    assert watcher.replicas == (KnownReplica("rd-1.x", frozenset({"slave", "promoted"}), 0),)


def test_a_replica_is_told_apart_by_what_keeps_it_from_being_one() -> None:
    looks = {
        "linked": observed(),
        "unlinked": observed({"rd-1": replica(link_up=False)}),
        "loading": observed({"rd-1": replica(loading=True)}),
        "follows another": observed({"rd-1": replica("rd-2")}),
        "stray master": observed({"rd-1": master()}),
        "silent": observed({"rd-1": None}),
        "leaving": observed(pods=[PODS[0], replace(PODS[1], terminating=True), PODS[2]]),
    }
    assert {state: health.members(look, "rd-0")[1]["state"] for state, look in looks.items()} == {
        state: state for state in looks
    }
    assert health.member_state(looks["stray master"], "rd-1", PODS[1]) == "running"


def test_clients_of_replicas_are_led_to_stale_ones_rather_than_to_nobody() -> None:
    def names(look: ObservedRedis) -> list[str]:
        return [pod.name for pod in health.replicas_of(look, "rd-0")]

    assert names(observed()) == ["rd-1", "rd-2"]
    assert names(observed({"rd-1": replica(link_up=False)})) == ["rd-2"]
    assert names(observed({"rd-1": replica(link_up=False), "rd-2": None})) == ["rd-1"]
    assert names(observed({"rd-0": master(offset=5 * 2**20)})) == ["rd-1", "rd-2"], "the Service would flap under load"


def build(look: ObservedRedis, before: Mapping[str, Any] | None = None, now: str = NOW, **done: Any) -> dict[str, Any]:
    active_faults = done.pop("active_faults", {})
    return status.build(SPEC, look, primary_of(look), before or {}, now, active_faults, status.RoundResult(**done))


def condition(built: Mapping[str, Any], name: str) -> tuple[str, str]:
    return next((entry["status"], entry["message"]) for entry in built["conditions"] if entry["type"] == name)


def test_a_cluster_whose_members_and_sentinels_are_all_well_is_ready() -> None:
    built = build(observed())
    assert (built["phase"], built["primary"], built["epoch"], built["persistence"]) == (
        "Ready", "rd-0", "a" * 40, "everysec",
    )  # fmt: skip
    assert (built["readyMembers"], built["readySentinels"]) == (3, 3)
    assert [member.get("lagBytes") for member in built["members"]] == [None, 10, 10]
    assert {entry["type"]: entry["status"] for entry in built["conditions"]} == dict.fromkeys(
        ("Ready", "DurabilityApplied", "SettingsApplied"), "True"
    )


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (observed({"rd-2": replica(link_up=False)}), "rd-2 (unlinked)"),
        (observed({"rd-2": replica("rd-1")}), "rd-2 (follows another)"),
        (observed(pods=PODS[:2]), "2 instead of 3"),
        (observed(sentinels={"rd-sentinel-1": None}), "rd-sentinel-1 (silent)"),
        (observed(sentinels=naming("rd-0", "rd-0", "rd-1")), "rd-sentinel-2 (names another)"),
        (observed(sentinels={"rd-sentinel-0": sentinel(others=3)}), "rd-sentinel-0 (knows 2 replicas, 3 others)"),
        (
            observed(
                sentinels={"rd-sentinel-0": sentinel(replicas=replicas_flagged("slave", "s_down,slave,disconnected"))}
            ),
            "rd-sentinel-0 (out of touch with 1 replicas)",
        ),
        (observed(sentinels={"rd-sentinel-0": sentinel(flags="master,failover_in_progress")}), "failing over"),
        (observed({"rd-2": replica(settings={**DEFAULTS, "appendonly": "no"})}), "rd-2: appendonly is no, not yes"),
        (observed({"rd-1": replica(access=Access(refusal="WRONGPASS"))}), "rd-1 (refuses clients' login)"),
        (
            observed(sentinels={"rd-sentinel-1": sentinel(access=Access(refusal="NOPERM"))}),
            "rd-sentinel-1 (refuses clie",
        ),
        (replace(observed({"rd-1": None}), shut_out=frozenset({"rd-1"})), "rd-1 (refuses the operator)"),
        (observed({"rd-0": master(offset=5 * 2**20)}), "rd-1 (behind), rd-2 (behind)"),
    ],
)
def test_a_cluster_that_lacks_something_is_degraded_and_says_what(look: ObservedRedis, why: str) -> None:
    built = build(look, {"phase": "Ready"})
    assert built["phase"] == "Degraded"
    assert why in condition(built, "Ready")[1]
    assert build(look)["phase"] == "Creating"


def test_settings_that_redis_refuses_are_told_in_its_own_words() -> None:
    look = observed({"rd-1": replica(settings={**configuration.directives(SPEC), "hz": "11"})})
    assert condition(build(look), "SettingsApplied") == ("False", "different from the spec: rd-1: hz is 11, not 10")
    refused = build(look, refusals={"rd-1": "ERR no such hz"})
    assert condition(refused, "SettingsApplied") == (
        "False", "refused: rd-1: ERR no such hz. different from the spec: rd-1: hz is 11, not 10",
    )  # fmt: skip
    silent = build(observed(pods=(), watchers=()))
    assert condition(silent, "SettingsApplied") == ("Unknown", "no answer: rd-0, rd-1, rd-2")


def test_members_that_differ_in_persistence_are_other() -> None:
    none = configuration.directives(replace(SPEC, persistence="none"))
    assert build(observed({"rd-1": replica(settings=none)}))["persistence"] == "other"
    assert build(observed(dict.fromkeys(("rd-0", "rd-1", "rd-2"))))["persistence"] == "unknown"


def test_a_failover_has_its_cause_and_the_time_without_a_primary() -> None:
    before = build(observed())
    assert "lastFailover" not in before
    gone = build(GONE, before)
    assert (gone["phase"], gone["primaryGap"]) == ("Down", {"member": "rd-0", "since": NOW})
    built = build(PROMOTED, gone, LATER, active_faults={"rd-0": "kill-1"})
    failover = {"at": LATER, "from": "rd-0", "to": "rd-1", "seconds": 2.0, "cause": "fault kill-1"}
    assert built["lastFailover"] == failover
    assert build(PROMOTED, built, "2026-01-01T00:00:09Z")["lastFailover"] == failover
    assert build(PROMOTED, before, LATER)["lastFailover"]["seconds"] == 0.0  # between two rounds


def test_a_primary_that_came_back_is_no_failover() -> None:
    built = build(observed(), build(GONE, build(observed())), LATER)
    assert "lastFailover" not in built
    assert built["primaryGap"]["until"] == LATER


def test_an_earlier_gap_is_not_taken_for_a_later_failovers() -> None:
    came_back = build(observed(), build(GONE, build(observed())), LATER)
    built = build(PROMOTED, came_back, "2026-01-01T00:01:00Z", handed_over="rd-0")
    assert (built["lastFailover"]["seconds"], built["lastFailover"]["cause"]) == (0.0, "handed over by the operator")


def test_a_primary_whose_pod_was_told_to_end_is_no_riddle() -> None:
    leaving = build(
        replace(observed(), place=replace(observed().place, members=(replace(PODS[0], terminating=True), *PODS[1:])))
    )
    assert build(PROMOTED, leaving, LATER)["lastFailover"]["cause"] == "its pod was deleted"
