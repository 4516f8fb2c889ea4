"""A CassandraCluster's objects and settings: pure, from its spec."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from caplab_operator.engines import objects
from caplab_operator.engines.cassandra import configuration, manifests
from caplab_operator.engines.cassandra.manifests import PersistedState
from caplab_operator.engines.cassandra.spec import CassandraSpec, Gossip, HintedHandoff, Operations, Timeouts, parse
from support.operator.observed_cassandra import BODY, SPEC, ZONES

from caplab.contract.names import GENERATION_ANNOTATION, SETTLED_ANNOTATION


def test_a_complete_object_is_parsed() -> None:
    assert parse(BODY) == SPEC
    assert parse({**BODY, "spec": {**BODY["spec"], "heap": "1Gi"}}).heap_bytes == 2**30


def everything(spec: CassandraSpec = SPEC) -> list[dict[str, Any]]:
    return manifests.build(spec, "image", "lab", ZONES, PersistedState(spec.replicas))


def test_every_object_is_owned_by_the_cluster_and_in_its_namespace() -> None:
    made = [*everything(), *manifests.secrets(SPEC, lambda _: "x")]
    names = [(item["kind"], item["metadata"]["name"]) for item in made]
    assert len(set(names)) == len(names)
    for item in made:
        assert item["metadata"]["namespace"] == "demo"
        assert item["metadata"]["ownerReferences"][0]["uid"] == "u-1"
        assert item["metadata"]["ownerReferences"][0]["kind"] == "CassandraCluster"


def test_what_pods_start_with_is_there_before_them() -> None:
    kinds = [item["kind"] for item in everything()]
    assert kinds.index("ConfigMap") < kinds.index("StatefulSet")


def test_no_password_is_anywhere_but_in_the_secrets_and_clients_read_only_their_own() -> None:
    lab, login = manifests.secrets(SPEC, "pw-of-{}".format)
    assert "pw" not in json.dumps(everything())
    assert lab["data"].keys() == {"management"}
    assert (lab["metadata"]["name"], login["metadata"]["name"]) == ("cs-passwords", "cs-application")
    assert base64.b64decode(login["data"]["username"]) == b"caplab"
    rules = objects.client_role(SPEC)["rules"]
    assert [rule["resourceNames"] for rule in rules if rule["resources"] == ["secrets"]] == [["cs-application"]]


def stateful_set(spec: CassandraSpec = SPEC, standing: PersistedState | None = None) -> dict[str, Any]:
    return manifests.stateful_set(spec, "image", standing or PersistedState(spec.replicas))


def test_pods_run_as_an_ordinary_user_without_rights_or_a_liveness_probe() -> None:
    pod = stateful_set()["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsUser"] == 10004
    assert pod["automountServiceAccountToken"] is False
    assert container["name"] == "cassandra"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "livenessProbe" not in container
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"data": "/data", "configuration": "/etc/caplab", "temporary": "/tmp", "gate": "/gate"}


def test_members_learn_who_they_are_and_by_what_name_all_are_found() -> None:
    env = {
        variable["name"]: variable for variable in stateful_set()["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["MEMBERS_SERVICE"]["value"] == "cs-members.demo.svc.cluster.local"
    assert env["REPLICATION_FACTOR"]["value"] == "3"
    fields = {name: env[name]["valueFrom"]["fieldRef"]["fieldPath"] for name in ("POD_NAME", "NODE_NAME", "POD_IP")}
    assert fields == {"POD_NAME": "metadata.name", "NODE_NAME": "spec.nodeName", "POD_IP": "status.podIP"}
    secret = env["MANAGEMENT_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "cs-passwords", "key": "management"}


def test_a_fourth_member_finds_a_place_on_three_nodes() -> None:
    (spread,) = stateful_set()["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")


def test_the_operator_itself_restarts_members_and_sizes_their_set() -> None:
    body = stateful_set(standing=PersistedState(5, frozenset({"h2", "h1"})))
    assert (body["spec"]["replicas"], body["spec"]["updateStrategy"]) == (5, {"type": "OnDelete"})
    assert body["spec"]["podManagementPolicy"] == "Parallel"  # a member must not wait for another to be Ready
    assert body["metadata"]["annotations"] == {GENERATION_ANNOTATION: "3", SETTLED_ANNOTATION: "h1,h2"}
    retention = body["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert retention == {"whenDeleted": "Delete", "whenScaled": "Delete"}


def test_clients_are_led_to_members_that_serve_and_members_to_all() -> None:
    services = {service["metadata"]["name"]: service["spec"] for service in manifests.services(SPEC)}
    assert services.keys() == {"cs-any", "cs-members"}
    for spec in services.values():
        assert spec["clusterIP"] == "None"
        assert [(port["name"], port["port"]) for port in spec["ports"]] == [("cql", 9042)]
    assert services["cs-members"]["publishNotReadyAddresses"]
    assert "publishNotReadyAddresses" not in services["cs-any"]


def test_the_files_are_those_that_the_image_reads() -> None:
    made = manifests.config_map(SPEC, ZONES)
    assert made["metadata"]["name"] == "cs-cassandra"
    assert made["data"].keys() == {"cassandra.yaml", "jvm.options", "racks"}
    assert made["data"]["racks"] == "node-0 a\nnode-1 b\nnode-2 c\n"


def options(spec: CassandraSpec = SPEC) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(configuration.cassandra_yaml(spec))
    return parsed


# What the image appends: a name twice in one file would be one too many.
OF_THE_IMAGE = {
    "listen_address", "rpc_address", "broadcast_rpc_address", "seed_provider", "endpoint_snitch", "dynamic_snitch",
    "authenticator", "authorizer", "role_manager", "data_file_directories", "commitlog_directory", "hints_directory",
    "saved_caches_directory",
}  # fmt: skip


def test_cassandra_yaml_has_the_specs_settings_in_cassandras_units_and_nothing_of_the_images() -> None:
    chosen = options()
    assert not OF_THE_IMAGE & chosen.keys()
    expected = {
        "cluster_name": "cs", "num_tokens": 4, "allocate_tokens_for_local_replication_factor": 3,
        "phi_convict_threshold": 5, "hinted_handoff_enabled": True, "max_hint_window": "10800s",
        "hints_flush_period": "1000ms", "read_request_timeout": "800ms", "write_request_timeout": "800ms",
        "cas_contention_timeout": "800ms", "paxos_variant": "v2",
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner", "auth_read_consistency_level": "LOCAL_ONE",
    }  # fmt: skip
    assert {name: chosen[name] for name in expected} == expected


def test_a_name_that_looks_like_a_number_stays_a_name() -> None:
    assert options(replace(SPEC, name="1e3"))["cluster_name"] == "1e3"


@pytest.mark.parametrize(
    ("sync", "named"),
    [
        ("periodic", {"commitlog_sync": "periodic", "commitlog_sync_period": "250ms"}),
        ("group", {"commitlog_sync": "group", "commitlog_sync_group_window": "250ms"}),
        ("batch", {"commitlog_sync": "batch"}),
    ],
)
def test_each_way_of_syncing_has_the_period_that_cassandra_asks_for_and_no_other(
    sync: str, named: dict[str, str]
) -> None:
    chosen = options(replace(SPEC, commitlog_sync=sync, commitlog_sync_period_milliseconds=250))
    assert {name: value for name, value in chosen.items() if name.startswith("commitlog_sync")} == named


def test_the_jvms_options_are_a_line_each() -> None:
    lines = configuration.jvm_options(replace(SPEC, replication_factor=2)).splitlines()
    assert lines[:2] == ["-Xms335544320", "-Xmx335544320"]
    assert all(re.fullmatch(r"-[A-Za-z][\w.]*(=[\w.]+)?", line) for line in lines)
    assert {
        "-Dcassandra.gossip_settle_min_wait_ms=500", "-Dcassandra.gossip_settle_interval_ms=250",
        "-Dcassandra.ring_delay_ms=5000", "-Dcassandra.broadcast_interval_ms=5000",
        "-Dcassandra.fd_max_interval_ms=2000", "-Dcassandra.consistent.rangemovement=false",
        "-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.system_auth.default_rf=2",
        "-Dcassandra.system_distributed.default_rf=2",
    } <= set(lines)  # fmt: skip


def test_parameters_come_before_the_labs_own() -> None:
    assert options()["concurrent_reads"] == 8
    assert options(replace(SPEC, parameters={"concurrent_reads": "16"}))["concurrent_reads"] == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"replicas": 5},
        {"phi_convict_threshold": 8},
        {"paxos_variant": "v1"},
        {"hinted_handoff": HintedHandoff(False, 5, 1000)},
        {"timeouts": Timeouts(5000, 2000, 1000)},
        {"operations": Operations(repair="again", restart="")},
        {"generation": 9},
    ],
)
def test_what_cassandra_changes_while_it_runs_restarts_nobody(changes: dict[str, Any]) -> None:
    assert stateful_set(replace(SPEC, **changes))["spec"]["template"] == stateful_set()["spec"]["template"]


def test_a_period_that_is_of_no_use_restarts_nobody() -> None:
    batch = replace(SPEC, commitlog_sync="batch")
    other = replace(batch, commitlog_sync_period_milliseconds=7)
    assert configuration.restart_digest(other) == configuration.restart_digest(batch)


@pytest.mark.parametrize(
    "changes",
    [
        {"heap_bytes": 2**29},
        {"commitlog_sync": "batch"},
        {"commitlog_sync_period_milliseconds": 10},
        {"gossip": Gossip(500, 250, 30000)},
        {"hinted_handoff": HintedHandoff(True, 10800, 100)},
        {"parameters": {"concurrent_reads": "16"}},
        {"operations": Operations(repair="", restart="again")},
        {"memory_request": "1Gi"},
    ],
)
def test_what_takes_a_restart_changes_the_members_pods(changes: dict[str, Any]) -> None:
    assert stateful_set(replace(SPEC, **changes))["spec"]["template"] != stateful_set()["spec"]["template"]


def test_settings_that_differ_are_found_whether_a_number_is_whole_or_not() -> None:
    wanted = configuration.settings(SPEC)
    assert configuration.drift(wanted, {**wanted, "phiConvictThreshold": 5.0, "numTokens": 4}) == {}
    assert configuration.drift(wanted, {**wanted, "phiConvictThreshold": 5.5}) == {"phiConvictThreshold": 5}
    assert "commitlogSyncPeriodMilliseconds" not in configuration.settings(replace(SPEC, commitlog_sync="batch"))


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (5, "5"), ("v2", "v2")])
def test_settings_are_said_as_the_management_port_reads_them(value: configuration.Setting, text: str) -> None:
    assert configuration.as_text(value) == text
