"""What the probers and their clients agree on."""

from __future__ import annotations

TOKEN_HEADER = "X-Caplab-Token"  # the API server's proxy drops Authorization
TOKEN_SECRET, TOKEN_KEY = "caplab-prober-token", "token"  # in the lab's own namespace


def page(namespace: str, run_id: str, name: str) -> str:
    """Return the path of a run's page (history.arrow, scans.json, metas.json)."""
    return f"namespaces/{namespace}/runs/{run_id}/{name}"
