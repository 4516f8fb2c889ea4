"""What a Fault asks of a node."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from caplab.contract import bounds
from caplab.contract.objects import Fault, FaultHeader, FaultSpec, Metadata, TargetStatus
from caplab.contract.records import BodyError

from .faults import BEGUN, Assignment, Body, PodAction, RequestedFault, is_uid
from .injectors import KINDS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedFault:
    """A Fault as it was listed. One whose spec this agent can't read is reported for each pod, and is healed.

    problem: why its spec can't be read.
    """

    header: FaultHeader
    spec: FaultSpec | None
    problem: str = ""

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.header.metadata.uid)


def listed_fault(body: Body) -> ListedFault:
    """Read a Fault. One whose status can't be read asks nothing of any node."""
    try:
        fault = Fault.from_body(body, "fault")
        return ListedFault(fault, fault.spec)
    except BodyError as error:
        return ListedFault(_header(body), None, f"{error} Hint: upgrade the agent together with the chart")


def _header(body: Body) -> FaultHeader:
    try:
        return FaultHeader.from_body(body, "fault")
    except BodyError as error:
        _log.warning("%s", error)
        return FaultHeader(metadata=Metadata.from_body(body["metadata"], "fault.metadata"))


def requested_faults(fault: ListedFault, node: str) -> Iterator[RequestedFault]:
    """Yield what a Fault asks of a node, one item for each of its pods there."""
    for target in fault.header.targets:
        if target.node == node:
            yield _read(fault, target)


def _read(fault: ListedFault, target: TargetStatus) -> RequestedFault:
    metadata, spec = fault.header.metadata, fault.spec
    cluster = (spec and spec.target.name) or target.cluster or ""
    state = target.state or BEGUN
    nothing = Assignment(
        fault_uid=fault.uid, namespace=str(metadata.namespace), name=metadata.name, cluster=cluster,
        pod_uid=target.uid, pod=target.pod or "",
    )  # fmt: skip
    try:
        for field, uid in (("metadata.uid", fault.uid), ("status.targets[].uid", target.uid)):
            if not is_uid(uid):
                raise ValueError(f"{field} is {uid!r}, not a uid. Hint: leave this field to the operator")
        if spec is None:
            raise ValueError(fault.problem)
        assignment = replace(nothing, action=_action(spec, target), replaces=target.replaces or "")
        return RequestedFault(assignment=assignment, state=state, seconds=_seconds(spec), until=_until(fault.header))
    except ValueError as error:
        return RequestedFault(assignment=nothing, state=state, problem=str(error))


def _action(spec: FaultSpec, target: TargetStatus) -> PodAction:
    if len(spec.kinds) != 1 or spec.kinds[0] not in KINDS:
        named = " and ".join(spec.kinds) or "none"
        raise ValueError(
            f"spec names {named} of the faults that this agent supports ({', '.join(KINDS)}). "
            "Hint: name exactly one, and upgrade the agent together with the chart"
        )
    return KINDS[spec.kinds[0]].assign(getattr(spec, spec.kinds[0]), target)


def _seconds(spec: FaultSpec) -> int:
    seconds = spec.duration_seconds
    if seconds is None or not 1 <= seconds <= bounds.FAULT_SECONDS:
        raise ValueError(
            f"spec.durationSeconds is {seconds!r}, not a whole number from 1 to {bounds.FAULT_SECONDS}. "
            "Hint: say after how many seconds the fault heals"
        )
    return seconds


def _until(header: FaultHeader) -> datetime:
    text = header.status_or_empty.until or ""
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise ValueError(
            f"status.until is {text!r}, not a time with a time zone. Hint: leave this field to the operator"
        ) from None
    return until
