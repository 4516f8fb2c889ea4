"""Kill attempts: signals until containers are empty.

A list of pids alone would prove nothing: it misses processes that are forked meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

from ...cgroups import Container
from ...clock import Clock, Instant

Send: TypeAlias = Callable[[int, int], None]
Thawed: TypeAlias = Callable[[], AbstractContextManager[object]]

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.002, 0.05  # between two reads


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a kill attempt in seconds: how long a signal other than SIGKILL is waited for, and all in all."""

    graceful_seconds: float = 1.0
    total_seconds: float = 5.0


@dataclass(slots=True, kw_only=True)
class ContainerKill:
    """One container's part of a kill attempt: its pids so far, those left, and when it was first seen empty."""

    container: Container
    pids: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    forced: set[int] = field(default_factory=set)  # pids that another signal did not end
    empty_ns: int | None = None

    def refresh(self, ns: int) -> None:
        """Read which processes are in the container now; ns: the time of the read."""
        self.left = self.container.pids()
        self.pids |= self.left
        self.empty_ns = None if self.left else self.empty_ns or ns


@dataclass(slots=True, kw_only=True)
class KillAttempt:
    """An attempt to kill some containers; began is set right before the first signal, None: none was sent.

    thawed: a context that is entered after the first SIGKILL and left at the end, since on cgroup v1 a frozen process
    does not die of it. A process that is thawed then executes nothing more.
    """

    kills: list[ContainerKill]
    clock: Clock
    send: Send = os.kill
    bounds: Bounds = field(default_factory=Bounds)
    thawed: Thawed = nullcontext
    began: Instant | None = None
    _signalled: set[int] = field(default_factory=set)
    _thawing: ExitStack = field(default_factory=ExitStack)

    def run(self, number: signal.Signals) -> None:
        """Signal until all containers are empty, for at most bounds.total_seconds.

        Send no signal if one is empty at the start.
        """
        with self._thawing:
            self._kill_until_empty(number)

    def _kill_until_empty(self, number: signal.Signals) -> None:
        pause = _SHORTEST_SECONDS
        killed = False
        while True:
            now = self.clock.now()
            for each in self.kills:
                each.refresh(now.ns)
            if self.began is None:
                if not self.kills or not all(each.left for each in self.kills):
                    return
                self.began = now = self.clock.now()
            passed = (now.ns - self.began.ns) / 1e9
            if not any(each.left for each in self.kills) or passed >= self.bounds.total_seconds:
                return
            graceful = number != signal.SIGKILL and passed < self.bounds.graceful_seconds
            self._signal(number, graceful)
            if not graceful and not killed:
                killed = True
                self._thawing.enter_context(self.thawed())
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_SECONDS)

    def _signal(self, number: signal.Signals, graceful: bool) -> None:
        for each in self.kills:
            if graceful:
                self._send_to(each.left - self._signalled, number)
                self._signalled |= each.left
            else:
                if number != signal.SIGKILL:
                    each.forced |= each.left
                self._send_to(each.left, signal.SIGKILL)

    def _send_to(self, pids: set[int], number: signal.Signals) -> None:
        # 0 stands for a process of another pid namespace, and kill() takes it as our own group; 1 is the node's init.
        for pid in sorted(pids - {0, 1, os.getpid()}):
            with contextlib.suppress(ProcessLookupError):
                self.send(pid, number)


def new_kill_attempt(
    containers: Sequence[Container], clock: Clock, send: Send, bounds: Bounds, thawed: Thawed
) -> KillAttempt:
    """Make a kill attempt on these containers, to be run."""
    return KillAttempt(
        kills=[ContainerKill(container=container) for container in containers],
        clock=clock,
        send=send,
        bounds=bounds,
        thawed=thawed,
    )
