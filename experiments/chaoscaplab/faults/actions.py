"""Chaos Toolkit actions: do something to a cluster's members, and make sure that it ends."""

from __future__ import annotations

import time
import uuid
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..clusters.engines import meant
from ..current import Seen, seen
from ..namespaces import namespace_of
from ..server import Server, sentence
from ..waiting import insist, until
from .windows import problem_of

__all__ = ["heal", "kill", "nothing"]

_LIVE_SECONDS = 10.0  # from the object to the first sign of a node's agent; it takes about 0.1
_HEAL_SECONDS = 20.0  # to heal everything, agents that were just restarted included


def kill(
    cluster: str,
    role: str = "primary",
    count: int = 1,
    seconds: int = 10,
    keep_down: bool = True,
    signal: str = "SIGKILL",
    seed: int = 0,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> dict[str, Any]:
    """End every process of members of a cluster; with keep_down they stay down for so many seconds.

    kind is the cluster's, where it is not that of the run under way. Returns the Fault's status when it is live.
    ActivityFailed says why it could not be.
    """
    budget = seen().budget_seconds
    if keep_down and budget is not None and int(seconds) <= budget:
        raise ActivityFailed(
            f"seconds is {seconds}, and the row gives the failover {budget:g} s: it could not be told from the heal."
            f" Mend: keep the member down for more than {budget:g} s, or raise no such expectation."
        )
    spec = {
        "target": {"kind": meant(kind).KIND, "name": cluster, "role": role, "count": int(count)},
        "kill": {"signal": signal, "keepDown": keep_down},
        "durationSeconds": int(seconds),
        "seed": int(seed),
    }
    return _inject(namespace_of(configuration, namespace), f"kill-{role}", spec)


def nothing(seconds: float = 10) -> float:
    """Let time pass: the fault of a control run. The only wait here for a time and for nothing else."""
    time.sleep(float(seconds))
    return float(seconds)


def heal(namespace: str = "", configuration: Configuration | None = None) -> list[str]:
    """End every fault of a namespace at once, and wait until it has ended; their names."""
    server, where = Server(), namespace_of(configuration, namespace)
    names = [fault["metadata"]["name"] for fault in server.list("Fault", where)]
    for name in names:
        server.delete("Fault", where, name)

    def left() -> str:
        faults = server.list("Fault", where)
        for fault in faults:
            seen().note_fault(fault)  # its last word, before it goes
        return ", ".join(f"{fault['metadata']['name']} is {_phase(fault)}" for fault in faults)

    insist("all faults have ended", left, _HEAL_SECONDS)
    return names


def _inject(namespace: str, prefix: str, spec: dict[str, Any]) -> dict[str, Any]:
    server, run = Server(), seen()
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    try:
        server.create("Fault", namespace, name, spec)
        until(f"the fault {name} is live", lambda: _not_live(server, namespace, name, run), _LIVE_SECONDS)
    except Exception as error:  # refused by the API server, by the operator, by an agent; or nobody answers
        raise ActivityFailed(f"The fault {name} is not live: {sentence(error)}") from error
    fault = run.faults[name]
    if problem := problem_of(fault):
        raise ActivityFailed(f"The fault {name} failed: {problem}")
    status: dict[str, Any] = fault["status"]
    return status


def _not_live(server: Server, namespace: str, name: str, run: Seen) -> str:
    fault = server.get("Fault", namespace, name)
    if fault is None:
        return "it was deleted"
    run.note_fault(fault)
    return "" if _phase(fault) in ("Active", "Healing", "Healed", "Failed") else f"it is {_phase(fault)}"


def _phase(fault: dict[str, Any]) -> str:
    return str((fault.get("status") or {}).get("phase", "new"))
