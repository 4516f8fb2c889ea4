"""What the operator does for a cluster, one step at a time: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..pods import Pod
from ..rolling import is_current
from .manifests import SETTLED_ANNOTATION, PersistedState
from .spec import CassandraSpec


@dataclass(frozen=True, slots=True)
class Deployed:
    """The members' StatefulSet as it is."""

    persisted: PersistedState
    revision: str  # that its pods should be of
    is_current: bool  # made from the spec as it is now, and its controller knows

    @property
    def replicas(self) -> int:
        """Its size."""
        return self.persisted.replicas


@dataclass(frozen=True, slots=True)
class Send:
    """Have a member begin, leave, clean up or repair: a POST to its management port."""

    pod: Pod
    path: str
    query: Mapping[str, str]
    why: str
    is_maintenance: bool = False  # it changes neither who is a member nor how one is


@dataclass(frozen=True, slots=True)
class Restart:
    """Delete this pod: its StatefulSet makes it anew."""

    pod: Pod
    why: str
    is_maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Persist:
    """Give the StatefulSet this size, and have it remember this."""

    persisted: PersistedState
    why: str
    is_maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing yet."""

    why: str
    is_maintenance: bool = False


Step = Send | Restart | Persist | Wait


def deployed_from(spec: CassandraSpec, stateful_set: Mapping[str, Any]) -> Deployed:
    """From the object as the API server returns it."""
    settled = (stateful_set["metadata"].get("annotations") or {}).get(SETTLED_ANNOTATION) or ""
    persisted = PersistedState(stateful_set["spec"]["replicas"], frozenset(settled.split(",")) - {""})
    revision = (stateful_set.get("status") or {}).get("updateRevision", "")
    return Deployed(persisted, revision, is_current(spec, stateful_set))


def persisted_for(spec: CassandraSpec, deployed: Deployed | None) -> PersistedState:
    """As the spec asks; no fewer members than there are, since who goes has to leave the ring first."""
    if deployed is None:
        return PersistedState(spec.replicas)
    return PersistedState(max(spec.replicas, deployed.replicas), deployed.persisted.settled)
