"""A cluster's exporter: one pod that is no member, made and taken away by the operator, and that nothing waits for."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from caplab_dashboards import sources
from caplab_operator.engines import exporter, objects
from caplab_operator.engines.common import CAN_START
from caplab_operator.engines.exporter import Exporter
from caplab_operator.engines.postgres import manifests as postgres
from caplab_operator.engines.postgres.exporter import EXPORTER as OF_POSTGRES
from caplab_operator.engines.redis import manifests as redis
from caplab_operator.engines.redis.exporter import EXPORTER as OF_REDIS
from caplab_operator.handlers import exporters
from caplab_operator.handlers.engines import controllers
from caplab_operator.handlers.exporters import Exporting
from caplab_operator.handlers.faults.pods import inventory_from
from caplab_operator.handlers.starting import Starting
from caplab_operator.settings import EXPORTERS_VARIABLE, LAB_NAMESPACE_VARIABLE
from support.objects.fake_server import FakeServer
from support.operator.observed_postgres import BODY as PG_BODY
from support.operator.observed_postgres import SPEC as PG
from support.operator.observed_redis import BODY as RD_BODY
from support.operator.observed_redis import SPEC as RD

from caplab.contract.engines import POSTGRES, REDIS

PARTS = [("Secret", "secrets"), ("NetworkPolicy", "networkpolicies"), ("Service", "services"),
         ("StatefulSet", "statefulsets")]  # fmt: skip
BOTH = pytest.mark.parametrize(("spec", "of"), [(PG, OF_POSTGRES), (RD, OF_REDIS)], ids=["postgres", "redis"])


def built(spec: Any, of: Exporter, password: str = "p", root: str = "r") -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in exporter.build(spec, of, "image", "lab", password, root)}


def template(spec: Any, of: Exporter, **given: str) -> dict[str, Any]:
    template: dict[str, Any] = built(spec, of, **given)["StatefulSet"]["spec"]["template"]
    return template


@BOTH
def test_it_is_one_pod_under_the_restricted_profile_that_is_nobody_to_the_api_server(spec: Any, of: Exporter) -> None:
    made = built(spec, of)["StatefulSet"]
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert made["spec"]["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["resources"]["limits"] == {"memory": "64Mi"}
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod


@BOTH
def test_it_runs_where_no_fault_is_and_is_spread_over_no_zones(spec: Any, of: Exporter) -> None:
    pod = template(spec, of)["spec"]
    assert pod["nodeSelector"] == {"node-role.kubernetes.io/control-plane": ""}
    # The one that operator-guard.yaml lets an exporter have: tests/kind/test_rights.py tries others.
    (toleration,) = pod["tolerations"]
    assert toleration == {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    assert "topologySpreadConstraints" not in pod


@BOTH
def test_each_of_its_objects_is_the_clusters_and_has_its_name_and_part(spec: Any, of: Exporter) -> None:
    for made in built(spec, of).values():
        metadata = made["metadata"]
        assert metadata["name"] == f"{spec.name}-exporter"
        assert metadata["labels"] == objects.part(spec, "exporter")
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == [spec.uid]


@BOTH
def test_another_login_starts_it_anew_and_the_pod_tells_nothing_of_the_password(spec: Any, of: Exporter) -> None:
    assert template(spec, of) == template(spec, of, password="another")
    assert template(spec, of) != template(spec, of, root="another")
    assert "secret-word" not in json.dumps(template(spec, of, password="secret-word"))


def test_postgres_exporter_logs_in_by_a_module_called_as_its_role_and_waits_for_no_frozen_member() -> None:
    secret = built(PG, OF_POSTGRES, password="pass-word")["Secret"]
    (text,) = OF_POSTGRES.files("pass-word").values()
    module = yaml.safe_load(text)["auth_modules"]["monitor"]
    assert module["userpass"] == {"username": "monitor", "password": "pass-word"}
    assert module["options"]["connect_timeout"] == "1"
    (name,) = secret["data"]
    assert f"--config.file=/etc/caplab/{name}" in OF_POSTGRES.command
    assert not any("pass-word" in argument for argument in OF_POSTGRES.command)


def test_postgres_exporter_collects_what_dashboards_ask_of_it() -> None:
    """A metric's name begins with its collector's; pg_stat_activity and pg_stat_replication are told without one."""
    off = [argument.removeprefix("--no-collector.") for argument in OF_POSTGRES.command if argument.startswith("--no-")]
    on = [argument.removeprefix("--collector.") for argument in OF_POSTGRES.command if argument.startswith("--coll")]
    always = ("pg_up", "pg_stat_activity_", "pg_stat_replication_")
    prefixes = (*always, *(f"pg_{name}_" for name in on))
    assert not set(on) & set(off)
    assert [name for name in sources.POSTGRES if not name.startswith(prefixes)] == []
    assert "--disable-default-metrics" not in OF_POSTGRES.command


def test_redis_exporter_has_its_login_from_its_secret_and_asks_for_no_settings() -> None:
    (container,) = template(RD, OF_REDIS)["spec"]["containers"]
    chosen = {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container["env"]
        if "valueFrom" in variable
    }
    assert chosen["REDIS_PASSWORD"] == {"name": "rd-exporter", "key": "password"}
    assert chosen["REDIS_USER"] == {"name": "rd-exporter", "key": "user"}
    assert "-config-command=-" in OF_REDIS.command


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_switching_it_changes_nothing_that_members_are_made_of(enabled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no member restarts, in either direction."""
    before = [postgres.stateful_set(PG, "i", 3), redis.members(RD, "i", 3), redis.sentinels(RD, "i")]
    files = [postgres.config_map(PG), redis.config_map(RD, redis.PersistedState(3, "rd-0", False))]
    secrets = [*postgres.secrets(PG, str), *redis.secrets(RD, str)]
    monkeypatch.setenv(EXPORTERS_VARIABLE, enabled)
    assert [postgres.stateful_set(PG, "i", 3), redis.members(RD, "i", 3), redis.sentinels(RD, "i")] == before
    assert [postgres.config_map(PG), redis.config_map(RD, redis.PersistedState(3, "rd-0", False))] == files
    assert [*postgres.secrets(PG, str), *redis.secrets(RD, str)] == secrets
    assert "monitor" not in json.dumps([before, files, secrets]).replace("pg_monitor", "")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")
    monkeypatch.setenv(EXPORTERS_VARIABLE, "true")
    for engine in (POSTGRES, REDIS):
        monkeypatch.setenv(engine.exporter_variable, f"image of {engine.exporter}")
    return FakeServer()


