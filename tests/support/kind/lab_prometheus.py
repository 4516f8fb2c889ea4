"""Queries of the lab's own Prometheus, through the API server."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

from caplab_cluster.chart import NAMESPACE

from support.kind.kind_lab import Lab

_FIRING = 'max by (alertname, engine) (ALERTS{alertstate="firing"})'


def ask(lab: Lab, path: str, **query: str) -> Any:
    """Ask its API for a path. Returns the data of the answer."""
    proxy = f"/api/v1/namespaces/{NAMESPACE}/services/caplab-prometheus:9090/proxy/api/v1/{path}"
    return json.loads(lab.kubectl("get", "--raw", f"{proxy}?{urlencode(query)}"))["data"]


def fired(lab: Lab, since: float) -> set[tuple[str, str]]:
    """Return the alerts that fired since then (seconds since 1970), by name and engine ('' for the lab's own)."""
    window = {"start": f"{since - 1:.3f}", "end": f"{time.time():.3f}", "step": "1"}
    series = ask(lab, "query_range", query=_FIRING, **window)["result"]
    return {
        (alert["metric"]["alertname"], alert["metric"].get("engine", ""))
        for alert in series
        if float(alert["values"][0][0]) > since
    }
