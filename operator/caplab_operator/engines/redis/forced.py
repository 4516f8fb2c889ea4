"""The failover that a Sentinel begins at once for a primary whose death is proven: when it may. Pure.

A Sentinel that is told to fail over asks no other for its vote, so that two of them could promote a replica each. So
only one is told, and only while none has begun by itself and none can be about to: well before the time after which
they take the primary for down. The dead primary cannot acknowledge anything, and its next container waits.
"""

from __future__ import annotations

from caplab.contract.deaths import Death

from .observe import ObservedRedis
from .primary import FAILING_OVER, named_by
from .spec import RedisSpec


def refusal(spec: RedisSpec, observed: ObservedRedis, member: str, death: Death, now_ns: int) -> str:
    """Say why a Sentinel must not be told to fail over; '' if it may. now_ns: by any clock of the lab."""
    sentinels = observed.sentinels.values()
    votes = sum(named_by(observed, sentinel) == member for sentinel in sentinels)
    late = (now_ns - death.unix_ns) / 1e6
    problems = {
        "it is to come back as the primary": spec.failover.restarted_primary == "ComeBack",
        "the member answers": member in observed.members,
        f"{votes} of {spec.sentinels} Sentinels name it as the primary": votes < spec.quorum,
        "a Sentinel fails over already": any(FAILING_OVER in sentinel.flags for sentinel in sentinels),
        "no other member answers that could be promoted": not observed.members,
        f"it died {late:.0f} ms ago, and the Sentinels are about to see it themselves": (
            late > spec.failover.down_after_milliseconds / 2
        ),
    }
    return next((problem for problem, is_so in problems.items() if is_so), "")


def leader(observed: ObservedRedis, member: str) -> str | None:
    """Return the Sentinel to tell: of those that name the dead member, if there is one, on another node."""
    nodes = {pod.name: pod.node for pod in (*observed.place.members, *observed.place.sentinels)}
    names = [name for name, sentinel in sorted(observed.sentinels.items()) if named_by(observed, sentinel) == member]
    return min(names, key=lambda name: nodes.get(name) == nodes.get(member), default=None)
