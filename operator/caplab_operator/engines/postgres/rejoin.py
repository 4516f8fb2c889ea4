"""Replicas that can't go on from where they are: pure.

What they need of the log may be gone, since what is kept for a replica that is away is bounded (patroni.py); Patroni
would have it ask for ever. Or they follow nobody: Patroni takes the address away while nobody is primary, and may read
it back before Postgres has taken that in. It then believes that it is still there, when the same one is primary again.
"""

from __future__ import annotations

from . import health
from .observe import ObservedPostgres

SECONDS_BEFORE_A_COPY = 15.0  # a replica that only starts streams within a few
SECONDS_BEFORE_A_RESTART = 5.0  # Patroni looks each second or two
_SEGMENT_BYTES = 16 << 20
# The oldest segment that the primary has, whatever timeline it is of.
OLDEST_SEGMENT = """
select min(('x' || substr(name, 9, 8))::bit(32)::bigint * 256 + ('x' || substr(name, 17, 8))::bit(32)::bigint)
from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'
"""


def lagging(observed: ObservedPostgres) -> list[str]:
    """The replicas that run and do not stream, while there is a primary."""
    if health.primary_of(observed) is None:
        return []
    rows = health.members(observed)
    return [row["name"] for row in rows if row["role"] == "replica" and row["state"] == "running"]


def follows_nobody(observed: ObservedPostgres) -> list[str]:
    """Those of them that know of nobody to stream from."""
    return [name for name in lagging(observed) if (reading := observed.readings.get(name)) and not reading.follows]


def needs_copy(observed: ObservedPostgres, member: str, oldest_segment: int) -> bool:
    """Whether the primary no longer has what a replica needs next."""
    place = (observed.answers[member].get("xlog") or {}).get("received_location")
    return isinstance(place, int) and place // _SEGMENT_BYTES < oldest_segment
