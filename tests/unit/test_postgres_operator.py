"""The pure part of the Postgres engine: objects, settings and status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines import objects
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.postgres import manifests, patroni, status
from caplab_operator.engines.postgres.observe import Seen
from caplab_operator.engines.postgres.spec import Failover, PostgresSpec, parse
from caplab_operator.handlers.watched import Watched

BINDING_UID = "of-the-role-binding"
SPEC = PostgresSpec(
    name="pg",
    namespace="demo",
    uid="u-1",
    generation=3,
    replicas=3,
    durability="async",
    failover=Failover(20, 1, 3, 0, 1048576, False),
    storage_size="1Gi",
    keep_volumes=False,
    memory_request="192Mi",
    cpu_request="50m",
    parameters={},
)
BODY: dict[str, Any] = {
    "kind": "PostgresCluster",
    "metadata": {"name": "pg", "namespace": "demo", "uid": "u-1", "generation": 3},
    "spec": {
        "replicas": 3,
        "durability": "async",
        "failover": {
            "ttlSeconds": 20,
            "loopWaitSeconds": 1,
            "retryTimeoutSeconds": 3,
            "primaryStartTimeoutSeconds": 0,
            "maximumLagOnFailoverBytes": 1048576,
            "failsafeMode": False,
        },
        "storage": {"size": "1Gi", "onDeletion": "Delete"},
        "resources": {"memoryRequest": "192Mi", "cpuRequest": "50m"},
        "parameters": {},
    },
}
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"


def test_a_complete_object_is_parsed() -> None:
    assert parse(BODY) == SPEC


def test_every_object_is_owned_by_the_cluster_and_in_its_namespace() -> None:
    objects = [
        manifests.member_role(SPEC),
        manifests.role_binding(SPEC),
        *manifests.build(SPEC, "image", "lab", BINDING_UID),
        *manifests.secrets(SPEC, lambda: "x"),
    ]
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(set(names)) == len(names)
    for item in objects:
        assert item["metadata"]["namespace"] == "demo"
        assert item["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_building_twice_gives_the_same_objects() -> None:
    assert manifests.build(SPEC, "image", "lab", BINDING_UID) == manifests.build(SPEC, "image", "lab", BINDING_UID)


def test_no_password_is_anywhere_but_in_the_secret() -> None:
    text = json.dumps(manifests.build(SPEC, "image", "lab", BINDING_UID))
    assert "secretKeyRef" in text
    assert '"password":' not in text


def test_a_client_may_read_its_own_login_and_no_other_secret() -> None:
    members, login = manifests.secrets(SPEC, lambda: "x")
    rules = objects.client_role(SPEC)["rules"]
    readable = [name for rule in rules if rule["resources"] == ["secrets"] for name in rule["resourceNames"]]
    assert readable == [login["metadata"]["name"]]
    assert set(login["stringData"]) == {"username", "password", "database"}
    assert members["metadata"]["name"] not in readable


def test_members_run_as_an_ordinary_user_without_a_liveness_probe() -> None:
    pod = manifests.stateful_set(SPEC, "image")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "livenessProbe" not in container
    assert container["readinessProbe"]["httpGet"]["path"] == "/readiness"


@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_volumes_are_kept_only_where_asked(keep: bool, policy: str) -> None:
    body = manifests.stateful_set(replace(SPEC, keep_volumes=keep), "image")["spec"]
    assert body["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == policy


def test_a_selector_of_members_is_the_same_for_every_engine() -> None:
    body = manifests.stateful_set(SPEC, "image")["spec"]
    assert {"caplab.dev/cluster": "pg", "caplab.dev/part": "member"}.items() <= body["selector"]["matchLabels"].items()
    assert body["selector"]["matchLabels"].items() <= body["template"]["metadata"]["labels"].items()


def test_patroni_finds_its_members_by_the_scope_label() -> None:
    labels = manifests.stateful_set(SPEC, "image")["spec"]["template"]["metadata"]["labels"]
    settings = json.loads(manifests.config_map(SPEC)["data"]["patroni.yml"])
    assert labels[settings["kubernetes"]["scope_label"]] == settings["scope"]
    assert settings["kubernetes"]["labels"].items() <= labels.items()
    assert "pg-primary" in [service["metadata"]["name"] for service in manifests.services(SPEC, BINDING_UID)]


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
        for service in manifests.services(SPEC, BINDING_UID)
        if ("RoleBinding", binding, BINDING_UID)
        in [(owner["kind"], owner["name"], owner["uid"]) for owner in service["metadata"]["ownerReferences"]]
    }
    assert outliving == {"pg-primary", "pg-primary-config", "pg-primary-sync", "pg-primary-failover"}


@pytest.mark.parametrize("durability", ["async", "quorum", "sync"])
def test_a_durability_is_recognised_in_the_settings_it_stands_for(durability: str) -> None:
    settings = patroni.dynamic_settings(replace(SPEC, durability=durability))
    assert patroni.durability_of(settings) == durability
    assert patroni.durability_of({**settings, "synchronous_mode_strict": "mixed"}) == "other"


def test_a_strict_mode_never_falls_back_to_asynchronous() -> None:
    for durability in ("quorum", "sync"):
        assert patroni.dynamic_settings(replace(SPEC, durability=durability))["synchronous_mode_strict"] is True


def test_drift_is_what_has_to_change_and_nothing_else() -> None:
    wanted = patroni.dynamic_settings(SPEC)
    assert patroni.drift(wanted, wanted) == {}
    assert patroni.drift(wanted, {**wanted, "ttl": 30}) == {"ttl": 20}
    assert patroni.drift(wanted, {**wanted, "added_by_patroni": 1}) == {}
    less = replace(SPEC, parameters={})
    found = patroni.dynamic_settings(replace(SPEC, parameters={"work_mem": "4MB"}))
    patch = patroni.drift(patroni.dynamic_settings(less), found)
    assert patch == {"postgresql": {"parameters": {"work_mem": None}}}


def seen(leader: str | None = "pg-0", **changes: Any) -> Seen:
    """All three members well, pg-0 the primary of timeline 1; changes replace a member's answer."""
    pods = tuple(
        Pod(
            name=f"pg-{i}", uid=f"u{i}", node="n", zone=zone, address=f"10.0.0.{i}",
            revision="r", ready=True, leaving=False, namespace="lab", files="",
        )
        for i, zone in enumerate("abc")
    )  # fmt: skip
    answers: dict[str, Mapping[str, Any]] = {
        "pg-0": {"role": "primary", "state": "running", "timeline": 1},
        "pg-1": {"role": "replica", "state": "running", "timeline": 1},
        "pg-2": {"role": "replica", "state": "running", "timeline": 1},
    }
    for name, answer in changes.items():
        key = name.replace("_", "-")
        if answer is None:
            del answers[key]
        else:
            answers[key] = answer
    rows: list[dict[str, Any]] = [{"name": "pg-0", "role": "leader", "state": "running"}]
    rows += [{"name": f"pg-{i}", "role": "replica", "state": "streaming", "lag": 0} for i in (1, 2)]
    return Seen(pods, leader, answers, {"members": rows}, patroni.dynamic_settings(SPEC))


