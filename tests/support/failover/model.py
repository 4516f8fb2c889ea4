"""Lock, proof, release and gate as a small state machine, whose every order of steps can be tried.

Three members, of which one leads at first; at most two are killed. What a step may do is written down; when it is done
is anybody's choice, so that a step may come as late as it likes: a report after the next container has started, a patch
after the lock has moved. The decisions are those of the operator's own code (engines.postgres.failover.release).

What is taken from Patroni. A member writes only after it has taken a free lock, or renewed its own, in one atomic step
that fails if the lock has changed since it was read. Its name is its pod's, which the next container has too. A lock
that is not renewed ends by itself only when its holder writes no longer: it has died, or has demoted itself in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from caplab_operator.engines.postgres.failover import release

from caplab.contract.deaths import Death

MEMBERS = ("pg-0", "pg-1", "pg-2")
MOST_RENEWALS, MOST_LIVES, MOST_READINGS = 2, 1, 1
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Lock(NamedTuple):
    """Who holds it, and the tick of its last renewal."""

    holder: int | None
    renewed: int


class Member(NamedTuple):
    """life: the number of its container. read: the lock as it read it last. held: its next container waits."""

    life: int = 0
    runs: bool = True
    writes: bool = False
    read: Lock | None = None
    held: bool = False


class Proof(NamedTuple):
    """That the container of a member was empty at a tick."""

    member: int
    life: int
    tick: int


class Reading(NamedTuple):
    """What the operator has read, and has not acted on yet. shown: the container in the pod's status."""

    proof: Proof
    lock: Lock
    shown: int


class State(NamedTuple):
    """Everything; tick grows with each renewal and each death."""

    lock: Lock
    members: tuple[Member, ...]
    tick: int = 1
    kills: int = 0
    renewals: int = 0
    proofs: frozenset[Proof] = frozenset()
    readings: frozenset[Reading] = frozenset()

    def writers(self) -> list[int]:
        """Return the members that would acknowledge a write now."""
        return [place for place, member in enumerate(self.members) if member.runs and member.writes]


