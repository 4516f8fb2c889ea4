"""The Redis engine: objects, settings, who is primary, status, rolling restarts; and the watch between the rounds."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_operator.engines import objects
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import configuration, health, manifests, mending, observe, rollout, slices, status
from caplab_operator.engines.redis.directives import DEFAULTS, IMMUTABLE
from caplab_operator.engines.redis.manifests import Standing
from caplab_operator.engines.redis.observe import KnownReplica, Member, Place, Seen, Sentinel
from caplab_operator.engines.redis.primary import primary_of
from caplab_operator.engines.redis.rollout import Deployed, HandOver, Resize, Restart, Wait
from caplab_operator.engines.redis.spec import Failover, RedisSpec, parse
from caplab_operator.handlers import redis_watch, wiring
from caplab_operator.handlers.engines import Engine
from caplab_operator.handlers.redis_routes import Routes
from caplab_operator.handlers.redis_watch import PromotionWatch

CRD = Path(__file__).parents[2] / "charts/caplab/templates/crds/rediscluster.yaml"
SPEC = RedisSpec(
    name="rd",
    namespace="demo",
    uid="u-1",
    generation=3,
    replicas=3,
    sentinels=3,
    persistence="everysec",
    min_replicas_to_write=0,
    min_replicas_max_lag_seconds=10,
    failover=Failover(1000, 6000, "WaitForDecision"),
    max_memory_bytes=128 * 2**20,
    eviction_policy="noeviction",
    storage_size="1Gi",
    keep_volumes=False,
    memory_request="64Mi",
    cpu_request="50m",
    parameters={},
)
BODY: dict[str, Any] = {
    "kind": "RedisCluster",
    "metadata": {"name": "rd", "namespace": "demo", "uid": "u-1", "generation": 3},
    "spec": {
        "replicas": 3,
        "sentinels": 3,
        "persistence": "everysec",
        "minReplicasToWrite": 0,
        "minReplicasMaxLagSeconds": 10,
        "failover": {
            "downAfterMilliseconds": 1000,
            "failoverTimeoutMilliseconds": 6000,
            "restartedPrimary": "WaitForDecision",
        },
        "maxMemory": "128Mi",
        "evictionPolicy": "noeviction",
        "storage": {"size": "1Gi", "onDeletion": "Delete"},
        "resources": {"memoryRequest": "64Mi", "cpuRequest": "50m"},
        "parameters": {},
    },
}
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"
STANDING = Standing(3, "rd-0", bootstrap=False)
CURRENT = Deployed(3, "r1", is_current=True)


def test_a_complete_object_is_parsed() -> None:
    assert parse(BODY) == SPEC


# Objects


def everything(spec: RedisSpec = SPEC) -> list[dict[str, Any]]:
    return manifests.build(spec, "image", "lab", STANDING)


def test_every_object_is_owned_by_the_cluster_and_in_its_namespace() -> None:
    made = [*everything(), *manifests.secrets(SPEC, lambda: "x"), slices.replicas_slice(SPEC, PODS)]
    names = [(item["kind"], item["metadata"]["name"]) for item in made]
    assert len(set(names)) == len(names)
    for item in made:
        assert item["metadata"]["namespace"] == "demo"
        assert item["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_what_pods_start_with_is_there_before_them() -> None:
    kinds = [item["kind"] for item in everything()]
    assert kinds.index("ConfigMap") < kinds.index("StatefulSet")


def test_no_password_is_anywhere_but_in_the_secrets_and_clients_read_only_their_own() -> None:
    lab, login = manifests.secrets(SPEC, iter(["login-pw", "pw-1", "pw-2", "pw-3"]).__next__)
    assert "pw" not in json.dumps(everything())
    assert set(lab["stringData"]) == {"replication", "sentinel", "operator"}
    assert set(login["stringData"]) == {"username", "password"}
    rules = objects.client_role(SPEC)["rules"]
    assert [rule["resourceNames"] for rule in rules if rule["resources"] == ["secrets"]] == [["rd-application"]]


@pytest.mark.parametrize("build", [lambda spec: manifests.members(spec, "i", 3), lambda s: manifests.sentinels(s, "i")])
def test_pods_run_as_an_ordinary_user_without_rights_or_a_liveness_probe(
    build: Callable[[RedisSpec], dict[str, Any]],
) -> None:
    pod = build(SPEC)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsUser"] == 10003
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "livenessProbe" not in container


def test_members_and_sentinels_are_never_taken_for_each_other() -> None:
    members = manifests.members(SPEC, "image", 3)["spec"]["template"]["metadata"]["labels"]
    sentinels = manifests.sentinels(SPEC, "image")["spec"]["template"]["metadata"]["labels"]
    leads = {
        service["metadata"]["name"]: [
            part
            for part, labels in (("members", members), ("sentinels", sentinels))
            if service["spec"].get("selector", {"": ""}).items() <= labels.items()
        ]
        for service in manifests.services(SPEC)
    }
    assert leads == {
        "rd-primary": [], "rd-replicas": [], "rd-any": ["members"], "rd-members": ["members"],
        "rd-sentinel": ["sentinels"], "rd-sentinels": ["sentinels"],
    }  # fmt: skip


def template(spec: RedisSpec) -> dict[str, Any]:
    found: dict[str, Any] = manifests.members(spec, "image", spec.replicas)["spec"]["template"]
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"replicas": 5},
        {"sentinels": 5},
        {"persistence": "none"},
        {"max_memory_bytes": 1},
        {"failover": Failover(500, 5000, "ComeBack")},
        {"parameters": {"hz": "50", "databases": "16"}},  # 16 is what it is anyway
    ],
)
def test_what_redis_changes_while_it_runs_restarts_nobody(changes: dict[str, Any]) -> None:
    changed = replace(SPEC, **changes)
    assert template(changed) == template(SPEC)
    pods = manifests.sentinels(SPEC, "image")["spec"]["template"]
    assert manifests.sentinels(changed, "image")["spec"]["template"] == pods
    assert manifests.config_map(changed, Standing(changed.replicas, "rd-0", False)) != manifests.config_map(
        SPEC, STANDING
    )


@pytest.mark.parametrize(
    "changes", [{"parameters": {"io-threads": "2"}}, {"parameters": {"databases": "1"}}, {"cpu_request": "1"}]
)
def test_what_takes_a_restart_changes_the_members_pods(changes: dict[str, Any]) -> None:
    assert template(replace(SPEC, **changes)) != template(SPEC)


def lab_env(standing: Standing) -> dict[str, str]:
    text = manifests.config_map(SPEC, standing)["data"]["lab.env"]
    return dict(word.split("=", 1) for word in shlex.split(text))


def test_start_scripts_learn_who_there_is_and_who_was_primary_last() -> None:
    found = lab_env(Standing(2, "rd-1", bootstrap=False))
    host = "rd-{}.rd-members.demo.svc.cluster.local"
    assert found == {
        "MEMBER_HOSTS": f"{host.format(0)} {host.format(1)}",
        "SENTINEL_HOSTS": " ".join(f"rd-sentinel-{i}.rd-sentinels.demo.svc.cluster.local" for i in range(3)),
        "INITIAL_PRIMARY": host.format(1),
        "BOOTSTRAP": "no",
        "RESTARTED_PRIMARY": "WaitForDecision",
        "PERSISTENCE": "everysec",
        "QUORUM": "2",
    }
    first = lab_env(Standing(3, None, bootstrap=True))
    assert (first["BOOTSTRAP"], first["INITIAL_PRIMARY"]) == ("yes", host.format(0))


def test_a_slice_leads_to_the_pods_by_address_node_and_zone() -> None:
    made = slices.primary_slice(SPEC, PODS[1])
    assert made["metadata"]["labels"]["kubernetes.io/service-name"] == made["metadata"]["name"] == "rd-primary"
    assert (made["endpoints"][0]["addresses"], made["endpoints"][0]["zone"]) == (["10.0.0.1"], "b")
    waiting = replace(PODS[1], address=None)
    assert slices.replicas_slice(SPEC, [waiting])["endpoints"] == []
    unplaced = slices.primary_slice(SPEC, replace(PODS[1], node="", zone=""))["endpoints"][0]
    assert not {"zone", "nodeName"} & unplaced.keys()


# Settings


def test_the_directives_that_may_be_named_are_those_whose_own_values_are_known() -> None:
    rule = re.search(r"name in \[(.*?)]\)", CRD.read_text(), re.DOTALL)
    assert rule
    assert set(re.findall(r"'([a-z-]+)'", rule[1])) == set(DEFAULTS)
    assert set(DEFAULTS) >= IMMUTABLE


@pytest.mark.parametrize(
    ("name", "asked", "found"),
    [
        ("repl-backlog-size", "16mb", "16777216"),
        ("repl-backlog-size", "1G", "1000000000"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "Elgxs", "Egslx"),
        ("loglevel", "NOTICE", "notice"),
        ("activerehashing", "YES", "yes"),
    ],
)
def test_two_spellings_of_a_value_are_no_drift(name: str, asked: str, found: str) -> None:
    assert configuration.drift({name: asked}, {name: found}) == {}
    assert configuration.drift({name: asked}, {name: "0"}) == {name: asked}


def test_a_directive_that_is_no_longer_named_goes_back_to_redis_own_value() -> None:
    found = configuration.directives(replace(SPEC, parameters={"hz": "50", "io-threads": "2"}))
    changes = configuration.drift(configuration.directives(SPEC), found)
    assert changes == {"hz": "10", "io-threads": "1"}
    assert configuration.live(changes) == {"hz": "10"}


def test_parameters_come_before_the_labs_own() -> None:
    assert configuration.directives(SPEC)["repl-timeout"] == "5"
    assert configuration.directives(replace(SPEC, parameters={"repl-timeout": "60"}))["repl-timeout"] == "60"
    assert "repl-timeout 60\n" in configuration.redis_conf(replace(SPEC, parameters={"repl-timeout": "60"}))


def test_a_redis_that_does_not_know_a_directive_is_not_asked_for_its_usual_value() -> None:
    wanted = configuration.directives(SPEC)
    older = {name: value for name, value in wanted.items() if name != "set-max-listpack-entries"}
    assert configuration.drift(wanted, older) == {}
    asked = configuration.directives(replace(SPEC, parameters={"set-max-listpack-entries": "9"}))
    assert configuration.drift(asked, older) == {"set-max-listpack-entries": "9"}


@pytest.mark.parametrize("persistence", ["none", "everysec", "always"])
def test_a_persistence_is_recognised_in_the_settings_it_stands_for(persistence: str) -> None:
    found = configuration.directives(replace(SPEC, persistence=persistence))
    assert configuration.persistence_of(found) == persistence
    assert configuration.persistence_of({**found, "save": "60 1"}) == "other"


def test_sentinels_get_their_timing_after_they_know_whom_to_watch() -> None:
    assert configuration.timing_conf(SPEC).splitlines() == [
        "sentinel down-after-milliseconds caplab 1000",
        "sentinel failover-timeout caplab 6000",
        "sentinel parallel-syncs caplab 2",
    ]
    assert configuration.sentinel_settings(replace(SPEC, sentinels=4))["quorum"] == "3"
    assert 'save ""\n' in configuration.redis_conf(SPEC)


# What was seen


def pod(name: str, number: int, **changes: Any) -> Pod:
    fields: dict[str, Any] = {
        "uid": f"u-{name}", "node": f"node-{number}", "zone": "abcdefghi"[number], "revision": "r1", "ready": True,
        "leaving": False, "namespace": "lab", "files": "",
    }  # fmt: skip
    offset = 100 if "sentinel" in name else 0
    return Pod(**{"name": name, "address": f"10.0.0.{offset + number}", **fields, **changes})


PODS = tuple(pod(f"rd-{i}", i) for i in range(3))
WATCHERS = tuple(pod(f"rd-sentinel-{i}", i) for i in range(3))


def host(name: str) -> str:
    return manifests.member_host(SPEC, name)


def master(**changes: Any) -> Member:
    found = Member(True, "a" * 40, 500, "", False, False, configuration.directives(SPEC))
    return replace(found, **changes)


def replica(of: str = "rd-0", **changes: Any) -> Member:
    found = Member(False, "a" * 40, 490, host(of), True, False, configuration.directives(SPEC))
    return replace(found, **changes)


def sentinel(
    names: str = "rd-0", flags: str = "master", others: int = 2, known: Sequence[KnownReplica] = (), **changes: Any
) -> Sentinel:
    usual = [KnownReplica(host(f"rd-{i}"), frozenset({"slave"}), 100) for i in range(3) if f"rd-{i}" != names]
    settings = configuration.sentinel_settings(SPEC)
    found = Sentinel(
        host(names),
        frozenset(flags.split(",")),
        tuple(known or usual),
        others,
        settings,
        configuration.SENTINEL_PERIODS,
    )
    return replace(found, **changes)


def replicas_flagged(*flags: str) -> list[KnownReplica]:
    return [KnownReplica(host(f"rd-{i}"), frozenset(said.split(",")), 100) for i, said in enumerate(flags, 1)]


def promoting(new: str, old: str = "rd-0") -> Sentinel:
    """One that leads a failover and has chosen whom to promote."""
    known = [
        KnownReplica(host(f"rd-{i}"), frozenset({"slave", "promoted"} if f"rd-{i}" == new else {"slave"}), 100)
        for i in range(3)
        if f"rd-{i}" != old
    ]
    return sentinel(old, "master,o_down,failover_in_progress", known=known)


def seen(
    members: Mapping[str, Member | None] | None = None,
    sentinels: Mapping[str, Sentinel | None] | None = None,
    pods: Sequence[Pod] = PODS,
    watchers: Sequence[Pod] = WATCHERS,
    began: float = 0.0,
) -> Seen:
    """All well and rd-0 primary; what is given replaces an answer, None is silence."""
    said = {"rd-0": master(), "rd-1": replica(), "rd-2": replica(), **(members or {})}
    told = {f"rd-sentinel-{i}": sentinel() for i in range(3)} | dict(sentinels or {})
    return Seen(
        Place(tuple(pods), tuple(watchers), "pw"),
        began,
        {name: answer for name, answer in said.items() if answer and name in {one.name for one in pods}},
        {name: answer for name, answer in told.items() if answer and name in {one.name for one in watchers}},
    )


def naming(*names: str) -> dict[str, Sentinel | None]:
    return {f"rd-sentinel-{i}": sentinel(name) if name else None for i, name in enumerate(names)}


BOTH: dict[str, Member | None] = {"rd-1": master()}  # two masters: rd-0, and rd-1


@pytest.mark.parametrize(
    ("look", "primary"),
    [
        (seen(), "rd-0"),
        (seen({"rd-0": None}), None),  # named, but silent
        (seen({"rd-0": replica("rd-1")}), None),  # named, but a replica
        (seen({"rd-0": master(loading=True)}), None),
        (seen(BOTH, naming("rd-1", "rd-1", "rd-0")), "rd-1"),  # a majority
        (seen(BOTH, naming("rd-1", "rd-0", "")), None),  # one each
        (seen(BOTH, naming("rd-1", "", "")), "rd-1"),  # of those that answer
        (seen({}, naming("", "", "")), None),  # a master by nobody's decision
        (seen({"rd-0": None, **BOTH}, {"rd-sentinel-2": promoting("rd-1")}), "rd-1"),
        (seen(BOTH, {"rd-sentinel-2": promoting("rd-1")}), "rd-1"),  # the old one does not know yet
        (seen({}, {"rd-sentinel-2": promoting("rd-1")}), "rd-0"),  # chosen, not promoted yet
        (seen(BOTH, {"rd-sentinel-2": replace(promoting("rd-1"), flags=frozenset({"master"}))}), "rd-0"),
        (
            seen({**BOTH, "rd-2": master()}, {"rd-sentinel-1": promoting("rd-1"), "rd-sentinel-2": promoting("rd-2")}),
            "rd-0",  # two failovers at once: the majority decides
        ),
        (seen({}, {f"rd-sentinel-{i}": sentinel(names="rd-0") for i in range(3)}), "rd-0"),
        (seen({}, {f"rd-sentinel-{i}": replace(sentinel(), names="10.0.0.0") for i in range(3)}), "rd-0"),
        (seen({}, {f"rd-sentinel-{i}": replace(sentinel(), names="10.9.9.9") for i in range(3)}), None),
    ],
)
def test_the_primary_is_a_master_that_the_sentinels_want(look: Seen, primary: str | None) -> None:
    assert primary_of(look) == primary


INFO = {
    "run_id": "1" * 40, "loading": 0, "role": "slave", "master_host": "10.0.0.7", "master_link_status": "up",
    "slave_repl_offset": 42, "master_replid": "a" * 40, "master_repl_offset": 43,
}  # fmt: skip
TOLD = ["ip", "rd-0.x", "flags", "master,failover_in_progress", "num-other-sentinels", "2", "quorum", "2"]
KNOWN = [["ip", "rd-1.x", "flags", "slave,promoted", "slave-priority", "0"]]


def test_answers_of_members_and_sentinels_are_read() -> None:
    found = observe.member_from(INFO, ["hz", "10", "save", ""])
    assert found == Member(False, "a" * 40, 42, "10.0.0.7", True, False, {"hz": "10", "save": ""})
    primary = observe.member_from({**INFO, "role": "master", "loading": 1}, [])
    assert (primary.is_master, primary.offset, primary.follows, primary.loading) == (True, 43, "", True)
    told = observe.sentinel_from(TOLD, KNOWN, ["INFO-PERIOD", "10000"])
    assert (told.names, told.others, told.periods) == ("rd-0.x", 2, {"info-period": "10000"})
    assert told.replicas == (KnownReplica("rd-1.x", frozenset({"slave", "promoted"}), 0),)


def test_a_replica_is_told_apart_by_what_keeps_it_from_being_one() -> None:
    looks = {
        "linked": seen(),
        "unlinked": seen({"rd-1": replica(link_up=False)}),
        "loading": seen({"rd-1": replica(loading=True)}),
        "follows another": seen({"rd-1": replica("rd-2")}),
        "stray master": seen({"rd-1": master()}),
        "silent": seen({"rd-1": None}),
        "leaving": seen(pods=[PODS[0], replace(PODS[1], leaving=True), PODS[2]]),
    }
    assert {state: health.members(look, "rd-0")[1]["state"] for state, look in looks.items()} == {
        state: state for state in looks
    }
    assert health.member_state(looks["stray master"], "rd-1", PODS[1]) == "running"


def test_clients_of_replicas_are_led_to_stale_ones_rather_than_to_nobody() -> None:
    def names(look: Seen) -> list[str]:
        return [one.name for one in health.replicas_of(look, "rd-0")]

    assert names(seen()) == ["rd-1", "rd-2"]
    assert names(seen({"rd-1": replica(link_up=False)})) == ["rd-2"]
    assert names(seen({"rd-1": replica(link_up=False), "rd-2": None})) == ["rd-1"]


# Status


def build(look: Seen, before: Mapping[str, Any] | None = None, now: str = NOW, **done: Any) -> dict[str, Any]:
    hit = done.pop("hit", {})
    return status.build(SPEC, look, primary_of(look), before or {}, now, hit, status.Done(**done))


def condition(found: Mapping[str, Any], name: str) -> tuple[str, str]:
    return next((one["status"], one["message"]) for one in found["conditions"] if one["type"] == name)


def test_a_cluster_whose_members_and_sentinels_are_all_well_is_ready() -> None:
    found = build(seen())
    assert (found["phase"], found["primary"], found["epoch"], found["persistence"]) == (
        "Ready", "rd-0", "a" * 40, "everysec",
    )  # fmt: skip
    assert (found["readyMembers"], found["readySentinels"]) == (3, 3)
    assert [member.get("lagBytes") for member in found["members"]] == [None, 10, 10]
    assert {one["type"]: one["status"] for one in found["conditions"]} == {"Ready": "True", "SettingsApplied": "True"}


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (seen({"rd-2": replica(link_up=False)}), "rd-2 (unlinked)"),
        (seen({"rd-2": replica("rd-1")}), "rd-2 (follows another)"),
        (seen(pods=PODS[:2]), "2 instead of 3"),
        (seen(sentinels={"rd-sentinel-1": None}), "rd-sentinel-1 (silent)"),
        (seen(sentinels=naming("rd-0", "rd-0", "rd-1")), "rd-sentinel-2 (names another)"),
        (seen(sentinels={"rd-sentinel-0": sentinel(others=3)}), "rd-sentinel-0 (knows 2 replicas, 3 others)"),
        (
            seen(sentinels={"rd-sentinel-0": sentinel(known=replicas_flagged("slave", "s_down,slave,disconnected"))}),
            "rd-sentinel-0 (out of touch with 1 replicas)",
        ),
        (seen(sentinels={"rd-sentinel-0": sentinel(flags="master,failover_in_progress")}), "failing over"),
        (seen({"rd-2": replica(settings={**DEFAULTS, "appendonly": "no"})}), "not all of the spec's settings"),
    ],
)
def test_a_cluster_that_lacks_something_is_degraded_and_says_what(look: Seen, why: str) -> None:
    found = build(look, {"phase": "Ready"})
    assert found["phase"] == "Degraded"
    assert why in condition(found, "Ready")[1]
    assert build(look)["phase"] == "Creating"


def test_settings_that_redis_refuses_are_told_in_its_own_words() -> None:
    look = seen({"rd-1": replica(settings={**configuration.directives(SPEC), "hz": "11"})})
    assert condition(build(look), "SettingsApplied") == ("False", "not the spec's: rd-1: hz")
    refused = build(look, refusals={"rd-1": "ERR no such hz"})
    assert condition(refused, "SettingsApplied") == ("False", "rd-1: ERR no such hz")
    silent = build(seen(pods=(), watchers=()))
    assert condition(silent, "SettingsApplied")[0] == "Unknown"


def test_members_that_differ_in_persistence_are_other() -> None:
    none = configuration.directives(replace(SPEC, persistence="none"))
    assert build(seen({"rd-1": replica(settings=none)}))["persistence"] == "other"
    assert "persistence" not in build(seen(dict.fromkeys(("rd-0", "rd-1", "rd-2"))))


GONE = seen({"rd-0": None})
PROMOTED = seen({"rd-0": None, "rd-1": master(), "rd-2": replica("rd-1")}, naming("rd-1", "rd-1", "rd-1"))


def test_a_failover_has_its_cause_and_the_time_without_a_primary() -> None:
    before = build(seen())
    assert "lastFailover" not in before
    gone = build(GONE, before)
    assert (gone["phase"], gone["primaryGap"]) == ("Down", {"member": "rd-0", "since": NOW})
    found = build(PROMOTED, gone, LATER, hit={"rd-0": "kill-1"})
    failover = {"at": LATER, "from": "rd-0", "to": "rd-1", "seconds": 2.0, "cause": "fault kill-1"}
    assert found["lastFailover"] == failover
    assert build(PROMOTED, found, "2026-01-01T00:00:09Z")["lastFailover"] == failover
    assert build(PROMOTED, before, LATER)["lastFailover"]["seconds"] == 0.0  # between two rounds


def test_a_primary_that_came_back_is_no_failover() -> None:
    found = build(seen(), build(GONE, build(seen())), LATER)
    assert "lastFailover" not in found
    assert found["primaryGap"]["until"] == LATER


def test_an_earlier_gap_is_not_taken_for_a_later_failovers() -> None:
    came_back = build(seen(), build(GONE, build(seen())), LATER)
    found = build(PROMOTED, came_back, "2026-01-01T00:01:00Z", handed_over="rd-0")
    assert (found["lastFailover"]["seconds"], found["lastFailover"]["cause"]) == (0.0, "handed over by the operator")


# Mending


def test_what_differs_is_set_where_it_differs_and_only_if_redis_can() -> None:
    off = {**configuration.directives(SPEC), "hz": "11", "databases": "3"}
    look = seen(
        {"rd-1": replica(settings=off)}, {"rd-sentinel-1": sentinel(periods={"info-period": "10000"}, settings={})}
    )
    members, sentinels = mending.members_drift(SPEC, look), mending.sentinels_drift(SPEC, look)
    assert members == {"rd-1": {"hz": "10", "databases": "16"}}
    assert mending.member_commands(members["rd-1"]) == [("CONFIG", "SET", "hz", "10")]
    assert mending.sentinel_commands(sentinels["rd-sentinel-1"]) == [
        ("SENTINEL", "SET", "caplab", "down-after-milliseconds", "1000"),
        ("SENTINEL", "SET", "caplab", "failover-timeout", "6000"),
        ("SENTINEL", "SET", "caplab", "parallel-syncs", "2"),
        ("SENTINEL", "SET", "caplab", "quorum", "2"),
        ("SENTINEL", "DEBUG", "info-period", "1000"),
        ("SENTINEL", "DEBUG", "min-link-reconnect-period", "1000"),
    ]


def test_a_member_that_is_to_go_must_not_become_primary() -> None:
    smaller = replace(SPEC, replicas=2)
    assert mending.members_drift(smaller, seen()) == {"rd-2": {"replica-priority": "0"}}


@pytest.mark.parametrize(
    ("look", "chosen"),
    [
        (seen(), None),
        (seen(sentinels={"rd-sentinel-1": sentinel(others=3)}), "rd-sentinel-1"),
        (seen(sentinels={f"rd-sentinel-{i}": sentinel(others=4) for i in range(3)}), "rd-sentinel-0"),
        # not while anything else is amiss
        (seen({"rd-2": None}, {"rd-sentinel-1": sentinel(others=3)}), None),
        (seen(sentinels={"rd-sentinel-1": sentinel(others=3), "rd-sentinel-2": None}), None),
        (seen(sentinels={"rd-sentinel-1": sentinel(others=3), "rd-sentinel-2": sentinel(others=0)}), None),
        (seen(sentinels={"rd-sentinel-1": sentinel(others=3), "rd-sentinel-2": sentinel("rd-1")}), None),
        (seen(sentinels={"rd-sentinel-1": sentinel(flags="master,failover_in_progress", others=3)}), None),
    ],
)
def test_a_sentinel_forgets_who_is_gone_one_at_a_time_and_only_in_quiet_times(look: Seen, chosen: str | None) -> None:
    found = mending.to_reset(SPEC, look, primary_of(look))
    assert (found.name if found else None) == chosen


# Rolling restarts and changes of size


def revised(*revisions: str, **changes: Any) -> list[Pod]:
    return [replace(one, revision=revision, **changes) for one, revision in zip(PODS, revisions, strict=True)]


def step(look: Seen, deployed: Deployed = CURRENT, spec: RedisSpec = SPEC) -> tuple[str, Any] | None:
    """The kind of the step, and what it is about."""
    match rollout.next_step(spec, look, primary_of(look), deployed):
        case None:
            return None
        case Restart(chosen):
            return "restart", chosen.name
        case HandOver(watcher):
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
        (seen(), None),
        (seen(pods=revised("r0", "r0", "r0")), ("restart", "rd-2")),
        (seen(pods=revised("r0", "r0", "r1")), ("restart", "rd-1")),
        (seen(pods=revised("r0", "r1", "r1")), ("hand over", "rd-sentinel-0")),
        (seen(UNLINKED, pods=revised("r0", "r0", "r1")), ("wait", "2 of 3 members to restart: not ready: rd-2 (unlin")),
        (seen(pods=[*revised("r0", "r0", "r1")[:2], replace(PODS[2], leaving=True)]), ("wait", "2 of 3 members to")),
        (seen({"rd-0": None}, pods=revised("r0", "r0", "r1")), ("wait", "2 of 3 members to restart: no member is a")),
        # one that was started with a setting that keeps it from starting is replaced, whatever else there is
        (seen({"rd-2": None}, pods=[*PODS[:2], replace(PODS[2], revision="r0", ready=False)]), ("restart", "rd-2")),
        (seen({"rd-2": None}, pods=[*PODS[:2], replace(PODS[2], revision="r0")]), ("wait", "1 of 3 members to")),
    ],
)
def test_members_are_restarted_one_by_one_and_the_primary_last(look: Seen, wanted: tuple[str, str] | None) -> None:
    found = step(look)
    assert (found and found[0]) == (wanted and wanted[0])
    assert wanted is None or (found is not None and found[1].startswith(wanted[1]))


def test_settings_that_are_not_applied_hold_up_no_restart() -> None:
    off = {name: replica(settings={}) for name in ("rd-1", "rd-2")}
    assert step(seen(off, pods=revised("r0", "r0", "r0"))) == ("restart", "rd-2")


def test_the_only_member_is_restarted_without_anybody_to_hand_over_to() -> None:
    alone = replace(SPEC, replicas=1, sentinels=1)
    known = Sentinel(host("rd-0"), frozenset({"master"}), (), 0, {}, {})
    look = seen({}, {"rd-sentinel-0": known}, revised("r0", "r0", "r0")[:1], WATCHERS[:1])
    assert step(look, Deployed(1, "r1", True), alone) == ("restart", "rd-0")


def test_nothing_is_restarted_or_resized_by_what_is_not_yet_known() -> None:
    for deployed in (Deployed(3, "r1", False), Deployed(5, "r1", False)):
        found = step(seen(pods=revised("r0", "r0", "r0")), deployed)
        assert found
        assert found[0] == "wait"
    made = {
        "metadata": {"generation": 7, "annotations": {manifests.GENERATION_ANNOTATION: "3"}},
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
    primary_goes = seen(
        {"rd-0": replica("rd-1"), "rd-1": master(), "rd-2": replica("rd-1")}, naming("rd-1", "rd-1", "rd-1")
    )
    found = step(primary_goes, spec=smaller)
    assert found
    assert (found[0], found[1][:40]) == ("wait", "from 3 members to 1: no Sentinel knows y")
    barred = [
        KnownReplica(host(name), frozenset({"slave"}), priority) for name, priority in (("rd-0", 100), ("rd-2", 0))
    ]
    knowing = replace(primary_goes, told={**primary_goes.told, "rd-sentinel-2": sentinel("rd-1", known=barred)})
    assert step(knowing, spec=smaller) == ("hand over", "rd-sentinel-2")
    assert step(seen(), spec=smaller) == ("resize", 1)
    assert step(GONE, spec=smaller) == ("wait", "from 3 members to 1: there is no primary")


# Between the rounds


class FakeApi:
    """Takes what is applied."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, list[str]]] = []

    def apply(self, manifest: Mapping[str, Any]) -> None:
        led_to = [endpoint["targetRef"]["name"] for endpoint in manifest["endpoints"]]
        self.applied.append((manifest["metadata"]["name"], led_to))


