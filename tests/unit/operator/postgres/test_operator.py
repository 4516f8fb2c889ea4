"""The pure part of the Postgres engine: objects, settings and status."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from caplab_operator.engines import objects
from caplab_operator.engines.postgres import manifests, patroni
from caplab_operator.engines.postgres.spec import parse
from caplab_operator.handlers.watched import WatchedClusters
from support.operator.observed_postgres import BODY, SPEC

from caplab.contract.names import CLUSTER_LABEL, GENERATION_ANNOTATION, PART_LABEL
from caplab.model.sizes import size_bytes


def test_a_complete_object_is_parsed() -> None:
    assert parse(BODY) == SPEC


def test_every_object_is_owned_by_the_cluster_and_in_its_namespace() -> None:
    objects = [
        *manifests.build(SPEC, "image", "lab", 3),
        *manifests.secrets(SPEC, lambda _: "x"),
    ]
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(set(names)) == len(names)
    for item in objects:
        assert item["metadata"]["namespace"] == "demo"
        assert item["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_building_twice_gives_the_same_objects() -> None:
    assert manifests.build(SPEC, "image", "lab", 3) == manifests.build(SPEC, "image", "lab", 3)


def test_no_password_is_anywhere_but_in_the_secret() -> None:
    text = json.dumps(manifests.build(SPEC, "image", "lab", 3))
    assert "secretKeyRef" in text
    assert '"password":' not in text


def test_a_client_may_read_its_own_login_and_no_other_secret() -> None:
    members, login = manifests.secrets(SPEC, lambda _: "x")
    rules = objects.client_role(SPEC)["rules"]
    readable = [name for rule in rules if rule["resources"] == ["secrets"] for name in rule["resourceNames"]]
    assert readable == [login["metadata"]["name"]]
    assert set(login["data"]) == {"username", "password", "database"}
    assert members["metadata"]["name"] not in readable


def test_members_run_as_an_ordinary_user_without_a_liveness_probe() -> None:
    pod = manifests.stateful_set(SPEC, "image", 3)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "livenessProbe" not in container
    assert container["readinessProbe"]["httpGet"]["path"] == "/readiness"


@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_volumes_are_kept_only_where_asked(keep: bool, policy: str) -> None:
    body = manifests.stateful_set(replace(SPEC, keep_volumes=keep), "image", 3)["spec"]
    assert body["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == policy


def test_a_selector_of_members_is_the_same_for_every_engine() -> None:
    body = manifests.stateful_set(SPEC, "image", 3)["spec"]
    assert {CLUSTER_LABEL: "pg", PART_LABEL: "member"}.items() <= body["selector"]["matchLabels"].items()
    assert body["selector"]["matchLabels"].items() <= body["template"]["metadata"]["labels"].items()


def test_patroni_finds_its_members_by_the_scope_label() -> None:
    labels = manifests.stateful_set(SPEC, "image", 3)["spec"]["template"]["metadata"]["labels"]
    settings = json.loads(manifests.config_map(SPEC)["data"]["patroni.yml"])
    assert labels[settings["kubernetes"]["scope_label"]] == settings["scope"]
    assert settings["kubernetes"]["labels"].items() <= labels.items()
    assert "pg-primary" in [service["metadata"]["name"] for service in manifests.services(SPEC)]


def test_a_members_role_lets_it_change_nothing_but_its_own_clusters_state_and_pods() -> None:
    changing = [rule for rule in manifests.member_role(SPEC)["rules"] if not {"list", "watch"} & set(rule["verbs"])]
    assert [(rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in changing] == [
        (["endpoints"], ["create"], None),  # which names: charts/caplab/templates/member-guard.yaml
        (
            ["endpoints"],
            ["get", "patch"],
            ["pg-primary", "pg-primary-config", "pg-primary-sync", "pg-primary-failover"],
        ),
        (["pods"], ["get", "patch"], [f"pg-{number}" for number in range(9)]),
        (["members"], ["be"], ["pg"]),
    ]


def test_the_services_of_what_patroni_writes_go_only_with_what_lets_it_write() -> None:
    binding = manifests.role_binding(SPEC)["metadata"]["name"]
    outliving = {
        service["metadata"]["name"]
        for service in manifests.services(SPEC)
        if ("RoleBinding", binding)
        in [(owner["kind"], owner["name"]) for owner in service["metadata"]["ownerReferences"]]
    }
    assert outliving == {"pg-primary", "pg-primary-config", "pg-primary-sync", "pg-primary-failover"}


@pytest.mark.parametrize("durability", ["async", "quorum", "sync"])
def test_a_durability_is_recognised_in_the_settings_it_stands_for(durability: str) -> None:
    settings = patroni.dynamic_settings(replace(SPEC, durability=durability))
    assert patroni.durability_of(settings) == durability
    assert patroni.durability_of({**settings, "synchronous_mode_strict": "mixed"}) == "other"


def test_a_pod_that_is_told_to_end_hands_over_first_and_only_the_operator_restarts_one() -> None:
    body = manifests.stateful_set(SPEC, "image", 5)
    assert body["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert body["spec"]["replicas"] == 5
    assert body["metadata"]["annotations"] == {GENERATION_ANNOTATION: "3"}
    pod = body["spec"]["template"]["spec"]
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"exec": {"command": ["switchover"]}}}
    assert pod["terminationGracePeriodSeconds"] == 20


@pytest.mark.parametrize("size", ["512Mi", "1Gi", "50Gi"])
def test_the_log_never_takes_more_than_about_half_of_the_volume(size: str) -> None:
    parameters = patroni.parameters(replace(SPEC, storage_size=size))
    kept = [int(parameters[name].removesuffix("MB")) * 2**20 for name in ("wal_keep_size", "max_slot_wal_keep_size")]
    assert max(kept) + int(parameters["max_wal_size"].removesuffix("MB")) * 2**20 <= size_bytes(size) / 2
    assert min(kept) >= 128 * 2**20


def test_a_strict_mode_never_falls_back_to_asynchronous() -> None:
    for durability in ("quorum", "sync"):
        assert patroni.dynamic_settings(replace(SPEC, durability=durability))["synchronous_mode_strict"] is True


def test_drift_is_what_has_to_change_and_nothing_else() -> None:
    wanted = patroni.dynamic_settings(SPEC)
    assert patroni.drift(wanted, wanted) == {}
    assert patroni.drift(wanted, {**wanted, "ttl": 30}) == {"ttl": 20}
    assert patroni.drift(wanted, {**wanted, "pause": True}) == {"pause": False}
    assert patroni.drift(wanted, {**wanted, "added_by_patroni": 1}) == {}
    less = replace(SPEC, parameters={})
    actual = patroni.dynamic_settings(replace(SPEC, parameters={"work_mem": "4MB"}))
    patch = patroni.drift(patroni.dynamic_settings(less), actual)
    assert patch == {"postgresql": {"parameters": {"work_mem": None}}}


def test_a_deleted_cluster_is_forgotten_and_one_made_anew_is_another() -> None:
    watched = WatchedClusters()
    key = ("PostgresCluster", "demo", "pg")
    body = {**BODY, "status": {"phase": "Ready"}}
    watched.on_event("ADDED", body)
    watched.written[key] = {"phase": "Degraded"}
    watched.on_event("MODIFIED", body)
    assert watched.written[key] == {"phase": "Degraded"}
    watched.on_event("MODIFIED", {**body, "metadata": {**BODY["metadata"], "uid": "u-2"}})
    assert watched.written[key] == {"phase": "Ready"}
    watched.on_event("ADDED", {**body, "kind": "RedisCluster"})
    assert watched.written[key] == {"phase": "Ready"}
    watched.on_event("DELETED", body)
    assert list(watched.bodies) == [("RedisCluster", "demo", "pg")]


@pytest.mark.parametrize(("fast_path", "pauses"), [(True, ["short"]), (False, [])])
def test_switchovers_have_stock_pauses_where_failovers_are_stock(fast_path: bool, pauses: list[str]) -> None:
    spec = replace(SPEC, failover=replace(SPEC.failover, fast_path=fast_path))
    [members] = [item for item in manifests.build(spec, "image", "lab", 3) if item["kind"] == "StatefulSet"]
    [container] = members["spec"]["template"]["spec"]["containers"]
    assert [each["value"] for each in container["env"] if each["name"] == "SWITCHOVER_PAUSES"] == pauses
