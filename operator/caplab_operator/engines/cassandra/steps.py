"""What the operator does for a cluster, one step at a time: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..pods import Pod
from ..rolling import is_current
from .manifests import SETTLED_ANNOTATION, Standing
from .spec import CassandraSpec


@dataclass(frozen=True, slots=True)
class Deployed:
    """The members' StatefulSet as it is."""

    standing: Standing
    revision: str  # that its pods should be of
    is_current: bool  # made from the spec as it is now, and its controller knows

    @property
    def replicas(self) -> int:
        """Its size."""
        return self.standing.replicas


@dataclass(frozen=True, slots=True)
class Tell:
    """Have a member begin, leave, clean up or repair: a POST to its management port."""

    pod: Pod
    path: str
    query: Mapping[str, str]
    why: str
    upkeep: bool = False  # it changes neither who is a member nor how one is


@dataclass(frozen=True, slots=True)
class Restart:
    """Delete this pod: its StatefulSet makes it anew."""

    pod: Pod
    why: str
    upkeep: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Give the StatefulSet this size, and have it remember this."""

    standing: Standing
    why: str
    upkeep: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing yet."""

    why: str
    upkeep: bool = False


Step = Tell | Restart | Keep | Wait


def deployed_from(spec: CassandraSpec, stateful_set: Mapping[str, Any]) -> Deployed:
    """From the object as the API server returns it."""
    settled = (stateful_set["metadata"].get("annotations") or {}).get(SETTLED_ANNOTATION) or ""
    standing = Standing(stateful_set["spec"]["replicas"], frozenset(settled.split(",")) - {""})
    revision = (stateful_set.get("status") or {}).get("updateRevision", "")
    return Deployed(standing, revision, is_current(spec, stateful_set))


def standing_for(spec: CassandraSpec, deployed: Deployed | None) -> Standing:
    """As the spec asks; no fewer members than there are, since who goes has to leave the ring first."""
    if deployed is None:
        return Standing(spec.replicas)
    return Standing(max(spec.replicas, deployed.replicas), deployed.standing.settled)
