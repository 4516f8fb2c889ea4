"""Whom a member that starts follows, or that it is primary, where nobody runs who could say so.

Each member that waits publishes what it has on its disk, and reads what the others have. All come to the same choice
(choose_primary): the one who was primary last, since a replica has nothing that its primary had not before; where that
one is away or has lost its disk, the replica of it that got furthest. Only whom the Sentinels name ever starts as
primary. If another is chosen, it starts alone, as a replica of the one they name: so they find nobody else whom they
could promote.
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

from .config import MASTER, RECORD_PORT, SENTINEL_PORT, MemberConfig, data_folder, load_config
from .publishing import RECORD, published
from .record import Record, read_record

# How long those are waited for who do not publish their records: a pod that starts anew takes some seconds.
RECORDS_TIMEOUT_SECONDS = 30.0
# One that no longer publishes its record is starting: it does not listen yet.
_STARTING_SECONDS = 15.0
# How long Sentinels may take to see that a primary is up: they look four times in down-after. One that is cut off from
# it never sees it.
_NOTICED_UP_SECONDS = 10.0
_POLL_SECONDS = 0.1
_FAILOVER_AGAIN_SECONDS = 2.0
_MASTER, _REPLICA = "master", "slave"  # INFO's words
_FAILING_OVER, _DOWN = "failover_in_progress", frozenset({"s_down", "o_down"})  # SENTINEL MASTER's


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The others, as a member that waits sees them."""

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


def choose_primary(records: Sequence[Record], named: str | None, initial: str, members: Sequence[str]) -> str:
    """The member with the most data, by what each has on its disk: pure, and the same for all who see the same."""
    with_data = {record.host: record for record in records if record.has_data}
    if not with_data:
        hosts = sorted(record.host for record in records)
        return next((host for host in (named, initial) if host in hosts), hosts[0]) or hosts[0]
    # The last word on who was primary: a file that says so is written when a member is promoted, or told to follow. One
    # that followed somebody who is no member says nothing of who was.
    conclusive = [record for record in with_data.values() if record.follows in members]
    leader = max(conclusive, key=lambda record: (record.since, record.host)).follows if conclusive else None
    if leader in with_data:
        return leader
    followers = [record for record in with_data.values() if leader is None or record.follows == leader]
    return max(followers, key=lambda record: (record.offset, record.host == named, record.host)).host


def decide(config: MemberConfig, view: ClusterView, waited_seconds: float) -> Start | Wait:
    """What a member does that starts: pure."""
    own = view.records[config.host]
    if len(config.members) == 1:
        return Start(config.host, confirmed=True)
    primary = _primary_to_follow(config, view, own)
    if primary and view.roles.get(primary) == _MASTER and primary not in view.being_replaced:
        return _as_replica(primary, view)
    if view.roles:
        return _beside_running_members(config, view, primary, waited_seconds)
    return _by_records(config, view, primary, waited_seconds)


def _primary_to_follow(config: MemberConfig, view: ClusterView, own: Record) -> str | None:
    """Another member: whom the Sentinels name, else whom it followed, else the very first one."""
    primary = view.named or own.follows or (config.initial_primary if config.bootstrap else None)
    return primary if primary != config.host else None


def _as_replica(primary: str, view: ClusterView) -> Start | Wait:
    """As a replica of one that is up, unless Sentinels don't know that yet."""
    if primary in view.held_down and view.primary_for.get(primary, 0.0) < _NOTICED_UP_SECONDS:
        return Wait(f"the Sentinels to see that {primary} is up")
    return Start(primary, confirmed=True)


def _beside_running_members(
    config: MemberConfig, view: ClusterView, primary: str | None, waited_seconds: float
) -> Start | Wait:
    """Sentinels choose among those that run. A replica of a primary that is away does no harm, but it can wait."""
    if view.named == config.host and config.come_back:
        return Start(config.host, confirmed=False)
    if primary and waited_seconds >= RECORDS_TIMEOUT_SECONDS:
        return Start(primary, confirmed=False)
    return Wait(f"the Sentinels to name another primary (they name: {view.named or 'nobody'})")


def _by_records(config: MemberConfig, view: ClusterView, primary: str | None, waited_seconds: float) -> Start | Wait:
    chosen = choose_primary(list(view.records.values()), view.named, config.initial_primary, config.members)
    missing = [host for host in config.members if host not in view.records]
    if missing and not _can_do_without(config, view, chosen, waited_seconds):
        return Wait(f"{', '.join(missing)} to publish their records")
    if chosen == config.host:
        return _as_chosen(config, view)
    if primary and waited_seconds >= 2 * RECORDS_TIMEOUT_SECONDS:
        return Start(primary, confirmed=False)  # the chosen one can't start
    return Wait(f"{chosen}, who has most, to be primary", promote=view.named == config.host)


def _can_do_without(config: MemberConfig, view: ClusterView, chosen: str, waited_seconds: float) -> bool:
    """Whether it may be decided without those that are missing."""
    record = view.records[chosen]
    if not record.has_data and config.persistence != "none":
        return False  # one who comes later would throw its data away
    if view.decided and view.named == chosen == record.follows:
        return True  # the primary itself: nobody has more
    return waited_seconds >= RECORDS_TIMEOUT_SECONDS and not config.bootstrap


