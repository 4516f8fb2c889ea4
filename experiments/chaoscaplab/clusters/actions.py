"""Chaos Toolkit actions: what is done to a cluster by its own means, as whoever keeps it would."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..faults.node_choice import member_of
from ..recorded_event import RecordedEvent
from ..server import ExecFailed
from ..waiting import require
from . import redis_memory
from .lookup import lookup_cluster
from .provision import Cluster
from .redis import ENGINE as REDIS

__all__ = ["delete_member", "fill_memory", "rolling_restart", "scale", "switchover"]


def switchover(
    cluster: str,
    within_seconds: float = 60,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, str]:
    """Have the cluster itself hand the primary's role to a replica, and wait until its status names another primary.

    kind is the cluster's, where it is not that of the run under way. Returns who it was (old) and who it is (new).
    ActivityFailed where the engine has none, refuses, or does not come to it within_seconds.
    """
    target = lookup_cluster(cluster, namespace, kind, configuration)
    if not target.engine.HAS_PRIMARY:
        raise ActivityFailed(f"A {target.engine.KIND} has no primary. Hint: leave the switchover out.")
    body = target.body()
    old = str(body["status"].get("primary"))
    with RecordedEvent("switchover", old) as event:
        try:
            target.engine.switch_over(target.server, target.namespace, body)
        except ExecFailed as error:
            raise ActivityFailed(f"{cluster} does not hand over: {error}") from error

        def still() -> str:
            now = target.body()["status"].get("primary")
            return f"the primary is {now or 'nobody'}" if now in (None, old) else ""

        require(f"{cluster} has another primary than {old}", still, float(within_seconds))
        new = str(target.body()["status"]["primary"])
        event.add_evidence(f"the primary was {old}, and is {new}")
    return {"old": old, "new": new}


def delete_member(
    cluster: str,
    role: str = "primary",
    within_seconds: float = 120,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, str]:
    """Delete the pod of a member in order, as kubectl delete pod does, and wait until another one has its place.

    role: primary, replica or any; seed chooses which of several. kind is the cluster's, where it is not that of the run
    under way. Returns the member, and the uids of its pod before and after (old, new). ActivityFailed where no
    other pod has its place within_seconds.
    """
    target = lookup_cluster(cluster, namespace, kind, configuration)
    member = member_of(target.body(), role, seed)
    old = _uid_of(target, member)
    if not old:
        raise ActivityFailed(f"There is no pod {member}. Hint: wait until {cluster} is Ready.")
    with RecordedEvent("deletion", member) as event:
        began = time.monotonic()
        target.server.delete_pod(target.namespace, member)

        def still() -> str:
            now = _uid_of(target, member)
            return f"the pod is {now or 'not made anew yet'}" if now in ("", old) else ""

        require(f"another pod has the place of {member}", still, float(within_seconds))
        new = _uid_of(target, member)
        event.add_evidence(f"the pod {old} was replaced by {new} after {time.monotonic() - began:.1f} s")
    return {"member": member, "old": old, "new": new}


def rolling_restart(
    cluster: str,
    within_seconds: float = 300,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> list[str]:
    """Have the operator restart member after member, and wait until each runs again.

    Of engines whose spec has operations.restart: Cassandra. kind is the cluster's, where it is not that of the run
    under way. Returns the members. ActivityFailed where it does not end within_seconds.
    """
    target = lookup_cluster(cluster, namespace, kind, configuration)
    spec = target.body()["spec"]
    if "operations" not in spec:
        raise ActivityFailed(f"A {target.engine.KIND} has no operations.restart. Hint: leave the rolling restart out.")
    began = datetime.now(UTC)
    with RecordedEvent("rolling restart", cluster) as event:
        restart = {"restart": began.strftime("%Y-%m-%dT%H.%M.%S")}
        target.change(lambda body: {**body["spec"], "operations": {**body["spec"]["operations"], **restart}})

        def not_restarted() -> str:
            old = [pod.metadata.name for pod in target.members() if not _has_started_since(pod, began)]
            return f"{', '.join(old)} still to restart" if old else target.not_steady()

        require(f"every member of {cluster} has restarted", not_restarted, float(within_seconds))
        members = sorted(str(pod.metadata.name) for pod in target.members())
        event.add_evidence(f"{', '.join(members)} have started since")
    return members


def scale(
    cluster: str,
    replicas: int,
    within_seconds: float = 480,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, int]:
    """Have the operator give the cluster so many members, and wait until these are all and in their steady state.

    replicas: its members from now on. kind is the cluster's, where it is not that of the run under way. Returns how
    many there were (before). ActivityFailed where it does not come to that within_seconds.
    """
    target = lookup_cluster(cluster, namespace, kind, configuration)
    spec = target.body()["spec"]
    before, wanted = int(spec["replicas"]), int(replicas)
    with RecordedEvent("scale", cluster) as event:
        target.change(lambda body: {**body["spec"], "replicas": wanted})

        def not_there() -> str:
            members = len(target.members())
            return f"it has {members} members" if members != wanted else target.not_steady()

        require(f"{cluster} has {wanted} members", not_there, float(within_seconds))
        event.add_evidence(f"it had {before} members, and has {wanted}")
    return {"before": before}


def fill_memory(
    cluster: str,
    seconds: int = 10,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, Any]:
    """Write keys of the lab's own until a Redis primary has no memory left; after so many seconds they go again.

    They expire by themselves soon after, whatever becomes of this process. kind is the cluster's, where it is not that
    of the run under way. Returns what was seen: keys, evicted_keys and refused. ActivityFailed where the cluster is no
    Redis, or the primary never ran out of memory.
    """
    target = lookup_cluster(cluster, namespace, kind, configuration)
    if target.engine.ENGINE != REDIS:
        raise ActivityFailed(f"A {target.engine.KIND} has no maxMemory. Hint: fill a RedisCluster.")
    primary = str(target.body()["status"].get("primary"))
    with RecordedEvent("memory filled", primary) as event:
        try:
            full = redis_memory.fill(target.server, target.namespace, primary, int(seconds))
            event.add_evidence(full.sentence())
            time.sleep(float(seconds))
        except (ExecFailed, redis_memory.NotFull) as error:
            raise ActivityFailed(f"The memory of {primary} was not filled: {error}") from error
        finally:
            redis_memory.empty(target.server, target.namespace, primary)
    return {"keys": full.keys, "evicted_keys": full.evicted_keys, "refused": full.refused}


def _uid_of(cluster: Cluster, member: str) -> str:
    """Of the pod that a member has now; '' where there is none."""
    return next((str(pod.metadata.uid) for pod in cluster.members() if pod.metadata.name == member), "")


def _has_started_since(pod: Any, moment: datetime) -> bool:
    """Whether every container of a pod runs, and began to after a moment: pure."""
    running = [container.state.running for container in pod.status.container_statuses or ()]
    whole = moment.replace(microsecond=0)  # Kubernetes tells whole seconds
    return bool(running) and all(state is not None and state.started_at > whole for state in running)