def of_kind(kind: str) -> Exporting:
    exporting = controllers()[kind].exporting
    assert exporting is not None
    return exporting


def keep(server: FakeServer, body: Mapping[str, Any] = PG_BODY) -> str:
    return exporters.keep(server, of_kind(body["kind"]), body)


def test_cassandra_has_none_since_members_tell_themselves() -> None:
    assert {kind: controller.exporting is None for kind, controller in controllers().items()} == {
        "CassandraCluster": True, "PostgresCluster": False, "RedisCluster": False,
    }  # fmt: skip


@pytest.mark.parametrize("body", [PG_BODY, RD_BODY], ids=["postgres", "redis"])
def test_all_of_it_is_made_with_a_password_that_is_derived(server: FakeServer, body: dict[str, Any]) -> None:
    assert keep(server, body) == ""
    name = f"{body['metadata']['name']}-exporter"
    for _, plural in PARTS:
        assert server.at(plural, name)
    spec = of_kind(body["kind"]).parse(body)
    image = server.at("statefulsets", name)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"image of {spec.ENGINE.exporter}"
    password = exporters.password(server, spec)
    made = built(spec, of_kind(body["kind"]).exporter, password)["Secret"]
    assert server.at("secrets", name)["data"] == made["data"]
    server.drop("secrets", name)
    server.ledger.invalidate("u-1", ("Secret", name))  # as the watch does
    before = len(server.changes())
    keep(server, body)
    assert server.at("secrets", name)["data"] == made["data"]
    assert len(server.changes()) == before + 1  # what has not changed is not applied again


def test_where_exporters_are_switched_off_its_pod_goes_first_and_then_the_rest(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(server)
    members = server.put("StatefulSet", "pg", api_version="apps/v1")
    monkeypatch.setenv(EXPORTERS_VARIABLE, "false")
    server.requests.clear()
    assert keep(server) == ""
    deleted = [request.split("/")[-2:] for request in server.requests if request.startswith("DELETE")]
    assert deleted == [[plural, "pg-exporter"] for _, plural in reversed(PARTS)]
    assert server.at("statefulsets", "pg") == members
    server.requests.clear()
    assert keep(server) == ""
    assert not any(request.startswith("DELETE") for request in server.requests)
    assert exporters.password(server, PG) == ""


def test_what_is_somebody_elses_is_neither_changed_nor_removed_and_is_named(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = server.put("Service", "pg-exporter")
    assert keep(server).startswith("it has no exporter: Service pg-exporter (owned by no cluster) has its name. Hint:")
    assert [request for request in server.requests if request.startswith("PATCH")] == []
    monkeypatch.setenv(EXPORTERS_VARIABLE, "false")
    keep(server)
    assert server.at("services", "pg-exporter") == theirs


def test_a_refusal_is_told_and_raises_nothing(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(POSTGRES.exporter_variable)
    assert keep(server).startswith("its exporter is not up to date yet:")


def test_one_that_cannot_start_does_not_keep_its_cluster_from_starting(server: FakeServer) -> None:
    """The same pod without the label of an exporter is told of: the look is not just blind."""
    long_ago = "2020-01-01T00:00:00+00:00"
    scheduled = {"type": "PodScheduled", "status": "False", "lastTransitionTime": long_ago, "message": "no room"}
    pod: dict[str, Any] = {"spec": {}, "status": {"phase": "Pending", "conditions": [scheduled]}}
    labels = objects.part(PG, "exporter")
    server.put("Pod", "pg-exporter-0", **pod)
    metadata = server.at("pods", "pg-exporter-0")["metadata"]
    metadata["labels"] = labels
    assert datetime.datetime.fromisoformat(long_ago)
    assert Starting(server, ("PostgresCluster", "demo", "pg")).why() == CAN_START
    metadata["labels"] = objects.part(PG)
    assert Starting(server, ("PostgresCluster", "demo", "pg")).why()[0] == "False"


def test_no_fault_knows_it_neither_as_a_target_nor_as_a_client() -> None:
    owner = {"kind": "StatefulSet", "name": "pg-exporter", "controller": True, "uid": "x"}
    body = {
        "metadata": {"name": "pg-exporter-0", "uid": "u", "labels": objects.part(PG, "exporter"),
                     "ownerReferences": [owner]},
        "spec": {"nodeName": "control-plane"},
        "status": {"phase": "Running", "podIP": "10.0.0.9", "hostIP": "172.18.0.9"},
    }  # fmt: skip
    inventory = inventory_from(lambda _: "", [body])
    assert (inventory.pods, inventory.clients) == ((), ())
