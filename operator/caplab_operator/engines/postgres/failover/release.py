"""The release of the leader lock of a primary whose death is proven: when it may be, and the patch that does it. Pure.

Why no second primary can come of it. The lock is released only for the container whose cgroup was empty, and only if
it was not renewed since. What the API server tests within the patch is what was read before, so that a renewal in
between fails the whole patch. The same pod's next container, which is called alike, waits at its start gate; should it
start all the same, it asks for the lock like every other member. Which member takes the lock is Patroni's matter: of a
synchronous cluster only one that has all acknowledged writes may.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import Death, container_id_of

LEADER, RENEWED = "leader", "renewTime"  # Patroni's annotations of the Endpoints with the lock
CONTAINER = "postgres"

Body = Mapping[str, Any]


def refusal(lock: Body, pod: Body, death: Death) -> str:
    """Say why the lock must not be released; '' if it may. lock: the Endpoints, pod: the dead member's."""
    annotations = meta.annotations_of(lock)
    if annotations.get(LEADER) != meta.name_of(pod):
        return f"the lock is held by {annotations.get(LEADER) or 'nobody'}"
    running = container_id_of(pod, CONTAINER)
    if running != death.container_id:
        return f"the proof is of container {death.container_id[:12]}, and the pod has {running[:12] or 'none'}"
    try:
        renewed_ns = round(datetime.fromisoformat(annotations[RENEWED]).timestamp() * 1e9)
    except (KeyError, ValueError):
        return "it is not known when the lock was renewed"
    if renewed_ns > death.unix_ns:
        return f"the lock was renewed {(renewed_ns - death.unix_ns) / 1e9:.3f} s after the death"
    return ""


def patch(lock: Body) -> list[dict[str, str]]:
    """Return the JSON patch that releases the lock as it was read, and fails if it is another by now."""
    annotations = meta.annotations_of(lock)
    tests = [
        {"op": "test", "path": f"/metadata/annotations/{name}", "value": annotations[name]}
        for name in (LEADER, RENEWED)
    ]
    return [*tests, {"op": "remove", "path": f"/metadata/annotations/{LEADER}"}]
