"""Before a member ends that is primary: another is made primary in good order, so that nothing acknowledged is lost.

The same steps as the operator's own switchover (handlers/redis_switchover.py): writes are held back, the replicas get
all there is, a Sentinel promotes one, the old primary follows it, and its clients are sent away. What can't be done
in time is left: the member then ends as it would have without this, its writes still held back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from caplab_wire.resp import Refusal, information, pairs

from .config import MASTER, REDIS_PORT, SENTINEL_PORT, MemberConfig, load_config

# All in all less than the pod's grace (engines/redis/manifests.py), after which it is killed.
_ALL_CAUGHT_UP_SECONDS = 3.0  # a linked replica takes milliseconds
_ONE_CAUGHT_UP_SECONDS = 10.0  # from the beginning; Sentinels, who look each second, know by then who has most
_PROMOTED_SECONDS = 8.0
_PAUSE_MILLISECONDS = 60_000  # longer than the pod lives
_POLL_SECONDS = 0.05
_SERVICES_FOLLOW_SECONDS = 0.5  # as the operator's
_SEND_AWAY = ("CLIENT", "KILL", "TYPE", "normal")
_FAILING_OVER = "INPROG"  # somebody else had the same idea

Log = Callable[[str], None]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica of the member that ends, by its own word."""

    host: str
    linked: bool
    offset: int


@dataclass
class Switchover:
    """A switchover from a member that is about to end; pause and clock are time's."""

    config: MemberConfig
    log: Log = print
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _began: float = field(init=False, default=0.0)

    def run(self) -> bool:
        """Whether another is primary now."""
        self._began = self.clock()
        if not self._is_primary():
            return False
        if not self._replicas():
            self.log("not done: no replica answers")
            return False
        self._command(("CLIENT", "PAUSE", str(_PAUSE_MILLISECONDS), "WRITE"))
        if not self._await_caught_up():
            self.log("not done: no replica has all that there is")
            return False
        new = self._await_promotion() if self._begin_failover() else None
        if new is None:
            self.log("not done: no Sentinel made another member primary")
            return False
        self._follow(new)
        self.log(f"{new} is primary now, after {self.clock() - self._began:.1f} s")
        return True

    def _is_primary(self) -> bool:
        own = self._info(self.config.host)
        return own is not None and own.get("role") == "master" and len(self.config.members) > 1

    def _await_caught_up(self) -> bool:
        """Wait until all replicas have what there is; later, until one has."""
        for elapsed in self._poll_until(self._began + _ONE_CAUGHT_UP_SECONDS):
            own, replicas = self._info(self.config.host), self._replicas()
            if own is None or not replicas:
                return False
            ready = [replica.linked and replica.offset >= int(own["master_repl_offset"]) for replica in replicas]
            if all(ready) or (any(ready) and elapsed > _ALL_CAUGHT_UP_SECONDS):
                return True
        return False

    def _begin_failover(self) -> bool:
        """Have a Sentinel begin; those that name another can't."""
        for _ in self._poll_until(self.clock() + _PROMOTED_SECONDS / 2):
            names = self._ask_each(self.config.sentinels, self._named_by)
            if not names:
                return False
            for sentinel in [host for host, named in names.items() if named == self.config.host]:
                if self._fail_over(sentinel):
                    return True
            if any(named and named != self.config.host for named in names.values()):
                return True  # it is under way already
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
        self.pause(_SERVICES_FOLLOW_SECONDS)  # a client that comes back sooner would land here again
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
        """Again and again until then; each time the seconds since the beginning."""
        while (now := self.clock()) < end:
            yield now - self._began
            self.pause(_POLL_SECONDS)


def main() -> None:
    """What the pod runs before it is told to end. It logs to the member's log."""
    try:
        with open("/proc/1/fd/1", "w", buffering=1) as log:  # noqa: PTH123
            Switchover(load_config(), log=lambda text: print(f"switchover: {text}", file=log)).run()
    except (OSError, KeyError, ValueError) as error:
        print(f"switchover: {error}")


if __name__ == "__main__":
    main()
