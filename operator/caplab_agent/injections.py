"""Injections under way, each in a thread of its own: one that waits for its pod must not keep others from beginning."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from .api import PendingReads
from .faults import FAILED, Assignment, FaultRecord, Key
from .guard import refusal
from .injectors import FaultInjector

_GUARD_SECONDS = 5.0  # how long the two reads may take in all before the fault is given up
_AGAIN_SECONDS = 0.2
_log = logging.getLogger(__name__)


class ClusterReader(Protocol):
    """What is read of the API server."""

    def read(self, assignment: Assignment) -> PendingReads:
        """Begin to read what the guards ask for."""

    def warm(self, namespace: str) -> None:
        """Be ready to read quickly."""


@dataclass(frozen=True, slots=True)
class AgentLocation:
    """Where the agent is."""

    node: str
    namespace: str


@dataclass(frozen=True, slots=True)
class InjectionResult:
    """What became of an injection; record None: it was stopped before anything was done."""

    key: Key
    record: FaultRecord | None


@dataclass(slots=True)
class Injections:
    """Guards, then injectors. done is called from each injection's thread; all else belongs to one other thread."""

    location: AgentLocation
    reader: ClusterReader
    injectors: FaultInjector
    done: Callable[[InjectionResult], object]
    _running: dict[Key, tuple[threading.Event, threading.Thread]] = field(default_factory=dict)

    @property
    def busy(self) -> set[Key]:
        """Those whose result was not taken yet."""
        return set(self._running)

    @property
    def unstopped(self) -> set[Key]:
        """Those of them that were not asked to stop."""
        return {key for key, (stopped, _) in self._running.items() if not stopped.is_set()}

    def begin(self, record: FaultRecord, pending: PendingReads) -> None:
        """Inject as soon as what is being read is there, and allows it."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._inject, args=(record, pending, stopped), name="inject", daemon=True)
        self._running[record.assignment.key] = stopped, thread
        thread.start()

    def stop(self, key: Key) -> bool:
        """Whether it is under way; then it begins nothing any more."""
        running = self._running.get(key)
        if running:
            running[0].set()
        return running is not None

    def taken(self, result: InjectionResult) -> None:
        """A result was written down."""
        self._running.pop(result.key, None)

    def finish(self) -> None:
        """Stop all, and wait for their results: what has begun is bounded, what waits ends at once."""
        for stopped, _ in self._running.values():
            stopped.set()
        for _, thread in self._running.values():
            thread.join()

    def _inject(self, record: FaultRecord, pending: PendingReads, stopped: threading.Event) -> None:
        done: FaultRecord | None
        try:
            done = self._guarded(record, pending, stopped)
        except Exception as error:  # the loop has to know of it, whatever it is
            _log.exception("injection of Fault %s/%s", record.assignment.namespace, record.assignment.name)
            done = replace(record, problem=f"the injection failed: {error}")
        self.done(InjectionResult(record.assignment.key, done))

    def _guarded(self, record: FaultRecord, pending: PendingReads, stopped: threading.Event) -> FaultRecord | None:
        began = time.monotonic()
        while not stopped.is_set():
            try:
                namespace, pod = pending.wait()
            except Exception as error:
                if time.monotonic() - began > _GUARD_SECONDS:
                    problem = f"the API server did not let the guards look, so nothing was done: {error}"
                    return replace(record, state=FAILED, problem=problem)
                stopped.wait(_AGAIN_SECONDS)
                pending = self.reader.read(record.assignment)
                continue
            problem = refusal(record.assignment, namespace, pod, self.location.node, self.location.namespace)
            if problem or pod is None:
                return replace(record, state=FAILED, problem=problem)
            return self.injectors.inject(record, pod, stopped)
        return None
