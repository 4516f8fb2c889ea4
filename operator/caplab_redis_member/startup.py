"""The startup decision: which primary a starting member follows, or that it is primary itself.

Each waiting member publishes the record of its disk and reads those of the others. All make the same choice
(choose_primary): the member that was primary last, since a replica has no data that its primary did not have before;
if that one is away or has lost its disk, the replica of it that got furthest. Only a member that the Sentinels name
ever starts as primary. If another one is chosen, it starts alone, as a replica of the one that they name, so that they
find no other member to promote.
For the same reason replicas start only once every Sentinel has seen that the primary is up: a Sentinel that still
considers it down would begin a failover, and could promote a replica that does not have the primary's data yet.
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

from caplab_wire.resp import Refusal, information

from .config import MASTER, RECORD_PORT, SENTINEL_PORT, MemberConfig, data_folder, load_config
from .publishing import RECORD, published
from .record import Record, read_record
from .sentinels import ask_sentinel

# How long to wait for members that do not publish their records: a pod that restarts takes some seconds.
RECORDS_TIMEOUT_SECONDS = 30.0
# How long the record of a member that no longer publishes it counts: it is starting, and does not listen yet.
_STARTING_SECONDS = 15.0
# How long Sentinels may take to see that a primary is up: they ping it four times in down-after. A Sentinel that is cut
# off from it never sees it.
_NOTICED_UP_SECONDS = 10.0
_POLL_SECONDS = 0.1
_FAILOVER_RETRY_SECONDS = 2.0
_MASTER, _REPLICA = "master", "slave"  # roles in INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The cluster as a waiting member sees it."""

    named: str | None = None  # the primary that a quorum of Sentinels names
    decided: bool = False  # they name it after a failover, and not from their first configuration
    being_replaced: frozenset[str] = frozenset()  # members that a Sentinel is failing over from
    considered_down: frozenset[str] = frozenset()  # members that a Sentinel considers down; they may be up by now
    # Seconds for which members have been seen as primary.
    primary_for: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)  # of the other members that run
    records: Mapping[str, Record] = field(default_factory=dict)  # of the members that wait, this one included


@dataclass(frozen=True, slots=True)
class Start:
    """A decision to start and follow primary, or, if that is the member itself, to start as primary.

    confirmed: the member followed reports itself as primary, or this one is to be primary for sure.
    """

    primary: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """A decision not to start yet; promote: a Sentinel is to be asked for a failover to the chosen member at once."""

    why: str
    promote: bool = False


def choose_primary(records: Sequence[Record], named: str | None, initial: str, members: Sequence[str]) -> str:
    """Choose the member with the most data from the records of their disks.

    Pure: all members with the same view make the same choice.
    """
    with_data = {record.host: record for record in records if record.has_data}
    if not with_data:
        hosts = sorted(record.host for record in records)
        return next((host for host in (named, initial) if host in hosts), hosts[0]) or hosts[0]
    # The newest record names the last primary: a member's file is written when it is promoted or told to follow. A
    # record of a member that followed a host that is not a member does not count.
    conclusive = [record for record in with_data.values() if record.follows in members]
    leader = max(conclusive, key=lambda record: (record.since, record.host)).follows if conclusive else None
    if leader in with_data:
        return leader
    followers = [record for record in with_data.values() if leader is None or record.follows == leader]
    return max(followers, key=lambda record: (record.offset, record.host == named, record.host)).host


def decide(config: MemberConfig, view: ClusterView, waited_seconds: float) -> Start | Wait:
    """Decide whether a member starts now, and with which primary (pure)."""
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
    """Find another member to follow: the one the Sentinels name, else the last one followed, else the initial one."""
    primary = view.named or own.follows or (config.initial_primary if config.bootstrap else None)
    return primary if primary != config.host else None


def _as_replica(primary: str, view: ClusterView) -> Start | Wait:
    """Start as a replica of a primary that is up, unless a Sentinel does not know yet that it is."""
    if primary in view.considered_down and view.primary_for.get(primary, 0.0) < _NOTICED_UP_SECONDS:
        return Wait(f"the Sentinels to see that {primary} is up")
    return Start(primary, confirmed=True)


