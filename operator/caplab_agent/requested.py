"""Parsing what a Fault asks of a node."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .faults import BEGUN, Assignment, Body, PodAction, RequestedFault, is_uid
from .injectors import KINDS


def requested_faults(body: Body, node: str) -> Iterator[RequestedFault]:
    """Yield what a Fault asks of a node, one item for each of its pods there."""
    for target in (body.get("status") or {}).get("targets") or ():
        if target.get("node") == node:
            yield _read(body, target)


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


def _action(spec: Body, target: Body) -> PodAction:
    kinds = [kind for kind in KINDS if spec.get(kind) is not None]
    if len(kinds) != 1:
        named = " and ".join(kinds) or "none"
        raise ValueError(
            f"spec names {named} of the faults that this agent supports ({', '.join(KINDS)}). "
            "Hint: name exactly one, and upgrade the agent together with the chart"
        )
    return KINDS[kinds[0]].parse(spec[kinds[0]], target)


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
