"""Whom a member that starts follows, or that it is primary, where nobody runs who could say so.

Each member that waits publishes what it has on its disk, and hears what the others have. All come to the same choice
(choose): the one who was primary last, since a replica has nothing that its primary had not before; where that one is
away or has lost its disk, the replica of it that got furthest. Only whom the Sentinels name ever starts as primary. If
another is chosen, it starts alone, as a replica of the one they name: so they find nobody else whom they could promote.
For the same reason replicas start only once every Sentinel has seen that the primary is up: one that still holds it for
down would begin a failover, and could promote a replica that has not yet what the primary has.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from caplab_wire.resp import Refusal, information, pairs

from .publishing import RECORD, published
from .record import Record, read_record
from .surroundings import MASTER, RECORD_PORT, SENTINEL_PORT, Surroundings, data_folder, surroundings

# How long those are waited for who do not say what they have: a pod that starts anew takes some seconds.
ROLL_CALL_SECONDS = 30.0
# One that no longer says what it has is starting: it does not listen yet.
_STARTING_SECONDS = 15.0
# How long Sentinels may take to see that a primary is up: they look four times in down-after. One that is cut off from
# it never sees it.
_SEEN_UP_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_NUDGE_SECONDS = 2.0
_MASTER, _REPLICA = "master", "slave"  # INFO's words
_FAILING_OVER, _DOWN = "failover_in_progress", frozenset({"s_down", "o_down"})  # SENTINEL MASTER's


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a member that waits sees of the others."""

    named: str | None = None  # whom enough Sentinels take for primary
    decided: bool = False  # they do so after a failover, and not by their first file
    being_replaced: frozenset[str] = frozenset()  # members from whom a Sentinel is failing over to another
    held_down: frozenset[str] = frozenset()  # members that a Sentinel holds for down, though they may be up by now
    # Seconds for which members have been seen as primary.
    primary_for: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)  # of other members that run
    records: Mapping[str, Record] = field(default_factory=dict)  # of members that wait, this one among them


@dataclass(frozen=True, slots=True)
class Start:
    """Start, and follow that member; itself: as primary. confirmed: it is primary by its own word, or this one is."""

    primary: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet. promote: the Sentinels need not wait until their time is up to find the chosen one."""

    why: str
    promote: bool = False


def choose(records: Sequence[Record], named: str | None, initial: str, members: Sequence[str]) -> str:
    """The member with the most data, by what each has on its disk: pure, and the same for all who see the same."""
    with_data = {record.host: record for record in records if record.has_data}
    if not with_data:
        hosts = sorted(record.host for record in records)
        return next((host for host in (named, initial) if host in hosts), hosts[0]) or hosts[0]
    # The last word on who was primary: a file that says so is written when a member is promoted, or told to follow. One
    # that followed somebody who is no member says nothing of who was.
    told = [record for record in with_data.values() if record.follows in members]
    leader = max(told, key=lambda record: (record.since, record.host)).follows if told else None
    if leader in with_data:
        return leader
    followers = [record for record in with_data.values() if leader is None or record.follows == leader]
    return max(followers, key=lambda record: (record.offset, record.host == named, record.host)).host


def decide(place: Surroundings, look: Look, waited_seconds: float) -> Start | Wait:
    """What a member does that starts: pure."""
    own = look.records[place.host]
    if len(place.members) == 1:
        return Start(place.host, confirmed=True)
    primary = _primary_to_follow(place, look, own)
    if primary and look.roles.get(primary) == _MASTER and primary not in look.being_replaced:
        return _behind(primary, look)
    if look.roles:
        return _beside_running_ones(place, look, primary, waited_seconds)
    return _by_roll_call(place, look, primary, waited_seconds)


def _primary_to_follow(place: Surroundings, look: Look, own: Record) -> str | None:
    """Another member: whom the Sentinels name, else whom it followed, else the very first one."""
    known = look.named or own.follows or (place.initial_primary if place.bootstrap else None)
    return known if known != place.host else None


def _behind(primary: str, look: Look) -> Start | Wait:
    """As a replica of one that is up, unless Sentinels don't know that yet."""
    if primary in look.held_down and look.primary_for.get(primary, 0.0) < _SEEN_UP_SECONDS:
        return Wait(f"the Sentinels to see that {primary} is up")
    return Start(primary, confirmed=True)


def _beside_running_ones(place: Surroundings, look: Look, primary: str | None, waited_seconds: float) -> Start | Wait:
    """Sentinels choose among those that run. A replica of a primary that is away does no harm, but it can wait."""
    if look.named == place.host and place.come_back:
        return Start(place.host, confirmed=False)
    if primary and waited_seconds >= ROLL_CALL_SECONDS:
        return Start(primary, confirmed=False)
    return Wait(f"the Sentinels to name another primary (they name: {look.named or 'nobody'})")


def _by_roll_call(place: Surroundings, look: Look, primary: str | None, waited_seconds: float) -> Start | Wait:
    chosen = choose(list(look.records.values()), look.named, place.initial_primary, place.members)
    missing = [host for host in place.members if host not in look.records]
    if missing and not _can_do_without(place, look, chosen, waited_seconds):
        return Wait(f"{', '.join(missing)} to say what they have")
    if chosen == place.host:
        return _as_chosen(place, look)
    if primary and waited_seconds >= 2 * ROLL_CALL_SECONDS:
        return Start(primary, confirmed=False)  # the chosen one can't start
    return Wait(f"{chosen}, who has most, to be primary", promote=look.named == place.host)


