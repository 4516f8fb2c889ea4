"""What to do next, decided from what is asked, what was begun, and the time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from .clock import Instant
from .faults import ACTIVE, BEGUN, FAILED, HEALED, Asked, Body, Entry, Key, Order, Partition, asked_here, is_uid

TOO_LATE = "the time was over before the agent got to it. Hint: a longer durationSeconds, or see why the agent was late"
DIED = "the agent died in the midst of the injection: what it did is not known"
LOST = "the journal of the node knows nothing of this fault: what it did is not known"
REBOOTED = "the node booted anew in the midst of the fault"


@dataclass(frozen=True, slots=True)
class Here:
    """Where and when a decision is made."""

    node: str
    boot_id: str
    now: Instant


@dataclass(frozen=True, slots=True)
class Heal:
    """An entry that is to end; why: for its evidence, '' when its time is over as asked; problem: it failed."""

    key: Key
    why: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do.

    begin: to inject; adjust: what is live is to be as these orders ask; record: to write down and report, nothing to
    do; heal; forget: ended, and everybody knows.
    """

    begin: tuple[Entry, ...] = ()
    adjust: tuple[Order, ...] = ()
    record: tuple[Entry, ...] = ()
    heal: tuple[Heal, ...] = ()
    forget: tuple[Key, ...] = ()


def decide(seen: Sequence[Body] | None, journal: Mapping[Key, Entry], busy: Collection[Key], here: Here) -> Moves:
    """What to do, given every Fault there is (None: none were listed yet), and what this node's journal holds.

    busy: entries whose injection is running in this process. Without a list nothing is begun or forgotten,
    but what is due is healed all the same.
    """
    fresh = [entry for body in seen or () for entry in _fresh(body, journal, here)]
    bodies = {body["metadata"]["uid"]: body for body in seen or ()}
    heal = [
        _heal(entry, bodies.get(key[0]), seen is not None, key in busy, here)
        for key, entry in journal.items()
        if not entry.ended
    ]
    healing = {one.key for one in heal if one}
    return Moves(
        begin=tuple(entry for entry in fresh if entry.state == BEGUN and not entry.problem),
        adjust=tuple(_changed(seen or (), journal, healing, here)),
        record=tuple(entry for entry in fresh if entry.ended or entry.problem),
        heal=tuple(one for one in heal if one),
        forget=() if seen is None else tuple(_settled(bodies, journal, here.node)),
    )


def _fresh(body: Body, journal: Mapping[Key, Entry], here: Here) -> Iterator[Entry]:
    for asked in asked_here(body, here.node):
        if asked.order.key not in journal and asked.state in (BEGUN, ACTIVE):
            yield _entry(asked, "deletionTimestamp" in body["metadata"], here)


def _changed(
    seen: Sequence[Body], journal: Mapping[Key, Entry], healing: Collection[Key], here: Here
) -> Iterator[Order]:
    """Orders whose addresses are others than those that are in force: pods come and go while a partition lasts."""
    for asked in (asked for body in seen for asked in asked_here(body, here.node)):
        order, entry = asked.order, journal.get(asked.order.key)
        if entry is None or entry.state != ACTIVE or order.key in healing or asked.problem:
            continue
        if isinstance(order.what, Partition) and order.what != entry.order.what:
            yield order


def _entry(asked: Asked, deleted: bool, here: Here) -> Entry:
    entry = Entry(asked.order, here.boot_id, here.now.ns)
    if not is_uid(asked.order.pod_uid):  # nothing can have been done to it, and nothing must be
        return replace(entry, state=FAILED, problem=asked.problem)
    if asked.state == ACTIVE:  # recorded as begun: the next decision heals what may be left of it
        return replace(entry, problem=LOST)
    if deleted:
        return replace(entry, state=HEALED, evidence=("deleted before it was begun: nothing was done",))
    if asked.problem:
        return replace(entry, state=FAILED, problem=asked.problem)
    assert asked.until is not None
    left = min(timedelta(seconds=asked.seconds), asked.until - here.now.wall)
    if left <= timedelta(0):
        return replace(entry, state=FAILED, problem=TOO_LATE)
    return replace(entry, deadline_ns=here.now.ns + left // timedelta(microseconds=1) * 1000)


def _heal(entry: Entry, body: Body | None, listed: bool, busy: bool, here: Here) -> Heal | None:
    key = entry.order.key
    if entry.boot_id != here.boot_id:
        return Heal(key, REBOOTED)
    if entry.state == BEGUN and not busy:
        return Heal(key, problem=entry.problem or DIED)
    if here.now.ns >= entry.deadline_ns:
        return Heal(key)
    if body is not None and "deletionTimestamp" in body["metadata"]:
        return Heal(key, "healed early: the Fault was deleted")
    if body is None and listed:
        return Heal(key, "healed early: the Fault was gone")
    return None


def _settled(bodies: Mapping[str, Body], journal: Mapping[Key, Entry], node: str) -> Iterator[Key]:
    """Entries of faults of which all is over, and which the objects themselves show so.

    All entries of one Fault go together: each report names them all, and one that is no longer named loses
    its fields. That an object shows the end (not just that a report was taken) keeps a watch that lags from
    bringing an entry back as a new one.
    """
    living = {key[0] for key, entry in journal.items() if not entry.ended}
    states = {
        asked.order.key: asked.state for uid in bodies if uid not in living for asked in asked_here(bodies[uid], node)
    }
    open_still = {
        key[0] for key, entry in journal.items() if key[0] in bodies and states.get(key, entry.state) != entry.state
    }
    return (key for key in journal if key[0] not in living | open_still)