def test_a_cluster_whose_members_are_all_well_is_ready() -> None:
    found = status.build(SPEC, seen(), {}, NOW)
    assert (found["phase"], found["primary"], found["epoch"], found["readyMembers"]) == ("Ready", "pg-0", 1, 3)
    assert [member["zone"] for member in found["members"]] == ["a", "b", "c"]
    assert {condition["type"]: condition["status"] for condition in found["conditions"]} == {
        "Ready": "True",
        "DurabilityApplied": "True",
    }


def test_a_silent_replica_leaves_the_cluster_degraded() -> None:
    found = status.build(SPEC, seen(pg_2=None), {"phase": "Ready"}, NOW)
    assert (found["phase"], found["readyMembers"]) == ("Degraded", 2)
    assert found["members"][2]["state"] == "silent"


def test_a_leader_that_is_not_itself_a_running_primary_is_no_primary() -> None:
    """The lock outlives its holder for ttl: only both together are a primary."""
    for answer in (None, {"role": "replica", "state": "running"}, {"role": "primary", "state": "stopping"}):
        found = status.build(SPEC, seen(pg_0=answer), {"phase": "Ready"}, NOW)
        assert found["phase"] == "Down"
        assert "primary" not in found


def test_a_member_that_says_primary_without_the_lock_is_no_primary() -> None:
    assert "primary" not in status.build(SPEC, seen(leader="pg-1"), {"phase": "Ready"}, NOW)


