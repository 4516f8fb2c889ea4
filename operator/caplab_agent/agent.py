"""The agent's loop: one thread decides and writes the journal.

Injections, reads and reports run in threads of their own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

from caplab.contract.phases import ACTIVE, FAILED, HEALED

from .clock import Clock
from .faults import Assignment, Body, FaultRecord, Heal, Key
from .injections import AgentLocation, ClusterReader, InjectionResult, Injections
from .injector import FaultInjector, Injectors
from .journal import Journal, resumed
from .plan import DecisionContext, decide
from .report import Reporter, report_body
from .requested import ListedFault, listed_fault, requested_faults

_HEAL_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.25
_MAX_PAUSE_SECONDS = 3600.0  # a longer one may be too long for the queue
_log = logging.getLogger(__name__)

Event: TypeAlias = "list[ListedFault] | InjectionResult | None"  # all Faults; a finished injection; None: stop
_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class Agent:
    """Carries out what Faults assign to this node, until stop.

    on_faults and stop may be called from any thread or from a signal handler.
    """

    location: AgentLocation
    clock: Clock
    journal: Journal
    reader: ClusterReader
    injectors: Injectors
    reporter: Reporter
    _records: dict[Key, FaultRecord] = field(default_factory=dict)
    _faults: Sequence[ListedFault] | None = None
    _warmed: set[str] = field(default_factory=set)
    _events: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    _stopped: bool = False
    _polled_at: float = float("-inf")  # time.monotonic()
    _last_event_at: float = field(default_factory=time.monotonic)
    _injections: Injections = field(init=False)
    # Several pods are healed and polled in parallel: these steps wait for programs, not for the CPU.
    _workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="injectors"))

    def __post_init__(self) -> None:
        self._injections = Injections(
            location=self.location, reader=self.reader, injectors=self.injectors, done=self._events.put
        )

    def on_faults(self, objects: list[Body]) -> None:
        """Take in a list of all Faults that exist."""
        self._last_event_at = time.monotonic()
        self._events.put([listed_fault(body) for body in objects])

    @property
    def seconds_since_event(self) -> float:
        """Seconds since all Faults were last listed."""
        return time.monotonic() - self._last_event_at

    def stop(self) -> None:
        """End without healing: the next agent goes on from the journal."""
        self._events.put(None)

    def run(self) -> None:
        """Resume from the journal, then carry out Faults until stop."""
        self._records = {record.assignment.key: record for record in resumed(self.journal.read(), self.clock)}
        self.reporter.start()
        self._report(key[0] for key in self._records)
        while not self._stopped:
            self._poll()  # first of all: the injectors learn what the previous agent left behind
            while self._decide():  # a healed record may now be forgotten, and a lost one healed
                pass
            self._take_events(self._pause())
        self._injections.finish()
        self._take_events(0)
        self._workers.shutdown()
        self.reporter.stop()

    def _decide(self) -> bool:
        """Make and carry out one plan, and return whether it added, changed or healed a record."""
        context = DecisionContext(self.location.node, self.clock.boot_id, self.clock.now())
        plan = decide(self._faults, self._records, self._injections.busy, context)
        if plan.begin:
            self._begin(plan.begin)
        touched = [self._records.setdefault(record.assignment.key, record).assignment.key for record in plan.report]
        touched += self._update([(assignment.key, self._updating(assignment)) for assignment in plan.update])
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
        # The reads run while the journal is written.
        begun = [(record, self.reader.read(record.assignment)) for record in records]
        self._records |= {record.assignment.key: record for record, _ in begun}
        if not self._save():
            problem = "the node's journal cannot be written, so nothing was done. Hint: see the agent's log"
            self._records |= {
                record.assignment.key: replace(record, state=FAILED, problem=problem) for record, _ in begun
            }
            self._report(record.assignment.fault_uid for record, _ in begun)
            return
        for record, pending in begun:
            self._injections.begin(record, pending)

    def _poll(self) -> None:
        """Poll the live records if the last poll was 0.25 s ago or more."""
        if time.monotonic() - self._polled_at < _POLL_SECONDS:
            return
        self._polled_at = time.monotonic()
        touched = self._update([(record.assignment.key, self._injector(record).poll) for record in self.live()])
        if touched:
            self._save()
            self._report(key[0] for key in touched)

    def live(self) -> list[FaultRecord]:
        """List the records that are Active and of this boot. May be called from any thread."""
        records = list(self._records.values())
        return [record for record in records if record.state == ACTIVE and record.boot_id == self.clock.boot_id]

    def newest(self, assignment: Assignment) -> Assignment:
        """Return an assignment with what its Fault asks for by now. May be called from any thread."""
        faults = [fault for fault in self._faults or () if fault.uid == assignment.fault_uid]
        for requested in (requested for fault in faults for requested in requested_faults(fault, self.location.node)):
            action = requested.assignment.action
            same = requested.assignment.key == assignment.key and type(action) is type(assignment.action)
            if same and not requested.problem:
                return replace(assignment, action=action)
        return assignment

    def _injector(self, record: FaultRecord) -> FaultInjector:
        return self.injectors[type(record.assignment.action)]

    def _updating(self, assignment: Assignment) -> Callable[[FaultRecord], FaultRecord]:
        return lambda record: self._injector(record).update(record, assignment)

    def _healing(self, heal: Heal) -> Callable[[FaultRecord], FaultRecord]:
        return lambda record: self._injector(record).heal(record, heal)

    def _update(self, steps: Sequence[tuple[Key, Callable[[FaultRecord], FaultRecord]]]) -> list[Key]:
        """Apply one step to each of these records, in parallel, and return the keys of those that changed."""

        def take(step: tuple[Key, Callable[[FaultRecord], FaultRecord]]) -> FaultRecord:
            key, go_on = step
            try:
                return go_on(self._records[key])
            except Exception:  # no error of one record may keep the others from being healed
                _log.exception("Fault and pod %s: this step failed and is tried again", key)
                return self._records[key]

        results = list(self._workers.map(take, steps) if len(steps) > 1 else map(take, steps))
        touched = [record.assignment.key for record in results if record != self._records[record.assignment.key]]
        self._records |= {record.assignment.key: record for record in results}
        return touched

    def _pause(self) -> float | None:
        """Return the seconds until something is due; None: nothing is due before the next event."""
        injecting = self._injections.busy
        live = [record for key, record in self._records.items() if not record.ended and key not in injecting]
        busy = [self._records[key] for key in self._injections.unstopped]
        now = self.clock.now().ns
        # A record that is due and still live could not be healed just now.
        waits = [(record.deadline_ns - now) / 1e9 for record in live + busy]
        waits = [wait if wait > 0 else _HEAL_RETRY_SECONDS for wait in waits]
        if self.live():
            waits.append(max(0.0, self._polled_at + _POLL_SECONDS - time.monotonic()))
        return min(_MAX_PAUSE_SECONDS, *waits) if waits else None

    def _take_events(self, seconds: float | None) -> None:
        """Wait at most so many seconds for an event, then handle all that are queued."""
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
        elif self._stopped:  # nothing was done, so the next agent treats it as new
            del self._records[result.key]
        else:
            evidence = ("ended before it began: nothing was done",)
            self._records[result.key] = replace(self._records[result.key], state=HEALED, evidence=evidence)

    def _warm(self, faults: Iterable[ListedFault]) -> None:
        """Open connections ahead for Faults whose targets are not resolved yet."""
        waiting = {
            fault.uid: str(fault.header.metadata.namespace)
            for fault in faults
            if not fault.header.targets and not fault.header.metadata.is_being_deleted
        }
        for uid, namespace in waiting.items():
            if uid not in self._warmed:
                self.reader.warm(namespace)
        self._warmed = set(waiting)

    def _save(self) -> bool:
        try:
            self.journal.write(self._records.values())
        except OSError as error:
            _log.error("Cannot write the journal: %s", error)
            return False
        return True

    def _report(self, fault_uids: Iterable[str]) -> None:
        for uid in set(fault_uids):
            body = report_body(record for record in self._records.values() if record.assignment.fault_uid == uid)
            if body:
                self.reporter.report(uid, body)
