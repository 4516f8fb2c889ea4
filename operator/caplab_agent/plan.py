"""What to do next, decided from what is asked, what was begun, and the time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from .clock import Instant
from .faults import (
    ACTIVE,
    BEGUN,
    FAILED,
    HEALED,
    Assignment,
    Body,
    FaultRecord,
    Key,
    Partition,
    RequestedFault,
    is_uid,
    requested_faults,
)

TOO_LATE = "the time was over before the agent got to it. Hint: a longer durationSeconds, or see why the agent was late"
DIED = "the agent died in the midst of the injection: what it did is not known"
LOST = "the journal of the node knows nothing of this fault: what it did is not known"
REBOOTED = "the node booted anew in the midst of the fault"


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Where and when a decision is made."""

    node: str
    boot_id: str
    now: Instant


@dataclass(frozen=True, slots=True)
class Heal:
    """A record that is to end; why: for its evidence, '' when its time is over as asked; problem: it failed."""

    key: Key
    why: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    begin: to inject; adjust: what is live is to be as these assignments ask; report: to write down and report, nothing
    to do; heal; forget: ended, and everybody knows.
    """

    begin: tuple[FaultRecord, ...] = ()
    adjust: tuple[Assignment, ...] = ()
    report: tuple[FaultRecord, ...] = ()
    heal: tuple[Heal, ...] = ()
    forget: tuple[Key, ...] = ()


def decide(
    faults: Sequence[Body] | None, journal: Mapping[Key, FaultRecord], busy: Collection[Key], context: DecisionContext
) -> Plan:
    """What to do, given every Fault there is (None: none were listed yet), and what this node's journal holds.

    busy: records whose injection is running in this process. Without a list nothing is begun or forgotten,
    but what is due is healed all the same.
    """
    new = [record for body in faults or () for record in _new_records(body, journal, context)]
    bodies = {body["metadata"]["uid"]: body for body in faults or ()}
    heal = [
        _heal(record, bodies.get(key[0]), faults is not None, key in busy, context)
        for key, record in journal.items()
        if not record.ended
    ]
    healing = {each.key for each in heal if each}
    return Plan(
        begin=tuple(record for record in new if record.state == BEGUN and not record.problem),
        adjust=tuple(_changed(faults or (), journal, healing, context)),
        report=tuple(record for record in new if record.ended or record.problem),
        heal=tuple(each for each in heal if each),
        forget=() if faults is None else tuple(_forgettable(bodies, journal, context.node)),
    )


def _new_records(body: Body, journal: Mapping[Key, FaultRecord], context: DecisionContext) -> Iterator[FaultRecord]:
    for requested in requested_faults(body, context.node):
        if requested.assignment.key not in journal and requested.state in (BEGUN, ACTIVE):
            yield _record(requested, "deletionTimestamp" in body["metadata"], context)


def _changed(
    faults: Sequence[Body], journal: Mapping[Key, FaultRecord], healing: Collection[Key], context: DecisionContext
) -> Iterator[Assignment]:
    """Assignments whose addresses are others than those that are in force: pods come and go while a partition lasts."""
    for requested in (requested for body in faults for requested in requested_faults(body, context.node)):
        assignment, record = requested.assignment, journal.get(requested.assignment.key)
        if record is None or record.state != ACTIVE or assignment.key in healing or requested.problem:
            continue
        if isinstance(assignment.action, Partition) and assignment.action != record.assignment.action:
            yield assignment


def _record(requested: RequestedFault, deleted: bool, context: DecisionContext) -> FaultRecord:
    record = FaultRecord(requested.assignment, context.boot_id, context.now.ns)
    if not is_uid(requested.assignment.pod_uid):  # nothing can have been done to it, and nothing must be
        return replace(record, state=FAILED, problem=requested.problem)
    if requested.state == ACTIVE:  # recorded as begun: the next decision heals what may be left of it
        return replace(record, problem=LOST)
    if deleted:
        return replace(record, state=HEALED, evidence=("deleted before it was begun: nothing was done",))
    if requested.problem:
        return replace(record, state=FAILED, problem=requested.problem)
    assert requested.until is not None
    left = min(timedelta(seconds=requested.seconds), requested.until - context.now.wall)
    if left <= timedelta(0):
        return replace(record, state=FAILED, problem=TOO_LATE)
    return replace(record, deadline_ns=context.now.ns + left // timedelta(microseconds=1) * 1000)


def _heal(record: FaultRecord, body: Body | None, listed: bool, busy: bool, context: DecisionContext) -> Heal | None:
    key = record.assignment.key
    if record.boot_id != context.boot_id:
        return Heal(key, REBOOTED)
    if record.state == BEGUN and not busy:
        return Heal(key, problem=record.problem or DIED)
    if context.now.ns >= record.deadline_ns:
        return Heal(key)
    if body is not None and "deletionTimestamp" in body["metadata"]:
        return Heal(key, "healed early: the Fault was deleted")
    if body is None and listed:
        return Heal(key, "healed early: the Fault was gone")
    return None


def _forgettable(bodies: Mapping[str, Body], journal: Mapping[Key, FaultRecord], node: str) -> Iterator[Key]:
    """Records of faults of which all is over, and which the objects themselves show so.

    All records of one Fault go together: each report names them all, and one that is no longer named loses
    its fields. That an object shows the end (not just that a report was taken) keeps a watch that lags from
    bringing a record back as a new one.
    """
    living = {key[0] for key, record in journal.items() if not record.ended}
    states = {
        requested.assignment.key: requested.state
        for uid in bodies
        if uid not in living
        for requested in requested_faults(bodies[uid], node)
    }
    open_still = {
        key[0] for key, record in journal.items() if key[0] in bodies and states.get(key, record.state) != record.state
    }
    return (key for key in journal if key[0] not in living | open_still)
