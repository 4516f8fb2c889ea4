"""Chaos Toolkit probes: how faults stand."""

from __future__ import annotations

from chaoslib.types import Configuration

from ..current import seen
from ..namespaces import namespace_of
from ..server import Server
from ..waiting import insist

__all__ = ["all_ended"]

_LATE_SECONDS = 10.0  # an agent that was just restarted needs a moment


def all_ended(within_seconds: float, namespace: str = "", configuration: Configuration | None = None) -> bool:
    """Wait until every fault of a namespace has ended by itself; ActivityFailed where one does not."""
    server, run = Server(), seen()
    where = namespace_of(configuration, namespace)

    def left() -> str:
        faults = server.list("Fault", where)
        for fault in faults:
            run.note_fault(fault)
        going = [fault for fault in faults if (fault.get("status") or {}).get("phase") not in ("Healed", "Failed")]
        return ", ".join(fault["metadata"]["name"] for fault in going)

    insist("every fault has ended", left, float(within_seconds) + _LATE_SECONDS)
    return True