def _can_do_without(place: Surroundings, look: Look, chosen: str, waited_seconds: float) -> bool:
    """Whether it may be decided without those that are missing."""
    record = look.records[chosen]
    if not record.has_data and place.persistence != "none":
        return False  # one who comes later would throw its data away
    if look.decided and look.named == chosen == record.follows:
        return True  # the primary itself: nobody has more
    return waited_seconds >= ROLL_CALL_SECONDS and not place.bootstrap


def _as_chosen(place: Surroundings, look: Look) -> Start | Wait:
    is_new = place.bootstrap and not any(record.has_data for record in look.records.values())
    if look.named == place.host or (is_new and look.named is None):
        return Start(place.host, confirmed=True)
    if look.named:
        return Start(look.named, confirmed=False)  # the Sentinels promote this one: nobody else runs
    return Wait("the Sentinels")


@dataclass
class RollCall:
    """One member's, until it may start; pause and clock are time's."""

    place: Callable[[], Surroundings]
    record: Record
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _said: str = ""
    _promoted_at: float = 0.0
    _waits_for_chosen: bool = False
    _heard: dict[str, tuple[Record, float]] = field(default_factory=dict)
    _primary_since: dict[str, float] = field(default_factory=dict)

    def run(self) -> Start:
        """Wait until it is known whom to follow."""
        began = self.clock()
        with ThreadPoolExecutor(16) as pool:
            while True:
                place = self.place()
                look = self._remembering(look_around(place, self.record, pool))
                step = decide(place, look, self.clock() - began)
                if isinstance(step, Start):
                    return step
                self._wait(place, look, step)
                self.pause(_LOOK_SECONDS)

    def _remembering(self, look: Look) -> Look:
        """With what those said who have gone silent a moment ago, and how long others have been primary."""
        now = self.clock()
        primaries = [host for host, role in look.roles.items() if role == _MASTER]
        self._primary_since = {host: self._primary_since.get(host, now) for host in primaries}
        self._heard |= {host: (record, now) for host, record in look.records.items()}
        heard = {
            host: record
            for host, (record, at) in self._heard.items()
            if now - at <= _STARTING_SECONDS and host not in look.roles
        }
        primary_for = {host: now - since for host, since in self._primary_since.items()}
        return replace(look, records={**heard, **look.records}, primary_for=primary_for)

    def _wait(self, place: Surroundings, look: Look, step: Wait) -> None:
        if step.why != self._said:
            self.say(f"waiting for {step.why}")
            self._said = step.why
        self._waits_for_chosen = self._waits_for_chosen or step.promote
        # While nobody ran Sentinels may have tried in vain, and would not again for twice their failover-timeout.
        is_due = self.clock() - self._promoted_at >= _NUDGE_SECONDS
        if self._waits_for_chosen and is_due and look.named == place.host and _REPLICA in look.roles.values():
            self._promoted_at = self.clock()
            _have_promoted(place)


def _have_promoted(place: Surroundings) -> None:
    with suppress(OSError, Refusal):  # again soon
        place.ask(place.sentinels[0], ("SENTINEL", "FAILOVER", MASTER), port=SENTINEL_PORT)


def look_around(place: Surroundings, own: Record, pool: ThreadPoolExecutor) -> Look:
    """Ask everybody at once."""
    sentinels = [pool.submit(_word_of, place, host) for host in place.sentinels]
    roles = {host: pool.submit(_role, place, host) for host in place.others}
    records = {host: pool.submit(_record_of, place, host) for host in place.others}
    told = [answer for one in sentinels if (answer := one.result())]
    runs = {host: role for host, answer in roles.items() if (role := answer.result())}
    waits = {host: record for host, answer in records.items() if host not in runs and (record := answer.result())}
    name, votes = next(iter(Counter(one.names for one in told).most_common(1)), ("", 0))
    agreed = name if votes >= place.quorum and name in place.members else None
    return Look(
        named=agreed,
        decided=any(one.epoch > 0 for one in told if one.names == agreed),
        being_replaced=frozenset(one.names for one in told if _FAILING_OVER in one.flags),
        held_down=frozenset(one.names for one in told if one.flags & _DOWN),
        roles=runs,
        records={**waits, own.host: own},
    )


@dataclass(frozen=True, slots=True)
class _Word:
    """What a Sentinel says."""

    names: str
    epoch: int
    flags: frozenset[str]  # of the one it names


def _word_of(place: Surroundings, sentinel: str) -> _Word | None:
    try:
        told = pairs(place.ask(sentinel, ("SENTINEL", "MASTER", MASTER), port=SENTINEL_PORT)[0])
        return _Word(told["ip"], int(told["config-epoch"]), frozenset(told["flags"].split(",")))
    except (OSError, Refusal, KeyError, ValueError):
        return None


def _role(place: Surroundings, host: str) -> str | None:
    try:
        return information(place.ask(host, ("INFO", "replication"))[0]).get("role")
    except (OSError, Refusal):
        return None


def _record_of(place: Surroundings, host: str) -> Record | None:
    try:
        told = json.loads(str(place.ask(host, (RECORD,), port=RECORD_PORT)[0]))
        record = Record(**told)
    except (OSError, Refusal, ValueError, TypeError):
        return None
    return record if record.host == host else None


def main() -> None:
    """Print whom to follow, and whether that is known for sure: for run-member to read. The log is stderr."""
    place = surroundings()
    keeps = place.persistence != "none" or place.come_back
    record = read_record(data_folder(), place.host, keeps)
    say = partial(print, file=sys.stderr, flush=True)
    with published(json.dumps(asdict(record)), place.password):
        start = RollCall(surroundings, record, say).run()
    print(start.primary, "confirmed" if start.confirmed else "unconfirmed")


if __name__ == "__main__":
    main()
