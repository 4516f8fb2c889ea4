"""The agent's loop: one thread decides and writes the journal; injections, reads and reports have their own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

from .clock import Clock
from .faults import ACTIVE, FAILED, HEALED, Assignment, Body, FaultRecord, Key
from .injections import AgentLocation, ClusterReader, InjectionResult, Injections
from .injectors import FaultInjector
from .journal import Journal
from .plan import DecisionContext, Heal, decide
from .report import Reporter, report_body

_HEAL_AGAIN_SECONDS = 1.0
_POLL_SECONDS = 0.25
_log = logging.getLogger(__name__)

Event: TypeAlias = "list[Body] | InjectionResult | None"  # all Faults; an injection that ended; to end
_T = TypeVar("_T")


@dataclass(slots=True)
class Agent:
    """Carries out the assignments of Faults with this node, until stop.

    on_faults and stop may be called from any thread, or from a signal's handler.
    """

    location: AgentLocation
    clock: Clock
    journal: Journal
    reader: ClusterReader
    injectors: FaultInjector
    reporter: Reporter
    _records: dict[Key, FaultRecord] = field(default_factory=dict)
    _faults: Sequence[Body] | None = None
    _warmed: set[str] = field(default_factory=set)
    _events: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    _stopped: bool = False
    _polled_at: float = float("-inf")  # time.monotonic()
    _last_event_at: float = field(default_factory=time.monotonic)
    _injections: Injections = field(init=False)
    # Heals and looks at several pods run beside each other: they wait for programs, not for the processor.
    _workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="injectors"))

    def __post_init__(self) -> None:
        self._injections = Injections(self.location, self.reader, self.injectors, self._events.put)

    def on_faults(self, objects: list[Body]) -> None:
        """These are all Faults there are."""
        self._last_event_at = time.monotonic()
        self._events.put(objects)

    @property
    def seconds_since_event(self) -> float:
        """How long ago all Faults were last listed."""
        return time.monotonic() - self._last_event_at

    def stop(self) -> None:
        """End without healing: the next agent goes on from the journal."""
        self._events.put(None)

    def run(self) -> None:
        """Go on from the journal, then do what is asked, until stop."""
        self._records = {record.assignment.key: record for record in self.journal.read()}
        self.reporter.start()
        self._report(key[0] for key in self._records)
        while not self._stopped:
            self._poll()  # ahead of all else: the injectors learn what the agent before left to them
            while self._decide():  # what was healed or recorded may be forgotten, what was lost healed
                pass
            self._take_events(self._pause())
        self._injections.finish()
        self._take_events(0)
        self._workers.shutdown()
        self.reporter.stop()

    def _decide(self) -> bool:
        """Decide and carry out; whether a record was added, changed or healed."""
        context = DecisionContext(self.location.node, self.clock.boot_id, self.clock.now())
        plan = decide(self._faults, self._records, self._injections.busy, context)
        if plan.begin:
            self._begin(plan.begin)
        touched = [self._records.setdefault(record.assignment.key, record).assignment.key for record in plan.report]
        touched += self._update([(assignment.key, self._adjusting(assignment)) for assignment in plan.adjust])
        healing = [heal for heal in plan.heal if not self._injections.stop(heal.key)]
        touched += self._update([(heal.key, self._healing(heal)) for heal in healing])
        for key in plan.forget:
            self._records.pop(key, None)
            self.reporter.drop(key[0])
        if touched or plan.forget:
            self._save()
            self._report(key[0] for key in touched)
        return bool(touched)

    def _begin(self, records: Iterable[FaultRecord]) -> None:
        begun = [
            (record, self.reader.read(record.assignment)) for record in records
        ]  # reading while the journal is written
        self._records |= {record.assignment.key: record for record, _ in begun}
        if not self._save():
            problem = "the journal of the node cannot be written, so nothing was done. Hint: see the agent's log"
            self._records |= {
                record.assignment.key: replace(record, state=FAILED, problem=problem) for record, _ in begun
            }
            self._report(record.assignment.fault_uid for record, _ in begun)
            return
        for record, pending in begun:
            self._injections.begin(record, pending)

    def _poll(self) -> None:
        """Look after what is live, each quarter of a second."""
        if time.monotonic() - self._polled_at < _POLL_SECONDS:
            return
        self._polled_at = time.monotonic()
        touched = self._update([(record.assignment.key, self.injectors.poll) for record in self.live()])
        if touched:
            self._save()
            self._report(key[0] for key in touched)

    def live(self) -> list[FaultRecord]:
        """What is Active and of this boot; may be asked from any thread."""
        records = list(self._records.values())
        return [record for record in records if record.state == ACTIVE and record.boot_id == self.clock.boot_id]

    def _adjusting(self, assignment: Assignment) -> Callable[[FaultRecord], FaultRecord]:
        return lambda record: self.injectors.adjust(record, assignment)

    def _healing(self, heal: Heal) -> Callable[[FaultRecord], FaultRecord]:
        return lambda record: self.injectors.heal(record, heal)

    def _update(self, steps: Sequence[tuple[Key, Callable[[FaultRecord], FaultRecord]]]) -> list[Key]:
        """Take these records on by one step each, beside each other; the keys of those that changed."""

        def take(step: tuple[Key, Callable[[FaultRecord], FaultRecord]]) -> FaultRecord:
            key, go_on = step
            try:
                return go_on(self._records[key])
            except Exception:  # whatever it is, it must not keep the others from being healed
                _log.exception("Fault and pod %s: tried again", key)
                return self._records[key]

        results = list(self._workers.map(take, steps) if len(steps) > 1 else map(take, steps))
        touched = [record.assignment.key for record in results if record != self._records[record.assignment.key]]
        self._records |= {record.assignment.key: record for record in results}
        return touched

    def _pause(self) -> float | None:
        """Seconds until something is due; None: not before there is an event."""
        injecting = self._injections.busy
        live = [record for key, record in self._records.items() if not record.ended and key not in injecting]
        busy = [self._records[key] for key in self._injections.unstopped]
        now = self.clock.now().ns
        # What is due and still lives could not be healed just now.
        waits = [(record.deadline_ns - now) / 1e9 for record in live + busy]
        waits = [wait if wait > 0 else _HEAL_AGAIN_SECONDS for wait in waits]
        if self.live():
            waits.append(max(0.0, self._polled_at + _POLL_SECONDS - time.monotonic()))
        return min(waits, default=None)

    def _take_events(self, seconds: float | None) -> None:
        """Wait for an event at most so long, then take all there is."""
        try:
            self._on_event(self._events.get(timeout=seconds))
            while True:
                self._on_event(self._events.get_nowait())
        except Empty:
            pass

    def _on_event(self, event: Event) -> None:
        if event is None:
            self._stopped = True
        elif isinstance(event, InjectionResult):
            self._injections.taken(event)
            self._record_result(event)
            self._save()
            self._report([event.key[0]])
        else:
            self._faults = event
            self._warm(event)

    def _record_result(self, result: InjectionResult) -> None:
        if result.record is not None:
            self._records[result.key] = result.record
        elif self._stopped:  # nothing was done: to the next agent it is new
            del self._records[result.key]
        else:
            evidence = ("ended before it was begun: nothing was done",)
            self._records[result.key] = replace(self._records[result.key], state=HEALED, evidence=evidence)

    def _warm(self, objects: Iterable[Body]) -> None:
        """Be ready for Faults whose targets are not resolved yet."""
        waiting = {
            body["metadata"]["uid"]: body["metadata"]["namespace"]
            for body in objects
            if not (body.get("status") or {}).get("targets") and "deletionTimestamp" not in body["metadata"]
        }
        for uid, namespace in waiting.items():
            if uid not in self._warmed:
                self.reader.warm(namespace)
        self._warmed = set(waiting)

    def _save(self) -> bool:
        try:
            self.journal.write(self._records.values())
        except OSError:
            _log.exception("the journal cannot be written")
            return False
        return True

    def _report(self, fault_uids: Iterable[str]) -> None:
        for uid in set(fault_uids):
            body = report_body(record for record in self._records.values() if record.assignment.fault_uid == uid)
            if body:
                self.reporter.report(uid, body)
