"""Replicas that can't rejoin by themselves. Pure.

The log that they need may be gone, since the log kept for a replica that is away is bounded (patroni.py). Patroni
would have it ask for ever. Or they had followed one that was killed amid its own promotion: then they have log that the
primary does not have, or its history of a timeline that the primary has chosen the same number for; Patroni compares
logs only when a member starts or turns to another primary. Rewound to such a history, they start for ever, since what
they need to be consistent never comes. Or they follow no primary: Patroni removes the primary's
address while there is none, and may read it back before Postgres has applied that. When the same primary is back,
Patroni believes that the address is still in force.
"""

from __future__ import annotations

from caplab.model.sizes import size_bytes

from . import health
from .answers import received
from .observe import ObservedPostgres
from .spec import PostgresSpec

SECONDS_BEFORE_A_COPY = 15.0  # a replica that is just starting streams within a few
SECONDS_BEFORE_A_RESTART = 5.0  # Patroni checks every second or two
_SEGMENT_BYTES = 16 << 20
_START_SECONDS, _REPLAYED_BYTES_PER_SECOND = 30.0, 10 << 20  # of log, by a slow machine
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


def starting(observed: ObservedPostgres) -> list[str]:
    """Return the replicas that are starting and take no connections yet, while a primary has another that streams."""
    rows = health.members(observed)
    if health.primary_of(observed) is None or not any(row["ready"] and row["role"] == "replica" for row in rows):
        return []
    return [row["name"] for row in rows if row["role"] == "replica" and row["state"] == "starting"]


def seconds_to_start(spec: PostgresSpec) -> float:
    """Return for how long a replica may be starting: until it has replayed as much log as there may be to replay."""
    return _START_SECONDS + size_bytes(spec.storage_size) / 4 / _REPLAYED_BYTES_PER_SECOND  # max_wal_size: patroni.py


def needs_copy(observed: ObservedPostgres, member: str, oldest_segment: int) -> str:
    """Say why a replica can never stream from the primary again; '' if it is not known that it can't.

    oldest_segment: the number of the oldest segment that the primary has.
    """
    place = received(observed.answers[member])
    if place is None:
        return ""
    if place // _SEGMENT_BYTES < oldest_segment:
        return "the log that it needs is gone"
    timeline = observed.answers[member].get("timeline")
    if not isinstance(timeline, int):
        return ""
    begin, end = (_end_of_timeline(observed, number) for number in (timeline - 1, timeline))
    if end is not None and place > end:
        return f"it has {place - end:,} bytes of log that the primary does not have"
    if begin is not None and place < begin:
        return f"it follows another timeline {timeline} than the primary's, from one that died amid its promotion"
    return ""


def _end_of_timeline(observed: ObservedPostgres, timeline: int) -> int | None:
    """Return where in the log a timeline of the primary's history ended; None if it has not, or is not known."""
    ends = [row[1] for row in observed.history if len(row) > 1 and row[0] == timeline]
    return ends[0] if ends and isinstance(ends[0], int) else None
