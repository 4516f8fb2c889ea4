"""What the probers and their clients agree on."""

from __future__ import annotations

TOKEN_HEADER = "X-Caplab-Token"  # the API server's proxy drops Authorization
TOKEN_SECRET, TOKEN_KEY = "caplab-prober-token", "token"  # in the lab's own namespace
SYSTEM_NAMESPACE = "caplab-system"  # the default, where the chart puts the probers
METRICS_PORT = 9187  # of a prober: figures and histories


def page(namespace: str, run_id: str, name: str) -> str:
    """Return the path of a run's page (history.arrow, scans.json, metas.json)."""
    return f"namespaces/{namespace}/runs/{run_id}/{name}"


# A row takes 160 to 190 bytes of the disk. The prober's volume has 2 GiB (charts/caplab/templates/prober.yaml): a half
# is for old runs, the other for those under way. The Probe's schema has both numbers too.
ROW_BYTES = 200
ROOM_BYTES = 1 << 30
