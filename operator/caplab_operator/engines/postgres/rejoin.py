"""Replicas that can't rejoin by themselves. Pure.

The log that they need may be gone, since the log kept for a replica that is away is bounded (patroni.py). Patroni
would have it ask for ever. Or they follow no primary: Patroni removes the primary's address while there is none, and
may read it back before Postgres has applied that. When the same primary is back, Patroni believes that the address is
still in force.
"""

from __future__ import annotations

from . import health
from .observe import ObservedPostgres

SECONDS_BEFORE_A_COPY = 15.0  # a replica that is just starting streams within a few
SECONDS_BEFORE_A_RESTART = 5.0  # Patroni checks every second or two
_SEGMENT_BYTES = 16 << 20
# The oldest segment that the primary has, of any timeline.
OLDEST_SEGMENT = """
select min(('x' || substr(name, 9, 8))::bit(32)::bigint * 256 + ('x' || substr(name, 17, 8))::bit(32)::bigint)
from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'
"""


def lagging(observed: ObservedPostgres) -> list[str]:
    """Return the replicas that run but do not stream, while there is a primary."""
    if health.primary_of(observed) is None:
        return []
    rows = health.members(observed)
    return [row["name"] for row in rows if row["role"] == "replica" and row["state"] == "running"]


def without_upstream(observed: ObservedPostgres) -> list[str]:
    """Return the lagging replicas that know no server to stream from."""
    return [name for name in lagging(observed) if (reading := observed.readings.get(name)) and not reading.follows]


def needs_copy(observed: ObservedPostgres, member: str, oldest_segment: int) -> bool:
    """Whether the primary no longer has the log that a replica needs next."""
    place = (observed.answers[member].get("xlog") or {}).get("received_location")
    return isinstance(place, int) and place // _SEGMENT_BYTES < oldest_segment
