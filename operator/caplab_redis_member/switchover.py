"""The switchover of a Redis primary: before its pod ends, as the pod's preStop hook, or with the argument `now`.

It takes the same steps as the operator's own switchover (handlers/redis/switchover.py): writes are paused, the replicas
catch up, a Sentinel promotes one of them, the old primary follows it, and its clients are disconnected. So no
acknowledged write is lost. One Sentinel is told, once; whatever it answers, from then on another member may be primary,
and the pause is ended only when this one follows it, or when all Sentinels say that no failover is under way.

If a step does not succeed in time, a member that ends does so as it would have without a switchover, with writes still
paused. With `now` it begins only if every other member has all data, and goes on as the primary if nobody took over.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from caplab_wire.resp import Refusal, information

from .config import MASTER, REDIS_PORT, SENTINEL_PORT, MemberConfig, load_config
from .sentinels import NamedPrimary, ask_sentinel

# In all, these are less than the pod's grace period (engines/redis/manifests.py), after which it is killed.
_ALL_CAUGHT_UP_SECONDS = 3.0  # a linked replica takes milliseconds
_ONE_CAUGHT_UP_SECONDS = 10.0  # from the beginning; by then Sentinels, which ask once a second, know the furthest one
_PROMOTED_SECONDS = 8.0
# A paused primary does not pass on what Sentinels publish by it, and after downAfter they miss it: so a member that
# stays does not keep writes back for long before a Sentinel is told.
_STAYING_CAUGHT_UP_SECONDS = 0.5
_PAUSE_MILLISECONDS = 60_000  # longer than a pod that ends still lives
_STAYING_PAUSE_MILLISECONDS = 30_000  # longer than all that is waited for
_TAKEN_UP_SECONDS = 1.0  # until a Sentinel that was slow to answer shows that it has begun
_POLL_SECONDS = 0.05
_FOLLOWING_SECONDS = 5.0
# Within this each node's Services lead to the new primary, as the operator has it. A client that reconnects sooner
# reaches the old one, so it is sent away several times.
_SERVICES_FOLLOW_SECONDS = 0.5
_STAYING_SERVICES_FOLLOW_SECONDS = 2.0  # a busy machine takes longer, and nothing else waits for this member
_SENT_AWAY_EVERY_SECONDS = 0.125
_SEND_AWAY = ("CLIENT", "KILL", "TYPE", "normal")
_IN_PROGRESS = "INPROG"  # a failover is already under way

Log = Callable[[str], None]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica of the member that ends, as it reports itself."""

    host: str
    linked: bool
    offset: int


