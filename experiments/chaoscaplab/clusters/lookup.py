"""The cluster that a step of an experiment is about."""

from __future__ import annotations

from chaoslib.types import Configuration

from caplab.run_context import RunContext

from ..namespaces import namespace_of
from ..server import Server
from .engines import engine_for_kind
from .provision import Cluster


def lookup_cluster(
    run: RunContext, name: str, namespace: str, kind: str, configuration: Configuration | None
) -> Cluster:
    """Look up a cluster by name; kind and namespace default to those of the run. Raises ActivityFailed."""
    return Cluster(
        server=Server(run),
        engine=engine_for_kind(run, kind),
        namespace=namespace_of(run, configuration, namespace),
        name=name,
        spec={},
    )
