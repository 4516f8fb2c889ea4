"""Chaos Toolkit actions: do something to a cluster's members, and make sure that it ends.

kill, freeze and partition hit whom exactly one of role, members, zone and node says; the primary where none does.
"""

from __future__ import annotations

import time
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.faults.healing import AGENT_STARTS_SECONDS

from ..clusters.engines import engine_for_kind
from ..namespaces import namespace_of
from ..run_context import current_run
from ..server import Server
from ..waiting import require
from . import nodes
from .injecting import inject, own_faults, phase_of, refuse_short
from .specs import spec_of, target_of

__all__ = ["freeze", "heal", "kill", "nothing", "partition"]

_HEAL_SECONDS = 20.0  # to heal everything, agents that were just restarted included


def kill(
    cluster: str = "",
    role: str = "",
    count: int = 1,
    members: list[str] | None = None,
    zone: str = "",
    node: str = "",
    max_members: int = 0,
    seconds: int = 10,
    keep_down: bool = True,
    signal: str = "SIGKILL",
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, Any]:
    """End every process of members of a cluster; with keep_down they stay down until the fault is over.

    cluster: its name; may be missing with zone and node, which then mean every cluster of the namespace.
    role: primary, replica or any, and count: how many of them; seed chooses which. members: pods by name.
    zone, node: all members and Sentinels there. max_members: the most members of one cluster that may be hit;
    0: a minority of them, but at least one. seconds: how long the fault lasts. signal: what is sent first, such as
    SIGTERM; SIGKILL follows. kind: the cluster's, where it is not that of the run under way.

    Returns the Fault's status when it is live. ActivityFailed says why it could not be.
    """
    if keep_down:
        refuse_short("keep the member down", seconds)
    target = target_of(_kind(cluster, kind), cluster, role, count, members, zone, node, max_members)
    killed = {"kill": {"signal": signal, "keepDown": keep_down}}
    return inject(namespace_of(configuration, namespace), spec_of(killed, target, seconds, seed))


def freeze(
    cluster: str = "",
    role: str = "",
    count: int = 1,
    members: list[str] | None = None,
    zone: str = "",
    node: str = "",
    max_members: int = 0,
    seconds: int = 10,
    brief: bool = False,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, Any]:
    """Stop every process of members where it is, for so many seconds; then they go on as if nothing had been.

    cluster: its name; may be missing with zone and node, which then mean every cluster of the namespace.
    role: primary, replica or any, and count: how many of them; seed chooses which. members: pods by name.
    zone, node: all members and Sentinels there. max_members: the most members of one cluster that may be hit;
    0: a minority of them, but at least one. seconds: how long the fault lasts; brief: it may be shorter than what the
    row gives the failover, where the row is about another fault. kind: the cluster's, where it is not that
    of the run under way.

    Returns the Fault's status when it is live. ActivityFailed says why it could not be.
    """
    if not brief:
        refuse_short("freeze the member", seconds)
    target = target_of(_kind(cluster, kind), cluster, role, count, members, zone, node, max_members)
    return inject(namespace_of(configuration, namespace), spec_of({"freeze": {}}, target, seconds, seed))


def partition(
    cluster: str = "",
    role: str = "",
    count: int = 1,
    members: list[str] | None = None,
    zone: str = "",
    node: str = "",
    max_members: int = 0,
    cut_from: str = "peers",
    direction: str = "both",
    dns: str = "Keep",
    seconds: int = 10,
    brief: bool = False,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, Any]:
    """Drop the packets between members and others, on connections that are there as on new ones.

    cut_from: peers (the other members), controlPlane, clients (probers, and pods of no cluster), or group (the targets'
    zones with all that is in them, from everything else). direction: both, in (the targets do not hear the others)
    or out (the others do not hear the targets). dns: Keep, or Cut with controlPlane and group.
    cluster: its name; may be missing with zone and node, which then mean every cluster of the namespace.
    role: primary, replica or any, and count: how many of them; seed chooses which. members: pods by name.
    zone, node: all members and Sentinels there. max_members: the most members of one cluster that may be hit;
    0: a minority of them, but at least one. seconds: how long the fault lasts; brief: it may be shorter than what the
    row gives the failover, where the row is about another fault. kind: the cluster's, where it is not that
    of the run under way.

    Returns the Fault's status when it is live; its proof is the first packet that was dropped, a moment later.
    ActivityFailed says why it could not be.
    """
    if not brief:
        refuse_short("cut the member off", seconds)
    target = target_of(_kind(cluster, kind), cluster, role, count, members, zone, node, max_members)
    cut = {"partition": {"from": cut_from, "direction": direction, "dns": dns}}
    return inject(namespace_of(configuration, namespace), spec_of(cut, target, seconds, seed))


def nothing(seconds: float = 10) -> float:
    """Let so many seconds pass: the fault of a control run. The only wait here for a time and for nothing else."""
    time.sleep(float(seconds))
    return float(seconds)


def heal(namespace: str = "", configuration: Configuration | None = None) -> list[str]:
    """End every fault of this run at once, bring the nodes back that it lost, and wait until everything has ended.

    What others did is theirs to end; `caplab heal` by hand ends all there is. Returns the names of the faults and of
    the nodes. ActivityFailed says what has not ended.
    """
    server, where = Server(), namespace_of(configuration, namespace)
    faults = own_faults(server, where)
    for fault in faults:
        server.remove("Fault", fault)
    back, still_away = nodes.restore_own_nodes()  # the agents on them have to say that faults have ended

    def left() -> str:
        faults = own_faults(server, where)
        for fault in faults:
            current_run().note_fault(fault)  # its last word, before it goes
        return ", ".join(f"{fault['metadata']['name']} is {phase_of(fault)}" for fault in faults)

    require("all faults have ended", left, _HEAL_SECONDS + (AGENT_STARTS_SECONDS if back else 0.0))
    if still_away:
        raise ActivityFailed("; ".join(still_away))
    return [*(str(fault["metadata"]["name"]) for fault in faults), *back]


def _kind(cluster: str, kind: str) -> str:
    """That of the run under way goes with a cluster's name only: without one, every cluster is meant."""
    return engine_for_kind(kind).KIND if cluster else kind
