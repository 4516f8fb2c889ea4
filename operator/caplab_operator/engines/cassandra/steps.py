"""Steps that the operator takes for a cluster, one at a time: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta
from caplab.contract.names import SETTLED_ANNOTATION

from ..pods import Pod
from ..rolling import is_current
from .manifests import PersistedState
from .spec import CassandraSpec


@dataclass(frozen=True, slots=True)
class Deployed:
    """The members' StatefulSet as it is."""

    persisted: PersistedState
    revision: str  # the one that its pods should have
    is_current: bool  # it was made from the current spec, and its controller has seen it

    @property
    def replicas(self) -> int:
        """Its size."""
        return self.persisted.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Have a member start, leave, clean up or repair: a POST to its management port."""

    pod: Pod
    path: str
    query: Mapping[str, str]
    why: str
    is_maintenance: bool = False  # it changes neither the set of members nor their state


@dataclass(frozen=True, slots=True)
class Restart:
    """Delete this pod: its StatefulSet makes a new one."""

    pod: Pod
    why: str
    is_maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Persist:
    """Store this in the StatefulSet, which also sets its size."""

    persisted: PersistedState
    why: str
    is_maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing yet."""

    why: str
    is_maintenance: bool = False


Step = Send | Restart | Persist | Wait


def deployed_from(spec: CassandraSpec, stateful_set: Mapping[str, Any]) -> Deployed:
    """Read a StatefulSet as the API server returns it."""
    settled = meta.annotations_of(stateful_set).get(SETTLED_ANNOTATION) or ""
    persisted = PersistedState(stateful_set["spec"]["replicas"], frozenset(settled.split(",")) - {""})
    revision = (stateful_set.get("status") or {}).get("updateRevision", "")
    return Deployed(persisted, revision, is_current(spec, stateful_set))


def persisted_for(spec: CassandraSpec, deployed: Deployed | None) -> PersistedState:
    """Return the state to store for a spec: no fewer members than now, since one must leave the ring before it goes."""
    if deployed is None:
        return PersistedState(spec.replicas)
    return PersistedState(max(spec.replicas, deployed.replicas), deployed.persisted.settled)
