"""The cluster that a step of an experiment is about."""

from __future__ import annotations

from chaoslib.types import Configuration

from ..namespaces import namespace_of
from ..server import Server
from .bringing_up import Cluster
from .engines import meant


def asked_for(name: str, namespace: str, kind: str, configuration: Configuration | None) -> Cluster:
    """By its name; kind and namespace are the run's where the step names none. ActivityFailed."""
    return Cluster(Server(), meant(kind), namespace_of(configuration, namespace), name, {})
