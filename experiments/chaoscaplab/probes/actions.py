"""Chaos Toolkit actions on the loads of a run."""

from __future__ import annotations

import time

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration

from caplab.ownership import run_of

from ..current import seen
from ..doing import Doing
from ..namespaces import namespace_of
from ..server import Server

__all__ = ["skewed_clocks"]


def skewed_clocks(seconds: float = 15, namespace: str = "", configuration: Configuration | None = None) -> list[str]:
    """Let so many seconds pass in which clients of some zones stamp their writes with clocks that are wrong.

    seconds: how long. The loads themselves have the wrong clocks (client.clockSkewMilliseconds) all the time. Returns a
    sentence for each load that runs with one; ActivityFailed where none does.
    """
    skewed = []
    probes = Server().list("Probe", namespace_of(configuration, namespace))
    for probe in (one for one in probes if run_of(one) == seen().run_id):
        client = probe["spec"].get("client") or {}
        running = {
            one["name"] for one in (probe.get("status") or {}).get("vantages") or () if one["phase"] == "Running"
        }
        zones = sorted(running & set(client.get("skewedVantages") or running))
        if client.get("clockSkewMilliseconds") and zones:
            name, skew = probe["metadata"]["name"], client["clockSkewMilliseconds"]
            skewed.append(f"the clients of {name} in zone {', '.join(zones)} stamp {skew} ms off")
    if not skewed:
        raise ActivityFailed("No load runs with a wrong clock. Hint: give one client.clockSkewMilliseconds.")
    with Doing("clock skew", "the clients' stamps") as doing:
        time.sleep(float(seconds))
        for sentence in skewed:
            doing.saw(sentence)
    return skewed
