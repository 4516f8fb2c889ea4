"""Values: what Faults ask of a node, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from caplab.contract.objects import Kill
from caplab.contract.phases import TARGET_ENDED
from caplab.contract.records import Record

Body: TypeAlias = Mapping[str, Any]
PodAction: TypeAlias = Record  # what a fault does to one pod: flat fields, which the journal keeps
Key: TypeAlias = tuple[str, str]  # uid of the Fault, uid of the pod

REBOOTED = "the node rebooted during the fault"  # why a record is healed

BEGUN = ""  # the state of a target whose injection has begun at most
# Uids become parts of paths that root writes to, and anyone who may write a status can choose them.
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
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
    action: PodAction = field(default_factory=Kill)  # a fault that cannot be read is healed as a kill
    replaces: str = ""

    @property
    def key(self) -> Key:
        """The uids of the Fault and of the pod, by which an assignment is unique."""
        return self.fault_uid, self.pod_uid


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFault:
    """An entry of status.targets, parsed; problem: why it cannot be carried out, '' if it can."""

    assignment: Assignment
    state: str
    seconds: int = 0
    until: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Heal:
    """An order to end a record.

    why: the reason, for its evidence, '' if its time is over as requested; problem: why it failed, '' if it did not.
    """

    key: Key
    why: str = ""
    problem: str = ""


def is_uid(text: str) -> bool:
    """Check that a text can be part of a path or of a name on the node."""
    return bool(_UID.fullmatch(text))