def test_a_cluster_is_creating_until_it_was_ready_once() -> None:
    assert status.build(SPEC, seen(pg_2=None), {}, NOW)["phase"] == "Creating"


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = status.build(SPEC, seen(), {}, NOW)
    assert status.build(SPEC, seen(), first, LATER) == first
    third = status.build(SPEC, seen(pg_2=None), first, LATER)
    times = {condition["type"]: condition["lastTransitionTime"] for condition in third["conditions"]}
    assert times == {"Ready": LATER, "DurabilityApplied": NOW}


@pytest.mark.parametrize(("durability", "role"), [("quorum", "quorum_standby"), ("sync", "sync_standby")])
def test_a_cluster_whose_commits_wait_for_a_standby_that_is_not_there_is_not_ready(durability: str, role: str) -> None:
    spec = replace(SPEC, durability=durability)
    found = status.build(spec, seen(), {"phase": "Ready"}, NOW)
    assert found["phase"] == "Degraded"
    assert "writes block" in found["conditions"][0]["message"]
    well = seen()
    assert well.topology
    well.topology["members"][1]["role"] = role
    assert status.build(spec, well, {}, NOW)["phase"] == "Ready"


def test_settings_that_are_not_the_specs_are_told() -> None:
    quorum = replace(SPEC, durability="quorum")
    applied = status.build(quorum, seen(), {}, NOW)["conditions"][1]
    assert applied["status"] == "False"
    assert applied["message"] == "the running cluster is async"


def test_the_last_failover_comes_from_patronis_history() -> None:
    history = [[1, 100, "no recovery target", "t1", "pg-1"], [2, 200, "no recovery target", "t2", "pg-2"]]
    found = status.build(SPEC, replace(seen(), history=history), {}, NOW)
    assert found["lastFailover"] == {"at": "t2", "from": "pg-1", "to": "pg-2", "cause": "no fault of the lab"}
    assert "lastFailover" not in status.build(SPEC, seen(), {}, NOW)


def test_a_failover_has_its_cause_and_the_time_without_a_primary() -> None:
    """Patroni's history may tell of it a round after the new primary was seen."""
    at = [f"2026-01-01T00:00:{second:02}Z" for second in range(10)]
    before = status.build(SPEC, seen(leader="pg-0"), {}, at[0])
    gone = status.build(SPEC, seen(pg_0=None), before, at[1])
    assert gone["primaryGap"] == {"member": "pg-0", "since": at[1]}
    assert status.build(SPEC, seen(pg_0=None), gone, at[2])["primaryGap"]["since"] == at[1]
    back = status.build(SPEC, seen(), gone, at[3])
    assert back["primaryGap"] == {"member": "pg-0", "since": at[1], "until": at[3]}
    history = [[1, 1, "x", "t1", "pg-0"], [2, 2, "x", "t2", "pg-2"]]
    told = status.build(SPEC, replace(seen(), history=history), back, at[4], {"pg-0": "kill-1"})
    assert told["lastFailover"] == {
        "at": "t2", "from": "pg-0", "to": "pg-2", "cause": "fault kill-1", "seconds": 2.0,
    }  # fmt: skip
    first = status.build(SPEC, replace(seen(), history=history[1:]), back, at[4], {"pg-0": "kill-1"})
    assert (first["lastFailover"]["from"], first["lastFailover"]["cause"]) == ("pg-0", "fault kill-1")
    later = status.build(SPEC, replace(seen(), history=history), told, at[5])
    assert later["lastFailover"] == told["lastFailover"]  # the fault's object may be gone by then


def test_a_deleted_cluster_is_forgotten_and_one_made_anew_is_another() -> None:
    watched = Watched()
    key = ("PostgresCluster", "demo", "pg")
    body = {**BODY, "status": {"phase": "Ready"}}
    watched.hear("ADDED", body)
    watched.written[key] = {"phase": "Degraded"}
    watched.hear("MODIFIED", body)
    assert watched.written[key] == {"phase": "Degraded"}
    watched.hear("MODIFIED", {**body, "metadata": {**BODY["metadata"], "uid": "u-2"}})
    assert watched.written[key] == {"phase": "Ready"}
    watched.hear("ADDED", {**body, "kind": "RedisCluster"})
    assert watched.written[key] == {"phase": "Ready"}
    watched.hear("DELETED", body)
    assert list(watched.bodies) == [("RedisCluster", "demo", "pg")]
