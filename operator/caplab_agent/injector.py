"""What a kind of fault is to the agent: what it assigns to a pod, and its injector. What all injectors share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from caplab.contract.objects import TargetStatus
from caplab.contract.phases import FAILED, GONE, HEALED

from .cgroups import Cgroups
from .clock import Clock, Instant
from .commands import Start
from .faults import REBOOTED, Assignment, Body, FaultRecord, Heal, PodAction
from .holds import Holds

_LOOKUP_SECONDS = 0.02  # between two lookups for a pod that is coming up
_Value = TypeVar("_Value")

PodReader: TypeAlias = Callable[[Assignment], Body | None]  # the assignment's pod as it is now, or None
Newest: TypeAlias = Callable[[Assignment], Assignment]  # what a Fault asks for by now: addresses come and go


class FaultInjector(Protocol):
    """The steps of one kind of fault. Each but guard returns the updated record, and may raise OSError.

    Calls for one record never overlap, but those for different records do. From one agent to the next only the record
    is kept.
    """

    def guard(self, assignment: Assignment, pod: Body) -> str:
        """Say why this kind of fault must not be injected into a pod that may be hit, with a hint; '' if it may be.

        By default every such pod may be.
        """
        return ""

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """Inject the fault into the pod: the record is Active, or has ended.

        None: stopped was set first, and nothing is left to undo. If the pod replaced another, wait for it to run, until
        stopped is set or the fault's time is over.
        """

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """Undo whatever was done, and return an ended record. Safe to repeat."""

    def update(self, record: FaultRecord, assignment: Assignment) -> FaultRecord:
        """Change an Active record to the assignment, whose action is another. By default nothing can change."""
        return record

    def poll(self, record: FaultRecord) -> FaultRecord:
        """Check an Active record for the first sign of its effect and for the end of its pod.

        Takes a few milliseconds at most. An agent that starts calls this first, for all records in its journal.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the injectors of a node share.

    pods: kubelet's folder of pods; proc: the node's processes; newest: what is asked for by now.
    """

    clock: Clock
    cgroups: Cgroups
    holds: Holds
    pods: Path
    proc: Path
    start: Start
    read_pod: PodReader
    newest: Newest = lambda assignment: assignment


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    action: the record that says what is done to one pod; assign: takes it from the kind's field of a Fault's spec and
    an entry of status.targets, and raises ValueError, with a hint; injector: makes the injector of a node.
    """

    action: type[PodAction]
    assign: Callable[[Any, TargetStatus], PodAction]
    injector: Callable[[Node], FaultInjector]


Injectors: TypeAlias = Mapping[type[PodAction], FaultInjector]  # of a node, by the action of their kind


@dataclass(frozen=True, slots=True)
class HealResult:
    """What a heal found: notes for the evidence, whether the fault held to its end, whether its pod was gone."""

    notes: tuple[str, ...] = ()
    held: bool = True
    gone: bool = False


def ended(record: FaultRecord, heal: Heal, result: HealResult, began: Instant, clock: Clock) -> FaultRecord:
    """End a record after its heal.

    Its stamp is when the heal began: until then the fault was in force, but during the heal, which may take long on a
    busy machine, it may not have been. If the heal has a problem or the node was rebooted, the result proves nothing.
    """
    notes = () if heal.problem or heal.why == REBOOTED else result.notes
    why = (heal.why,) if heal.why else ()
    done = _stamped(replace(record, evidence=(*record.evidence, *notes, *why)), began, clock)
    if heal.problem:
        return replace(done, state=FAILED, problem=heal.problem, proven=False)
    proven = record.proven and result.held and heal.why != REBOOTED
    return replace(done, state=GONE if result.gone else HEALED, proven=proven)


def gone(record: FaultRecord, note: str, clock: Clock) -> FaultRecord:
    """End a record whose pod has just gone, and with it all effects of the fault."""
    return stamped(replace(record, state=GONE, evidence=(*record.evidence, note)), clock)


def failed(record: FaultRecord, problem: str) -> FaultRecord:
    """Mark a record as Failed."""
    return replace(record, state=FAILED, problem=problem)


def stamped(record: FaultRecord, clock: Clock) -> FaultRecord:
    """Stamp a record as ended now."""
    return _stamped(record, clock.now(), clock)


def _stamped(record: FaultRecord, now: Instant, clock: Clock) -> FaultRecord:
    # The clock of another boot cannot be compared with the one that injectedNs was read from.
    return replace(record, healed_at=now.stamp, healed_ns=now.ns if record.boot_id == clock.boot_id else None)


def seconds_held(record: FaultRecord, clock: Clock) -> str:
    """Format how long an injected record has lasted."""
    return f"{(clock.now().ns - (record.injected_ns or 0)) / 1e9:.1f} s"


def seconds_left(record: FaultRecord, clock: Clock) -> float:
    """Return the seconds until the record's deadline; negative after it."""
    return (record.deadline_ns - clock.now().ns) / 1e9


def wait_for(
    lookup: Callable[[], _Value | None], record: FaultRecord, stopped: threading.Event, clock: Clock
) -> _Value | None:
    """Return what lookup returns, or None if stopped was set.

    If the record's pod replaced another and so may not run yet, repeat the lookup every 20 ms until it finds something
    or the record's time is over.
    """
    while not stopped.is_set():
        value = lookup()
        if value is not None or not record.assignment.replaces or seconds_left(record, clock) <= 0:
            return value
        stopped.wait(_LOOKUP_SECONDS)
    return None
