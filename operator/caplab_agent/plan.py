"""The agent's decisions, from the Faults, the journal's records, and the time: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from caplab.contract.phases import ACTIVE, FAILED, HEALED

from .clock import Instant
from .faults import BEGUN, REBOOTED, Assignment, FaultRecord, Heal, Key, RequestedFault, is_uid
from .requested import ListedFault, requested_faults

TOO_LATE = (
    "the fault's time was over before the agent began. "
    "Hint: use a longer durationSeconds, or find out why the agent was late"
)
DIED = "the agent died during the injection: its effect is unknown"
LOST = "the node's journal has no record of this fault: its effect is unknown"


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """The node, the boot and the time of a decision."""

    node: str
    boot_id: str
    now: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps that a decision asks for.

    begin: records to inject; update: new assignments of live records; report: records to write down and report only;
    heal: records to end; forget: ended records that their Faults already show.
    """

    begin: tuple[FaultRecord, ...] = ()
    update: tuple[Assignment, ...] = ()
    report: tuple[FaultRecord, ...] = ()
    heal: tuple[Heal, ...] = ()
    forget: tuple[Key, ...] = ()


def decide(
    faults: Sequence[ListedFault] | None,
    journal: Mapping[Key, FaultRecord],
    busy: Collection[Key],
    context: DecisionContext,
) -> Plan:
    """Decide the next steps.

    faults: all Faults that exist; None: not listed yet, so that nothing is begun or forgotten, but records that are due
    are healed all the same. journal: this node's records. busy: those whose injection is running in this process.
    """
    new = [record for fault in faults or () for record in _new_records(fault, journal, context)]
    by_uid = {fault.uid: fault for fault in faults or ()}
    heal = [
        _heal(record, by_uid.get(key[0]), faults is not None, key in busy, context)
        for key, record in journal.items()
        if not record.ended
    ]
    healing = {each.key for each in heal if each}
    return Plan(
        begin=tuple(record for record in new if record.state == BEGUN and not record.problem),
        update=tuple(_changed(faults or (), journal, healing, context)),
        report=tuple(record for record in new if record.ended or record.problem),
        heal=tuple(each for each in heal if each),
        forget=() if faults is None else tuple(_forgettable(by_uid, journal, context.node)),
    )


def _new_records(
    fault: ListedFault, journal: Mapping[Key, FaultRecord], context: DecisionContext
) -> Iterator[FaultRecord]:
    for requested in requested_faults(fault, context.node):
        if requested.assignment.key not in journal and requested.state in (BEGUN, ACTIVE):
            yield _record(requested, fault.header.metadata.is_being_deleted, context)


def _changed(
    faults: Sequence[ListedFault],
    journal: Mapping[Key, FaultRecord],
    healing: Collection[Key],
    context: DecisionContext,
) -> Iterator[Assignment]:
    """Yield assignments that ask for something else than is in force: pods come and go during a partition."""
    for requested in (requested for fault in faults for requested in requested_faults(fault, context.node)):
        assignment, record = requested.assignment, journal.get(requested.assignment.key)
        if record is None or record.state != ACTIVE or assignment.key in healing or requested.problem:
            continue
        if assignment.action != record.assignment.action:
            yield assignment


def _record(requested: RequestedFault, deleted: bool, context: DecisionContext) -> FaultRecord:
    record = FaultRecord(assignment=requested.assignment, boot_id=context.boot_id, deadline_ns=context.now.ns)
    if not is_uid(requested.assignment.pod_uid):  # nothing was done to it, and nothing must be
        return replace(record, state=FAILED, problem=requested.problem)
    if requested.state == ACTIVE:  # recorded as begun, so that the next decision heals what may be left of it
        return replace(record, problem=LOST)
    if deleted:
        return replace(record, state=HEALED, evidence=("deleted before it began: nothing was done",))
    if requested.problem:
        return replace(record, state=FAILED, problem=requested.problem)
    assert requested.until is not None
    left = min(timedelta(seconds=requested.seconds), requested.until - context.now.wall)
    if left <= timedelta(0):
        return replace(record, state=FAILED, problem=TOO_LATE)
    return replace(record, deadline_ns=context.now.ns + left // timedelta(microseconds=1) * 1000)


def _heal(
    record: FaultRecord, fault: ListedFault | None, listed: bool, busy: bool, context: DecisionContext
) -> Heal | None:
    key = record.assignment.key
    if record.boot_id != context.boot_id:
        return Heal(key, REBOOTED)
    if record.state == BEGUN and not busy:
        return Heal(key, problem=record.problem or DIED)
    if context.now.ns >= record.deadline_ns:
        return Heal(key)
    if fault is not None and fault.header.metadata.is_being_deleted:
        return Heal(key, "healed early: the Fault was deleted")
    if fault is None and listed:
        return Heal(key, "healed early: the Fault was gone")
    return None


def _forgettable(faults: Mapping[str, ListedFault], journal: Mapping[Key, FaultRecord], node: str) -> Iterator[Key]:
    """Yield the records of Faults that have ended completely and whose objects show it.

    All records of one Fault go together: each report names them all, and one that is no longer named loses its fields.
    The object itself must show the end, as a watch that lags would otherwise bring a record back as a new one.
    """
    living = {key[0] for key, record in journal.items() if not record.ended}
    states = {
        requested.assignment.key: requested.state
        for uid in faults
        if uid not in living
        for requested in requested_faults(faults[uid], node)
    }
    open_still = {
        key[0] for key, record in journal.items() if key[0] in faults and states.get(key, record.state) != record.state
    }
    return (key for key in journal if key[0] not in living | open_still)
