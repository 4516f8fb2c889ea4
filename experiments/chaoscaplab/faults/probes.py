"""Chaos Toolkit probes: how faults stand."""

from __future__ import annotations

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from ..current import seen
from ..server import Server
from ..waiting import NotInTime, until

__all__ = ["all_ended"]

_LATE_SECONDS = 10.0  # an agent that was just restarted needs a moment


def all_ended(within_seconds: float, namespace: str = "", configuration: Configuration | None = None) -> bool:
    """Wait until every fault of a namespace has ended by itself; ActivityFailed where one does not."""
    server, run = Server(), seen()
    where = namespace or str((configuration or {}).get("namespace") or "caplab-runs")

    def left() -> str:
        faults = server.list("Fault", where)
        for fault in faults:
            run.note_fault(fault)
        going = [fault for fault in faults if (fault.get("status") or {}).get("phase") not in ("Healed", "Failed")]
        return ", ".join(fault["metadata"]["name"] for fault in going)

    try:
        until("every fault has ended", left, float(within_seconds) + _LATE_SECONDS)
    except NotInTime as late:
        raise ActivityFailed(str(late)) from late
    return True
