"""Chaos Toolkit probes of the state of faults."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract.names import FAULT
from caplab.faults.rows import is_live, is_proven, read_fault, row_of, row_of_node
from caplab.run_context import current_run

from ..namespaces import namespace_of
from ..server import Server
from ..waiting import require
from . import nodes
from .injecting import own_faults

__all__ = ["all_ended", "live", "proven"]

_LATE_SECONDS = 10.0  # an agent that was just restarted needs a moment


def all_ended(within_seconds: float, namespace: str = "", configuration: Configuration | None = None) -> bool:
    """Wait until every fault that this run made has ended by itself, and every node that it took away is back.

    within_seconds: how long that may take; agents that were just restarted get 10 s more. Raises ActivityFailed, which
    names what has not ended.
    """
    run = current_run()
    server, where = Server(run), namespace_of(run, configuration, namespace)

    def left() -> str:
        faults = [read_fault(body) for body in own_faults(run, server, where)]
        for fault in faults:
            run.state.note_fault(fault)
        going = [fault for fault in faults if is_live(fault)]
        return ", ".join([*(fault.metadata.name for fault in going), *nodes.refresh_lost_nodes(run)])

    require("every fault has ended", left, float(within_seconds) + _LATE_SECONDS)
    return True


def live(namespace: str = "", configuration: Configuration | None = None) -> list[dict[str, Any]]:
    """List what is live now: the faults of a namespace, and the nodes that are away.

    Each has namespace ('' for a node), name, kind, detail, target, pods, phase, since_unix and left_seconds (None if
    not known), and proven. The list is empty if nothing is live.
    """
    run, now = current_run(), datetime.now(UTC)
    faults = map(read_fault, Server(run).list(FAULT, namespace_of(run, configuration, namespace)))
    rows = [row_of(fault, now) for fault in faults if is_live(fault)]
    rows += [row_of_node(lost, now) for lost in nodes.live(run)]
    return [{**asdict(row), "pods": list(row.pods)} for row in rows]


def proven(within_seconds: float = 5, configuration: Configuration | None = None) -> bool:
    """Wait until every fault that this run has made so far shows its evidence for each pod and each node.

    within_seconds: how long that may take; a partition's evidence is the first dropped packet. Raises ActivityFailed,
    which names the faults without evidence, or says that the run has made no fault.
    """
    run = current_run()
    server, state = Server(run), run.state
    if not (state.faults or state.lost_nodes):
        raise ActivityFailed("This run has made no fault. Hint: use this probe after the action that makes one.")

    def left() -> str:
        for fault in list(state.faults.values()):
            body = server.get(FAULT, str(fault.metadata.namespace), fault.metadata.name)
            if body and (now := read_fault(body)).metadata.uid == fault.metadata.uid:
                run.state.note_fault(now)
        nodes.refresh_lost_nodes(run)
        unproven = [name for name, fault in state.faults.items() if not is_proven(fault)]
        unproven += [lost["node"] for lost in state.lost_nodes.values() if not lost["proven"]]
        return f"no evidence of {', '.join(unproven)}" if unproven else ""

    require("every fault shows its evidence", left, float(within_seconds))
    return True
