"""Chaos Toolkit actions: take a whole node away, by its container on this host; it always comes back.

Exactly one of node, zone and cluster says which node. Only worker nodes of the lab's own kind cluster can be taken, on
the machine that it runs on. Each action returns once the container engine shows the node down or paused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from caplab_cluster.failure import Failure
from caplab_cluster.node_loss.losses import KILL, PAUSE, RESTART, RESTART_ORDERLY, STOP, NodeAction, take_down
from caplab_cluster.node_loss.recovery import bring_back
from caplab_cluster.node_loss.store import NodeLoss, NodeLossStore
from caplab_cluster.progress import Progress
from caplab_cluster.setup_context import begin
from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract import meta
from caplab.contract.bounds import FAULT_SECONDS
from caplab.kube.context import ContextRefused
from caplab.kube.errors import ApiError, reason_of
from caplab.run_context import RunContext, current_run

from ..server import Server
from .injecting import refuse_short
from .node_choice import NodeChoice, addresses_of, chosen_nodes

__all__ = ["kill_node", "pause_node", "restart_node", "stop_node"]

_MAX_SECONDS = float(FAULT_SECONDS)


def pause_node(
    node: str = "",
    zone: str = "",
    cluster: str = "",
    role: str = "primary",
    seconds: float = 10,
    max_nodes: int = 1,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> list[dict[str, Any]]:
    """Freeze every process of a node for the given time; then all continue as if nothing had happened.

    node: its name. zone: the worker there. cluster, role: the node of the cluster's member that is now primary, replica
    or any; seed chooses which of several. seconds: how long, from when the engine shows the node paused.
    max_nodes: how many nodes may be away at once. kind: the cluster's kind, if not the current run's.

    Returns what is known of each node. If it raises ActivityFailed, no node is left away.
    """
    run = current_run()
    refuse_short(run, "keep the node away", seconds)
    return _take(
        run,
        PAUSE,
        NodeChoice(node=node, zone=zone, cluster=cluster, role=role, seed=seed, namespace=namespace, kind=kind),
        seconds,
        max_nodes,
        configuration,
    )


def stop_node(
    node: str = "",
    zone: str = "",
    cluster: str = "",
    role: str = "primary",
    seconds: float = 30,
    max_nodes: int = 1,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> list[dict[str, Any]]:
    """Shut a node down gracefully (after 10 s it is killed), and start it again after the given time.

    node: its name. zone: the worker there. cluster, role: the node of the cluster's member that is now primary, replica
    or any; seed chooses which of several. seconds: how long, from when the engine shows the node down.
    max_nodes: how many nodes may be away at once. kind: the cluster's kind, if not the current run's.

    Returns what is known of each node. If it raises ActivityFailed, no node is left away.
    """
    run = current_run()
    refuse_short(run, "keep the node away", seconds)
    return _take(
        run,
        STOP,
        NodeChoice(node=node, zone=zone, cluster=cluster, role=role, seed=seed, namespace=namespace, kind=kind),
        seconds,
        max_nodes,
        configuration,
    )


def kill_node(
    node: str = "",
    zone: str = "",
    cluster: str = "",
    role: str = "primary",
    seconds: float = 30,
    max_nodes: int = 1,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> list[dict[str, Any]]:
    """Kill every process of a node at once, as if its power failed, and start it again after the given time.

    node: its name. zone: the worker there. cluster, role: the node of the cluster's member that is now primary, replica
    or any; seed chooses which of several. seconds: how long, from when the engine shows the node down.
    max_nodes: how many nodes may be away at once. kind: the cluster's kind, if not the current run's.

    Returns what is known of each node. If it raises ActivityFailed, no node is left away.
    """
    run = current_run()
    refuse_short(run, "keep the node away", seconds)
    return _take(
        run,
        KILL,
        NodeChoice(node=node, zone=zone, cluster=cluster, role=role, seed=seed, namespace=namespace, kind=kind),
        seconds,
        max_nodes,
        configuration,
    )


def restart_node(
    node: str = "",
    zone: str = "",
    cluster: str = "",
    role: str = "primary",
    seconds: float = 0,
    orderly: bool = False,
    max_nodes: int = 1,
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> list[dict[str, Any]]:
    """Kill every process of a node, and start it again: at once, or after the given time.

    node: its name. zone: the worker there. cluster, role: the node of the cluster's member that is now primary, replica
    or any; seed chooses which of several. seconds: how long it stays down; may be 0. orderly: shut it down
    gracefully (within 10 s) instead of killing it. max_nodes: how many nodes may be away at once. kind: the
    cluster's kind, if not the current run's.

    Returns what is known of each node. If it raises ActivityFailed, no node is left away.
    """
    way = RESTART_ORDERLY if orderly else RESTART
    return _take(
        current_run(),
        way,
        NodeChoice(node=node, zone=zone, cluster=cluster, role=role, seed=seed, namespace=namespace, kind=kind),
        seconds,
        max_nodes,
        configuration,
        0.0,
    )


def restore_own_nodes(run: RunContext) -> tuple[list[str], list[str]]:
    """Bring back the nodes that a run took away. Returns their names, and a sentence for each that stays away."""
    return _bring_back(run, lambda loss: loss.run == run.run_id)


def restore_nodes_of_ended_runs(run: RunContext) -> list[str]:
    """Bring back the nodes that ended runs took away. Returns a sentence for each node that is still away.

    That includes nodes that another run under way keeps away: only that run brings them back.
    """
    _, still_away = _bring_back(run, lambda loss: not loss.is_under_way())
    try:
        return [*still_away, *(_kept_away(loss) for loss in _store(run).live() if loss.is_under_way())]
    except Failure as failure:
        return [_sentence(failure)]


def _bring_back(run: RunContext, is_meant: Callable[[NodeLoss], bool]) -> tuple[list[str], list[str]]:
    back, still_away = [], []
    try:
        for loss in filter(is_meant, _store(run).live()):
            try:
                bring_back(_store(run), loss)
                back.append(loss.node)
            except Failure as failure:
                still_away.append(_sentence(failure))
    except Failure as failure:
        still_away.append(_sentence(failure))
    refresh_lost_nodes(run)
    return back, still_away


def _kept_away(loss: NodeLoss) -> str:
    return (
        f"The node {loss.node} is kept away by the run {loss.run or 'of another version'}, which is under way."
        " Hint: wait until it has ended; `caplab heal` brings every node back."
    )


def refresh_lost_nodes(run: RunContext) -> list[str]:
    """Reread what is known of the nodes that a run took away. Returns the names of those that are still away."""
    state, store = run.state, _store(run)
    for id_ in list(state.lost_nodes):
        if loss := store.get(id_):
            state.note_lost_node(loss.to_json())
    return [lost["node"] for lost in state.lost_nodes.values() if not lost["over"]]


def live(run: RunContext) -> list[dict[str, Any]]:
    """Return what this host knows of each node that is away, whichever run took it."""
    return [loss.to_json() for loss in _store(run).live()]


def _take(
    run: RunContext,
    way: NodeAction,
    choice: NodeChoice,
    seconds: float,
    max_nodes: int,
    configuration: Configuration | None,
    least_seconds: float = 1.0,
) -> list[dict[str, Any]]:
    if not least_seconds <= float(seconds) <= _MAX_SECONDS:
        raise ActivityFailed(
            f"seconds is {seconds}. Hint: give a {way.kind} from {least_seconds:g} to {_MAX_SECONDS:g} s."
        )
    try:
        nodes = chosen_nodes(run, Server(run), choice, configuration)
    except (ApiError, ContextRefused) as error:
        raise ActivityFailed(f"The node could not be looked up: {reason_of(error)}") from error
    taken: list[NodeLoss] = []
    try:
        engine = begin(Progress(run.cache.logs / "nodes"), run.cache).engine
        for node in nodes:
            taken.append(
                take_down(
                    _store(run),
                    engine,
                    meta.name_of(node),
                    way,
                    float(seconds),
                    addresses_of(node),
                    int(max_nodes),
                    run=run.run_id,
                )
            )
    except Failure as failure:
        for loss in taken:
            bring_back(_store(run), loss)
        raise ActivityFailed(_sentence(failure)) from failure
    for loss in taken:
        run.state.note_lost_node(loss.to_json())
    return [loss.to_json() for loss in taken]


def _store(run: RunContext) -> NodeLossStore:
    return NodeLossStore.of(run.cache)


def _sentence(failure: Failure) -> str:
    return f"{failure.sentence} Hint: {failure.hint}"
