"""The Redis engine's builders and decisions under random specs, such as the kind's schema lets through, and looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from caplab_operator.engines.pods import Pod, ordinal
from caplab_operator.engines.redis import configuration, health, manifests, rollout, settings_drift, slices, status
from caplab_operator.engines.redis.configuration import IMMUTABLE
from caplab_operator.engines.redis.manifests import PersistedState
from caplab_operator.engines.redis.observe import KnownReplica, Member, ObservedRedis, Place, Sentinel
from caplab_operator.engines.redis.primary import primary_of
from caplab_operator.engines.redis.rollout import Deployed, Resize
from caplab_operator.engines.redis.spec import RedisSpec, parse
from hypothesis import given
from hypothesis import strategies as st
from support.chart.parameter_values import parameters
from support.chart.random_specs import NAMES, OBJECT_NAME, body_of, by_schema, schema_of
from support.operator.observed_redis import CRD

from caplab.contract.names import API_VERSION

pytestmark = pytest.mark.property

SCHEMA = schema_of(CRD)
_LIVE = ("replicas", "sentinels", "persistence", "minReplicasToWrite", "failover", "maxMemory", "evictionPolicy")

specs = by_schema(SCHEMA, parameters("redis", 9))
pod_names = [f"rd-{i}" for i in range(4)]


def spec_of(spec: Mapping[str, Any], name: str = "rd") -> RedisSpec:
    return parse(body_of("RedisCluster", spec, name))


@given(specs, NAMES, st.none() | st.integers(1, 9), st.booleans())
def test_whatever_is_asked_for_can_be_built_and_is_owned_and_named_well(
    spec_fields: dict[str, Any], name: str, current: int | None, bootstrap: bool
) -> None:
    spec = spec_of(spec_fields, name)
    standing = PersistedState(rollout.wanted_replicas(spec, None, current), None, bootstrap)
    made = [
        *manifests.build(spec, "image", "lab", standing),
        *manifests.secrets(spec, lambda _: "x"),
        slices.primary_slice(spec, pod("rd-0")),
    ]
    for item in made:
        assert item["metadata"]["ownerReferences"][0] == {
            "apiVersion": API_VERSION, "kind": "RedisCluster", "name": name, "uid": "u",
            "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        assert OBJECT_NAME.fullmatch(item["metadata"]["name"])
        assert all(len(value) <= 63 for value in item["metadata"]["labels"].values())
    sizes = {item["metadata"]["name"]: item["spec"]["replicas"] for item in made if item["kind"] == "StatefulSet"}
    assert sizes == {name: max(spec_fields["replicas"], current or 0), f"{name}-sentinel": spec_fields["sentinels"]}
    for line in configuration.redis_conf(spec).splitlines():
        assert re.fullmatch(r'[a-z-]+ ([A-Za-z0-9._$-]+|"")', line)


def templates(spec: RedisSpec) -> list[Any]:
    made = manifests.build(spec, "image", "lab", PersistedState(spec.replicas, "rd-1", bootstrap=False))
    return [item["spec"]["template"] for item in made if item["kind"] == "StatefulSet"]


@given(specs, specs)
def test_what_can_change_live_never_changes_a_pod(first: dict[str, Any], other: dict[str, Any]) -> None:
    fixed = {name: value for name, value in first["parameters"].items() if name in IMMUTABLE}
    live = {name: value for name, value in other["parameters"].items() if name not in IMMUTABLE}
    failover = {**other["failover"], "fastPath": first["failover"]["fastPath"]}
    changed = {**first, **{name: other[name] for name in _LIVE}, "failover": failover, "parameters": {**fixed, **live}}
    assert templates(spec_of(changed)) == templates(spec_of(first))


@given(specs, specs)
def test_setting_what_differs_leaves_no_difference(first: dict[str, Any], other: dict[str, Any]) -> None:
    actual, wanted = configuration.directives(spec_of(first)), configuration.directives(spec_of(other))
    changes = configuration.drift(wanted, actual)
    assert configuration.drift(wanted, {**actual, **changes}) == {}
    assert configuration.drift(wanted, wanted) == {}
    assert configuration.live(changes).keys() == changes.keys() - IMMUTABLE


def pod(name: str, **changes: Any) -> Pod:
    number = ordinal(name) + (100 if "sentinel" in name else 0)
    fields = {"uid": name, "node": "n", "zone": "a", "address": f"10.0.0.{number}", "revision": "r1", "files": ""}
    return Pod(**{"name": name, "namespace": "lab", "ready": True, "terminating": False, **fields, **changes})


def host(name: str) -> str:
    return f"{name}.rd-members.demo.svc.cluster.local"


hosts = st.sampled_from([*map(host, pod_names), "10.0.0.0", "10.0.0.1", "10.9.9.9", "", "rd", "rd-10.x"])
settings = st.dictionaries(st.sampled_from(["hz", "save", "appendonly"]), st.sampled_from(["", "1", "yes"]))
members = st.builds(
    Member,
    is_master=st.booleans(),
    replication_id=st.just("a" * 40),
    offset=st.integers(0, 9),
    follows=hosts,
    link_up=st.booleans(),
    loading=st.booleans(),
    settings=settings,
)
flags = st.frozensets(st.sampled_from(["master", "slave", "o_down", "failover_in_progress", "promoted"]))
replica_views = st.lists(st.builds(KnownReplica, hosts, flags, st.sampled_from([0, 100])), max_size=4).map(tuple)
sentinels = st.builds(
    Sentinel,
    names=hosts,
    flags=flags,
    replicas=replica_views,
    others=st.integers(0, 4),
    settings=settings,
    periods=settings,
)


@st.composite
def looks(draw: st.DrawFn) -> ObservedRedis:
    there = draw(st.lists(st.sampled_from(pod_names), unique=True))
    watchers = draw(st.lists(st.sampled_from([f"rd-sentinel-{i}" for i in range(3)]), unique=True))
    revisions = st.sampled_from(["r0", "r1"])
    pods = tuple(
        pod(name, revision=draw(revisions), terminating=draw(st.booleans()), ready=draw(st.booleans()))
        for name in there
    )
    member_answers = {name: answer for name in there if (answer := draw(st.none() | members))}
    sentinel_answers = {name: view for name in watchers if (view := draw(st.none() | sentinels))}
    return ObservedRedis(
        place=Place(pods, tuple(pod(name) for name in watchers), "pw"),
        began=0.0,
        members=member_answers,
        sentinels=sentinel_answers,
    )


@given(looks())
def test_the_primary_is_always_a_master_by_its_own_word_that_somebody_wants(look: ObservedRedis) -> None:
    primary = primary_of(look)
    if primary is None:
        return
    assert look.members[primary].is_master
    assert not look.members[primary].loading
    wanted = {sentinel.names for sentinel in look.sentinels.values()} | {
        replica.host
        for sentinel in look.sentinels.values()
        for replica in sentinel.replicas
        if "promoted" in replica.flags
    }
    assert {host(primary), pod(primary).address} & wanted


@given(specs, looks(), st.integers(1, 9), st.booleans())
def test_whatever_is_seen_has_a_status_and_no_step_removes_the_primary_while_others_could_take_over(
    spec_fields: dict[str, Any], look: ObservedRedis, size: int, is_current: bool
) -> None:
    spec = spec_of(spec_fields)
    primary = primary_of(look)
    step = rollout.next_step(spec, look, primary, Deployed(size, "r1", is_current))
    done = status.RoundResult(refusals={}, rollout=step.why if step else "")
    written = status.build(spec, look, primary, {"phase": "Ready"}, "2026-01-01T00:00:00Z", {}, done)
    assert written.get("primary") == primary
    assert written["phase"] in {"Ready", "Degraded", "Down"}
    assert (written["phase"] == "Down") == (primary is None)
    assert all(len(row["state"]) <= 40 for row in [*written["members"], *written["sentinels"]])
    if isinstance(step, Resize) and step.replicas < size:
        assert primary is not None
        assert ordinal(primary) < step.replicas
    if isinstance(step, rollout.Restart) and step.pod.name == primary and step.pod.ready:
        assert spec.replicas == 1
    if reset := settings_drift.to_reset(spec, look, primary):
        assert max(health.beyond(spec, look.sentinels[reset.name])) > 0
