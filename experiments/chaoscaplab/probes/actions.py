"""Chaos Toolkit actions on the loads of a run."""

from __future__ import annotations

import time

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.contract.names import PROBE
from caplab.contract.objects import ClientSettings, Probe
from caplab.contract.phases import RUNNING
from caplab.ownership import run_of
from caplab.run_context import current_run

from ..namespaces import namespace_of
from ..recorded_event import RecordedEvent
from ..server import Server

__all__ = ["skewed_clocks"]


def skewed_clocks(seconds: float = 15, namespace: str = "", configuration: Configuration | None = None) -> list[str]:
    """Let the given seconds pass while clients of some zones stamp their writes with wrong clocks.

    seconds: how long. The loads have these clocks (client.clockSkewMilliseconds) all the time. Returns a sentence for
    each load that runs with one. Raises ActivityFailed if none does.
    """
    run, skewed = current_run(), []
    bodies = Server(run).list(PROBE, namespace_of(run, configuration, namespace))
    for probe in (Probe.from_body(body) for body in bodies if run_of(body) == run.run_id):
        client = probe.spec.client or ClientSettings()
        running = {vantage.name for vantage in probe.vantages if vantage.phase == RUNNING}
        zones = sorted(running & set(client.skewed_vantages or running))
        if (skew := client.clock_skew_milliseconds) and zones:
            where = f"{probe.metadata.name} in zone {', '.join(zones)}"
            skewed.append(f"the clocks of the clients of {where} are {skew} ms off")
    if not skewed:
        raise ActivityFailed("No load runs with a wrong clock. Hint: give one client.clockSkewMilliseconds.")
    with RecordedEvent(run, "clock skew", "the clients' stamps") as event:
        time.sleep(float(seconds))
        for sentence in skewed:
            event.add_evidence(sentence)
    return skewed
