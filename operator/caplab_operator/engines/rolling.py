"""Rolling restarts by the operator itself, one member at a time: which members are due, and the steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta
from caplab.contract.names import GENERATION_ANNOTATION

from .cluster import Cluster
from .pods import Pod, ordinal


@dataclass(frozen=True, slots=True)
class Deployed:
    """The members' StatefulSet as it is: its size, and the revision its pods should be of."""

    replicas: int
    revision: str
    is_current: bool  # it was made from the current spec, and its controller has seen it


@dataclass(frozen=True, slots=True)
class Restart:
    """Delete this pod: its StatefulSet makes a new one."""

    pod: Pod
    why: str


@dataclass(frozen=True, slots=True)
class Resize:
    """Give the StatefulSet this size."""

    replicas: int
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing yet."""

    why: str


def deployed_from(cluster: Cluster, stateful_set: Mapping[str, Any]) -> Deployed:
    """Read a StatefulSet as the API server returns it."""
    revision = (stateful_set.get("status") or {}).get("updateRevision", "")
    return Deployed(stateful_set["spec"]["replicas"], revision, is_current(cluster, stateful_set))


def wanted_replicas(cluster: Cluster, primary: str | None, current: int | None) -> int:
    """Return how many members there should be now: no fewer while the primary would be among the removed ones."""
    if current is None or current <= cluster.replicas:
        return cluster.replicas
    stays = primary is not None and ordinal(primary) < cluster.replicas
    return cluster.replicas if stays else current


def last_of(pods: Sequence[Pod]) -> Pod:
    """Return the pod with the highest ordinal."""
    return max(pods, key=lambda pod: ordinal(pod.name))


def is_current(cluster: Cluster, stateful_set: Mapping[str, Any]) -> bool:
    """Whether a StatefulSet, as the API server returns it, is from the current spec, and its controller has seen it.

    Only then is the revision in its status the one that its pods should have.
    """
    made_for = meta.annotations_of(stateful_set).get(GENERATION_ANNOTATION)
    observed = (stateful_set.get("status") or {}).get("observedGeneration")
    return made_for == str(cluster.generation) and observed == meta.generation_of(stateful_set)
