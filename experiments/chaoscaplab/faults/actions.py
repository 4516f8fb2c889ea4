"""Chaos Toolkit actions: inject a fault into a cluster's members, and make sure that it ends.

Exactly one of role, members, zone and node says what a fault hits; without any it is the primary.
"""

from __future__ import annotations

import time
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract import meta
from caplab.contract.names import FAULT
from caplab.contract.objects import FaultSpec, Freeze, Kill, Partition
from caplab.faults.healing import AGENT_STARTS_SECONDS
from caplab.faults.rows import read_fault
from caplab.run_context import RunContext, current_run

from ..clusters.engines import engine_for_kind
from ..namespaces import namespace_of
from ..server import Server
from ..waiting import require
from . import nodes
from .injecting import inject, own_faults, phase_of, refuse_short
from .specs import target_of

__all__ = ["freeze", "heal", "kill", "nothing", "partition"]

_HEAL_SECONDS = 20.0  # to heal everything, even by agents that were just restarted


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
    """Kill every process of members of a cluster; with keep_down they stay down until the fault is over.

    cluster: its name; may be missing with zone and node, which then mean every cluster of the namespace.
    role: primary, replica or any, and count: how many of them; seed chooses which. members: pods by name.
    zone, node: all members and Sentinels there. max_members: the most members of one cluster that may be hit;
    0: a minority of them, but at least one. seconds: how long the fault lasts. signal: what is sent first, such as
    SIGTERM; SIGKILL follows. kind: the cluster's kind, if it differs from that of the current run.

    Returns the Fault's status when it is live. Raises ActivityFailed if it does not get there.
    """
    run = current_run()
    if keep_down:
        refuse_short(run, "keep the member down", seconds)
    target = target_of(_kind(run, cluster, kind), cluster, role, count, members, zone, node, max_members)
    spec = FaultSpec(
        target=target, kill=Kill(signal=signal, keep_down=keep_down), duration_seconds=int(seconds), seed=int(seed)
    )
    return inject(run, namespace_of(run, configuration, namespace), spec)


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
    """Freeze every process of members for the given time; then they continue as if nothing had happened.

    cluster: its name; may be missing with zone and node, which then mean every cluster of the namespace.
    role: primary, replica or any, and count: how many of them; seed chooses which. members: pods by name.
    zone, node: all members and Sentinels there. max_members: the most members of one cluster that may be hit;
    0: a minority of them, but at least one. seconds: how long the fault lasts; brief: it may be shorter than the row's
    budget for the failover, because the row is about another fault. kind: the cluster's kind, if it differs from that
    of the current run.

    Returns the Fault's status when it is live. Raises ActivityFailed if it does not get there.
    """
    run = current_run()
    if not brief:
        refuse_short(run, "freeze the member", seconds)
    target = target_of(_kind(run, cluster, kind), cluster, role, count, members, zone, node, max_members)
    spec = FaultSpec(target=target, freeze=Freeze(), duration_seconds=int(seconds), seed=int(seed))
    return inject(run, namespace_of(run, configuration, namespace), spec)


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
    """Drop the packets between members and others, on existing connections and on new ones.

    cut_from: peers (the other members), controlPlane, clients (probers, and pods of no cluster), or group (the targets'
    zones with all that is in them, from everything else). direction: both, in (packets to the targets are dropped) or
    out (packets from the targets are dropped). dns: Keep, or Cut with controlPlane and group.
    cluster: its name; may be missing with zone and node, which then mean every cluster of the namespace.
    role: primary, replica or any, and count: how many of them; seed chooses which. members: pods by name.
    zone, node: all members and Sentinels there. max_members: the most members of one cluster that may be hit;
    0: a minority of them, but at least one. seconds: how long the fault lasts; brief: it may be shorter than the row's
    budget for the failover, because the row is about another fault. kind: the cluster's kind, if it differs from that
    of the current run.

    Returns the Fault's status when it is live; its proof, the first dropped packet, comes a moment later. Raises
    ActivityFailed if it does not get there.
    """
    run = current_run()
    if not brief:
        refuse_short(run, "cut the member off", seconds)
    target = target_of(_kind(run, cluster, kind), cluster, role, count, members, zone, node, max_members)
    cut = Partition(source=cut_from, direction=direction, dns=dns)
    spec = FaultSpec(target=target, partition=cut, duration_seconds=int(seconds), seed=int(seed))
    return inject(run, namespace_of(run, configuration, namespace), spec)


def nothing(seconds: float = 10) -> float:
    """Let the given seconds pass: the fault of a control run. No other action here waits for a fixed time alone."""
    time.sleep(float(seconds))
    return float(seconds)


def heal(namespace: str = "", configuration: Configuration | None = None) -> list[str]:
    """End every fault of this run at once, bring back the nodes that it took away, and wait until all has ended.

    Faults of others stay; the command `caplab heal` ends those too. Returns the names of the faults and of the nodes.
    Raises ActivityFailed, which names what has not ended.
    """
    run = current_run()
    server, where = Server(run), namespace_of(run, configuration, namespace)
    faults = own_faults(run, server, where)
    for fault in faults:
        server.remove(FAULT, fault)
    back, still_away = nodes.restore_own_nodes(run)  # their agents must report that faults have ended

    def left() -> str:
        faults = [read_fault(body) for body in own_faults(run, server, where)]
        for fault in faults:
            run.state.note_fault(fault)  # its last status, before it is deleted
        return ", ".join(f"{fault.metadata.name} is {phase_of(fault)}" for fault in faults)

    require("all faults have ended", left, _HEAL_SECONDS + (AGENT_STARTS_SECONDS if back else 0.0))
    if still_away:
        raise ActivityFailed("; ".join(still_away))
    return [*(meta.name_of(fault) for fault in faults), *back]


def _kind(run: RunContext, cluster: str, kind: str) -> str:
    """Return the kind to put into the target: the run's applies to a named cluster only, otherwise all are meant."""
    return engine_for_kind(run, kind).ENGINE.kind if cluster else kind
