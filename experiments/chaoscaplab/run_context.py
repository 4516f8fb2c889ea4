"""What the run that this process drives has seen so far: actions tell, the control writes it down.

Chaos Toolkit runs one experiment at a time in a process, and gives its actions no place to leave things.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from caplab.ownership import new_id


@dataclass(frozen=True, slots=True)
class Event:
    """What was done to a cluster by its own means: a switchover, a rolling restart, a change of its size.

    Moments in unix ns; ended None: not yet, as far as is known. evidence and proven as of a fault.
    """

    kind: str
    target: str
    began_unix_ns: int
    ended_unix_ns: int | None
    evidence: tuple[str, ...]
    proven: bool


@dataclass
class RunContext:
    """The cluster's kind, Fault objects by name and lost nodes by id as last seen, events, moments (unix ns).

    run_id: what objects that are made are labelled with, one of its own too where no run is under way. namespace: the
    run's only one, '' without a run. lease_problem: why that is not the run's at this moment, '' where it is.
    A lost node is as caplab_cluster.node_loss_store.NodeLoss.to_json has it. kind '': no run is under way.
    steady: since when every operation was acknowledged, before the first fault. settled: when the
    members were all well again. budget_seconds: how long the row gives the failover; None: it does not say.
    """

    kind: str = ""
    run_id: str = field(default_factory=new_id)
    namespace: str = ""
    lease_problem: Callable[[], str] | None = None
    faults: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lost_nodes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    steady_unix_ns: int | None = None
    settled_unix_ns: int | None = None
    budget_seconds: float | None = None

    def note_fault(self, fault: Mapping[str, Any]) -> None:
        """Keep what a fault's object says now."""
        self.faults[fault["metadata"]["name"]] = fault

    def note_lost_node(self, lost: Mapping[str, Any]) -> None:
        """Keep what is known of a node that was taken away."""
        self.lost_nodes[lost["id"]] = lost

    def note_event(self, event: Event) -> None:
        """Keep what was done by the cluster's own means."""
        self.events.append(event)

    def note_steady(self, unix_ns: int) -> None:
        """Operations have been acknowledged since then; the first word counts."""
        if self.steady_unix_ns is None:
            self.steady_unix_ns = unix_ns

    def note_settled(self) -> None:
        """All members are well again, as of now."""
        self.settled_unix_ns = time.time_ns()


_context = RunContext()


def current_run() -> RunContext:
    """Of the run under way."""
    return _context


def begin_run(kind: str, run_id: str = "", namespace: str = "") -> RunContext:
    """Forget the run before; the next one has a cluster of this kind, in this namespace."""
    global _context  # noqa: PLW0603  # the one place there is
    _context = RunContext(kind, run_id or new_id(), namespace)
    return _context
