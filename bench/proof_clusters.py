"""The clusters that a proof makes for itself."""

from __future__ import annotations

from collections.abc import Mapping

from chaoscaplab.server import Server
from chaoscaplab.waiting import wait_until

from caplab.contract.engines import BY_NAME
from caplab.contract.names import CLUSTER_LABEL

_GONE_SECONDS = 120


def remove(server: Server, namespace: str, clusters: Mapping[str, str]) -> None:
    """Delete clusters, their names by engine, and wait until the namespace has no pod of any cluster."""
    for engine, name in clusters.items():
        kind = BY_NAME[engine].kind
        if (object_ := server.get(kind, namespace, name)) is not None:
            server.remove(kind, object_)

    def left() -> str:
        pods = server.pods(namespace, CLUSTER_LABEL)
        return f"{len(pods)} are left" if pods else ""

    wait_until("every pod is gone", left, _GONE_SECONDS)
