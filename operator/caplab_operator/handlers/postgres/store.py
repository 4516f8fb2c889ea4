"""Patroni's configuration store: the Endpoints that it keeps for a cluster, whose annotations hold its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...api import Api
from ...engines.postgres import manifests

LOCK, SYNC, CONFIG = "", "-sync", "-config"  # the ends of their names


def read(api: Api, namespace: str, cluster: str, which: str = LOCK) -> Mapping[str, Any]:
    """Read one of them; one without annotations if there is none. Raises ApiError."""
    return api.get("v1", "Endpoints", namespace, f"{manifests.scope(cluster)}{which}") or {"metadata": {}}
