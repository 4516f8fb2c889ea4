"""Node losses: a node of the lab is taken away for a bounded time, by its container, on Docker and podman alike.

First a record is written and a watchdog is started (watchdog.py). The watchdog brings the node back when its time
is over, whatever happens to the process that took it.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..engine import KIND_CLUSTER_LABEL, Container, ContainerEngine
from ..failure import Failure
from ..kind_cluster import CONTROL_PLANE, NAME, WORKERS
from ..machine.processes import this_process
from ..shell import ask
from .recovery import COMMAND_SECONDS, POLL_SECONDS, container_state, resume_node
from .store import Clock, NodeLoss, NodeLossStore

KIND_ROLE_LABEL = "io.x-k8s.kind.role"
_STOP_SECONDS = 10  # for an orderly end, before the engine kills what is left
_EFFECT_SECONDS = 5.0  # from an order's end until the engine shows its effect
_CLAIM_SECONDS = 10.0
_DOWN = frozenset({"exited", "stopped"})


@dataclass(frozen=True, slots=True)
class NodeAction:
    """How a node is taken away: the command to the engine, and the states that show that it worked."""

    kind: str
    command: tuple[str, ...]
    states: frozenset[str]


_STOP, _KILL = ("stop", "-t", str(_STOP_SECONDS)), ("kill",)
PAUSE = NodeAction("pause-node", ("pause",), frozenset({"paused"}))
STOP = NodeAction("stop-node", _STOP, _DOWN)
KILL = NodeAction("kill-node", _KILL, _DOWN)
RESTART = NodeAction("restart-node", _KILL, _DOWN)
RESTART_ORDERLY = NodeAction("restart-node", _STOP, _DOWN)


def take_down(
    store: NodeLossStore,
    engine: ContainerEngine,
    node: str,
    action: NodeAction,
    seconds: float,
    addresses: Collection[str],
    max_nodes: int = 1,
    clock: Clock | None = None,
    arm_watchdog: Callable[[NodeLossStore, NodeLoss], None] | None = None,
    run: str = "",
) -> NodeLoss:
    """Take a worker node away; it is brought back so many seconds after the engine has shown it away.

    addresses: the node's, as the API server knows them; the container must have one of them. max_nodes: how many
    nodes may be away at once, this one included. arm_watchdog: starts the watchdog. run: the id of the run that
    takes the node, if one does. Raises Failure, with everything undone, if it is no worker of the lab's own
    cluster, does not run, if too many are away, or if the engine does not show it away.
    """
    clock = clock or Clock()
    with _claim_lock(store):
        store.prune()
        container = select_container(node, _workers(engine), store.live(), max_nodes)
        _refuse_foreign(engine, container, addresses)
        loss = _new_loss(engine, container, action, seconds, clock, run)
        store.put(loss)
    with store.locked(node, COMMAND_SECONDS):
        try:
            (arm_watchdog or start_watchdog)(store, loss)
        except Failure:
            store.put(replace(loss, over=True, problem="no watchdog, so nothing was done"))
            raise
        return _take_down(store, engine, loss, action, clock)


def select_container(node: str, workers: Sequence[Container], live: Sequence[NodeLoss], max_nodes: int) -> Container:
    """Return the container of a node that may be taken away (pure). Raises Failure, which says why it may not."""
    if node == CONTROL_PLANE:
        raise Failure(
            f"{node} is the control plane: without it nothing can be measured or healed.", f"Name one of {_named()}."
        )
    container = next((worker for worker in workers if worker.name == node), None)
    if node not in WORKERS or container is None:
        raise Failure(f"{node} is not a worker node of the lab's cluster {NAME}.", f"Name one of {_named()}.")
    if away := next((loss for loss in live if loss.node == node), None):
        raise Failure(f"The node {node} is already away: {away.kind}.", "Wait, or bring it back with 'caplab heal'.")
    if container.state != "running":
        raise Failure(
            f"The node {node} is not running: its container is {container.state}.", "Bring it back with 'make up'."
        )
    if len(live) >= max_nodes:
        raise Failure(
            f"{', '.join(loss.node for loss in live) or 'No node'} is away, and max_nodes is {max_nodes}:"
            f" {node} would be one too many.",
            "Wait, bring it back with 'caplab heal', or raise max_nodes.",
        )
    return container


def start_watchdog(store: NodeLossStore, loss: NodeLoss) -> None:
    """Start a process of its own session that brings the node back in time. Raises Failure if it does not start."""
    package = Path(__file__).resolve().parents[1]
    paths = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", f"{package.name}.node_loss.watchdog", str(store.folder), loss.id]
    answer = ask(command, env={"PYTHONPATH": os.pathsep.join(paths)})
    if not answer.ok:
        raise Failure(
            f"The watchdog of {loss.node} did not start: {(answer.err or answer.out).strip()[-300:]}",
            "Nothing was done. Check that this machine can start processes.",
            tried=(" ".join(command),),
        )


@contextmanager
def _claim_lock(store: NodeLossStore) -> Iterator[None]:
    """Hold the lock for taking nodes: two at once would both see few enough nodes away."""
    with store.locked("claims", _CLAIM_SECONDS) as held:
        if not held:
            raise Failure(
                "Another process is taking nodes away.", "Wait until it has finished, or stop it, then try again."
            )
        yield


def _workers(engine: ContainerEngine) -> list[Container]:
    return engine.containers(f"label={KIND_CLUSTER_LABEL}={NAME}", f"label={KIND_ROLE_LABEL}=worker")


def _refuse_foreign(engine: ContainerEngine, container: Container, addresses: Collection[str]) -> None:
    """Raise Failure if the kube context's node of this name is another machine than the container."""
    own = engine.addresses(container.name)
    if not set(own) & set(addresses):
        raise Failure(
            f"The kube context's {container.name} has the address {', '.join(addresses) or 'none'}, and this machine's"
            f" container {', '.join(own) or 'none'}: it is not the lab's own cluster.",
            f"Use the lab's own context, kind-{NAME}, on this machine.",
        )