def test_of_two_looks_the_later_counts_whichever_is_done_first() -> None:
    api: Any = FakeApi()
    routes = Routes()
    routes.lead_to_all(api, SPEC, seen(began=1.0))
    assert api.applied == [("rd-primary", ["rd-0"]), ("rd-replicas", ["rd-1", "rd-2"])]
    assert routes.lead_to_primary(api, SPEC, replace(PROMOTED, began=3.0))
    routes.lead_to_all(api, SPEC, seen(began=2.0))  # a round that had to wait for somebody silent
    assert not routes.lead_to_primary(api, SPEC, replace(GONE, began=4.0))  # nobody is no better
    assert not routes.lead_to_primary(api, SPEC, replace(PROMOTED, began=5.0))
    assert api.applied[2:] == [("rd-primary", ["rd-1"])]
    routes.lead_to_all(api, SPEC, replace(PROMOTED, began=6.0))
    assert api.applied[3:] == [("rd-replicas", ["rd-2"])]


class FakeServer:
    """A Redis or a Sentinel that takes connections, and sends and closes what it is told to."""

    def __init__(self) -> None:
        self.port = 0
        self.came = 0
        self.heard = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> FakeServer:
        self._server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self.writers.append(writer)
        while data := await reader.read(1024):
            self.heard += data
        self.writers.remove(writer)
        writer.close()

    def publish(self, channel: str) -> None:
        text = "".join(f"${len(word)}\r\n{word}\r\n" for word in ("message", channel, "caplab"))
        for writer in self.writers:
            writer.write(f"*3\r\n{text}".encode())

    def close_all(self) -> None:
        for writer in self.writers:
            writer.close()


