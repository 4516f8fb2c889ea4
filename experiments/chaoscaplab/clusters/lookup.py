"""The cluster that a step of an experiment is about."""

from __future__ import annotations

from chaoslib.types import Configuration

from ..namespaces import namespace_of
from ..server import Server
from .engines import engine_for_kind
from .provision import Cluster


def lookup_cluster(name: str, namespace: str, kind: str, configuration: Configuration | None) -> Cluster:
    """By its name; kind and namespace are the run's where the step names none. ActivityFailed."""
    return Cluster(Server(), engine_for_kind(kind), namespace_of(configuration, namespace), name, {})
