"""A RedisCluster's objects and settings: pure, from its spec."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines import objects
from caplab_operator.engines.parameters import allowed
from caplab_operator.engines.redis import configuration, manifests, slices
from caplab_operator.engines.redis.configuration import DEFAULTS, IMMUTABLE
from caplab_operator.engines.redis.manifests import PersistedState
from caplab_operator.engines.redis.spec import Failover, RedisSpec, parse
from support.operator.observed_redis import BODY, PODS, SPEC, STANDING


def test_a_complete_object_is_parsed() -> None:
    assert parse(BODY) == SPEC


def everything(spec: RedisSpec = SPEC) -> list[dict[str, Any]]:
    return manifests.build(spec, "image", "lab", STANDING)


def test_every_object_is_owned_by_the_cluster_and_in_its_namespace() -> None:
    made = [*everything(), *manifests.secrets(SPEC, lambda _: "x"), slices.replicas_slice(SPEC, PODS)]
    names = [(item["kind"], item["metadata"]["name"]) for item in made]
    assert len(set(names)) == len(names)
    for item in made:
        assert item["metadata"]["namespace"] == "demo"
        assert item["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_what_pods_start_with_is_there_before_them() -> None:
    kinds = [item["kind"] for item in everything()]
    assert kinds.index("ConfigMap") < kinds.index("StatefulSet")


def test_no_password_is_anywhere_but_in_the_secrets_and_clients_read_only_their_own() -> None:
    lab, login = manifests.secrets(SPEC, "pw-of-{}".format)
    assert "pw" not in json.dumps(everything())
    assert set(lab["data"]) == {"replication", "sentinel", "operator"}
    assert set(login["data"]) == {"username", "password"}
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
    template: dict[str, Any] = manifests.members(spec, "image", spec.replicas)["spec"]["template"]
    return template


@pytest.mark.parametrize(
    "changes",
    [
        {"replicas": 5},
        {"sentinels": 5},
        {"persistence": "none"},
        {"max_memory_bytes": 1},
        {
            "failover": Failover(
                down_after_milliseconds=500,
                failover_timeout_milliseconds=5000,
                restarted_primary="ComeBack",
                fast_path=False,
            )
        },
        {"parameters": {"hz": "50", "databases": "16"}},  # 16 is what it is anyway
    ],
)
def test_what_redis_changes_while_it_runs_restarts_nobody(changes: dict[str, Any]) -> None:
    changed = replace(SPEC, **changes)
    assert template(changed) == template(SPEC)
    pods = manifests.sentinels(SPEC, "image")["spec"]["template"]
    assert manifests.sentinels(changed, "image")["spec"]["template"] == pods
    assert manifests.config_map(changed, PersistedState(changed.replicas, "rd-0", False)) != manifests.config_map(
        SPEC, STANDING
    )


@pytest.mark.parametrize(
    "changes", [{"parameters": {"io-threads": "2"}}, {"parameters": {"databases": "1"}}, {"cpu_request": "1"}]
)
def test_what_takes_a_restart_changes_the_members_pods(changes: dict[str, Any]) -> None:
    assert template(replace(SPEC, **changes)) != template(SPEC)


def lab_env(standing: PersistedState) -> dict[str, str]:
    text = manifests.config_map(SPEC, standing)["data"]["lab.env"]
    return dict(word.split("=", 1) for word in shlex.split(text))


def test_start_scripts_learn_who_there_is_and_who_was_primary_last() -> None:
    environment = lab_env(PersistedState(2, "rd-1", bootstrap=False))
    host = "rd-{}.rd-members.demo.svc.cluster.local"
    assert environment == {
        "MEMBER_HOSTS": f"{host.format(0)} {host.format(1)}",
        "SENTINEL_HOSTS": " ".join(f"rd-sentinel-{i}.rd-sentinels.demo.svc.cluster.local" for i in range(3)),
        "INITIAL_PRIMARY": host.format(1),
        "BOOTSTRAP": "no",
        "RESTARTED_PRIMARY": "WaitForDecision",
        "PERSISTENCE": "everysec",
        "QUORUM": "2",
    }
    first = lab_env(PersistedState(3, None, bootstrap=True))
    assert (first["BOOTSTRAP"], first["INITIAL_PRIMARY"]) == ("yes", host.format(0))


def test_a_slice_leads_to_the_pods_by_address_node_and_zone() -> None:
    made = slices.primary_slice(SPEC, PODS[1])
    assert made["metadata"]["labels"]["kubernetes.io/service-name"] == made["metadata"]["name"] == "rd-primary"
    assert (made["endpoints"][0]["addresses"], made["endpoints"][0]["zone"]) == (["10.0.0.1"], "b")
    waiting = replace(PODS[1], address=None)
    assert slices.replicas_slice(SPEC, [waiting])["endpoints"] == []
    unplaced = slices.primary_slice(SPEC, replace(PODS[1], node="", zone=""))["endpoints"][0]
    assert not {"zone", "nodeName"} & unplaced.keys()


def test_the_directives_that_may_be_named_are_held_to_redis_own_values_where_they_are_not() -> None:
    assert set(DEFAULTS) >= set(allowed("redis")) >= IMMUTABLE
    assert all(DEFAULTS[name] or parameter.kind == "letters" for name, parameter in allowed("redis").items())
    # No spec may name these, and a member that somebody changed by hand goes back.
    assert set(DEFAULTS) - set(allowed("redis")) == {"activedefrag", "no-appendfsync-on-rewrite", "replica-priority"}


@pytest.mark.parametrize(
    ("name", "wanted", "actual"),
    [
        ("repl-backlog-size", "16mb", "16777216"),
        ("repl-backlog-size", "1G", "1000000000"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "Elgxs", "Egslx"),
        ("loglevel", "NOTICE", "notice"),
        ("activerehashing", "YES", "yes"),
    ],
)
def test_two_spellings_of_a_value_are_no_drift(name: str, wanted: str, actual: str) -> None:
    assert configuration.drift({name: wanted}, {name: actual}) == {}
    assert configuration.drift({name: wanted}, {name: "0"}) == {name: wanted}


def test_a_directive_that_is_no_longer_named_goes_back_to_redis_own_value() -> None:
    actual = configuration.directives(replace(SPEC, parameters={"hz": "50", "io-threads": "2"}))
    changes = configuration.drift(configuration.directives(SPEC), actual)
    assert changes == {"hz": "10", "io-threads": "1"}
    assert configuration.live(changes) == {"hz": "10"}


def test_a_parameter_that_is_older_than_the_rules_reaches_no_member() -> None:
    old = replace(SPEC, parameters={"appendfsync": "no", "DIR": "/", "hz": "20"})
    assert configuration.named_directives(old) == {**configuration.named_directives(SPEC), "hz": "20"}


def test_parameters_come_before_the_labs_own() -> None:
    assert configuration.directives(SPEC)["repl-timeout"] == "5"
    assert configuration.directives(replace(SPEC, parameters={"repl-timeout": "60"}))["repl-timeout"] == "60"
    assert "repl-timeout 60\n" in configuration.redis_conf(replace(SPEC, parameters={"repl-timeout": "60"}))


def test_a_redis_that_does_not_know_a_directive_is_not_asked_for_its_usual_value() -> None:
    wanted = configuration.directives(SPEC)
    older = {name: value for name, value in wanted.items() if name != "set-max-listpack-entries"}
    assert configuration.drift(wanted, older) == {}
    wanted = configuration.directives(replace(SPEC, parameters={"set-max-listpack-entries": "9"}))
    assert configuration.drift(wanted, older) == {"set-max-listpack-entries": "9"}


def test_sentinels_get_their_timing_after_they_know_whom_to_watch() -> None:
    assert configuration.timing_conf(SPEC).splitlines() == [
        "sentinel down-after-milliseconds caplab 1000",
        "sentinel failover-timeout caplab 6000",
        "sentinel parallel-syncs caplab 2",
    ]
    assert configuration.sentinel_settings(replace(SPEC, sentinels=4))["quorum"] == "3"
    assert 'save ""\n' in configuration.redis_conf(SPEC)


@pytest.mark.parametrize(("down_after", "expected"), [(500, 125), (1000, 250), (30_000, 250)])
def test_a_sentinel_asks_several_times_before_it_takes_anybody_for_down(down_after: int, expected: int) -> None:
    spec = replace(SPEC, failover=replace(SPEC.failover, down_after_milliseconds=down_after))
    assert configuration.sentinel_periods(spec)["ping-period"] == str(expected)
    assert configuration.sentinel_periods(spec).keys() == configuration.PERIODS