class Looking:
    """Counts the looks; finds what it is told to from one of them on."""

    def __init__(self, found_at: int = 0) -> None:
        self.looks = 0
        self.found_at = found_at

    def __call__(self) -> bool:
        self.looks += 1
        return self.looks == self.found_at


async def until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5.0
    while not holds():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.005)


def watching(
    monkeypatch: pytest.MonkeyPatch,
    look: Looking,
    scenario: Callable[[FakeServer, FakeServer, list[Place]], Coroutine[Any, Any, None]],
) -> None:
    """Run a scenario with a member, a Sentinel, and the place as it is told, which may change."""

    async def main() -> None:
        member, watcher = await FakeServer().start(), await FakeServer().start()
        monkeypatch.setattr(redis_watch, "REDIS_PORT", member.port)
        monkeypatch.setattr(redis_watch, "SENTINEL_PORT", watcher.port)
        monkeypatch.setattr(redis_watch, "_AGAIN_SECONDS", 0.02)
        here = {"address": "127.0.0.1"}
        places = [Place((pod("rd-0", 0, **here),), (pod("rd-sentinel-0", 0, **here),), "pw")]
        task = asyncio.create_task(PromotionWatch(lambda: places[-1], look).run())
        try:
            await until("both are attended to", lambda: member.came == 1 and b"SUBSCRIBE" in watcher.heard)
            await scenario(member, watcher, places)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await until("nobody is attended to any more", lambda: not member.writers and not watcher.writers)

    asyncio.run(main())


