"""The agent's loop: one thread decides and writes the journal; injections, reads and reports have their own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from .api import Reading
from .clock import Clock
from .faults import FAILED, HEALED, Body, Entry, Key, Order
from .guard import refusal
from .journal import Journal
from .kill import Means
from .plan import Heal, Here, decide
from .report import Reporter, report_body

_GUARD_SECONDS = 5.0  # how long the two reads may take in all before the fault is given up
_AGAIN_SECONDS = 0.2
_HEAL_AGAIN_SECONDS = 1.0
_log = logging.getLogger(__name__)

News: TypeAlias = "list[Body] | Entry | None"  # all Faults; an entry whose injection ended; to end


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


@dataclass(slots=True)
class Agent:
    """Carries out the entries of Faults with this node, until stop.

    changed and stop may be called from any thread, or from a signal's handler.
    """

    place: Place
    clock: Clock
    journal: Journal
    reads: Reads
    means: Means
    reporter: Reporter
    _entries: dict[Key, Entry] = field(default_factory=dict)
    _seen: Sequence[Body] | None = None
    _warmed: set[str] = field(default_factory=set)
    _busy: dict[Key, threading.Event] = field(default_factory=dict)
    _news: SimpleQueue[News] = field(default_factory=SimpleQueue)
    _stopped: bool = False
    _injections: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, thread_name_prefix="inject"))

    def changed(self, objects: list[Body]) -> None:
        """These are all Faults there are."""
        self._news.put(objects)

    def stop(self) -> None:
        """End without healing: the next agent goes on from the journal."""
        self._news.put(None)

    def run(self) -> None:
        """Go on from the journal, then do what is asked, until stop."""
        self._entries = {entry.order.key: entry for entry in self.journal.read()}
        self.reporter.start()
        self._tell(key[0] for key in self._entries)
        while not self._stopped:
            while self._decide():  # what was healed or recorded may be forgotten, what was lost healed
                pass
            self._listen(self._pause())
        # An injection under way is bounded; its outcome belongs into the journal.
        self._injections.shutdown(wait=True, cancel_futures=True)
        self._listen(0)
        self.reporter.stop()

    def _decide(self) -> bool:
        """Decide and carry out; whether an entry was recorded or healed."""
        here = Here(self.place.node, self.clock.boot_id, self.clock.now())
        moves = decide(self._seen, self._entries, self._busy, here)
        if moves.begin:
            self._begin(moves.begin)
        touched = [self._entries.setdefault(entry.order.key, entry).order.key for entry in moves.record]
        touched += [heal.key for heal in moves.heal if self._heal(heal)]
        for key in moves.forget:
            self._entries.pop(key, None)
            self.reporter.drop(key[0])
        if touched or moves.forget:
            self._save()
            self._tell(key[0] for key in touched)
        return bool(touched)

    def _begin(self, entries: Iterable[Entry]) -> None:
        begun = [(entry, self.reads.read(entry.order)) for entry in entries]  # reading while the journal is written
        self._entries |= {entry.order.key: entry for entry, _ in begun}
        if not self._save():
            problem = "the journal of the node cannot be written, so nothing was done. Mend: see the agent's log"
            self._entries |= {entry.order.key: replace(entry, state=FAILED, problem=problem) for entry, _ in begun}
            self._tell(entry.order.fault_uid for entry, _ in begun)
            return
        for entry, reading in begun:
            stopped = self._busy[entry.order.key] = threading.Event()
            self._injections.submit(self._inject, entry, reading, stopped)

    def _inject(self, entry: Entry, reading: Reading, stopped: threading.Event) -> None:
        try:
            done = self._guarded(entry, reading, stopped)
        except Exception as error:  # the loop has to hear of it, whatever it is
            _log.exception("injection of Fault %s/%s", entry.order.namespace, entry.order.name)
            done = replace(entry, problem=f"the injection failed: {error}")
        self._news.put(done)

    def _guarded(self, entry: Entry, reading: Reading, stopped: threading.Event) -> Entry:
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
        return replace(entry, state=HEALED, evidence=("ended before it was begun: nothing was done",))

    def _heal(self, heal: Heal) -> bool:
        """Whether it is healed; one that is being injected is told to stop, and healed when it has."""
        if heal.key in self._busy:
            self._busy[heal.key].set()
            return False
        try:
            self._entries[heal.key] = self.means.heal(self._entries[heal.key], heal)
        except OSError:
            _log.exception("heal of %s: tried again", heal.key)
            return False
        return True

    def _pause(self) -> float | None:
        """Seconds until something is due; None: not before there is news."""
        live = [entry for key, entry in self._entries.items() if not entry.ended and key not in self._busy]
        busy = [self._entries[key] for key, stopped in self._busy.items() if not stopped.is_set()]
        now = self.clock.now().ns
        # What is due and still lives could not be healed just now.
        waits = [(entry.deadline_ns - now) / 1e9 for entry in live + busy]
        return min((wait if wait > 0 else _HEAL_AGAIN_SECONDS for wait in waits), default=None)

    def _listen(self, seconds: float | None) -> None:
        """Wait for news at most so long, then take all there is."""
        try:
            self._take(self._news.get(timeout=seconds))
            while True:
                self._take(self._news.get_nowait())
        except Empty:
            pass

    def _take(self, news: News) -> None:
        if news is None:
            self._stopped = True
        elif isinstance(news, Entry):
            self._busy.pop(news.order.key, None)
            self._entries[news.order.key] = news
            self._save()
            self._tell([news.order.fault_uid])
        else:
            self._seen = news
            self._warm(news)

    def _warm(self, objects: Iterable[Body]) -> None:
        """Be ready for Faults whose targets are not resolved yet."""
        waiting = {
            body["metadata"]["uid"]: body["metadata"]["namespace"]
            for body in objects
            if not (body.get("status") or {}).get("targets") and "deletionTimestamp" not in body["metadata"]
        }
        for uid, namespace in waiting.items():
            if uid not in self._warmed:
                self.reads.warm(namespace)
        self._warmed = set(waiting)

    def _save(self) -> bool:
        try:
            self.journal.write(self._entries.values())
        except OSError:
            _log.exception("the journal cannot be written")
            return False
        return True

    def _tell(self, fault_uids: Iterable[str]) -> None:
        for uid in set(fault_uids):
            body = report_body(entry for entry in self._entries.values() if entry.order.fault_uid == uid)
            if body:
                self.reporter.tell(uid, body)
