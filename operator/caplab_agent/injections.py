"""Injections under way, each in a thread of its own: one that waits for its pod must not keep others from beginning."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from .api import Reading
from .faults import FAILED, Entry, Key, Order
from .guard import refusal
from .means import Means

_GUARD_SECONDS = 5.0  # how long the two reads may take in all before the fault is given up
_AGAIN_SECONDS = 0.2
_log = logging.getLogger(__name__)


class Reads(Protocol):
    """What is read of the API server."""

    def read(self, order: Order) -> Reading:
        """Begin to read what the guards ask for."""

    def warm(self, namespace: str) -> None:
        """Be ready to read quickly."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the agent is."""

    node: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an injection; entry None: it was stopped before anything was done."""

    key: Key
    entry: Entry | None


@dataclass(slots=True)
class Injections:
    """Guards, then means. done is called from each injection's thread; all else belongs to one other thread."""

    place: Place
    reads: Reads
    means: Means
    done: Callable[[Outcome], object]
    _running: dict[Key, tuple[threading.Event, threading.Thread]] = field(default_factory=dict)

    @property
    def busy(self) -> set[Key]:
        """Those whose outcome was not taken yet."""
        return set(self._running)

    @property
    def unstopped(self) -> set[Key]:
        """Those of them that were not told to stop."""
        return {key for key, (stopped, _) in self._running.items() if not stopped.is_set()}

    def begin(self, entry: Entry, reading: Reading) -> None:
        """Inject as soon as what is being read is there, and allows it."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._inject, args=(entry, reading, stopped), name="inject", daemon=True)
        self._running[entry.order.key] = stopped, thread
        thread.start()

    def stop(self, key: Key) -> bool:
        """Whether it is under way; then it begins nothing any more."""
        running = self._running.get(key)
        if running:
            running[0].set()
        return running is not None

    def taken(self, outcome: Outcome) -> None:
        """An outcome was written down."""
        self._running.pop(outcome.key, None)

    def finish(self) -> None:
        """Stop all, and wait for their outcomes: what has begun is bounded, what waits ends at once."""
        for stopped, _ in self._running.values():
            stopped.set()
        for _, thread in self._running.values():
            thread.join()

    def _inject(self, entry: Entry, reading: Reading, stopped: threading.Event) -> None:
        done: Entry | None
        try:
            done = self._guarded(entry, reading, stopped)
        except Exception as error:  # the loop has to hear of it, whatever it is
            _log.exception("injection of Fault %s/%s", entry.order.namespace, entry.order.name)
            done = replace(entry, problem=f"the injection failed: {error}")
        self.done(Outcome(entry.order.key, done))

    def _guarded(self, entry: Entry, reading: Reading, stopped: threading.Event) -> Entry | None:
        began = time.monotonic()
        while not stopped.is_set():
            try:
                namespace, pod = reading.wait()
            except Exception as error:
                if time.monotonic() - began > _GUARD_SECONDS:
                    problem = f"the API server did not let the guards look, so nothing was done: {error}"
                    return replace(entry, state=FAILED, problem=problem)
                stopped.wait(_AGAIN_SECONDS)
                reading = self.reads.read(entry.order)
                continue
            problem = refusal(entry.order, namespace, pod, self.place.node, self.place.namespace)
            if problem or pod is None:
                return replace(entry, state=FAILED, problem=problem)
            return self.means.inject(entry, pod, stopped)
        return None
