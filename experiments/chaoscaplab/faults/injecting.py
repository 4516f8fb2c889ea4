"""Create a Fault, and wait until it is live."""

from __future__ import annotations

import uuid
from typing import Any

from chaoslib.exceptions import ActivityFailed

from caplab.contract.engines import BY_KIND
from caplab.contract.names import FAULT
from caplab.contract.objects import Fault, FaultSpec
from caplab.contract.phases import ACTIVE, FAULT_OVER, HEALING
from caplab.kube.client import Body
from caplab.kube.errors import reason_of
from caplab.ownership import run_of
from caplab.run_context import RunContext

from ..server import Server, full_name
from ..waiting import NotInTime, wait_until
from .specs import prefix_of
from .windows import problem_of

_LIVE_SECONDS = 10.0  # from creating the object to the first report of a node's agent, which takes about 0.1 s


def refuse_short(run: RunContext, what: str, seconds: float) -> None:
    """Raise ActivityFailed if a fault lasts no longer than the row's budget: the heal could be what ends the outage."""
    budget = run.state.budget_seconds
    if budget is not None and float(seconds) <= budget:
        raise ActivityFailed(
            f"seconds is {seconds}, but the row allows the failover {budget:g} s: it could not be told from the heal."
            f" Hint: {what} for more than {budget:g} s, or leave out that expectation."
        )


def inject(run: RunContext, namespace: str, spec: FaultSpec) -> dict[str, Any]:
    """Create a Fault and wait until it is live. Returns its status. Raises ActivityFailed, which says why it is not.

    A partition may not have dropped its first packet yet: the probe `proven` waits for that.
    """
    server = Server(run)
    if run.namespace and spec.target.name is None:
        _refuse_bystanders(server, namespace, run)
    name = f"{prefix_of(spec)}-{uuid.uuid4().hex[:8]}"
    try:
        server.create(FAULT, namespace, name, spec.to_body())
        wait_until(f"the fault {name} is live", lambda: _not_live(server, namespace, name, run), _LIVE_SECONDS)
    except NotInTime as late:
        raise ActivityFailed(
            f"The fault {name} was not live in time; it would strike after the run has moved on: {late}"
            " Hint: use an otherwise idle machine."
        ) from late
    except Exception as error:  # the API server, the operator or an agent refused it; or none answers
        raise ActivityFailed(f"The fault {name} is not live: {reason_of(error)}") from error
    fault = run.state.faults[name]
    if problem := problem_of(fault):
        raise ActivityFailed(f"The fault {name} failed: {problem}")
    return fault.status_or_empty.to_body()


def _refuse_bystanders(server: Server, namespace: str, run: RunContext) -> None:
    """Raise ActivityFailed if a fault on all clusters of the run's namespace would hit one that is not this run's."""
    for kind in BY_KIND:
        for body in server.list(kind, namespace):
            if run_of(body) != run.run_id:
                raise ActivityFailed(
                    f"The fault would also hit {kind} {full_name(body)}, which is not this run's."
                    " Hint: name the cluster, or give the run a namespace of its own."
                )


def own_faults(run: RunContext, server: Server, namespace: str) -> list[Body]:
    """Return the Faults of a namespace that a run has made."""
    return [fault for fault in server.list(FAULT, namespace) if run_of(fault) == run.run_id]


def _not_live(server: Server, namespace: str, name: str, run: RunContext) -> str:
    body = server.get(FAULT, namespace, name)
    if body is None:
        return "it was deleted"
    fault = Fault.from_body(body, f"fault {name}")
    run.state.note_fault(fault)
    phase = phase_of(fault)
    return "" if phase in {ACTIVE, HEALING, *FAULT_OVER} else f"it is {phase}"


def phase_of(fault: Fault) -> str:
    """Return the phase that the operator has written; 'new' if it has written none yet."""
    return fault.status_or_empty.phase or "new"
