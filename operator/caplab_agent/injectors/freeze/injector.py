"""The freeze: every process of a pod stops where it is, and goes on at heal.

The pod's own cgroup is frozen, so that a container which is restarted meanwhile starts frozen.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Self

from caplab.contract.phases import ACTIVE
from caplab.nouns import counted

from ...cgroups import Cgroups, PodGroup
from ...clock import Clock
from ...faults import Assignment, Body, FaultRecord, Heal
from ...freezer import FreezerState, thawing
from ...holds import Holds
from ...injector import (
    FaultInjector,
    HealResult,
    Node,
    ended,
    failed,
    gone,
    seconds_held,
    seconds_left,
    stamped,
    wait_for,
)
from ...words import milliseconds
from .thaw_timer import GRACE_SECONDS, ThawTimers

_LOST = "the pod was no longer frozen: somebody thawed it"
_NO_TIMER = "the node's timer that thaws the pod if the agent dies could not be set"
_HINT_TIMER = "Hint: check that systemd-run works on the node"
_LATE = "the pod was thawed by its timer before the agent healed"


class FreezeInjector(FaultInjector):
    """The injector of freeze faults."""

    def __init__(self, clock: Clock, cgroups: Cgroups, holds: Holds, timers: ThawTimers) -> None:
        self._clock = clock
        self._cgroups = cgroups
        self._holds = holds
        self._timers = timers

    @classmethod
    def on(cls, node: Node) -> Self:
        """Make the injector of a node."""
        return cls(node.clock, node.cgroups, node.holds, ThawTimers(node.start))

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """Set the timer that thaws the pod if no agent does, then freeze it."""
        group = wait_for(lambda: self._running(record.assignment), record, stopped, self._clock)
        if group is None:
            return (
                None
                if stopped.is_set() or record.assignment.replaces
                else failed(record, _nothing_runs(record.assignment))
            )
        problem = self._timers.set(record.assignment, seconds_left(record, self._clock), *thawing(group.folder))
        if problem:
            return failed(record, f"{_NO_TIMER}, so nothing was frozen: {problem}. {_HINT_TIMER}")
        if stopped.is_set():
            self._timers.stop(record.assignment)
            return None
        return self._frozen(record, group)

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """Thaw the pod unless another fault holds it, and stop the timer."""
        assignment, began = record.assignment, self._clock.now()
        group = self._cgroups.pod(assignment.pod_uid)
        result = HealResult((self._until_gone(record),), gone=True)
        if group is not None:
            used = _cpu(record, group)
            state = self._holds.release(assignment.pod_uid, assignment.fault_uid, group.folder)
            # A container that is being restarted, and starts frozen, makes the pod's state change for a moment.
            if state in (FreezerState.FROZEN, FreezerState.CHANGING):
                result = HealResult((f"frozen for {seconds_held(record, self._clock)}{used}",))
            elif state is not FreezerState.GONE:
                late = seconds_left(record, self._clock) < -GRACE_SECONDS
                result = HealResult((_LATE if late else _LOST,), held=False)
        healed = ended(record, heal, result, began, self._clock)
        self._timers.stop(assignment)
        return healed

    def poll(self, record: FaultRecord) -> FaultRecord:
        """Check whether the pod is still frozen, or gone. An agent that starts learns here which faults hold it."""
        assignment = record.assignment
        group = self._cgroups.pod(assignment.pod_uid)
        state = (
            FreezerState.GONE
            if group is None
            else self._holds.adopt(assignment.pod_uid, assignment.fault_uid, group.folder)
        )
        if state is FreezerState.GONE:
            self._holds.forget(assignment.pod_uid)
            self._timers.stop(assignment)
            return gone(record, self._until_gone(record), self._clock)
        if state is FreezerState.THAWED and record.proven and seconds_left(record, self._clock) > 0:
            note = f"{_LOST}, {seconds_held(record, self._clock)} after injection"
            return replace(record, proven=False, evidence=(*record.evidence, note))
        return record

    def _running(self, assignment: Assignment) -> PodGroup | None:
        group = self._cgroups.pod(assignment.pod_uid)
        return group if group is not None and group.pids() else None

    def _until_gone(self, record: FaultRecord) -> str:
        return f"frozen for {seconds_held(record, self._clock)}, until the pod was gone"

    def _frozen(self, record: FaultRecord, group: PodGroup) -> FaultRecord:
        assignment = record.assignment
        try:
            freeze = self._holds.acquire(assignment.pod_uid, assignment.fault_uid, group.folder)
        except OSError as error:  # it is not known how far the freeze got: its timer stays
            return failed(record, f"the pod could not be frozen: {error}")
        begun = replace(record, injected_ns=freeze.began.ns, injected_at=freeze.began.stamp)
        if freeze.frozen_ns is None:
            self._timers.stop(assignment)
            return stamped(failed(begun, _unfrozen(group)), self._clock)
        after = milliseconds(freeze.began.ns, freeze.frozen_ns)
        evidence = f"{counted(len(group.pids()), 'process', 'processes')} frozen after {after} ms"
        active = replace(begun, state=ACTIVE, proven=True, effective_ns=freeze.frozen_ns, cpu_ns=group.cpu_ns())
        return replace(active, evidence=(evidence,))


def _cpu(record: FaultRecord, group: PodGroup) -> str:
    now = group.cpu_ns()
    if now is None or record.cpu_ns is None:
        return ""
    return f", in which the pod used {(now - record.cpu_ns) / 1e6:.1f} ms of CPU time"


def _nothing_runs(assignment: Assignment) -> str:
    return (
        f"no process of pod {assignment.pod} runs on this node, so nothing was frozen. "
        "Hint: wait until the member is up"
    )


def _unfrozen(group: PodGroup) -> str:
    if not group.pids():
        return (
            "the pod was gone before it was frozen. Hint: create the fault again, so that its target is resolved again"
        )
    return "some process of the pod did not stop in time, so all were thawed. Hint: check whether one waits for a disk"
