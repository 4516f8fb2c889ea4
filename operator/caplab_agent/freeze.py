"""The freeze: every process of a pod stops where it is, and goes on at heal.

It is the pod's own cgroup that is frozen, so that a container which is restarted meanwhile is born frozen.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from .cgroups import Cgroups, PodGroup
from .clock import Clock
from .faults import ACTIVE, Body, Entry, Order
from .freezer import State, thawing
from .holds import Holds
from .means import Found, awaited, ended, failed, gone, seconds_held, seconds_left, stamped
from .plan import Heal
from .thaw_timer import GRACE_SECONDS, ThawTimers
from .words import count, milliseconds

_LOST = "the pod was not frozen any more: somebody thawed it"
_NO_TIMER = "no timer could be set on the node that thaws the pod if the agent dies"
_HINT_TIMER = "Hint: see whether systemd-run works there"
_LATE = "the pod was thawed by its timer before the agent healed"


class Freezing:
    """Means of freeze faults."""

    def __init__(self, clock: Clock, cgroups: Cgroups, holds: Holds, timers: ThawTimers) -> None:
        self._clock = clock
        self._cgroups = cgroups
        self._holds = holds
        self._timers = timers

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry | None:
        """Set the timer that thaws the pod if nobody does, then freeze it."""
        group = awaited(lambda: self._running(entry.order), entry, stopped, self._clock)
        if group is None:
            return None if stopped.is_set() or entry.order.replaces else failed(entry, _nothing_runs(entry.order))
        problem = self._timers.set(entry.order, seconds_left(entry, self._clock), *thawing(group.folder))
        if problem:
            return failed(entry, f"{_NO_TIMER}, so nothing was frozen: {problem}. {_HINT_TIMER}")
        if stopped.is_set():
            self._timers.stop(entry.order)
            return None
        return self._frozen(entry, group)

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """Thaw the pod unless another fault holds it, and stop the timer."""
        order, began = entry.order, self._clock.now()
        group = self._cgroups.pod(order.pod_uid)
        found = Found((self._until_gone(entry),), gone=True)
        if group is not None:
            used = _cpu(entry, group)
            was = self._holds.release(order.pod_uid, order.fault_uid, group.folder)
            # A container that is being started anew, born frozen, makes the pod's state change for a moment.
            if was in (State.FROZEN, State.CHANGING):
                found = Found((f"frozen for {seconds_held(entry, self._clock)}{used}",))
            elif was is not State.GONE:
                late = seconds_left(entry, self._clock) < -GRACE_SECONDS
                found = Found((_LATE if late else _LOST,), held=False)
        healed = ended(entry, heal, found, began, self._clock)
        self._timers.stop(order)
        return healed

    def adjust(self, entry: Entry, order: Order) -> Entry:
        """A freeze drops no addresses."""
        return replace(entry, order=order)

    def tend(self, entry: Entry) -> Entry:
        """Whether the pod is still frozen, or gone. An agent that starts learns here who holds it."""
        order = entry.order
        group = self._cgroups.pod(order.pod_uid)
        state = State.GONE if group is None else self._holds.adopt(order.pod_uid, order.fault_uid, group.folder)
        if state is State.GONE:
            self._holds.forget(order.pod_uid)
            self._timers.stop(order)
            return gone(entry, self._until_gone(entry), self._clock)
        if state is State.THAWED and entry.proven and seconds_left(entry, self._clock) > 0:
            note = f"{_LOST}, {seconds_held(entry, self._clock)} after injection"
            return replace(entry, proven=False, evidence=(*entry.evidence, note))
        return entry

    def _running(self, order: Order) -> PodGroup | None:
        group = self._cgroups.pod(order.pod_uid)
        return group if group is not None and group.pids() else None

    def _until_gone(self, entry: Entry) -> str:
        return f"frozen for {seconds_held(entry, self._clock)}, until the pod was gone"

    def _frozen(self, entry: Entry, group: PodGroup) -> Entry:
        order = entry.order
        try:
            froze = self._holds.take(order.pod_uid, order.fault_uid, group.folder)
        except OSError as error:  # nobody knows how far it came: its timer stays
            return failed(entry, f"the pod could not be frozen: {error}")
        told = replace(entry, injected_ns=froze.began.ns, injected_at=froze.began.stamp)
        if froze.frozen_ns is None:
            self._timers.stop(order)
            return stamped(failed(told, _unfrozen(group)), self._clock)
        after = milliseconds(froze.began.ns, froze.frozen_ns)
        evidence = f"{count(len(group.pids()), 'process', 'processes')} frozen after {after} ms"
        told = replace(told, state=ACTIVE, proven=True, effective_ns=froze.frozen_ns, cpu_ns=group.cpu_ns())
        return replace(told, evidence=(evidence,))


def _cpu(entry: Entry, group: PodGroup) -> str:
    now = group.cpu_ns()
    if now is None or entry.cpu_ns is None:
        return ""
    return f", in which the pod used {(now - entry.cpu_ns) / 1e6:.1f} ms of CPU time"


def _nothing_runs(order: Order) -> str:
    return f"no process of pod {order.pod} runs on this node, so nothing was frozen. Hint: wait until the member is up"


def _unfrozen(group: PodGroup) -> str:
    if not group.pids():
        return "the pod was gone before it was frozen. Hint: make the fault anew, so that its target is resolved anew"
    return "some process of the pod did not stop in time, so all go on. Hint: see whether one waits for a disk"