def test_a_member_that_closes_its_connections_is_looked_at_and_attended_to_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = Looking()

    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        assert look.looks == 0
        member.close_all()
        await until("it is looked at", lambda: look.looks == 1)
        await until("it is attended to again", lambda: member.came == 2)
        watcher.close_all()
        await until("so is the Sentinel", lambda: watcher.came == 2)
        assert look.looks == 1

    watching(monkeypatch, look, scenario)


def test_a_promotion_that_is_due_is_looked_for_until_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looking(found_at=4)

    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        assert watcher.heard.startswith(b"AUTH operator pw\r\n")
        watcher.publish("+failover-state-wait-promotion")
        await until("it is found", lambda: look.looks == 4)
        await asyncio.sleep(0.1)
        assert look.looks == 4
        watcher.publish("+switch-master")
        await until("it is looked at once more", lambda: look.looks == 5)

    watching(monkeypatch, look, scenario)


def test_a_promotion_that_does_not_come_is_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looking()
    monkeypatch.setattr(redis_watch, "_HUNT_SECONDS", 0.1)

    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        watcher.publish("+failover-state-wait-promotion")
        await asyncio.sleep(0.3)
        looks = look.looks
        assert looks > 1
        await asyncio.sleep(0.1)
        assert look.looks == looks

    watching(monkeypatch, look, scenario)


