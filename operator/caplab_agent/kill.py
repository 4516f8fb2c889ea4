"""The kill: every process of a pod's application containers ends, and the gate keeps the member down."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from .cgroups import Cgroups
from .clock import Clock
from .faults import ACTIVE, FAILED, HEALED, Body, Entry
from .gate import Gates, NoGate, Was
from .plan import REBOOTED, Heal
from .strike import Blow, Bounds, Send, Strike, strike

_ID = re.compile(r"containerd://([0-9a-f]{32,64})")  # part of a cgroup's name: nothing shorter may match one
_FOUND = {
    Was.EXPIRED: "the gate had opened by itself before the agent healed",
    Was.REMOVED: "the gate was not there any more at heal: somebody else opened it",
    Was.GONE: "the pod was gone at heal: what replaced it had no gate",
}


class Means(Protocol):
    """How a kind of fault is carried out. Both return the entry as it then stands, and may raise OSError."""

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry:
        """Do it to the pod and prove it; nothing is begun any more once stopped is set. Active, or an end."""

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """Undo what is undone of it, whatever of it was done; safe to repeat. Always an end."""


class Killer:
    """Means of kill faults."""

    def __init__(
        self, clock: Clock, cgroups: Cgroups, gates: Gates, send: Send = os.kill, bounds: Bounds | None = None
    ) -> None:
        self._clock = clock
        self._cgroups = cgroups
        self._gates = gates
        self._send = send
        self._bounds = bounds or Bounds()

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry:
        """Close the gate, then signal until the containers are empty."""
        order = entry.order
        containers = [self._cgroups.find(order.pod_uid, each) for each in container_ids(pod)]
        blow = strike(containers, self._clock, self._send, self._bounds)
        try:
            if order.kill.keep_down and not stopped.is_set():
                self._gates.close(order, (entry.deadline_ns - self._clock.now().ns) / 1e9)
            if not stopped.is_set():
                blow.run(order.kill.number)
        except NoGate as error:
            return replace(entry, state=FAILED, problem=str(error))
        struck = _told(entry, blow) if not stopped.is_set() or blow.began else _nothing_done(entry)
        if struck.ended and order.kill.keep_down:
            self._gates.release(order)
        return self._stamped(struck) if struck.state == FAILED and blow.began else struck

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """Open this fault's gate; a kill that kept nothing down has nothing to undo."""
        order = entry.order
        was = self._gates.release(order) if order.kill.keep_down else None
        notes = [heal.why] if heal.why else []
        if heal.problem:
            ended = replace(entry, state=FAILED, problem=heal.problem, proven=False)
            return self._stamped(replace(ended, evidence=(*entry.evidence, *notes)))
        proven = entry.proven and heal.why != REBOOTED
        if was is Was.HELD and entry.injected_ns is not None:
            notes.insert(0, f"gate held {(self._clock.now().ns - entry.injected_ns) / 1e9:.1f} s")
        elif was is not None and heal.why != REBOOTED:
            notes.insert(0, _FOUND.get(was, "gate opened"))
            proven = False
        return self._stamped(replace(entry, state=HEALED, proven=proven, evidence=(*entry.evidence, *notes)))

    def _stamped(self, entry: Entry) -> Entry:
        now = self._clock.now()
        # Another boot's clock says nothing beside the one that injectedNs was read from.
        ns = now.ns if entry.boot_id == self._clock.boot_id else None
        return replace(entry, healed_at=now.stamp, healed_ns=ns)


def container_ids(pod: Body) -> list[str]:
    """The ids of a pod's application containers, as its status names them; neither the sandbox nor init ones."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    found = (_ID.fullmatch(str(status.get("containerID"))) for status in statuses)
    return [each[1] for each in found if each]


def _nothing_done(entry: Entry) -> Entry:
    return replace(entry, state=HEALED, evidence=("ended before its first signal: nothing was done",))


def _told(entry: Entry, done: Strike) -> Entry:
    """What a strike proves (pure but for the times it carries)."""
    if done.began is None:
        return replace(entry, state=FAILED, problem=_idle(done.blows))
    left = [blow for blow in done.blows if blow.left]
    began = done.began.ns
    gate = ("gate closed until heal",) if entry.order.kill.keep_down and not left else ()
    evidence = (*(line for blow in done.blows for line in _lines(entry.order.kill.signal, blow, began)), *gate)
    told = replace(entry, injected_ns=began, injected_at=done.began.stamp, evidence=evidence)
    if left:
        return replace(told, state=FAILED, problem=" ".join(_remains(blow) for blow in left))
    return replace(told, state=ACTIVE, proven=True)


def _idle(blows: Sequence[Blow]) -> str:
    ids = ", ".join(blow.container.short for blow in blows if not blow.left)
    what = f"no process ran in container {ids}" if ids else "the pod has no container that was started"
    return f"{what}, so nothing was killed. Mend: wait until the member is up"


def _lines(signal: str, blow: Blow, began_ns: int) -> list[str]:
    first = f"{signal} to {_count(blow.seen)}"
    lines = [f"SIGKILL to {_count(blow.forced)} which {signal} had not ended"] if blow.forced else []
    if blow.empty_ns is None:
        return [first, *lines]
    milliseconds = max(1, round((blow.empty_ns - began_ns) / 1e6))
    return [f"{first}; cgroup of container {blow.container.short} empty after {milliseconds} ms", *lines]


def _remains(blow: Blow) -> str:
    pids = ", ".join(str(pid) for pid in sorted(blow.left)[:10])
    text = f"container {blow.container.short} still holds {_count(blow.left)} (pid {pids}) after the last signal."
    if 0 in blow.left:
        return f"{text} Pid 0 is one the agent cannot see. Mend: run the agent with hostPID: true."
    return f"{text} Mend: see whether they are frozen or wait for a disk, then delete the pod."


def _count(pids: set[int]) -> str:
    return f"{len(pids)} process" if len(pids) == 1 else f"{len(pids)} processes"
