"""The injections under way, each in a thread of its own, so that one that waits for its pod does not delay others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from caplab.contract.phases import FAILED

from .api import PendingReads
from .faults import Assignment, FaultRecord, Key
from .guard import refusal
from .injector import Injectors

_GUARD_SECONDS = 5.0  # how long the two reads may take in all before the fault fails
_RETRY_SECONDS = 0.2
_log = logging.getLogger(__name__)


class ClusterReader(Protocol):
    """A reader of the API server."""

    def read(self, assignment: Assignment) -> PendingReads:
        """Start the reads that the guard needs."""

    def warm(self, namespace: str) -> None:
        """Prepare for quick reads."""


@dataclass(frozen=True, slots=True)
class AgentLocation:
    """The node and the namespace that the agent runs in."""

    node: str
    namespace: str


@dataclass(frozen=True, slots=True)
class InjectionResult:
    """The result of an injection; record None: it was stopped before it did anything."""

    key: Key
    record: FaultRecord | None


@dataclass(slots=True, kw_only=True)
class Injections:
    """Runs the guard, then the injector, for each new fault record.

    done is called from each injection's thread. All methods must be called from one other thread.
    """

    location: AgentLocation
    reader: ClusterReader
    injectors: Injectors
    done: Callable[[InjectionResult], object]
    _running: dict[Key, tuple[threading.Event, threading.Thread]] = field(default_factory=dict)

    @property
    def busy(self) -> set[Key]:
        """The keys of the injections whose result was not taken yet."""
        return set(self._running)

    @property
    def unstopped(self) -> set[Key]:
        """The keys of the busy injections that were not told to stop."""
        return {key for key, (stopped, _) in self._running.items() if not stopped.is_set()}

    def begin(self, record: FaultRecord, pending: PendingReads) -> None:
        """Start a thread that injects once the reads are done, if the guard allows it."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._inject, args=(record, pending, stopped), name="inject", daemon=True)
        self._running[record.assignment.key] = stopped, thread
        thread.start()

    def stop(self, key: Key) -> bool:
        """Tell an injection to do nothing more if it has not begun, and return whether it is under way."""
        running = self._running.get(key)
        if running:
            running[0].set()
        return running is not None

    def taken(self, result: InjectionResult) -> None:
        """Forget an injection whose result was recorded."""
        self._running.pop(result.key, None)

    def finish(self) -> None:
        """Stop all injections and wait for their results; those that have begun end within their bounds."""
        for stopped, _ in self._running.values():
            stopped.set()
        for _, thread in self._running.values():
            thread.join()

    def _inject(self, record: FaultRecord, pending: PendingReads, stopped: threading.Event) -> None:
        done: FaultRecord | None
        try:
            done = self._guarded(record, pending, stopped)
        except Exception as error:  # the loop has to learn of every failure
            _log.exception("Injection of Fault %s/%s failed", record.assignment.namespace, record.assignment.name)
            done = replace(record, problem=f"the injection failed: {error}")
        self.done(InjectionResult(record.assignment.key, done))

    def _guarded(self, record: FaultRecord, pending: PendingReads, stopped: threading.Event) -> FaultRecord | None:
        began = time.monotonic()
        while not stopped.is_set():
            try:
                namespace, pod = pending.wait()
            except Exception as error:
                if time.monotonic() - began > _GUARD_SECONDS:
                    problem = f"the guard could not read from the API server, so nothing was done: {error}"
                    return replace(record, state=FAILED, problem=problem)
                stopped.wait(_RETRY_SECONDS)
                pending = self.reader.read(record.assignment)
                continue
            assignment, injector = record.assignment, self.injectors[type(record.assignment.action)]
            problem = refusal(assignment, namespace, pod, self.location.node, self.location.namespace)
            problem = problem or injector.guard(assignment, pod or {})
            if problem or pod is None:
                return replace(record, state=FAILED, problem=problem)
            return injector.inject(record, pod, stopped)
        return None
