"""Chaos Toolkit actions: change a cluster by its own means, as its administrator would."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract import meta
from caplab.contract.engines import REDIS
from caplab.kube.client import Body
from caplab.kube.errors import ExecFailed
from caplab.run_context import current_run

from ..faults.node_choice import member_of
from ..recorded_event import RecordedEvent
from ..waiting import require
from . import redis_memory
from .lookup import lookup_cluster
from .provision import Cluster

__all__ = ["delete_member", "fill_memory", "rolling_restart", "scale", "switchover"]


def switchover(
    cluster: str,
    within_seconds: float = 60,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, str]:
    """Have the cluster hand the primary's role to a replica, and wait until its status names another primary.

    kind: the cluster's kind, if it differs from that of the current run. Returns the former primary (old) and the
    present one (new). Raises ActivityFailed if the engine has no primary, refuses, or takes longer than within_seconds.
    """
    run = current_run()
    target = lookup_cluster(run, cluster, namespace, kind, configuration)
    if not target.engine.ENGINE.has_primary:
        raise ActivityFailed(f"A {target.kind} has no primary. Hint: leave out the switchover.")
    body = target.body()
    old = str(body["status"].get("primary"))
    with RecordedEvent(run, "switchover", old) as event:
        try:
            target.engine.switch_over(target.server, target.namespace, body)
        except ExecFailed as error:
            raise ActivityFailed(f"{cluster} refused the switchover: {error}") from error

        def still() -> str:
            now = target.body()["status"].get("primary")
            return f"the primary is {now or 'none'}" if now in (None, old) else ""

        require(f"{cluster} has a primary other than {old}", still, float(within_seconds))
        new = str(target.body()["status"]["primary"])
        event.add_evidence(f"the primary was {old}, and is now {new}")
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
    """Delete a member's pod gracefully, as kubectl delete pod does, and wait until another pod replaces it.

    role: primary, replica or any; seed chooses which of several. kind: the cluster's kind, if it differs from that of
    the current run. Returns the member, and the uids of its pod before and after (old, new). Raises ActivityFailed if
    no other pod replaces it within_seconds.
    """
    run = current_run()
    target = lookup_cluster(run, cluster, namespace, kind, configuration)
    member = member_of(target.body(), role, seed)
    old = _uid_of(target, member)
    if not old:
        raise ActivityFailed(f"There is no pod {member}. Hint: wait until {cluster} is Ready.")
    with RecordedEvent(run, "deletion", member) as event:
        began = time.monotonic()
        target.server.delete_pod(target.namespace, member, old)

        def still() -> str:
            now = _uid_of(target, member)
            return f"the pod is {now or 'not recreated yet'}" if now in ("", old) else ""

        require(f"another pod replaces {member}", still, float(within_seconds))
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
    """Have the operator restart one member after the other, and wait until each runs again.

    Only for engines whose spec has operations.restart: Cassandra. kind: the cluster's kind, if it differs from that of
    the current run. Returns the members. Raises ActivityFailed if the restart takes longer than within_seconds.
    """
    run = current_run()
    target = lookup_cluster(run, cluster, namespace, kind, configuration)
    spec = target.body()["spec"]
    if "operations" not in spec:
        raise ActivityFailed(f"A {target.kind} has no operations.restart. Hint: leave out the rolling restart.")
    began = datetime.now(UTC)
    with RecordedEvent(run, "rolling restart", cluster) as event:
        restart = {"restart": began.strftime("%Y-%m-%dT%H.%M.%S")}
        target.change(lambda body: {**body["spec"], "operations": {**body["spec"]["operations"], **restart}})

        def not_restarted() -> str:
            old = [meta.name_of(pod) for pod in target.members() if not _has_started_since(pod, began)]
            return f"{', '.join(old)} still to restart" if old else target.not_steady()

        require(f"every member of {cluster} has restarted", not_restarted, float(within_seconds))
        members = sorted(meta.name_of(pod) for pod in target.members())
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
    """Have the operator scale the cluster to a number of members, and wait for its steady state with exactly these.

    replicas: the number of members from now on. kind: the cluster's kind, if it differs from that of the current run.
    Returns the former number (before). Raises ActivityFailed if the change takes longer than within_seconds.
    """
    run = current_run()
    target = lookup_cluster(run, cluster, namespace, kind, configuration)
    spec = target.body()["spec"]
    before, wanted = int(spec["replicas"]), int(replicas)
    with RecordedEvent(run, "scale", cluster) as event:
        target.change(lambda body: {**body["spec"], "replicas": wanted})

        def not_there() -> str:
            members = len(target.members())
            return f"it has {members} members" if members != wanted else target.not_steady()

        require(f"{cluster} has {wanted} members", not_there, float(within_seconds))
        event.add_evidence(f"it had {before} members, and now has {wanted}")
    return {"before": before}


def fill_memory(
    cluster: str,
    seconds: int = 10,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, Any]:
    """Write the lab's own keys until a Redis primary has no memory left, and remove them after the given seconds.

    Even if this process dies, they expire soon after. kind: the cluster's kind, if it differs from that of the current
    run. Returns keys, evicted_keys and refused. Raises ActivityFailed if the cluster is not a Redis, or the primary
    never ran out of memory.
    """
    run = current_run()
    target = lookup_cluster(run, cluster, namespace, kind, configuration)
    if target.engine.ENGINE != REDIS:
        raise ActivityFailed(f"A {target.kind} has no maxMemory. Hint: fill a RedisCluster.")
    primary = str(target.body()["status"].get("primary"))
    with RecordedEvent(run, "memory filled", primary) as event:
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
    """Return the uid of a member's present pod; '' if it has none."""
    return next((meta.uid_of(pod) for pod in cluster.members() if meta.name_of(pod) == member), "")


def _has_started_since(pod: Body, moment: datetime) -> bool:
    """Return whether every container of a pod runs, and started after a moment: pure."""
    states = [container["state"].get("running") for container in pod["status"].get("containerStatuses") or ()]
    whole = moment.replace(microsecond=0)  # Kubernetes gives whole seconds
    return bool(states) and all(state and datetime.fromisoformat(state["startedAt"]) > whole for state in states)
