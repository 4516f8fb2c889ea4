"""The primary, from what members report of themselves and what Sentinels have decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..pods import Pod
from .observe import ObservedRedis, Sentinel

FAILING_OVER = "failover_in_progress"
_PROMOTED = "promoted"


def pod_named(pods: Sequence[Pod], host: str) -> str | None:
    """Return the pod of a host name or an address."""
    first = host.partition(".")[0]
    return next((pod.name for pod in pods if first == pod.name or host == pod.address), None)


def named_by(observed: ObservedRedis, sentinel: Sentinel) -> str | None:
    """Return the pod that a Sentinel names as primary."""
    return pod_named(observed.place.members, sentinel.names)


def primary_of(observed: ObservedRedis) -> str | None:
    """Return the primary: a master by its own report that the Sentinels chose; None while there is none.

    A Sentinel that leads a failover names the old primary until all replicas follow the new one, a second
    or more after its promotion: so the member that it has promoted takes precedence over the majority's.
    """
    masters = {name for name, member in observed.members.items() if member.is_master and not member.loading}
    promoted = masters & _promoted(observed)
    if len(promoted) == 1:
        return promoted.pop()
    named = Counter(named_by(observed, sentinel) for sentinel in observed.sentinels.values())
    first, votes = next(iter(named.most_common(1)), (None, 0))
    return first if first in masters and votes * 2 > len(observed.sentinels) else None


def _promoted(observed: ObservedRedis) -> set[str | None]:
    """Return the members that Sentinels leading a failover have promoted."""
    return {
        pod_named(observed.place.members, replica.host)
        for sentinel in observed.sentinels.values()
        if FAILING_OVER in sentinel.flags
        for replica in sentinel.replicas
        if _PROMOTED in replica.flags
    }
