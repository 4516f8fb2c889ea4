"""Chaos Toolkit probes: the steady state of a cluster."""

from __future__ import annotations

from chaoslib.types import Configuration

from ..current import seen
from ..namespaces import namespace_of
from ..server import Server
from ..waiting import insist
from .bringing_up import Cluster
from .engines import meant

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
    where = namespace_of(configuration, namespace)
    found = Cluster(Server(), meant(kind), where, cluster, {})
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
