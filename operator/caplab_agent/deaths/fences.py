"""Fences: a primary that the operator has its node's agent kill, since it no longer renews its lock.

The death is then proven and reported like any other (watch.py), and only that releases the lock.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from caplab.contract.deaths import Fence

from ..cgroups import Cgroups
from ..clock import Clock
from ..faults import Body
from ..holds import Holds
from ..injectors.kill.attempt import Bounds, Send, new_kill_attempt
from .members import Member, to_watch

_log = logging.getLogger(__name__)

Start = Callable[[Callable[[], None]], object]


def _in_a_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="fence", daemon=True).start()


@dataclass(slots=True, kw_only=True)
class Fences:
    """Kills the members of this node whose pods ask for it, each container once. on_pods: from one thread."""

    cgroups: Cgroups
    holds: Holds
    clock: Clock
    send: Send = os.kill
    start: Start = _in_a_thread
    _begun: set[str] = field(default_factory=set)  # the ids of containers

    def on_pods(self, pods: Sequence[Body]) -> None:
        """Take in the list of all members' pods of this node."""
        asked = {fence.container_id for pod in pods if (fence := Fence.of(pod))}
        due = [member for member in to_watch(pods) if member.container_id in asked - self._begun]
        self._begun = (self._begun & asked) | {member.container_id for member in due}
        for member in due:
            self.start(lambda member=member: self._kill(member))  # type: ignore[misc]

    def _kill(self, member: Member) -> None:
        """Kill every process of a container, and thaw it if it was frozen: until then it does not die of that."""
        container = self.cgroups.find(member.pod_uid, member.container_id)
        attempt = new_kill_attempt(
            [container], self.clock, self.send, Bounds(), lambda: self.holds.thawed(member.pod_uid)
        )
        try:
            attempt.run(signal.SIGKILL)
        except OSError:
            _log.exception("%s/%s could not be fenced", member.namespace, member.pod)
            return
        (kill,) = attempt.kills
        outcome = f"{len(kill.left)} processes are left" if kill.left else f"{len(kill.pids)} processes ended"
        _log.warning("%s/%s was fenced: %s", member.namespace, member.pod, outcome)
