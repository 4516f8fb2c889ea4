"""What a kind of fault has to be able to do, and what all of them have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

from .clock import Clock, Instant
from .faults import FAILED, GONE, HEALED, Body, Entry, Order, What
from .plan import REBOOTED, Heal

_LOOK_SECONDS = 0.02  # between two looks for a pod that is coming up
_Found = TypeVar("_Found")

Reread: TypeAlias = Callable[[Order], Body | None]  # the order's pod as it is now, if it can be had


class Means(Protocol):
    """How a kind of fault is carried out. Each returns the entry as it then stands, and may raise OSError.

    Calls for one entry never overlap; calls for several do. Nothing but the entry is kept from one agent to the next.
    """

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry | None:
        """Do it to the pod: Active, or an end. None: stopped was set first, and nothing of it is left.

        Where the order replaces a pod this waits for the new one, until stopped is set or the entry's time is over.
        """

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """Undo what is undone of it, whatever of it was done; safe to repeat. Always an end."""

    def adjust(self, entry: Entry, order: Order) -> Entry:
        """Have what is Active as the order now asks, which differs in its addresses."""

    def tend(self, entry: Entry) -> Entry:
        """Look after what is Active: its first sign, its pod's end. Takes a few milliseconds at most.

        Called for all entries of the agent before, ahead of anything else.
        """


class ByKind:
    """Means of every kind."""

    def __init__(self, means: Mapping[type[What], Means]) -> None:
        self._means = means

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry | None:
        """As Means."""
        return self._of(entry).inject(entry, pod, stopped)

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """As Means."""
        return self._of(entry).heal(entry, heal)

    def adjust(self, entry: Entry, order: Order) -> Entry:
        """As Means."""
        return self._of(entry).adjust(entry, order)

    def tend(self, entry: Entry) -> Entry:
        """As Means."""
        return self._of(entry).tend(entry)

    def _of(self, entry: Entry) -> Means:
        return self._means[type(entry.order.what)]


@dataclass(frozen=True, slots=True)
class Found:
    """What a heal found: notes for the evidence, whether the fault had held to its end, whether its pod was gone."""

    notes: tuple[str, ...] = ()
    held: bool = True
    gone: bool = False


def ended(entry: Entry, heal: Heal, found: Found, began: Instant, clock: Clock) -> Entry:
    """An entry that was healed. Of what nobody knows, or of another boot, what was found says nothing.

    It is stamped with when its heal began: until then the fault was in force; while it is undone, which may
    take long on a busy machine, it may not be.
    """
    notes = () if heal.problem or heal.why == REBOOTED else found.notes
    why = (heal.why,) if heal.why else ()
    told = _stamped(replace(entry, evidence=(*entry.evidence, *notes, *why)), began, clock)
    if heal.problem:
        return replace(told, state=FAILED, problem=heal.problem, proven=False)
    proven = entry.proven and found.held and heal.why != REBOOTED
    return replace(told, state=GONE if found.gone else HEALED, proven=proven)


def gone(entry: Entry, note: str, clock: Clock) -> Entry:
    """An entry whose pod is gone just now, and with it all that was done to it."""
    return stamped(replace(entry, state=GONE, evidence=(*entry.evidence, note)), clock)


def failed(entry: Entry, problem: str) -> Entry:
    """An entry that was not done."""
    return replace(entry, state=FAILED, problem=problem)


def stamped(entry: Entry, clock: Clock) -> Entry:
    """An entry that ends now."""
    return _stamped(entry, clock.now(), clock)


def _stamped(entry: Entry, now: Instant, clock: Clock) -> Entry:
    # Another boot's clock says nothing beside the one that injectedNs was read from.
    return replace(entry, healed_at=now.stamp, healed_ns=now.ns if entry.boot_id == clock.boot_id else None)


def seconds_held(entry: Entry, clock: Clock) -> str:
    """How long an injected entry has lasted, for people."""
    return f"{(clock.now().ns - (entry.injected_ns or 0)) / 1e9:.1f} s"


def seconds_left(entry: Entry, clock: Clock) -> float:
    """Until the entry's time is over."""
    return (entry.deadline_ns - clock.now().ns) / 1e9


def awaited(look: Callable[[], _Found | None], entry: Entry, stopped: threading.Event, clock: Clock) -> _Found | None:
    """What look finds: at once or not at all, but for a pod that may not run yet.

    For that it looks each 20 ms. None: it was not there, or stopped was set.
    """
    while not stopped.is_set():
        found = look()
        if found is not None or not entry.order.replaces or seconds_left(entry, clock) <= 0:
            return found
        stopped.wait(_LOOK_SECONDS)
    return None
