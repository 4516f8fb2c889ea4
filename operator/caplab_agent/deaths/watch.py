"""The watch for deaths: it sleeps until the first process of a member's container ends, and proves what that means."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caplab.contract.deaths import Death

from ..cgroups import Cgroups, Container
from ..faults import Body
from ..injectors.kill.gate import Gates, NoGate
from .members import Member, decided, held_longer, to_watch

_EMPTY_SECONDS = 1.0  # for which a container may take to end whose first process has ended
_LOOK_SECONDS = 0.002
_LONGER_SECONDS = 20.0  # no more than the shortest ttl of a Postgres lock
_log = logging.getLogger(__name__)

Report = Callable[[Member, Death], None]


@dataclass(slots=True)
class _Watched:
    member: Member
    container: Container


@dataclass(slots=True, kw_only=True)
class DeathWatch:
    """Watches the members of this node. on_pods may be called from any thread.

    The first process of a container is that of its pid namespace: the kernel ends it last, after all others. When it
    ends, the start gate is closed, the cgroup is read until it is empty, and the death is reported. Whatever fails
    here leaves the failover to the engine itself.
    """

    cgroups: Cgroups
    gates: Gates
    report: Report
    proc: Path = Path("/proc")
    _watched: dict[int, _Watched] = field(default_factory=dict)  # by pidfd
    _held: dict[tuple[str, str], Member] = field(default_factory=dict)  # by the pod's uid and the container's id
    _longer: set[tuple[str, str]] = field(default_factory=set)  # of these, those that wait for longer
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _poll: select.epoll = field(default_factory=select.epoll)

    def start(self) -> None:
        """Start, in a daemon thread."""
        threading.Thread(target=self._run, name="deaths", daemon=True).start()

    def on_pods(self, pods: Sequence[Body]) -> None:
        """Take in the list of all members' pods of this node."""
        wanted = {(member.pod_uid, member.container_id): member for member in to_watch(pods)}
        done = decided(pods)
        with self._lock:
            there = {(each.member.pod_uid, each.member.container_id): fd for fd, each in self._watched.items()}
            for key, fd in there.items():
                if key not in wanted:
                    self._forget(fd)
            for key, member in wanted.items():
                if key not in there and key not in done:
                    self._watch(member)
            settled = [self._held.pop(key) for key in list(self._held) if key in done]
            longer = self._held.keys() & held_longer(pods)
            prolonged = [self._held[key] for key in longer - self._longer]
            self._longer = longer
        for member in prolonged:
            self._hold(member, _LONGER_SECONDS)
        for member in settled:
            _log.info("%s/%s: its start gate opens: %s", member.namespace, member.pod, self._release(member))

    def look(self, seconds: float) -> None:
        """Wait at most so many seconds for a death, and handle those that there are."""
        for fd, _ in self._poll.poll(seconds):
            with self._lock:
                watched = self._watched.get(fd)
                self._forget(fd)
            if watched:
                self._ended(watched)

    def _run(self) -> None:
        while True:
            try:
                self.look(60.0)
            except Exception:  # a failover that is not hastened is the engine's own
                _log.exception("a death was not handled")

    def _watch(self, member: Member) -> None:
        container = self.cgroups.find(member.pod_uid, member.container_id)
        first = next((pid for pid in sorted(container.pids()) if self._is_first(pid)), None)
        if first is None:
            return
        try:
            fd = os.pidfd_open(first)
        except OSError:  # it has just ended, and nobody saw it alive: no proof of when
            return
        self._watched[fd] = _Watched(member, container)
        self._poll.register(fd, select.EPOLLIN)

    def _is_first(self, pid: int) -> bool:
        """Return whether a process is the first of the innermost pid namespace that it is in."""
        try:
            lines = (self.proc / str(pid) / "status").read_text().splitlines()
        except OSError:
            return False
        numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
        return len(numbers) > 1 and numbers[-1] == "1"

    def _forget(self, fd: int) -> None:
        if self._watched.pop(fd, None):
            self._poll.unregister(fd)
            os.close(fd)

    def _ended(self, watched: _Watched) -> None:
        """Hold the next container, prove that nothing is left of this one, and report it."""
        member = watched.member
        held = self._hold(member, member.hold_seconds)
        with self._lock:
            self._held[member.pod_uid, member.container_id] = member
        end = time.monotonic() + _EMPTY_SECONDS
        while watched.container.pids():
            if time.monotonic() > end:
                _log.warning("%s/%s: its first process ended, others did not", member.namespace, member.pod)
                self._release(member)
                return
            time.sleep(_LOOK_SECONDS)
        death = Death(container_id=member.container_id, unix_ns=time.time_ns(), held=held)
        _log.info("%s/%s died: %s", member.namespace, member.pod, death)
        try:
            self.report(member, death)
        except Exception:
            self._release(member)
            raise

    def _hold(self, member: Member, seconds: float) -> bool:
        try:
            self.gates.hold(member.pod_uid, member.pod, member.hold, seconds)
        except (NoGate, OSError) as error:
            _log.warning("%s/%s cannot be held at its start gate: %s", member.namespace, member.pod, error)
            return False
        return True

    def _release(self, member: Member) -> str:
        try:
            return self.gates.let_go(member.pod_uid, member.hold).value
        except OSError as error:
            return f"it could not be opened, and opens by itself: {error}"
