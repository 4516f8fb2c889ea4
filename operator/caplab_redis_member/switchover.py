"""The switchover of a Redis primary: before its pod ends, as the pod's preStop hook, or with the argument `now`.

It takes the same steps as the operator's own switchover (handlers/redis/switchover.py): writes are paused, the replicas
catch up, a Sentinel promotes one of them, the old primary follows it, and its clients are disconnected. So no
acknowledged write is lost. If a step does not succeed in time, a member that ends does so as it would have without a
switchover, with writes still paused; with `now` it goes on as the primary.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from caplab_wire.resp import Refusal, information, pairs

from .config import MASTER, REDIS_PORT, SENTINEL_PORT, MemberConfig, load_config

# In all, these are less than the pod's grace period (engines/redis/manifests.py), after which it is killed.
_ALL_CAUGHT_UP_SECONDS = 3.0  # a linked replica takes milliseconds
_ONE_CAUGHT_UP_SECONDS = 10.0  # from the beginning; by then Sentinels, which ask once a second, know the furthest one
_PROMOTED_SECONDS = 8.0
_PAUSE_MILLISECONDS = 60_000  # longer than a pod that ends still lives
_POLL_SECONDS = 0.05
# Within this each node's Services lead to the new primary, as the operator has it. A client that reconnects sooner
# reaches the old one, so it is sent away several times.
_SERVICES_FOLLOW_SECONDS = 0.5
_SENT_AWAY_EVERY_SECONDS = 0.125
_SEND_AWAY = ("CLIENT", "KILL", "TYPE", "normal")
_FAILING_OVER = "INPROG"  # a failover is already under way

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

    def run(self) -> bool:
        """Switch over, and return whether another member is primary now."""
        self._began = self.clock()
        if not self._is_primary():
            if self.stays:
                self.log("not done: this member is not a primary with replicas")
            return False
        if not self._replicas():
            self.log("not done: no replica answered")
            return False
        self._command(("CLIENT", "PAUSE", str(_PAUSE_MILLISECONDS), "WRITE"))
        try:
            new, problem = self._hand_over()
            if new is None:
                self.log(f"not done: {problem}")
                return False
            self._follow(new)
        finally:
            if self.stays:
                self._command(("CLIENT", "UNPAUSE"))
        self.log(f"{new} is primary now, after {self.clock() - self._began:.1f} s")
        return True

    def _hand_over(self) -> tuple[str | None, str]:
        """Have a Sentinel promote a replica that has everything. Returns its host, or None and why none is."""
        if not self._await_caught_up():
            return None, "no replica has caught up"
        new = self._await_promotion() if self._begin_failover() else None
        return new, "" if new else "no Sentinel made another member primary"

    def _is_primary(self) -> bool:
        own = self._info(self.config.host)
        return own is not None and own.get("role") == "master" and len(self.config.members) > 1

    def _await_caught_up(self) -> bool:
        """Wait until all replicas have caught up; after 3 s, until one has."""
        for elapsed in self._poll_until(self._began + _ONE_CAUGHT_UP_SECONDS):
            own, replicas = self._info(self.config.host), self._replicas()
            if own is None or not replicas:
                return False
            ready = [replica.linked and replica.offset >= int(own["master_repl_offset"]) for replica in replicas]
            if all(ready) or (any(ready) and elapsed > _ALL_CAUGHT_UP_SECONDS):
                return True
        return False

    def _begin_failover(self) -> bool:
        """Ask a Sentinel that still names this member to begin a failover; whether one is under way."""
        for _ in self._poll_until(self.clock() + _PROMOTED_SECONDS / 2):
            names = self._ask_each(self.config.sentinels, self._named_by)
            if not names:
                return False
            for sentinel in [host for host, named in names.items() if named == self.config.host]:
                if self._fail_over(sentinel):
                    return True
            if any(named and named != self.config.host for named in names.values()):
                return True  # a failover is already under way
        return False

    def _fail_over(self, sentinel: str) -> bool:
        try:
            self.config.ask(sentinel, ("SENTINEL", "FAILOVER", MASTER), port=SENTINEL_PORT)
        except Refusal as refusal:
            return _FAILING_OVER in str(refusal)
        except OSError:
            return False
        return True

    def _await_promotion(self) -> str | None:
        for _ in self._poll_until(self.clock() + _PROMOTED_SECONDS):
            infos = self._ask_each(self.config.others, self._info)
            if new := next((host for host, info in infos.items() if info["role"] == "master"), None):
                return new
            if not infos:
                return None
        return None

    def _follow(self, new: str) -> None:
        self._command(("REPLICAOF", new, str(REDIS_PORT)), ("CONFIG", "REWRITE"), _SEND_AWAY)
        for _ in range(round(_SERVICES_FOLLOW_SECONDS / _SENT_AWAY_EVERY_SECONDS)):
            self.pause(_SENT_AWAY_EVERY_SECONDS)
            self._command(_SEND_AWAY)

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

    def _named_by(self, sentinel: str) -> str | None:
        try:
            master = pairs(self.config.ask(sentinel, ("SENTINEL", "MASTER", MASTER), port=SENTINEL_PORT)[0])
        except (OSError, Refusal):
            return None
        return master.get("ip")

    def _ask_each(self, hosts: tuple[str, ...], answer: Callable[[str], _T | None]) -> dict[str, _T]:
        with ThreadPoolExecutor(max(1, len(hosts))) as pool:
            answers = dict(zip(hosts, pool.map(answer, hosts), strict=True))
        return {host: value for host, value in answers.items() if value is not None}

    def _command(self, *commands: tuple[str, ...]) -> None:
        try:
            self.config.ask(self.config.host, *commands)
        except (OSError, Refusal) as refusal:
            self.log(f"refused: {refusal}")

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