def test_pods_that_go_are_attended_to_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        places.append(replace(places[0], members=()))
        await until("the member is left alone", lambda: not member.writers)
        assert watcher.writers
        places.append(places[0])
        await until("it is attended to again", lambda: member.came == 2)

    watching(monkeypatch, Looking(), scenario)


def another(uid: str, kind: str = "RedisCluster") -> dict[str, Any]:
    return {**BODY, "kind": kind, "metadata": {**BODY["metadata"], "uid": uid}}


def test_each_cluster_is_followed_once_and_as_long_as_it_is_there() -> None:
    followed: list[str] = []

    async def follow(api: object, body: Mapping[str, Any]) -> None:
        followed.append(body["metadata"]["uid"])
        if followed.count("u-1") == 1:
            raise OSError("something unforeseen")
        await asyncio.Event().wait()

    async def main() -> None:
        handlers: Any = None
        api: Any = None
        engines = {
            "RedisCluster": Engine("RedisCluster", "redisclusters", handlers, follow),
            "PostgresCluster": Engine("PostgresCluster", "postgresclusters", handlers),
        }
        lab = wiring.Lab(api=api, engines=engines)
        lab.clusters.hear("ADDED", BODY)
        lab.clusters.hear("ADDED", another("u-9", kind="PostgresCluster"))
        for _ in range(4):  # the first attempt fails
            await wiring._keep_following(lab)
            await asyncio.sleep(0)
        assert followed == ["u-1", "u-1"]
        task = lab.followers["u-1"]
        lab.clusters.hear("MODIFIED", another("u-2"))
        for _ in range(2):
            await wiring._keep_following(lab)
            await asyncio.sleep(0)
        assert (task.cancelled(), followed) == (True, ["u-1", "u-1", "u-2"])
        lab.clusters.hear("DELETED", another("u-2"))
        task = lab.followers["u-2"]
        await wiring._keep_following(lab)
        await asyncio.sleep(0)
        assert task.cancelled()
        assert lab.followers == {}

    asyncio.run(main())


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let everybody in, and refuse whatever is asked."""
    while data := await reader.read(1024):
        for command in data.split(b"*")[1:]:
            writer.write(b"+OK\r\n" if b"AUTH" in command else b"-ERR refused\r\n")


def test_a_refusal_is_no_answer_and_is_told_where_something_was_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        monkeypatch.setattr(observe, "REDIS_PORT", server.sockets[0].getsockname()[1])
        monkeypatch.setattr(observe, "SENTINEL_PORT", 1)  # nobody is there
        here, nowhere = pod("rd-0", 0, address="127.0.0.1"), pod("rd-1", 1, address=None)
        place = Place((here, nowhere), (pod("rd-sentinel-0", 0, address="127.0.0.1"),), "pw")
        found = await asyncio.to_thread(observe.look, place, ["hz"])
        assert (found.said, found.told) == ({}, {})
        set_it = [("CONFIG", "SET", "hz", "1"), ("CONFIG", "SET", "timeout", "1")]
        assert await asyncio.to_thread(observe.tell_member, place, here, set_it) == ["refused", "refused"]
        assert "no address" in observe.tell_member(place, nowhere, set_it)[0]

    asyncio.run(main())
