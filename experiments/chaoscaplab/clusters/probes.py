"""Chaos Toolkit probes: the steady state of a cluster."""

from __future__ import annotations

from chaoslib.types import Configuration

from ..current import seen
from ..waiting import insist
from .asked import asked_for

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
    found = asked_for(cluster, namespace, kind, configuration)
    insist(f"{cluster} is in its steady state", found.not_steady, within_seconds)
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
    seen().note_settled()
    return True
