"""Chaos Toolkit probes: the steady state of a cluster."""

from __future__ import annotations

from chaoslib.types import Configuration

from ..run_context import current_run
from ..waiting import require
from .lookup import lookup_cluster

__all__ = ["recovered", "steady"]


def steady(
    cluster: str,
    within_seconds: float = 10,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> bool:
    """Whether all members are Ready and have what was written by now, within so many seconds.

    kind is the cluster's, where it is not that of the run under way.
    """
    target = lookup_cluster(cluster, namespace, kind, configuration)
    require(f"{cluster} is in its steady state", target.not_steady, within_seconds)
    return True


def recovered(
    cluster: str,
    within_seconds: float = 120,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> bool:
    """As `steady`, after a fault: from now on the run counts as settled."""
    steady(cluster, within_seconds, namespace, kind, configuration)
    current_run().note_settled()
    return True
