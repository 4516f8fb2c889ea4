"""A RedisCluster and observations of it, for the tests of its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import configuration, manifests
from caplab_operator.engines.redis.manifests import PersistedState
from caplab_operator.engines.redis.observe import KnownReplica, Member, ObservedRedis, Place, Sentinel
from caplab_operator.engines.redis.rollout import Deployed
from caplab_operator.engines.redis.spec import Failover, RedisSpec

CRD = Path(__file__).parents[3] / "charts/caplab/templates/crds/rediscluster.yaml"
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
    failover=Failover(
        down_after_milliseconds=1000,
        failover_timeout_milliseconds=6000,
        restarted_primary="WaitForDecision",
        fast_path=False,
    ),
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
            "fastPath": False,
        },
        "maxMemory": "128Mi",
        "evictionPolicy": "noeviction",
        "storage": {"size": "1Gi", "onDeletion": "Delete"},
        "resources": {"memoryRequest": "64Mi", "cpuRequest": "50m"},
        "parameters": {},
    },
}
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"
STANDING = PersistedState(3, "rd-0", bootstrap=False)
CURRENT = Deployed(3, "r1", is_current=True)


def pod(name: str, number: int, **changes: Any) -> Pod:
    fields: dict[str, Any] = {
        "uid": f"u-{name}", "node": f"node-{number}", "zone": "abcdefghi"[number], "revision": "r1", "ready": True,
        "terminating": False, "namespace": "lab", "files": "",
    }  # fmt: skip
    offset = 100 if "sentinel" in name else 0
    return Pod(**{"name": name, "address": f"10.0.0.{offset + number}", **fields, **changes})


PODS = tuple(pod(f"rd-{i}", i) for i in range(3))
WATCHERS = tuple(pod(f"rd-sentinel-{i}", i) for i in range(3))


def host(name: str) -> str:
    return manifests.member_host(SPEC, name)


def master(**changes: Any) -> Member:
    member = Member(
        is_master=True,
        replication_id="a" * 40,
        offset=500,
        follows="",
        link_up=False,
        loading=False,
        settings=configuration.directives(SPEC),
    )
    return replace(member, **changes)


def replica(of: str = "rd-0", **changes: Any) -> Member:
    member = Member(
        is_master=False,
        replication_id="a" * 40,
        offset=490,
        follows=host(of),
        link_up=True,
        loading=False,
        settings=configuration.directives(SPEC),
    )
    return replace(member, **changes)


def sentinel(
    names: str = "rd-0", flags: str = "master", others: int = 2, replicas: Sequence[KnownReplica] = (), **changes: Any
) -> Sentinel:
    usual = [KnownReplica(host(f"rd-{i}"), frozenset({"slave"}), 100) for i in range(3) if f"rd-{i}" != names]
    settings = configuration.sentinel_settings(SPEC)
    view = Sentinel(
        names=host(names),
        flags=frozenset(flags.split(",")),
        replicas=tuple(replicas or usual),
        others=others,
        settings=settings,
        periods=configuration.sentinel_periods(SPEC),
    )
    return replace(view, **changes)


def replicas_flagged(*flags: str) -> list[KnownReplica]:
    return [KnownReplica(host(f"rd-{i}"), frozenset(text.split(",")), 100) for i, text in enumerate(flags, 1)]


def promoting(new: str, old: str = "rd-0") -> Sentinel:
    """Make a Sentinel that leads a failover and has chosen which replica to promote."""
    replicas = [
        KnownReplica(host(f"rd-{i}"), frozenset({"slave", "promoted"} if f"rd-{i}" == new else {"slave"}), 100)
        for i in range(3)
        if f"rd-{i}" != old
    ]
    return sentinel(old, "master,o_down,failover_in_progress", replicas=replicas)


def observed(
    members: Mapping[str, Member | None] | None = None,
    sentinels: Mapping[str, Sentinel | None] | None = None,
    pods: Sequence[Pod] = PODS,
    watchers: Sequence[Pod] = WATCHERS,
    began: float = 0.0,
) -> ObservedRedis:
    """Make an observation of a healthy cluster, rd-0 primary; arguments replace an answer, None is silence."""
    member_answers = {"rd-0": master(), "rd-1": replica(), "rd-2": replica(), **(members or {})}
    sentinel_answers = {f"rd-sentinel-{i}": sentinel() for i in range(3)} | dict(sentinels or {})
    return ObservedRedis(
        place=Place(tuple(pods), tuple(watchers), "pw"),
        began=began,
        members={
            name: answer
            for name, answer in member_answers.items()
            if answer and name in {member.name for member in pods}
        },
        sentinels={
            name: answer
            for name, answer in sentinel_answers.items()
            if answer and name in {member.name for member in watchers}
        },
    )


def naming(*names: str) -> dict[str, Sentinel | None]:
    return {f"rd-sentinel-{i}": sentinel(name) if name else None for i, name in enumerate(names)}


BOTH: dict[str, Member | None] = {"rd-1": master()}  # two masters: rd-0, and rd-1


GONE = observed({"rd-0": None})
PROMOTED = observed({"rd-0": None, "rd-1": master(), "rd-2": replica("rd-1")}, naming("rd-1", "rd-1", "rd-1"))
