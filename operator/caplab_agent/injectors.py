"""What a kind of fault has to be able to do, and what all of them have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

from .clock import Clock, Instant
from .faults import FAILED, GONE, HEALED, Assignment, Body, FaultAction, FaultRecord
from .plan import REBOOTED, Heal

_LOOKUP_SECONDS = 0.02  # between two lookups for a pod that is coming up
_Value = TypeVar("_Value")

PodReader: TypeAlias = Callable[[Assignment], Body | None]  # the assignment's pod as it is now, if it can be had


class FaultInjector(Protocol):
    """How a kind of fault is carried out. Each returns the record as it then stands, and may raise OSError.

    Calls for one record never overlap; calls for several do. Nothing but the record is kept from one agent to the next.
    """

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """Do it to the pod: Active, or an end. None: stopped was set first, and nothing of it is left.

        Where the assignment replaces a pod this waits for the new one, until stopped is set or the time is over.
        """

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """Undo what is undone of it, whatever of it was done; safe to repeat. Always an end."""

    def adjust(self, record: FaultRecord, assignment: Assignment) -> FaultRecord:
        """Have what is Active as the assignment now asks, which differs in its addresses."""

    def poll(self, record: FaultRecord) -> FaultRecord:
        """Look after what is Active: its first sign, its pod's end. Takes a few milliseconds at most.

        Called for all records of the agent before, ahead of anything else.
        """


class Injectors:
    """The injector of every kind of fault."""

    def __init__(self, injectors: Mapping[type[FaultAction], FaultInjector]) -> None:
        self._injectors = injectors

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """As FaultInjector."""
        return self._of(record).inject(record, pod, stopped)

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """As FaultInjector."""
        return self._of(record).heal(record, heal)

    def adjust(self, record: FaultRecord, assignment: Assignment) -> FaultRecord:
        """As FaultInjector."""
        return self._of(record).adjust(record, assignment)

    def poll(self, record: FaultRecord) -> FaultRecord:
        """As FaultInjector."""
        return self._of(record).poll(record)

    def _of(self, record: FaultRecord) -> FaultInjector:
        return self._injectors[type(record.assignment.action)]


@dataclass(frozen=True, slots=True)
class HealResult:
    """What a heal found: notes for the evidence, whether the fault had held to its end, whether its pod was gone."""

    notes: tuple[str, ...] = ()
    held: bool = True
    gone: bool = False


def ended(record: FaultRecord, heal: Heal, result: HealResult, began: Instant, clock: Clock) -> FaultRecord:
    """A record that was healed. Of what nobody knows, or of another boot, what was found says nothing.

    It is stamped with when its heal began: until then the fault was in force; while it is undone, which may
    take long on a busy machine, it may not be.
    """
    notes = () if heal.problem or heal.why == REBOOTED else result.notes
    why = (heal.why,) if heal.why else ()
    done = _stamped(replace(record, evidence=(*record.evidence, *notes, *why)), began, clock)
    if heal.problem:
        return replace(done, state=FAILED, problem=heal.problem, proven=False)
    proven = record.proven and result.held and heal.why != REBOOTED
    return replace(done, state=GONE if result.gone else HEALED, proven=proven)


def gone(record: FaultRecord, note: str, clock: Clock) -> FaultRecord:
    """A record whose pod is gone just now, and with it all that was done to it."""
    return stamped(replace(record, state=GONE, evidence=(*record.evidence, note)), clock)


def failed(record: FaultRecord, problem: str) -> FaultRecord:
    """A record that was not done."""
    return replace(record, state=FAILED, problem=problem)


def stamped(record: FaultRecord, clock: Clock) -> FaultRecord:
    """A record that ends now."""
    return _stamped(record, clock.now(), clock)


def _stamped(record: FaultRecord, now: Instant, clock: Clock) -> FaultRecord:
    # Another boot's clock says nothing beside the one that injectedNs was read from.
    return replace(record, healed_at=now.stamp, healed_ns=now.ns if record.boot_id == clock.boot_id else None)


def seconds_held(record: FaultRecord, clock: Clock) -> str:
    """How long an injected record has lasted, for people."""
    return f"{(clock.now().ns - (record.injected_ns or 0)) / 1e9:.1f} s"


def seconds_left(record: FaultRecord, clock: Clock) -> float:
    """Until the record's time is over."""
    return (record.deadline_ns - clock.now().ns) / 1e9


def wait_for(
    lookup: Callable[[], _Value | None], record: FaultRecord, stopped: threading.Event, clock: Clock
) -> _Value | None:
    """What lookup returns: at once or not at all, but for a pod that may not run yet.

    For that it looks each 20 ms. None: it was not there, or stopped was set.
    """
    while not stopped.is_set():
        value = lookup()
        if value is not None or not record.assignment.replaces or seconds_left(record, clock) <= 0:
            return value
        stopped.wait(_LOOKUP_SECONDS)
    return None
