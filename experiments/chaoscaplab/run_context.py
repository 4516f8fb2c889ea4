"""The context of the run that this process drives: actions note what they see, and the control records it.

Chaos Toolkit runs one experiment at a time in a process, and gives its actions no place to keep things.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from caplab.contract.objects import Fault
from caplab.ownership import new_id


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to a cluster by its own means: a switchover, a rolling restart, a change of its size.

    Moments are unix ns; ended is None if the end is not known. evidence and proven are as for a fault.
    """

    kind: str
    target: str
    began_unix_ns: int
    ended_unix_ns: int | None
    evidence: tuple[str, ...]
    proven: bool


@dataclass
class RunContext:
    """The cluster's kind, faults by name and lost nodes by id as last seen, events, and moments (unix ns).

    kind: '' if no run is under way. run_id: the label of objects that are made; without a run, they get one too.
    namespace: the run's only one, '' without a run. lease_problem: returns why the run does not hold its namespace,
    '' if it does. lost_nodes: as caplab_cluster.node_loss.store.NodeLoss.to_json has them. steady: since when every
    operation was acknowledged, before the first fault. settled: when all members had recovered. budget_seconds: the
    row's budget for the failover, None if it has none.
    """

    kind: str = ""
    run_id: str = field(default_factory=new_id)
    namespace: str = ""
    lease_problem: Callable[[], str] | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    lost_nodes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    steady_unix_ns: int | None = None
    settled_unix_ns: int | None = None
    budget_seconds: float | None = None

    def note_fault(self, fault: Fault) -> None:
        """Keep a fault as it is now."""
        self.faults[fault.metadata.name] = fault

    def note_lost_node(self, lost: Mapping[str, Any]) -> None:
        """Keep what is known of a node that was taken away."""
        self.lost_nodes[lost["id"]] = lost

    def note_event(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def note_steady(self, unix_ns: int) -> None:
        """Note since when operations have been acknowledged; only the first call counts."""
        if self.steady_unix_ns is None:
            self.steady_unix_ns = unix_ns

    def note_settled(self) -> None:
        """Note that all members have recovered by now."""
        self.settled_unix_ns = time.time_ns()


_context = RunContext()


def current_run() -> RunContext:
    """Return the context of the run under way."""
    return _context


def begin_run(kind: str, run_id: str = "", namespace: str = "") -> RunContext:
    """Replace the context by that of a new run, with a cluster of this kind, in this namespace."""
    global _context  # noqa: PLW0603  # the only place that replaces it
    _context = RunContext(kind, run_id or new_id(), namespace)
    return _context
