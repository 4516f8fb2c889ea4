"""A node that was taken away brought back: by whoever wants it, as its container's state asks for, at any time.

It may be done twice, and by two at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .engine import Engine
from .failure import Failure
from .kind_cluster import WORKER_CPU_SHARES
from .node_loss_store import Clock, NodeLoss, NodeLossStore

GONE = "gone"  # what `container_state` says of a container that is not there
COMMAND_SECONDS = 30.0  # for the engine to do as it is told
POLL_SECONDS = 0.05
_PAUSE_SECONDS = 1.0  # between two looks, where the first ones show no change
_BACK_SECONDS = 60.0  # to bring a node back; it takes about one


def bring_back(
    store: NodeLossStore, loss: NodeLoss, clock: Clock | None = None, timeout_seconds: float = COMMAND_SECONDS
) -> NodeLoss:
    """Bring a node back now, unless it is back already; the loss as it ended.

    Raises Failure where the engine does not do it. patience_seconds: how long to wait for whoever is at it.
    """
    clock = clock or Clock()
    with store.locked(loss.node, timeout_seconds):
        now = store.get(loss.id) or loss
        if now.over:
            return now
        over = resume_node(now, clock)
        store.put(over)
        return over


def container_state(engine: Engine, container: str) -> str:
    """A container's state in the engine's words; GONE where there is none, '' where the engine does not say."""
    answer = engine.ask("container", "inspect", "--format", "{{.State.Status}}", container)
    if answer.ok:
        return answer.out.strip()
    return GONE if "no such container" in answer.err.lower() else ""


def engine_of(loss: NodeLoss) -> Engine:
    """The engine that the node runs on, as it was called when it was taken."""
    return Engine(loss.engine, loss.path, loss.env)


# What a state asks for; in any other the engine is at work.
_RESUME_COMMANDS: Mapping[str, str] = {"paused": "unpause", **dict.fromkeys(("exited", "stopped", "created"), "start")}


def resume_node(loss: NodeLoss, clock: Clock) -> NodeLoss:
    """Let a node run again, and wait until it does, or is gone for good; the loss as it ended. Failure as above."""
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
        f"The node {loss.node} does not come back: {refusal or f'{loss.engine} does not say what it is'}.",
        f"Bring it back by hand: {loss.engine} {_RESUME_COMMANDS.get(loss.state, 'start')} {loss.node}.",
    )


def _healed_loss(loss: NodeLoss, ordered: str, ordered_ns: int, clock: Clock) -> NodeLoss:
    """Healed with the order to run again: what a node does to others while it starts is no more of its loss.

    Nothing had to be done where somebody else brought it back: then nobody knows how long it was away.
    """
    if clock.boot_id != loss.boot_id:
        return replace(loss, over=True, problem=loss.problem or "the host has booted since")
    now_ns = clock.now().ns
    if not ordered:
        return replace(loss, over=True, healed_ns=now_ns, problem=loss.problem or "it ran again before its time")
    if ordered == "start":
        engine_of(loss).set_cpu_shares(loss.node, WORKER_CPU_SHARES)  # a weight does not outlive its container's run
    lasted = f"{ordered}: running again {(now_ns - loss.injected_ns) / 1e9:.3f} s after the order"
    return replace(loss, over=True, healed_ns=ordered_ns, evidence=(*loss.evidence, lasted))