@dataclass(kw_only=True)
class Switchover:
    """A switchover from a member; pause and clock are those of the module time.

    stays: the member goes on afterwards, so it is to take writes again if nobody took over.
    """

    config: MemberConfig
    stays: bool = False
    log: Log = print
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _began: float = field(init=False, default=0.0)
    _told: bool = field(init=False, default=False)  # a failover may be under way
    _follows: bool = field(init=False, default=False)  # this member follows the new primary

    def run(self) -> bool:
        """Switch over, and return whether another member is primary now, and this one follows it."""
        self._began = self.clock()
        if not self._is_primary():
            if self.stays:
                self.log("not done: this member is not a primary with replicas")
            return False
        if problem := self._objection():
            self.log(f"not done: {problem}")
            return False
        milliseconds = _STAYING_PAUSE_MILLISECONDS if self.stays else _PAUSE_MILLISECONDS
        try:
            is_paused = self._command(("CLIENT", "PAUSE", str(milliseconds), "WRITE"))
            if self.stays and not is_paused:
                self.log("not done: writes could not be held back")
                return False
            new, problem = self._hand_over()
            if new:
                self._follow(new)
        finally:
            if self.stays:
                self._take_writes_again()
        if not self._follows:
            self.log(f"not done: {problem or f'this member does not follow {new}'}")
            return False
        self.log(f"{new} is primary now, after {self.clock() - self._began:.1f} s")
        return True

    def _is_primary(self) -> bool:
        own = self._info(self.config.host)
        return own is not None and own.get("role") == "master" and len(self.config.members) > 1

    def _objection(self) -> str:
        """Return what speaks against it before anything is changed; '' if nothing does."""
        replicas = self._replicas()
        if not replicas:
            return "no replica answered"
        if not self.stays:
            return ""
        linked = {replica.host for replica in replicas if replica.linked}
        if lacking := [host for host in self.config.others if host not in linked]:
            return f"{lacking[0].partition('.')[0]} is no replica that follows"
        named = self._named_by_sentinels().values()
        if sum(primary.host == self.config.host for primary in named) * 2 <= len(self.config.sentinels):
            return "most Sentinels do not name this member as primary"
        return "a failover is under way already" if any(primary.is_being_replaced for primary in named) else ""

    def _hand_over(self) -> tuple[str | None, str]:
        """Have a Sentinel promote a replica that has everything. Returns its host, or None and why none is."""
        complete = self._await_caught_up()
        if not complete:
            return None, "no replica has caught up"
        new = self._await_promotion(complete) if self._begin_failover() else None
        return new, "" if new else "no Sentinel made another member primary"

    def _await_caught_up(self) -> Collection[str]:
        """Wait until all replicas have caught up; after 3 s, until one has. Returns those that have.

        A member that stays waits for all, and for less.
        """
        wait = _STAYING_CAUGHT_UP_SECONDS if self.stays else _ONE_CAUGHT_UP_SECONDS
        for elapsed in self._poll_until(self.clock() + wait):
            own, replicas = self._info(self.config.host), self._replicas()
            if own is None or own.get("role") != "master" or not replicas:
                return ()
            ready = {each.host for each in replicas if each.linked and each.offset >= int(own["master_repl_offset"])}
            enough = len(self.config.others) if self.stays else len(replicas)
            if len(ready) >= enough or (ready and not self.stays and elapsed > _ALL_CAUGHT_UP_SECONDS):
                return ready
        return ()

    def _begin_failover(self) -> bool:
        """Ask one Sentinel that still names this member to begin a failover; whether one may be under way.

        A Sentinel that is told asks no other for its vote, so no second one is told if the first may have begun.
        """
        for _ in self._poll_until(self.clock() + _PROMOTED_SECONDS / 2):
            named = self._named_by_sentinels()
            if not named:
                return False
            if self._is_challenged(named.values()):
                self._told = True
                return True
            if self._fail_over(min(named)):
                return True
        return False

    def _fail_over(self, sentinel: str) -> bool:
        """Tell a Sentinel to fail over, and return whether it may do so. No answer does not mean that it does not."""
        self._told = True
        try:
            self.config.ask(sentinel, ("SENTINEL", "FAILOVER", MASTER), port=SENTINEL_PORT)
        except Refusal as refusal:
            self._told = _IN_PROGRESS in str(refusal)
        except (ConnectionRefusedError, socket.gaierror):  # it was not sent
            self._told = False
        except OSError:
            pass
        return self._told

    def _await_promotion(self, complete: Collection[str]) -> str | None:
        """Wait until a replica that had everything is a primary; another one's role tells nothing."""
        told = self.clock()
        for _ in self._poll_until(told + _PROMOTED_SECONDS):
            infos = self._ask_each(tuple(sorted(complete)), self._info)
            if new := next((host for host, info in infos.items() if info["role"] == "master"), None):
                return new
            if not infos and not self.stays:
                return None
            if self.stays and self.clock() > told + _TAKEN_UP_SECONDS and self._is_over():
                return None
        return None

    def _follow(self, new: str) -> None:
        """Follow the new primary, and send clients away to it."""
        for _ in self._poll_until(self.clock() + _FOLLOWING_SECONDS):
            self._command(("REPLICAOF", new, str(REDIS_PORT)), ("CONFIG", "REWRITE"), _SEND_AWAY)
            own = self._info(self.config.host) or {}
            if own.get("role") == "slave" and own.get("master_host") == new:
                self._follows = True
                break
        seconds = _STAYING_SERVICES_FOLLOW_SECONDS if self.stays else _SERVICES_FOLLOW_SECONDS
        for _ in range(round(seconds / _SENT_AWAY_EVERY_SECONDS)):
            self.pause(_SENT_AWAY_EVERY_SECONDS)
            self._command(_SEND_AWAY)

    def _take_writes_again(self) -> None:
        """End the pause, unless another member may become primary while this one still is."""
        if self._told and not self._follows and not self._is_over():
            seconds = _STAYING_PAUSE_MILLISECONDS // 1000
            self.log(f"a failover may still be under way: writes are held back for up to {seconds} s more")
            return
        for _ in self._poll_until(self.clock() + _FOLLOWING_SECONDS):
            if self._command(("CLIENT", "UNPAUSE")):
                return

    def _is_over(self) -> bool:
        """Check whether every Sentinel names this member, and none makes another one primary."""
        named = self._named_by_sentinels()
        return len(named) == len(self.config.sentinels) and not self._is_challenged(named.values())

    def _is_challenged(self, named: Iterable[NamedPrimary]) -> bool:
        """Check whether a Sentinel names another member, or makes another one primary."""
        return any(primary.is_being_replaced or primary.host != self.config.host for primary in named)

    def _replicas(self) -> list[Replica]:
        infos = self._ask_each(self.config.others, self._info)
        return [
            Replica(host, info["master_link_status"] == "up", int(info["slave_repl_offset"]))
            for host, info in infos.items()
            if info["role"] == "slave" and info["master_host"] == self.config.host
        ]

    def _info(self, host: str) -> dict[str, str] | None:
        try:
            info = information(self.config.ask(host, ("INFO", "replication"))[0])
        except (OSError, Refusal):
            return None
        return info if "role" in info else None

    def _named_by_sentinels(self) -> dict[str, NamedPrimary]:
        """Return the primary that each Sentinel names, of those that answer."""
        return self._ask_each(self.config.sentinels, partial(ask_sentinel, self.config))

    def _ask_each(self, hosts: tuple[str, ...], answer: Callable[[str], _T | None]) -> dict[str, _T]:
        with ThreadPoolExecutor(max(1, len(hosts))) as pool:
            answers = dict(zip(hosts, pool.map(answer, hosts), strict=True))
        return {host: value for host, value in answers.items() if value is not None}

    def _command(self, *commands: tuple[str, ...]) -> bool:
        """Have this member do something, and return whether it said that it did."""
        try:
            self.config.ask(self.config.host, *commands)
        except (OSError, Refusal) as refusal:
            self.log(f"refused: {refusal}")
            return False
        return True

    def _poll_until(self, end: float) -> Iterator[float]:
        """Yield the seconds since the switchover began, again and again until end, a time of the clock."""
        while (now := self.clock()) < end:
            yield now - self._began
            self.pause(_POLL_SECONDS)


def main(now: bool) -> int:
    """Run the switchover as the pod's preStop hook, which writes to the member's log.

    now: it is asked for, and the member stays. How it ended is printed on standard error, and 1 is returned unless
    another member is primary.
    """
    if now:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that writes are taken again
        done = Switchover(config=load_config(), stays=True, log=lambda text: print(text, file=sys.stderr)).run()
        return 0 if done else 1
    try:
        with open("/proc/1/fd/1", "w", buffering=1) as log:  # noqa: PTH123
            Switchover(config=load_config(), log=lambda text: print(f"switchover: {text}", file=log)).run()
    except (OSError, KeyError, ValueError) as error:
        print(f"switchover: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["now"]))
