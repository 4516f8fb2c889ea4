"""Assignments and fault records: what Faults ask of a node and what became of it, and how they are parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from signal import Signals
from typing import Any, TypeAlias

from caplab.contract.objects import SIGNALS
from caplab.contract.phases import TARGET_ENDED

Body: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]  # uid of the Fault, uid of the pod

BEGUN = ""  # the state of a target whose injection has begun at most
# Uids become parts of paths that root writes to, and anyone who may write a status can choose them.
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,39}")


@dataclass(frozen=True, slots=True)
class Kill:
    """A fault that ends every process of a member's containers; keep_down: it stays down until heal."""

    signal: str = "SIGKILL"
    keep_down: bool = True

    @property
    def number(self) -> Signals:
        """The signal sent first."""
        return Signals[self.signal]


@dataclass(frozen=True, slots=True)
class Freeze:
    """A fault that stops every process of a pod where it is, until heal."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A fault that drops packets from and to these addresses in a pod's network.

    The addresses are sorted, without duplicates, and in the notation of the Fault.
    """

    drops_from: tuple[str, ...] = ()
    drops_to: tuple[str, ...] = ()


FaultAction: TypeAlias = Kill | Freeze | Partition


@dataclass(frozen=True, slots=True)
class Assignment:
    """The action that one Fault asks for on one pod of this node.

    cluster: the cluster that the pod must belong to; '': any. replaces: the uid of the pod that this one replaced
    during the fault, in which case it may not run yet; '': it replaced none.
    """

    fault_uid: str
    namespace: str
    name: str
    cluster: str
    pod_uid: str
    pod: str
    action: FaultAction = Kill()
    replaces: str = ""

    @property
    def key(self) -> Key:
        """The uids of the Fault and of the pod, by which an assignment is unique."""
        return self.fault_uid, self.pod_uid


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """An assignment and what became of it so far.

    state BEGUN: its injection is under way, or was when the agent died. Times in nanoseconds are CLOCK_MONOTONIC of
    the boot boot_id. After an ended record nothing is left on the node. effective_ns: the first sign of the effect.
    The last three fields belong to the injectors, and let another agent go on. cpu_ns: the CPU time that the pod had
    used when it was frozen; netns: the inode of the network namespace that has the rules; protected_addresses: those
    that no rule of this pod may name.
    """

    assignment: Assignment
    boot_id: str
    deadline_ns: int
    state: str = BEGUN
    injected_ns: int | None = None
    injected_at: str = ""
    healed_ns: int | None = None
    healed_at: str = ""
    proven: bool = False
    evidence: tuple[str, ...] = ()
    problem: str = ""
    effective_ns: int | None = None
    cpu_ns: int | None = None
    netns: int | None = None
    protected_addresses: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do but to report the record."""
        return self.state in TARGET_ENDED


@dataclass(frozen=True, slots=True)
class RequestedFault:
    """An entry of status.targets, parsed; problem: why it cannot be carried out, '' if it can."""

    assignment: Assignment
    state: str
    seconds: int = 0
    until: datetime | None = None
    problem: str = ""


def requested_faults(body: Body, node: str) -> Iterator[RequestedFault]:
    """Yield what a Fault asks of a node, one item for each of its pods there."""
    for target in (body.get("status") or {}).get("targets") or ():
        if target.get("node") == node:
            yield _read(body, target)


def is_uid(text: str) -> bool:
    """Check that a text can be part of a path or of a name on the node."""
    return bool(_UID.fullmatch(text))


def _read(body: Body, target: Body) -> RequestedFault:
    metadata, spec = body["metadata"], body.get("spec") or {}
    cluster = str((spec.get("target") or {}).get("name") or target.get("cluster") or "")
    names = metadata["uid"], metadata["namespace"], metadata["name"], cluster
    pod = str(target["uid"]), str(target.get("pod", ""))
    state = str(target.get("state") or BEGUN)
    try:
        for field, uid in (("metadata.uid", names[0]), ("status.targets[].uid", pod[0])):
            if not is_uid(uid):
                raise ValueError(f"{field} is {uid!r}, not a uid. Hint: leave this field to the operator")
        assignment = Assignment(*names, *pod, _action(spec, target), str(target.get("replaces") or ""))
        return RequestedFault(assignment, state, _seconds(spec), _until(body))
    except ValueError as error:
        return RequestedFault(Assignment(*names, *pod), state, problem=str(error))


def _action(spec: Body, target: Body) -> FaultAction:
    actions = [name for name in ("kill", "freeze", "partition") if isinstance(spec.get(name), Mapping)]
    if len(actions) != 1:
        named = " and ".join(actions) or "none"
        raise ValueError(
            f"spec names {named} of the faults that this agent supports (kill, freeze, partition). "
            "Hint: name exactly one, and upgrade the agent together with the chart"
        )
    if actions[0] == "kill":
        return _kill(spec["kill"])
    if actions[0] == "freeze":
        return Freeze()
    return Partition(_addresses(target, "dropsFrom"), _addresses(target, "dropsTo"))


def _kill(spec: Body) -> Kill:
    kill = Kill(spec.get("signal", "SIGKILL"), spec.get("keepDown", True))
    if kill.signal not in SIGNALS:
        raise ValueError(
            f"spec.kill.signal is {kill.signal!r}, an unsupported signal. Hint: use one of {', '.join(sorted(SIGNALS))}"
        )
    return kill


def _addresses(target: Body, field: str) -> tuple[str, ...]:
    return tuple(sorted({str(each) for each in target.get(field) or ()}))


def _seconds(spec: Body) -> int:
    seconds = spec.get("durationSeconds")
    if not isinstance(seconds, int) or seconds < 1:
        raise ValueError(
            f"spec.durationSeconds is {seconds!r}, not a positive integer. "
            "Hint: say after how many seconds the fault heals"
        )
    return seconds


def _until(body: Body) -> datetime:
    text = str((body.get("status") or {}).get("until", ""))
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise ValueError(
            f"status.until is {text!r}, not a time with a time zone. Hint: leave this field to the operator"
        ) from None
    return until
