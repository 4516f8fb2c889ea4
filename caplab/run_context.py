"""The context of a run: what it is, what has become of it so far, and the one place where a process holds it.

Chaos Toolkit calls actions, probes and controls by name, with nothing but what the experiment's file says, and some of
them in threads of its own. So the run that this process drives is held in this module, and in no other. It is no
context variable: a thread would not inherit that. Entry points take the run from `current_run`, and hand it on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caplab_cluster.paths import Cache

from .command_error import CommandError
from .contract.objects import Fault
from .ownership import SuiteSession, new_id

FOLDER_VARIABLE, SUITE_VARIABLE = "CAPLAB_RUN_FOLDER", "CAPLAB_SUITE"
_MAX_SUITE_LENGTH = 60  # characters, as in a Run's spec


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(slots=True, kw_only=True)
class RunState:
    """What has become of a run so far: actions and probes note it, and the control records it.

    lease_problem: returns why the run does not hold its namespace, '' if it does; None: it has not begun. faults by
    name, and lost_nodes by id (as caplab_cluster.node_loss.store.NodeLoss.to_json has them), as last seen. steady:
    since when every operation was acknowledged, before the first fault. settled: when all members had recovered. Both
    in unix ns. budget_seconds: the row's budget for the failover, None if it has none.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run: its id and suite session, which label what it makes, the folder of its results, and this host's cache.

    suite: the suite's name, '' without one. kind, namespace: the kind of its cluster, and its only namespace; '' as
    long as no control has begun the run. Actions without the control have a context too.
    """

    folder: Path
    run_id: str = field(default_factory=new_id)
    suite_session: SuiteSession = field(default_factory=SuiteSession)
    suite: str = ""
    kind: str = ""
    namespace: str = ""
    cache: Cache = field(default_factory=Cache.from_environment)
    state: RunState = field(default_factory=RunState)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> RunContext:
        """Return the context of a run that no `caplab run` drives. Raises CommandError, which names the variable.

        CAPLAB_RUN_FOLDER: the folder of its results, else one in results/ of the working folder. CAPLAB_SUITE: the
        suite's name in its Run object.
        """
        run_id = new_id()
        folder = Path(environment.get(FOLDER_VARIABLE) or Path("results") / run_id / "run")
        if folder.exists() and not folder.is_dir():
            raise CommandError(f"{FOLDER_VARIABLE} is {folder}, which is not a folder. Hint: name one, or unset it.")
        suite = environment.get(SUITE_VARIABLE, "")
        if len(suite) > _MAX_SUITE_LENGTH:
            raise CommandError(
                f"{SUITE_VARIABLE} has {len(suite)} characters. Hint: give at most {_MAX_SUITE_LENGTH}, or unset it."
            )
        return cls(folder=folder, run_id=run_id, suite=suite, cache=Cache.from_environment(environment))


@dataclass(slots=True)
class _Held:
    """The run that this process drives, and what its control keeps from call to call."""

    run: RunContext | None = None
    control: object = None


_held = _Held()


def current_run() -> RunContext:
    """Return the context of the run under way; if nobody has begun one, that of this process's environment."""
    if _held.run is None:
        _held.run = RunContext.from_environment()
    return _held.run


def current_control() -> object:
    """Return what the control keeps of the run under way; None without one."""
    return _held.control


def hold(run: RunContext) -> None:
    """Make a run the one under way."""
    _held.run = run


def keep_control(control: object) -> None:
    """Keep what the control needs at its next call."""
    _held.control = control


def release() -> None:
    """End what is under way: what comes next has a context of its own."""
    _held.run = _held.control = None


@contextmanager
def held(run: RunContext) -> Iterator[None]:
    """Hold a run as long as it is driven."""
    hold(run)
    try:
        yield
    finally:
        release()
