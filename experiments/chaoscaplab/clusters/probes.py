"""Chaos Toolkit probes of a cluster's steady state."""

from __future__ import annotations

from chaoslib.types import Configuration

from caplab.run_context import current_run

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
    """Wait until all members are Ready and have what was written by now.

    within_seconds: the time limit; ActivityFailed says what is missing after it. kind: the
    cluster's kind, if it differs from that of the current run. Returns True.
    """
    target = lookup_cluster(current_run(), cluster, namespace, kind, configuration)
    require(f"{cluster} is in its steady state", target.not_steady, within_seconds)
    return True


def recovered(
    cluster: str,
    within_seconds: float = 120,
    namespace: str = "",
    kind: str = "",
    configuration: Configuration | None = None,
) -> bool:
    """Wait as `steady` does, after a fault: from then on the run counts as settled."""
    steady(cluster, within_seconds, namespace, kind, configuration)
    current_run().state.note_settled()
    return True