def _as_chosen(config: MemberConfig, view: ClusterView) -> Start | Wait:
    is_new = config.bootstrap and not any(record.has_data for record in view.records.values())
    if view.named == config.host or (is_new and view.named is None):
        return Start(config.host, confirmed=True)
    if view.named:
        return Start(view.named, confirmed=False)  # the Sentinels promote this one: nobody else runs
    return Wait("the Sentinels")


@dataclass
class Startup:
    """The startup of a member, until it may start; pause and clock are time's."""

    load_config: Callable[[], MemberConfig]
    record: Record
    log: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _logged: str = ""
    _promoted_at: float = 0.0
    _waits_for_chosen: bool = False
    _last_records: dict[str, tuple[Record, float]] = field(default_factory=dict)
    _primary_since: dict[str, float] = field(default_factory=dict)

    def run(self) -> Start:
        """Wait until it is known whom to follow."""
        began = self.clock()
        with ThreadPoolExecutor(16) as pool:
            while True:
                config = self.load_config()
                view = self._with_memory(observe(config, self.record, pool))
                step = decide(config, view, self.clock() - began)
                if isinstance(step, Start):
                    return step
                self._wait(config, view, step)
                self.pause(_POLL_SECONDS)

    def _with_memory(self, view: ClusterView) -> ClusterView:
        """With the records of those who have gone silent a moment ago, and how long others have been primary."""
        now = self.clock()
        primaries = [host for host, role in view.roles.items() if role == _MASTER]
        self._primary_since = {host: self._primary_since.get(host, now) for host in primaries}
        self._last_records |= {host: (record, now) for host, record in view.records.items()}
        remembered = {
            host: record
            for host, (record, at) in self._last_records.items()
            if now - at <= _STARTING_SECONDS and host not in view.roles
        }
        primary_for = {host: now - since for host, since in self._primary_since.items()}
        return replace(view, records={**remembered, **view.records}, primary_for=primary_for)

    def _wait(self, config: MemberConfig, view: ClusterView, step: Wait) -> None:
        if step.why != self._logged:
            self.log(f"waiting for {step.why}")
            self._logged = step.why
        self._waits_for_chosen = self._waits_for_chosen or step.promote
        # While nobody ran Sentinels may have tried in vain, and would not again for twice their failover-timeout.
        is_due = self.clock() - self._promoted_at >= _FAILOVER_AGAIN_SECONDS
        if self._waits_for_chosen and is_due and view.named == config.host and _REPLICA in view.roles.values():
            self._promoted_at = self.clock()
            _request_failover(config)


def _request_failover(config: MemberConfig) -> None:
    with suppress(OSError, Refusal):  # again soon
        config.ask(config.sentinels[0], ("SENTINEL", "FAILOVER", MASTER), port=SENTINEL_PORT)


def observe(config: MemberConfig, own: Record, pool: ThreadPoolExecutor) -> ClusterView:
    """Ask everybody at once."""
    sentinels = [pool.submit(_ask_sentinel, config, host) for host in config.sentinels]
    roles = {host: pool.submit(_ask_role, config, host) for host in config.others}
    records = {host: pool.submit(_ask_record, config, host) for host in config.others}
    masters = [master for answer in sentinels if (master := answer.result())]
    runs = {host: role for host, answer in roles.items() if (role := answer.result())}
    waits = {host: record for host, answer in records.items() if host not in runs and (record := answer.result())}
    name, votes = next(iter(Counter(master.host for master in masters).most_common(1)), ("", 0))
    agreed = name if votes >= config.quorum and name in config.members else None
    return ClusterView(
        named=agreed,
        decided=any(master.epoch > 0 for master in masters if master.host == agreed),
        being_replaced=frozenset(master.host for master in masters if _FAILING_OVER in master.flags),
        held_down=frozenset(master.host for master in masters if master.flags & _DOWN),
        roles=runs,
        records={**waits, own.host: own},
    )


@dataclass(frozen=True, slots=True)
class _Master:
    """The primary by a Sentinel's word."""

    host: str
    epoch: int
    flags: frozenset[str]


def _ask_sentinel(config: MemberConfig, sentinel: str) -> _Master | None:
    try:
        fields = pairs(config.ask(sentinel, ("SENTINEL", "MASTER", MASTER), port=SENTINEL_PORT)[0])
        return _Master(fields["ip"], int(fields["config-epoch"]), frozenset(fields["flags"].split(",")))
    except (OSError, Refusal, KeyError, ValueError):
        return None


def _ask_role(config: MemberConfig, host: str) -> str | None:
    try:
        return information(config.ask(host, ("INFO", "replication"))[0]).get("role")
    except (OSError, Refusal):
        return None


def _ask_record(config: MemberConfig, host: str) -> Record | None:
    try:
        fields = json.loads(str(config.ask(host, (RECORD,), port=RECORD_PORT)[0]))
        record = Record(**fields)
    except (OSError, Refusal, ValueError, TypeError):
        return None
    return record if record.host == host else None


def main() -> None:
    """Print whom to follow, and whether that is known for sure: for run-member to read. The log is stderr."""
    config = load_config()
    keeps = config.persistence != "none" or config.come_back
    record = read_record(data_folder(), config.host, keeps)
    log = partial(print, file=sys.stderr, flush=True)
    with published(json.dumps(asdict(record)), config.password):
        start = Startup(load_config, record, log).run()
    print(start.primary, "confirmed" if start.confirmed else "unconfirmed")


if __name__ == "__main__":
    main()
