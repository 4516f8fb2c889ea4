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
from .faults import ACTIVE, FAILED, HEALED, Body, Entry, Key, Order
from .injections import Injections, Outcome, Place, Reads
from .journal import Journal
from .means import Means
from .plan import Heal, Here, decide
from .report import Reporter, report_body

_HEAL_AGAIN_SECONDS = 1.0
_TEND_SECONDS = 0.25
_log = logging.getLogger(__name__)

News: TypeAlias = "list[Body] | Outcome | None"  # all Faults; an injection that ended; to end
_T = TypeVar("_T")


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
    _news: SimpleQueue[News] = field(default_factory=SimpleQueue)
    _stopped: bool = False
    _tended: float = float("-inf")  # time.monotonic()
    _heard: float = field(default_factory=time.monotonic)
    _injections: Injections = field(init=False)
    # Heals and looks at several pods run beside each other: they wait for programs, not for the processor.
    _workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="means"))

    def __post_init__(self) -> None:
        self._injections = Injections(self.place, self.reads, self.means, self._news.put)

    def changed(self, objects: list[Body]) -> None:
        """These are all Faults there are."""
        self._heard = time.monotonic()
        self._news.put(objects)

    @property
    def unheard_seconds(self) -> float:
        """How long ago all Faults were last told."""
        return time.monotonic() - self._heard

    def stop(self) -> None:
        """End without healing: the next agent goes on from the journal."""
        self._news.put(None)

    def run(self) -> None:
        """Go on from the journal, then do what is asked, until stop."""
        self._entries = {entry.order.key: entry for entry in self.journal.read()}
        self.reporter.start()
        self._tell(key[0] for key in self._entries)
        while not self._stopped:
            self._tend()  # ahead of all else: the means learn what the agent before left to them
            while self._decide():  # what was healed or recorded may be forgotten, what was lost healed
                pass
            self._listen(self._pause())
        self._injections.finish()
        self._listen(0)
        self._workers.shutdown()
        self.reporter.stop()

    def _decide(self) -> bool:
        """Decide and carry out; whether an entry was recorded, changed or healed."""
        here = Here(self.place.node, self.clock.boot_id, self.clock.now())
        moves = decide(self._seen, self._entries, self._injections.busy, here)
        if moves.begin:
            self._begin(moves.begin)
        touched = [self._entries.setdefault(entry.order.key, entry).order.key for entry in moves.record]
        touched += self._update([(order.key, self._adjusting(order)) for order in moves.adjust])
        healing = [heal for heal in moves.heal if not self._injections.stop(heal.key)]
        touched += self._update([(heal.key, self._healing(heal)) for heal in healing])
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
            problem = "the journal of the node cannot be written, so nothing was done. Hint: see the agent's log"
            self._entries |= {entry.order.key: replace(entry, state=FAILED, problem=problem) for entry, _ in begun}
            self._tell(entry.order.fault_uid for entry, _ in begun)
            return
        for entry, reading in begun:
            self._injections.begin(entry, reading)

    def _tend(self) -> None:
        """Look after what is live, each quarter of a second."""
        if time.monotonic() - self._tended < _TEND_SECONDS:
            return
        self._tended = time.monotonic()
        touched = self._update([(entry.order.key, self.means.tend) for entry in self.live()])
        if touched:
            self._save()
            self._tell(key[0] for key in touched)

    def live(self) -> list[Entry]:
        """What is Active and of this boot; may be asked from any thread."""
        entries = list(self._entries.values())
        return [entry for entry in entries if entry.state == ACTIVE and entry.boot_id == self.clock.boot_id]

    def _adjusting(self, order: Order) -> Callable[[Entry], Entry]:
        return lambda entry: self.means.adjust(entry, order)

    def _healing(self, heal: Heal) -> Callable[[Entry], Entry]:
        return lambda entry: self.means.heal(entry, heal)

    def _update(self, steps: Sequence[tuple[Key, Callable[[Entry], Entry]]]) -> list[Key]:
        """Take these entries on by one step each, beside each other; those that are others now."""

        def take(step: tuple[Key, Callable[[Entry], Entry]]) -> Entry:
            key, go_on = step
            try:
                return go_on(self._entries[key])
            except Exception:  # whatever it is, it must not keep the others from being healed
                _log.exception("Fault and pod %s: tried again", key)
                return self._entries[key]

        results = list(self._workers.map(take, steps) if len(steps) > 1 else map(take, steps))
        touched = [entry.order.key for entry in results if entry != self._entries[entry.order.key]]
        self._entries |= {entry.order.key: entry for entry in results}
        return touched

    def _pause(self) -> float | None:
        """Seconds until something is due; None: not before there is news."""
        injecting = self._injections.busy
        live = [entry for key, entry in self._entries.items() if not entry.ended and key not in injecting]
        busy = [self._entries[key] for key in self._injections.unstopped]
        now = self.clock.now().ns
        # What is due and still lives could not be healed just now.
        waits = [(entry.deadline_ns - now) / 1e9 for entry in live + busy]
        waits = [wait if wait > 0 else _HEAL_AGAIN_SECONDS for wait in waits]
        if self.live():
            waits.append(max(0.0, self._tended + _TEND_SECONDS - time.monotonic()))
        return min(waits, default=None)

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
        elif isinstance(news, Outcome):
            self._injections.taken(news)
            self._settle(news)
            self._save()
            self._tell([news.key[0]])
        else:
            self._seen = news
            self._warm(news)

    def _settle(self, outcome: Outcome) -> None:
        if outcome.entry is not None:
            self._entries[outcome.key] = outcome.entry
        elif self._stopped:  # nothing was done: to the next agent it is new
            del self._entries[outcome.key]
        else:
            evidence = ("ended before it was begun: nothing was done",)
            self._entries[outcome.key] = replace(self._entries[outcome.key], state=HEALED, evidence=evidence)

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
