"""Bringing a lost node back: any process may do it at any time, as the state of the node's container requires.

It may be done twice, and by two processes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..engine import ContainerEngine
from ..failure import Failure
from ..kind_cluster import WORKER_CPU_SHARES
from .store import Clock, NodeLoss, NodeLossStore

GONE = "gone"  # what `container_state` returns for a container that does not exist
COMMAND_SECONDS = 30.0  # for the engine to carry out a command
POLL_SECONDS = 0.05
_PAUSE_SECONDS = 1.0  # between two checks, while the first ones show no change
_BACK_SECONDS = 60.0  # to bring a node back; it takes about one


def bring_back(
    store: NodeLossStore, loss: NodeLoss, clock: Clock | None = None, timeout_seconds: float = COMMAND_SECONDS
) -> NodeLoss:
    """Bring a node back now, unless it is back already; returns the loss as it ended.

    Raises Failure if the engine does not do it. timeout_seconds: how long to wait for another process that is doing it.
    """
    clock = clock or Clock()
    with store.locked(loss.node, timeout_seconds):
        now = store.get(loss.id) or loss
        if now.over:
            return now
        over = resume_node(now, clock)
        store.put(over)
        return over


def container_state(engine: ContainerEngine, container: str) -> str:
    """Return a container's state in the engine's words; GONE if there is none, '' if the engine does not report it."""
    answer = engine.ask("container", "inspect", "--format", "{{.State.Status}}", container)
    if answer.ok:
        return answer.out.strip()
    return GONE if "no such container" in answer.err.lower() else ""


def engine_of(loss: NodeLoss) -> ContainerEngine:
    """Return the engine that the node runs on, as it was called when the node was taken."""
    return ContainerEngine(loss.engine, loss.path, loss.env)


# What a state needs; in any other the engine is at work.
_RESUME_COMMANDS: Mapping[str, str] = {"paused": "unpause", **dict.fromkeys(("exited", "stopped", "created"), "start")}


def resume_node(loss: NodeLoss, clock: Clock) -> NodeLoss:
    """Start a node again, and wait until it runs or is gone for good; returns the loss as it ended. Raises Failure."""
    engine, end_ns = engine_of(loss), clock.now().ns + round(_BACK_SECONDS * 1e9)
    ordered, refusal, pause, ordered_ns = "", "", POLL_SECONDS, 0
    while clock.now().ns < end_ns:
        state = container_state(engine, loss.container)
        if state == GONE:
            return replace(loss, over=True, problem=loss.problem or "its container was removed")
        if state == "running" and not loss.may_still_be_ordered(clock):
            return _healed_loss(loss, ordered, ordered_ns, clock)
        if command := _RESUME_COMMANDS.get(state):
            ordered_ns = clock.now().ns
            answer = engine.ask(command, loss.container, timeout_seconds=COMMAND_SECONDS)
            ordered, refusal = command, answer.err.strip()[-300:]
            if answer.ok:
                continue
        clock.sleep(pause)
        pause = min(2 * pause, _PAUSE_SECONDS)
    raise Failure(
        f"The node {loss.node} does not come back: {refusal or f'{loss.engine} does not report its state'}.",
        f"Bring it back by hand: {loss.engine} {_RESUME_COMMANDS.get(loss.state, 'start')} {loss.node}.",
    )


def _healed_loss(loss: NodeLoss, ordered: str, ordered_ns: int, clock: Clock) -> NodeLoss:
    """Return the loss as healed at the order to run: what a node does while it starts is no part of its loss.

    If another process brought it back, nothing was ordered here, and how long the node was away is unknown.
    """
    if clock.boot_id != loss.boot_id:
        return replace(loss, over=True, problem=loss.problem or "the host has booted since")
    now_ns = clock.now().ns
    if not ordered:
        return replace(loss, over=True, healed_ns=now_ns, problem=loss.problem or "it ran again too early")
    if ordered == "start":
        engine_of(loss).set_cpu_shares(loss.node, WORKER_CPU_SHARES)  # a weight does not outlive its container's run
    lasted = f"{ordered}: running again {(now_ns - loss.injected_ns) / 1e9:.3f} s after the order"
    return replace(loss, over=True, healed_ns=ordered_ns, evidence=(*loss.evidence, lasted))