def _beside_running_members(
    config: MemberConfig, view: ClusterView, primary: str | None, waited_seconds: float
) -> Start | Wait:
    """Decide while other members run, among which the Sentinels choose.

    A replica of a primary that is away does no harm, but it can wait.
    """
    if view.named == config.host and config.come_back:
        return Start(config.host, confirmed=False)
    if primary and waited_seconds >= RECORDS_TIMEOUT_SECONDS:
        return Start(primary, confirmed=False)
    return Wait(f"the Sentinels to name another primary (they name: {view.named or 'none'})")


def _by_records(config: MemberConfig, view: ClusterView, primary: str | None, waited_seconds: float) -> Start | Wait:
    chosen = choose_primary(list(view.records.values()), view.named, config.initial_primary, config.members)
    missing = [host for host in config.members if host not in view.records]
    if missing and not _can_do_without(config, view, chosen, waited_seconds):
        return Wait(f"{', '.join(missing)} to publish their records")
    if chosen == config.host:
        return _as_chosen(config, view)
    if primary and waited_seconds >= 2 * RECORDS_TIMEOUT_SECONDS:
        return Start(primary, confirmed=False)  # the chosen member cannot start
    return Wait(f"{chosen}, which has the most data, to become primary", promote=view.named == config.host)


def _can_do_without(config: MemberConfig, view: ClusterView, chosen: str, waited_seconds: float) -> bool:
    """Check whether the decision can be made without the missing records."""
    record = view.records[chosen]
    if not record.has_data and config.persistence != "none":
        return False  # a member that comes later with data would lose it
    if view.decided and view.named == chosen == record.follows:
        return True  # the chosen member is the primary itself: no other has more
    return waited_seconds >= RECORDS_TIMEOUT_SECONDS and not config.bootstrap


def _as_chosen(config: MemberConfig, view: ClusterView) -> Start | Wait:
    is_new = config.bootstrap and not any(record.has_data for record in view.records.values())
    if view.named == config.host or (is_new and view.named is None):
        return Start(config.host, confirmed=True)
    if view.named:
        return Start(view.named, confirmed=False)  # the Sentinels will promote this member, since no other runs
    return Wait("the Sentinels")


@dataclass(kw_only=True)
class Startup:
    """The wait of a member until it may start; pause and clock are those of the module time."""

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
        """Wait until the member may start, and return the decision."""
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
        """Add to a view the records of members that fell silent a moment ago, and how long others have been primary."""
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
        # While no member ran, Sentinels may have tried in vain, and do not try again for twice their failover-timeout.
        is_due = self.clock() - self._promoted_at >= _FAILOVER_RETRY_SECONDS
        if self._waits_for_chosen and is_due and view.named == config.host and _REPLICA in view.roles.values():
            self._promoted_at = self.clock()
            _request_failover(config)


def _request_failover(config: MemberConfig) -> None:
    with suppress(OSError, Refusal):  # it is requested again soon
        config.ask(config.sentinels[0], ("SENTINEL", "FAILOVER", MASTER), port=SENTINEL_PORT)


def observe(config: MemberConfig, own: Record, pool: ThreadPoolExecutor) -> ClusterView:
    """Ask all members and Sentinels in parallel; own: the record of this member."""
    sentinels = [pool.submit(ask_sentinel, config, host) for host in config.sentinels]
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
        being_replaced=frozenset(master.host for master in masters if master.is_being_replaced),
        considered_down=frozenset(master.host for master in masters if master.is_down),
        roles=runs,
        records={**waits, own.host: own},
    )


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
    """Print the primary to follow and whether it is confirmed, for run-member to read; log to stderr."""
    config = load_config()
    keeps = config.persistence != "none" or config.come_back
    record = read_record(data_folder(), config.host, keeps)
    log = partial(print, file=sys.stderr, flush=True)
    with published(json.dumps(asdict(record)), config.password):
        start = Startup(load_config=load_config, record=record, log=log).run()
    print(start.primary, "confirmed" if start.confirmed else "unconfirmed")


if __name__ == "__main__":
    main()