def _new_loss(
    engine: ContainerEngine, container: Container, action: NodeAction, seconds: float, clock: Clock, run: str
) -> NodeLoss:
    """Return the loss as it is before the order: due only when an abandoned order must have taken effect."""
    now, order_ns = clock.now(), round((COMMAND_SECONDS + _EFFECT_SECONDS) * 1e9)
    loss = NodeLoss(
        id=f"{container.name}-{uuid.uuid4().hex[:8]}",
        node=container.name,
        container=container.id,
        kind=action.kind,
        seconds=seconds,
        engine=engine.name,
        path=engine.path,
        env=engine.env,
        boot_id=clock.boot_id,
        injected_ns=now.ns,
        injected_unix_ns=now.unix_ns,
        order_ends_ns=now.ns + order_ns,
        due_ns=now.ns,
        due_unix_ns=now.unix_ns,
        run=run,
        taker=this_process(),
    )
    return loss.due_in(order_ns / 1e9 + seconds, clock)


def _take_down(
    store: NodeLossStore, engine: ContainerEngine, loss: NodeLoss, action: NodeAction, clock: Clock
) -> NodeLoss:
    begun = clock.now()
    loss = replace(loss, injected_ns=begun.ns, injected_unix_ns=begun.unix_ns)
    answer = engine.ask(*action.command, loss.container, timeout_seconds=COMMAND_SECONDS)
    state = _await_state(engine, loss.container, action.states, clock)
    took = (clock.now().ns - begun.ns) / 1e9
    recorded = store.get(loss.id)
    if recorded and recorded.over:
        # Another process has healed it meanwhile; if the order came after that, it is undone.
        resume_node(replace(loss, state=state), clock)
        raise Failure(f"{loss.node} was brought back before it was away.", "Try again while no heal is running.")
    if state not in action.states:
        store.put(
            resume_node(replace(loss, state=state, problem=f"the engine shows it {state or 'not at all'}"), clock)
        )
        reason = (answer.err or answer.out).strip()[-300:]
        shown = state or "not shown"
        raise Failure(
            f"{engine.name} {action.command[0]} of {loss.node} had no effect: it is {shown}. {reason}".strip(),
            f"Check that {engine.name} works on its own ({engine.name} inspect {loss.node}).",
        )
    shown = f"container {loss.container[:12]} read back as {state} {took:.3f} s after the order"
    loss = replace(loss, state=state, evidence=(shown,)).due_in(loss.seconds, clock)
    if loss.seconds <= 0:
        loss = resume_node(loss, clock)
    store.put(loss)
    return loss


def _await_state(engine: ContainerEngine, container: str, wanted: Collection[str], clock: Clock) -> str:
    """Return the container's state once it is one of those wanted, or when the time for that is over."""
    end_ns = clock.now().ns + round(_EFFECT_SECONDS * 1e9)
    while (state := container_state(engine, container)) not in wanted and clock.now().ns < end_ns:
        clock.sleep(POLL_SECONDS)
    return state


def _named() -> str:
    return ", ".join(WORKERS)
