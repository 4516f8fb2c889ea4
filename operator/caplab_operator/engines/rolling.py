"""Members that the operator restarts itself, one by one: what tells it which of them are due, and when it can know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cluster import Cluster

RESTART_ANNOTATION = "caplab.dev/restart"  # of a member's pod: another value restarts it
GENERATION_ANNOTATION = "caplab.dev/generation"  # of their StatefulSet: the spec it was made for


def is_current(cluster: Cluster, stateful_set: Mapping[str, Any]) -> bool:
    """Whether a StatefulSet, as the API server returns it, was made from the spec as it is now; its controller knows.

    Only then is the revision in its status the one that its pods should be of.
    """
    metadata, status = stateful_set["metadata"], stateful_set.get("status") or {}
    made_for = (metadata.get("annotations") or {}).get(GENERATION_ANNOTATION)
    return made_for == str(cluster.generation) and status.get("observedGeneration") == metadata["generation"]
