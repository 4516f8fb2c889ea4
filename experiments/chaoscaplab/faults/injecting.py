"""A Fault made, and awaited until it is live."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from chaoslib.exceptions import ActivityFailed

from caplab.faults.rows import OVER
from caplab.ownership import run_of

from ..clusters.engines import ENGINES
from ..run_context import RunContext, current_run
from ..server import Body, Server, full_name, sentence
from ..waiting import wait_until
from .specs import Spec, prefix_of
from .windows import problem_of

_LIVE_SECONDS = 10.0  # from the object to the first sign of a node's agent; it takes about 0.1


def refuse_short(what: str, seconds: float) -> None:
    """ActivityFailed where a fault that lasts is over before the row's budget is: it would end in the heal anyway."""
    budget = current_run().budget_seconds
    if budget is not None and float(seconds) <= budget:
        raise ActivityFailed(
            f"seconds is {seconds}, and the row gives the failover {budget:g} s: it could not be told from the heal."
            f" Hint: {what} for more than {budget:g} s, or raise no such expectation."
        )


def inject(namespace: str, spec: Spec) -> dict[str, Any]:
    """Make a Fault and wait until it is live; its status. ActivityFailed says why it is not.

    Of a partition the first packet may still have to be dropped: `proven` of the probes waits for that.
    """
    server, run = Server(), current_run()
    if run.namespace and "name" not in spec["target"]:
        _refuse_bystanders(server, namespace, run)
    name = f"{prefix_of(spec)}-{uuid.uuid4().hex[:8]}"
    try:
        server.create("Fault", namespace, name, spec)
        wait_until(f"the fault {name} is live", lambda: _not_live(server, namespace, name, run), _LIVE_SECONDS)
    except Exception as error:  # refused by the API server, by the operator, by an agent; or nobody answers
        raise ActivityFailed(f"The fault {name} is not live: {sentence(error)}") from error
    fault = run.faults[name]
    if problem := problem_of(fault):
        raise ActivityFailed(f"The fault {name} failed: {problem}")
    status: dict[str, Any] = fault["status"]
    return status


def _refuse_bystanders(server: Server, namespace: str, run: RunContext) -> None:
    """ActivityFailed where a fault on every cluster of the run's namespace would hit one that is not of this run."""
    for engine in ENGINES:
        for body in server.list(engine.KIND, namespace):
            if run_of(body) != run.run_id:
                raise ActivityFailed(
                    f"The fault would hit {engine.KIND} {full_name(body)} too, which is not of this run."
                    " Hint: name the cluster that is meant, or give the run a namespace of its own."
                )


def own_faults(server: Server, namespace: str) -> list[Body]:
    """The Faults of a namespace that this run has made."""
    return [fault for fault in server.list("Fault", namespace) if run_of(fault) == current_run().run_id]


def _not_live(server: Server, namespace: str, name: str, run: RunContext) -> str:
    fault = server.get("Fault", namespace, name)
    if fault is None:
        return "it was deleted"
    run.note_fault(fault)
    phase = phase_of(fault)
    return "" if phase in {"Active", "Healing", *OVER} else f"it is {phase}"


def phase_of(fault: Mapping[str, Any]) -> str:
    """The phase that the operator has written; 'new' before it has."""
    return str((fault.get("status") or {}).get("phase", "new"))
