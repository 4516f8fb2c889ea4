"""The kill: every process of a pod's application containers ends, and the gate keeps the member down."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from signal import Signals
from typing import Self

from caplab.contract.objects import SIGNALS, Kill, TargetStatus
from caplab.contract.phases import ACTIVE, FAILED, HEALED
from caplab.nouns import counted

from ...cgroups import Cgroups
from ...clock import Clock
from ...faults import Assignment, Body, FaultRecord, Heal
from ...holds import Holds
from ...injector import (
    FaultInjector,
    HealResult,
    Node,
    PodReader,
    ended,
    failed,
    gone,
    seconds_held,
    seconds_left,
    stamped,
    wait_for,
)
from ...words import milliseconds
from .attempt import Bounds, ContainerKill, KillAttempt, Send, new_kill_attempt
from .gate import Gates, GateState, NoGate

_ID = re.compile(r"containerd://([0-9a-f]{32,64})")  # it is looked for in cgroups' names: nothing shorter may match
_GATE_NOTES = {
    GateState.EXPIRED: "the gate had opened by itself before the agent healed",
    GateState.REMOVED: "the gate was already open at heal: somebody else had opened it",
    GateState.GONE: "the gate's volume was gone at heal, although the pod was not",
}


class KillInjector(FaultInjector):
    """The injector of kill faults."""

    def __init__(
        self,
        clock: Clock,
        cgroups: Cgroups,
        gates: Gates,
        holds: Holds,
        read_pod: PodReader,
        send: Send = os.kill,
        bounds: Bounds | None = None,
    ) -> None:
        self._clock = clock
        self._cgroups = cgroups
        self._gates = gates
        self._holds = holds
        self._read_pod = read_pod
        self._send = send
        self._bounds = bounds or Bounds()

    @classmethod
    def on(cls, node: Node) -> Self:
        """Make the injector of a node."""
        return cls(node.clock, node.cgroups, Gates(node.pods, node.clock), node.holds, node.read_pod)

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """Close the gate, then signal until the containers are empty. A replacement pod is kept from starting."""
        assignment, kill = record.assignment, _kill(record)
        if assignment.replaces and not kill.keep_down:
            return replace(record, state=HEALED, evidence=("the pod was created after the kill: nothing to do",))
        try:
            if kill.keep_down and not wait_for(lambda: self._close(record), record, stopped, self._clock):
                return None
        except NoGate as error:
            return failed(record, str(error))
        done = self._kill_replacement(record, stopped) if assignment.replaces else self._kill_pod(record, pod, stopped)
        if kill.keep_down and (done is None or done.ended):
            self._gates.release(assignment)
        return done

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """Open this fault's gate; without keepDown there is nothing to undo."""
        began = self._clock.now()
        if not _kill(record).keep_down:
            return ended(record, heal, HealResult(), began, self._clock)
        state = self._gates.release(record.assignment)
        if state is GateState.GONE and not self._runs(record.assignment):
            result = HealResult((self._until_gone(record),), gone=True)
        elif state is GateState.HELD and record.injected_ns is not None:
            result = HealResult((f"gate held {seconds_held(record, self._clock)}",))
        else:
            result = HealResult((_GATE_NOTES.get(state, "gate opened"),), held=False)
        return ended(record, heal, result, began, self._clock)

    def poll(self, record: FaultRecord) -> FaultRecord:
        """Check whether the pod is gone, and its gate with it: a replacement pod has another gate."""
        if not _kill(record).keep_down or self._gates.exists(record.assignment) or self._runs(record.assignment):
            return record
        return gone(record, self._until_gone(record), self._clock)

    def _close(self, record: FaultRecord) -> bool | None:
        try:
            self._gates.close(record.assignment, seconds_left(record, self._clock))
        except NoGate:
            if record.assignment.replaces:
                return None
            raise
        return True

    def _kill_pod(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        attempt = self._new_attempt(record, pod)
        if not stopped.is_set():
            attempt.run(Signals[_kill(record).signal])
        if attempt.began is None and stopped.is_set():
            return None
        done = _after(record, attempt)
        return stamped(done, self._clock) if done.ended and attempt.began else done

    def _kill_replacement(self, record: FaultRecord, stopped: threading.Event) -> FaultRecord | None:
        """Prove that a pod's gate was closed before it started, or kill it if it started first."""
        closed = self._clock.now()

        def attempt_now() -> FaultRecord | None:
            group = self._cgroups.pod(record.assignment.pod_uid)
            if group is None or group.containers() <= 1:  # only the sandbox: any later container finds the gate closed
                done = replace(record, state=ACTIVE, proven=True, injected_ns=closed.ns, injected_at=closed.stamp)
                evidence = "gate closed before the pod's first process, until heal"
                return replace(done, effective_ns=closed.ns, evidence=(evidence,))
            pod = self._read_pod(record.assignment)
            if pod is None or not _all_named(pod):
                return None
            attempt = self._new_attempt(record, pod)
            attempt.run(Signals[_kill(record).signal])
            return _after(record, attempt) if attempt.began else None

        done = wait_for(attempt_now, record, stopped, self._clock)
        return stamped(done, self._clock) if done and done.ended else done

    def _new_attempt(self, record: FaultRecord, pod: Body) -> KillAttempt:
        uid = record.assignment.pod_uid
        containers = [self._cgroups.find(uid, each) for each in container_ids(pod)]
        return new_kill_attempt(containers, self._clock, self._send, self._bounds, lambda: self._holds.thawed(uid))

    def _runs(self, assignment: Assignment) -> bool:
        group = self._cgroups.pod(assignment.pod_uid)
        return group is not None and bool(group.pids())

    def _until_gone(self, record: FaultRecord) -> str:
        return f"gate held {seconds_held(record, self._clock)}, until the pod was gone"


def kill_of(kill: Kill, _: TargetStatus) -> Kill:
    """Return a Fault's spec.kill. Raises ValueError if its signal is not supported."""
    if kill.signal not in SIGNALS:
        raise ValueError(
            f"spec.kill.signal is {kill.signal!r}, an unsupported signal. Hint: use one of {', '.join(sorted(SIGNALS))}"
        )
    return kill


def _kill(record: FaultRecord) -> Kill:
    assert isinstance(record.assignment.action, Kill)
    return record.assignment.action


def _all_named(pod: Body) -> bool:
    containers = (pod.get("spec") or {}).get("containers") or ()
    return len(container_ids(pod)) >= max(1, len(containers))


def container_ids(pod: Body) -> list[str]:
    """List the ids of a pod's application containers from its status, without the sandbox and init containers."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    matches = (_ID.fullmatch(str(status.get("containerID"))) for status in statuses)
    return [match[1] for match in matches if match]


def _after(record: FaultRecord, attempt: KillAttempt) -> FaultRecord:
    """Update a record with what a kill attempt proves."""
    if attempt.began is None:
        return failed(record, _idle(attempt.kills))
    left = [each for each in attempt.kills if each.left]
    began = attempt.began.ns
    kill = _kill(record)
    gate = ("gate closed until heal",) if kill.keep_down and not left else ()
    evidence = (*(line for each in attempt.kills for line in _lines(kill.signal, each, began)), *gate)
    done = replace(record, injected_ns=began, injected_at=attempt.began.stamp, evidence=evidence)
    if left:
        return replace(done, state=FAILED, problem=" ".join(_remains(each) for each in left))
    return replace(done, state=ACTIVE, proven=True, effective_ns=max(each.empty_ns or began for each in attempt.kills))


def _idle(kills: Sequence[ContainerKill]) -> str:
    ids = ", ".join(each.container.short for each in kills if not each.left)
    reason = f"no process ran in container {ids}" if ids else "no container of the pod has started"
    return f"{reason}, so nothing was killed. Hint: wait until the member is up"


def _lines(signal: str, killed: ContainerKill, began_ns: int) -> list[str]:
    first = f"{signal} to {_processes(killed.pids)}"
    lines = [f"SIGKILL to {_processes(killed.forced)} that {signal} had not ended"] if killed.forced else []
    if killed.empty_ns is None:
        return [first, *lines]
    after = milliseconds(began_ns, killed.empty_ns)
    return [f"{first}; cgroup of container {killed.container.short} empty after {after} ms", *lines]


def _remains(killed: ContainerKill) -> str:
    pids = ", ".join(str(pid) for pid in sorted(killed.left)[:10])
    text = (
        f"container {killed.container.short} still holds {_processes(killed.left)} (pid {pids}) after the last signal."
    )
    if 0 in killed.left:
        return f"{text} Pid 0 is a process that the agent cannot see. Hint: run the agent with hostPID: true."
    return f"{text} Hint: check whether they are frozen or wait for a disk, then delete the pod."


def _processes(pids: set[int]) -> str:
    return counted(len(pids), "process", "processes")
