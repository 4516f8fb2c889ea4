"""The kill: every process of a pod's application containers ends, and the gate keeps the member down."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import replace

from .cgroups import Cgroups
from .clock import Clock
from .faults import ACTIVE, FAILED, HEALED, Body, Entry, Kill, Order
from .gate import Gates, NoGate, Was
from .holds import Holds
from .means import Found, Reread, awaited, ended, failed, gone, seconds_held, seconds_left, stamped
from .plan import Heal
from .strike import Blow, Bounds, Send, Strike, strike
from .words import count, milliseconds

_ID = re.compile(r"containerd://([0-9a-f]{32,64})")  # part of a cgroup's name: nothing shorter may match one
_FOUND = {
    Was.EXPIRED: "the gate had opened by itself before the agent healed",
    Was.REMOVED: "the gate was not there any more at heal: somebody else opened it",
    Was.GONE: "the gate's volume was gone at heal, though the pod was not",
}


class Killer:
    """Means of kill faults."""

    def __init__(
        self,
        clock: Clock,
        cgroups: Cgroups,
        gates: Gates,
        holds: Holds,
        reread: Reread,
        send: Send = os.kill,
        bounds: Bounds | None = None,
    ) -> None:
        self._clock = clock
        self._cgroups = cgroups
        self._gates = gates
        self._holds = holds
        self._reread = reread
        self._send = send
        self._bounds = bounds or Bounds()

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry | None:
        """Close the gate, then signal until the containers are empty; whose pod came later is kept from starting."""
        order, kill = entry.order, _kill(entry)
        if order.replaces and not kill.keep_down:
            return replace(entry, state=HEALED, evidence=("the pod was made after the kill: nothing to be done",))
        try:
            if kill.keep_down and not awaited(lambda: self._close(entry), entry, stopped, self._clock):
                return None
        except NoGate as error:
            return failed(entry, str(error))
        struck = self._caught(entry, stopped) if order.replaces else self._struck(entry, pod, stopped)
        if kill.keep_down and (struck is None or struck.ended):
            self._gates.release(order)
        return struck

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """Open this fault's gate; a kill that kept nothing down has nothing to undo."""
        began = self._clock.now()
        if not _kill(entry).keep_down:
            return ended(entry, heal, Found(), began, self._clock)
        was = self._gates.release(entry.order)
        if was is Was.GONE and not self._runs(entry.order):
            found = Found((self._until_gone(entry),), gone=True)
        elif was is Was.HELD and entry.injected_ns is not None:
            found = Found((f"gate held {seconds_held(entry, self._clock)}",))
        else:
            found = Found((_FOUND.get(was, "gate opened"),), held=False)
        return ended(entry, heal, found, began, self._clock)

    def adjust(self, entry: Entry, order: Order) -> Entry:
        """A kill drops no addresses."""
        return replace(entry, order=order)

    def tend(self, entry: Entry) -> Entry:
        """Whether the pod is gone, and its gate with it: what replaces it has another."""
        if not _kill(entry).keep_down or self._gates.there(entry.order) or self._runs(entry.order):
            return entry
        return gone(entry, self._until_gone(entry), self._clock)

    def _close(self, entry: Entry) -> bool | None:
        try:
            self._gates.close(entry.order, seconds_left(entry, self._clock))
        except NoGate:
            if entry.order.replaces:
                return None
            raise
        return True

    def _struck(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry | None:
        done = self._strike(entry, pod)
        if not stopped.is_set():
            done.run(_kill(entry).number)
        if done.began is None and stopped.is_set():
            return None
        told = _told(entry, done)
        return stamped(told, self._clock) if told.ended and done.began else told

    def _caught(self, entry: Entry, stopped: threading.Event) -> Entry | None:
        """A pod whose gate was closed while it came up: proven at once, or struck if it was quicker."""
        closed = self._clock.now()

        def look() -> Entry | None:
            group = self._cgroups.pod(entry.order.pod_uid)
            if group is None or group.containers() <= 1:  # the sandbox: what is made from now on finds the gate closed
                told = replace(entry, state=ACTIVE, proven=True, injected_ns=closed.ns, injected_at=closed.stamp)
                evidence = "gate closed before the pod's first process, until heal"
                return replace(told, effective_ns=closed.ns, evidence=(evidence,))
            pod = self._reread(entry.order)
            if pod is None or not _all_named(pod):
                return None
            done = self._strike(entry, pod)
            done.run(_kill(entry).number)
            return _told(entry, done) if done.began else None

        told = awaited(look, entry, stopped, self._clock)
        return stamped(told, self._clock) if told and told.ended else told

    def _strike(self, entry: Entry, pod: Body) -> Strike:
        uid = entry.order.pod_uid
        containers = [self._cgroups.find(uid, each) for each in container_ids(pod)]
        return strike(containers, self._clock, self._send, self._bounds, lambda: self._holds.thawed(uid))

    def _runs(self, order: Order) -> bool:
        group = self._cgroups.pod(order.pod_uid)
        return group is not None and bool(group.pids())

    def _until_gone(self, entry: Entry) -> str:
        return f"gate held {seconds_held(entry, self._clock)}, until the pod was gone"


def _kill(entry: Entry) -> Kill:
    assert isinstance(entry.order.what, Kill)
    return entry.order.what


def _all_named(pod: Body) -> bool:
    asked = (pod.get("spec") or {}).get("containers") or ()
    return len(container_ids(pod)) >= max(1, len(asked))


def container_ids(pod: Body) -> list[str]:
    """The ids of a pod's application containers, as its status names them; neither the sandbox nor init ones."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    found = (_ID.fullmatch(str(status.get("containerID"))) for status in statuses)
    return [each[1] for each in found if each]


def _told(entry: Entry, done: Strike) -> Entry:
    """What a strike proves (pure but for the times it carries)."""
    if done.began is None:
        return failed(entry, _idle(done.blows))
    left = [blow for blow in done.blows if blow.left]
    began = done.began.ns
    kill = _kill(entry)
    gate = ("gate closed until heal",) if kill.keep_down and not left else ()
    evidence = (*(line for blow in done.blows for line in _lines(kill.signal, blow, began)), *gate)
    told = replace(entry, injected_ns=began, injected_at=done.began.stamp, evidence=evidence)
    if left:
        return replace(told, state=FAILED, problem=" ".join(_remains(blow) for blow in left))
    return replace(told, state=ACTIVE, proven=True, effective_ns=max(blow.empty_ns or began for blow in done.blows))


def _idle(blows: Sequence[Blow]) -> str:
    ids = ", ".join(blow.container.short for blow in blows if not blow.left)
    what = f"no process ran in container {ids}" if ids else "the pod has no container that was started"
    return f"{what}, so nothing was killed. Hint: wait until the member is up"


def _lines(signal: str, blow: Blow, began_ns: int) -> list[str]:
    first = f"{signal} to {_processes(blow.seen)}"
    lines = [f"SIGKILL to {_processes(blow.forced)} which {signal} had not ended"] if blow.forced else []
    if blow.empty_ns is None:
        return [first, *lines]
    after = milliseconds(began_ns, blow.empty_ns)
    return [f"{first}; cgroup of container {blow.container.short} empty after {after} ms", *lines]


def _remains(blow: Blow) -> str:
    pids = ", ".join(str(pid) for pid in sorted(blow.left)[:10])
    text = f"container {blow.container.short} still holds {_processes(blow.left)} (pid {pids}) after the last signal."
    if 0 in blow.left:
        return f"{text} Pid 0 is one the agent cannot see. Hint: run the agent with hostPID: true."
    return f"{text} Hint: see whether they are frozen or wait for a disk, then delete the pod."


def _processes(pids: set[int]) -> str:
    return count(len(pids), "process", "processes")
