"""A PostgresCluster and observations of it, for the tests of its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from caplab_operator.engines.pods import Pod
from caplab_operator.engines.postgres import patroni, settings
from caplab_operator.engines.postgres.observe import ObservedPostgres
from caplab_operator.engines.postgres.readings import Line, Override, Reading, Setting
from caplab_operator.engines.postgres.spec import Failover, PostgresSpec
from caplab_operator.engines.postgres.status import RoundResult
from caplab_operator.engines.rolling import Deployed

SPEC = PostgresSpec(
    name="pg",
    namespace="demo",
    uid="u-1",
    generation=3,
    replicas=3,
    durability="async",
    failover=Failover(
        ttl_seconds=20,
        loop_wait_seconds=1,
        retry_timeout_seconds=3,
        primary_start_timeout_seconds=0,
        maximum_lag_on_failover_bytes=1048576,
        failsafe_mode=False,
        fast_path=False,
        fencing="none",
    ),
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
            "fastPath": False,
            "fencing": "none",
        },
        "storage": {"size": "1Gi", "onDeletion": "Delete"},
        "resources": {"memoryRequest": "192Mi", "cpuRequest": "50m"},
        "parameters": {},
    },
}
QUORUM = replace(SPEC, durability="quorum")
CURRENT = Deployed(3, "r1", is_current=True)
STANDBY_NAMES = {"async": "", "quorum": "ANY 1 (pg-1,pg-2)", "sync": '"pg-1"'}
_STANDBY_ROLES = {"quorum": "quorum_standby", "sync": "sync_standby"}
AUTO_CONF, CONF = "/data/pg/postgresql.auto.conf", "/data/pg/postgresql.conf"


def pod(name: str, **changes: Any) -> Pod:
    number = int(name[-1])
    made = Pod(
        name=name, namespace="demo", uid=f"uid-of-{name}", node=f"n{number}", zone="abcdefghi"[number],
        address=f"10.0.0.{number}", revision="r1", files="", ready=True, terminating=False,
    )  # fmt: skip
    return replace(made, **changes)


def reading(spec: PostgresSpec = SPEC, changed: Mapping[str, Any] | None = None, **more: Any) -> Reading:
    """Make a member with the spec's settings, except for changes: by value, or as a whole Setting."""
    values = {
        "fsync": "on", "full_page_writes": "on", "wal_level": "replica",
        "synchronous_standby_names": STANDBY_NAMES[spec.durability], **patroni.parameters(spec),
    }  # fmt: skip
    rows = {name: setting(name, value) for name, value in values.items()}
    for name, value in (changed or {}).items():
        rows[name] = value if isinstance(value, Setting) else setting(name, value)
    return Reading(settings=rows, **more)


def setting(name: str, value: str, **more: Any) -> Setting:
    return Setting(**{"name": name, "value": value, "source": "configuration file", "file": CONF, **more})


def by_alter_system(name: str, value: str, applied: bool = True) -> Line:
    return Line(name=name, value=value, file=AUTO_CONF, applied=applied, error="")


def override(name: str, value: str, role: str = "", database: str = "") -> Override:
    return Override(role, database, name, value)


def answer(name: str, primary: str | None = "pg-0", **changes: Any) -> dict[str, Any]:
    """Make the answer of a member's own Patroni."""
    if name == primary:
        return {"role": "primary", "state": "running", "timeline": 1, **changes}
    return {"role": "replica", "state": "running", "replication_state": "streaming", "timeline": 1, **changes}


def observed(
    spec: PostgresSpec = SPEC,
    primary: str | None = "pg-0",
    pods: Sequence[Pod] | None = None,
    answers: Mapping[str, Mapping[str, Any] | None] | None = None,
    readings: Mapping[str, Reading | None] | None = None,
    lags: Mapping[str, int] | None = None,
    history: Sequence[Sequence[Any]] = (),
) -> ObservedPostgres:
    """Make an observation of a cluster as its spec requests, except for the arguments; None is silence."""
    pods = tuple(pods if pods is not None else [pod(f"pg-{number}") for number in range(spec.replicas)])
    own_answers = {member.name: answer(member.name, primary) for member in pods} | dict(answers or {})
    read = {member.name: reading(spec) for member in pods} | dict(readings or {})
    role = _STANDBY_ROLES.get(spec.durability, "replica")
    rows: list[dict[str, Any]] = [
        {"name": member.name, "role": "leader", "state": "running"}
        if member.name == primary
        else {"name": member.name, "role": role, "state": "streaming", "lag": (lags or {}).get(member.name, 0)}
        for member in pods
    ]
    return ObservedPostgres(
        pods=pods,
        leader=primary,
        answers={name: own_answer for name, own_answer in own_answers.items() if own_answer is not None},
        topology={"members": rows},
        config=patroni.dynamic_settings(spec),
        history=history,
        readings={name: own_reading for name, own_reading in read.items() if own_reading is not None},
    )


def done(look: ObservedPostgres, spec: PostgresSpec = SPEC, **changes: Any) -> RoundResult:
    """Make a pass's result with nothing under way, after which clients log in everywhere."""
    logins = {member.name: "" for member in look.pods}
    return replace(RoundResult(gaps=settings.gaps(spec, look), logins=logins), **changes)
