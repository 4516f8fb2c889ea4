"""What Fault objects ask of a node, and what became of it: values, and reading them from objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from signal import Signals
from typing import Any, TypeAlias

Body: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]  # uid of the Fault, uid of the pod

BEGUN, ACTIVE, HEALED, FAILED, GONE = "", "Active", "Healed", "Failed", "Gone"
ENDED = frozenset({HEALED, FAILED, GONE})
# Those whose default action ends a process (signal(7)), as the CRD lists them.
SIGNALS = frozenset(
    {"SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1"}
    | {"SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGSYS"}
)
# Uids become parts of paths that root writes to, and whoever may write a status names them.
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,39}")


@dataclass(frozen=True, slots=True)
class Kill:
    """Every process of a member's containers ends; keep_down: and it stays down until the fault heals."""

    signal: str = "SIGKILL"
    keep_down: bool = True

    @property
    def number(self) -> Signals:
        """The signal sent first."""
        return Signals[self.signal]


@dataclass(frozen=True, slots=True)
class Freeze:
    """Every process of the pod stops where it is, and goes on at heal."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Packets from and to these addresses are dropped in the pod's network; sorted, each once, as written."""

    drops_from: tuple[str, ...] = ()
    drops_to: tuple[str, ...] = ()


FaultAction: TypeAlias = Kill | Freeze | Partition


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one Fault asks to be done to one pod of this node.

    cluster: the one the pod must belong to; '': any. replaces: the uid of the pod whose place it took while the fault
    was under way, so that it may not run yet; '': it took nobody's.
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
        """What tells it from all others."""
        return self.fault_uid, self.pod_uid


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """An assignment and what became of it so far; state BEGUN: its injection is under way, or was when the agent died.

    Times in nanoseconds are CLOCK_MONOTONIC of the boot boot_id. An ended record holds nothing on the node.
    effective_ns: the first sign of the effect. The last three are the injectors' own, for whichever agent goes on: the
    CPU time the pod had used when it was frozen (ns), the inode of the network namespace that has the rules, and the
    addresses which no rule of this pod may name.
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
        """Whether nothing is left to do but to report it."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class RequestedFault:
    """An entry of status.targets as read; problem: why it cannot be carried out, '' if it can."""

    assignment: Assignment
    state: str
    seconds: int = 0
    until: datetime | None = None
    problem: str = ""


def requested_faults(body: Body, node: str) -> Iterator[RequestedFault]:
    """What a Fault asks of a node, one for each of its pods there."""
    for target in (body.get("status") or {}).get("targets") or ():
        if target.get("node") == node:
            yield _read(body, target)


def is_uid(text: str) -> bool:
    """Whether it can be part of a path or of a name on the node."""
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
                raise ValueError(f"{field} is {uid!r}, which is no uid. Hint: it is the operator's to write")
        assignment = Assignment(*names, *pod, _action(spec, target), str(target.get("replaces") or ""))
        return RequestedFault(assignment, state, _seconds(spec), _until(body))
    except ValueError as error:
        return RequestedFault(Assignment(*names, *pod), state, problem=str(error))


def _action(spec: Body, target: Body) -> FaultAction:
    actions = [name for name in ("kill", "freeze", "partition") if isinstance(spec.get(name), Mapping)]
    if len(actions) != 1:
        named = " and ".join(actions) or "none"
        raise ValueError(
            f"of the faults that this agent knows (kill, freeze, partition) spec names {named}. "
            "Hint: name one, and update the agent with the chart"
        )
    if actions[0] == "kill":
        return _kill(spec["kill"])
    if actions[0] == "freeze":
        return Freeze()
    return Partition(_addresses(target, "dropsFrom"), _addresses(target, "dropsTo"))


def _kill(spec: Body) -> Kill:
    kill = Kill(spec.get("signal", "SIGKILL"), spec.get("keepDown", True))
    if kill.signal not in SIGNALS:
        raise ValueError(f"spec.kill.signal is {kill.signal!r}. Hint: one of {', '.join(sorted(SIGNALS))}")
    return kill


def _addresses(target: Body, field: str) -> tuple[str, ...]:
    return tuple(sorted({str(each) for each in target.get(field) or ()}))


def _seconds(spec: Body) -> int:
    seconds = spec.get("durationSeconds")
    if not isinstance(seconds, int) or seconds < 1:
        raise ValueError(f"spec.durationSeconds is {seconds!r}. Hint: say after how many seconds the fault heals")
    return seconds


def _until(body: Body) -> datetime:
    text = str((body.get("status") or {}).get("until", ""))
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise ValueError(
            f"status.until is {text!r}, no time with a zone. Hint: it is the operator's to write"
        ) from None
    return until