Step = tuple[str, State]
Refusal = Callable[[dict[str, Any], dict[str, Any], Death], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The protocol, and what a test takes out of it: each must then show two writers."""

    refusal: Refusal = release.refusal
    tests_renewal: bool = True  # within the patch
    needs_death: bool = True  # else a member is taken for dead while it runs


def initial() -> State:
    """Return a cluster whose first member leads."""
    lock = Lock(0, 0)
    replicas = (Member(read=lock) for _ in MEMBERS[1:])
    return State(lock=lock, members=(Member(writes=True, read=lock), *replicas))


def steps(state: State, rules: Rules) -> Iterator[Step]:
    """Yield every step that may come next."""
    for place, member in enumerate(state.members):
        yield from _of_member(state, place, member)
        yield from _of_node(state, place, member, rules)
    for proof in state.proofs if len(state.readings) < MOST_READINGS else ():
        for shown in {proof.life, state.members[proof.member].life}:  # a pod's status may be late
            reading = Reading(proof, state.lock, shown)
            if reading not in state.readings:
                yield f"operator reads for {proof}", state._replace(readings=state.readings | {reading})
    for reading in state.readings:
        yield from _release(state, reading, rules)
    holder = state.lock.holder
    if holder is not None and not (state.members[holder].runs and state.members[holder].writes):
        yield "the lock ends by itself", state._replace(lock=state.lock._replace(holder=None))


def canonical(state: State) -> State:
    """Return one state for all that differ by names alone: only the order of ticks matters, and replicas are alike."""
    locks = [state.lock, *(member.read for member in state.members if member.read)]
    locks += [reading.lock for reading in state.readings]
    proofs = [*state.proofs, *(reading.proof for reading in state.readings)]
    ticks = {*(lock.renewed for lock in locks), *(proof.tick for proof in proofs)}
    rank = {tick: place for place, tick in enumerate(sorted(ticks))}
    place = (0, 2, 1) if _order(state.members[1]) > _order(state.members[2]) else (0, 1, 2)

    def of_lock(lock: Lock) -> Lock:
        return Lock(None if lock.holder is None else place[lock.holder], rank[lock.renewed])

    def of_proof(proof: Proof) -> Proof:
        return Proof(place[proof.member], proof.life, rank[proof.tick])

    members = [member._replace(read=of_lock(member.read) if member.read else None) for member in state.members]
    return state._replace(
        lock=of_lock(state.lock),
        members=tuple(members[each] for each in place),  # it is its own inverse
        tick=len(rank),
        proofs=frozenset(map(of_proof, state.proofs)),
        readings=frozenset(Reading(of_proof(each.proof), of_lock(each.lock), each.shown) for each in state.readings),
    )


def _order(member: Member) -> tuple[int, bool, bool, bool, int]:
    return member.life, member.runs, member.writes, member.held, member.read.renewed if member.read else -1


def _of_member(state: State, place: int, member: Member) -> Iterator[Step]:
    """A running member reads the lock, and takes or renews it if it is as it was read."""
    if not member.runs:
        return
    if member.read != state.lock:
        yield f"{MEMBERS[place]} reads", _with(state, place, member._replace(read=state.lock))
        if member.writes and state.lock.holder != place:
            return  # until it has read that, it cannot know
    if member.writes and member.read is not None and member.read.holder != place:
        yield f"{MEMBERS[place]} demotes", _with(state, place, member._replace(writes=False))
    if member.read == state.lock and state.lock.holder in (None, place) and state.renewals < MOST_RENEWALS:
        lock = Lock(place, state.tick)
        took = state._replace(lock=lock, tick=state.tick + 1, renewals=state.renewals + 1)
        yield f"{MEMBERS[place]} leads", _with(took, place, member._replace(writes=True, read=lock))


def _of_node(state: State, place: int, member: Member, rules: Rules) -> Iterator[Step]:
    """A member dies; its node holds and reports it, starts it again, and opens its gate at any time."""
    if member.runs and state.kills < 2:
        dead = member._replace(runs=False, writes=False, read=None, held=False)
        yield f"{MEMBERS[place]} dies", _with(state, place, dead)._replace(kills=state.kills + 1, tick=state.tick + 1)
    proof = Proof(place, member.life, state.tick)
    is_new = not any((known.member, known.life) == (place, member.life) for known in state.proofs)
    if (not member.runs or not rules.needs_death) and is_new:
        for held in (True, False):  # the gate may fail to close
            seen = _with(state, place, member._replace(held=held and not member.runs))
            yield f"agent proves {proof}", seen._replace(proofs=state.proofs | {proof}, tick=state.tick + 1)
    if member.held:
        yield f"{MEMBERS[place]}'s gate opens", _with(state, place, member._replace(held=False))
    if not member.runs and not member.held and member.life < MOST_LIVES:
        again = Member(life=member.life + 1)
        yield f"{MEMBERS[place]} starts again", _with(state, place, again)


def _release(state: State, reading: Reading, rules: Rules) -> Iterator[Step]:
    """The operator decides by what it has read, and the API server tests what the patch names."""
    rest = state._replace(readings=state.readings - {reading})
    if _refused(reading, rules):
        yield "operator refuses", rest
    elif _fails(reading.lock, state.lock, rules):
        yield "API server refuses", rest
    else:
        yield "operator releases", rest._replace(lock=state.lock._replace(holder=None))


@cache
def _refused(reading: Reading, rules: Rules) -> bool:
    return bool(rules.refusal(_lock_body(reading.lock), _pod(reading), _death(reading.proof)))


@cache
def _fails(read: Lock, now: Lock, rules: Rules) -> bool:
    """Return whether a test of the patch fails that is made of the lock as it was read."""
    there = _lock_body(now)["metadata"]["annotations"]
    return any(
        operation["op"] == "test" and there.get(name) != operation["value"]
        for operation in release.patch(_lock_body(read))
        if (name := operation["path"].rpartition("/")[2]) != release.RENEWED or rules.tests_renewal
    )


def _with(state: State, place: int, member: Member) -> State:
    return state._replace(members=(*state.members[:place], member, *state.members[place + 1 :]))


def _container(member: int, life: int) -> str:
    return f"{member}{life}" * 32


def _lock_body(lock: Lock) -> dict[str, Any]:
    annotations = {release.RENEWED: (_EPOCH + timedelta(seconds=lock.renewed)).isoformat()}
    if lock.holder is not None:
        annotations[release.LEADER] = MEMBERS[lock.holder]
    return {"metadata": {"annotations": annotations}}


def _pod(reading: Reading) -> dict[str, Any]:
    identifier = f"containerd://{_container(reading.proof.member, reading.shown)}"
    statuses = [{"name": release.CONTAINER, "containerID": identifier}]
    return {"metadata": {"name": MEMBERS[reading.proof.member]}, "status": {"containerStatuses": statuses}}


def _death(proof: Proof) -> Death:
    moment = _EPOCH + timedelta(seconds=proof.tick)
    return Death(container_id=_container(proof.member, proof.life), unix_ns=round(moment.timestamp() * 1e9), held=True)
