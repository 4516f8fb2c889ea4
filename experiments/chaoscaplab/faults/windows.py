"""Fault objects as the windows of a run's record: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caplab.model.runs import FaultWindow

KINDS = ("kill",)


def windows_of(fault: Mapping[str, Any]) -> list[FaultWindow]:
    """One window a target that was hit; a fault that hit nobody has none."""
    kind = next((name for name in KINDS if name in fault["spec"]), "fault")
    return [
        FaultWindow(
            kind=kind,
            target=target.get("pod", target["uid"]),
            injected_ns=target["injectedNs"],
            healed_ns=target.get("healedNs"),
            evidence=tuple(target.get("evidence") or ()),
            proven=bool(target.get("proven")),
        )
        for target in (fault.get("status") or {}).get("targets") or []
        if "injectedNs" in target
    ]


def problem_of(fault: Mapping[str, Any]) -> str:
    """Why a fault failed, in the words of the operator or of the agents; '' where it did not."""
    status = fault.get("status") or {}
    if status.get("phase") != "Failed":
        return ""
    said = [
        f"{target.get('pod')}: {target['problem']}" for target in status.get("targets", []) if target.get("problem")
    ]
    return "; ".join(said) or status.get("message") or "no reason given"
