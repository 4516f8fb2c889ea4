"""The windows of a run's record for Fault objects and lost nodes: pure."""

from __future__ import annotations

from collections.abc import Sequence

from caplab.contract.objects import Fault, TargetStatus
from caplab.contract.phases import FAILED
from caplab.faults.rows import Lost, is_entry_proven, kind_of, peer_entries, target_entries
from caplab.model.runs import FaultWindow, WallAnchor

_FAR_LINES = 6  # of evidence, of all the far ends of a partition together


def windows_of(fault: Fault) -> list[FaultWindow]:
    """Return a window for each target that was hit; a fault that hit no target has none.

    A pod that replaced a target has a window of its own. The far ends of a partition have none: what they saw is
    evidence for the targets' windows.
    """
    far = _far_evidence(peer_entries(fault))
    return [
        FaultWindow(
            kind=kind_of(fault),
            target=_name(entry),
            injected_ns=entry.injected_ns,
            healed_ns=entry.healed_ns,
            evidence=(*(entry.evidence or ()), *far),
            proven=is_entry_proven(entry, fault),
        )
        for entry in target_entries(fault)
        if entry.injected_ns is not None
    ]


def window_of_node(lost: Lost, boot_id: str, anchor: WallAnchor) -> FaultWindow | None:
    """Return the window of a lost node, on the clock of the histories (boot_id, anchor); None if nothing was done.

    If the host's clock is not that of the histories (the nodes run in a virtual machine), the window proves nothing:
    only the wall clock relates the two.
    """
    if not lost["state"]:
        return None
    same = lost["boot_id"] == boot_id
    shift_ns = 0 if same else lost["injected_unix_ns"] - anchor.unix_ns + anchor.monotonic_ns - lost["injected_ns"]
    healed_ns, doubts = lost["healed_ns"], [] if same else ["the host's clock is not that of the histories"]
    if lost["problem"]:
        doubts.append(lost["problem"])
    return FaultWindow(
        kind=lost["kind"],
        target=lost["node"],
        injected_ns=lost["injected_ns"] + shift_ns,
        healed_ns=None if healed_ns is None else healed_ns + shift_ns,
        evidence=(*lost["evidence"], *doubts),
        proven=bool(lost["proven"]) and same,
    )


def problem_of(fault: Fault) -> str:
    """Return why a fault failed, in the words of the operator or of the agents; '' if it did not."""
    status = fault.status_or_empty
    if status.phase != FAILED:
        return ""
    problems = [f"{entry.pod}: {entry.problem}" for entry in fault.targets if entry.problem]
    return "; ".join(problems) or status.message or "no reason given"


def _name(entry: TargetStatus) -> str:
    """Return the pod's name, marked if it replaced another pod, since both have the same name."""
    pod = entry.pod or entry.uid
    return f"{pod} (recreated)" if entry.replaces else pod


def _far_evidence(ends: Sequence[TargetStatus]) -> list[str]:
    """Return what the far ends saw, each line with its pod: proven ones first, and only a few."""
    ordered = sorted(ends, key=lambda end: not end.proven)
    lines = [f"{_name(end)}: {line}" for end in ordered for line in end.evidence or ()]
    more = len(lines) - _FAR_LINES
    return [*lines[:_FAR_LINES], f"and {more} more lines"] if more > 1 else lines
