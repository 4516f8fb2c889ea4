"""What keeps a cluster from being Ready: pure."""

from __future__ import annotations

from .ring import Ring, RingMember
from .spec import CassandraSpec

Trouble = tuple[str, str]  # reason and sentence


def _turned_away(ring: Ring) -> Trouble | None:
    """Where clients can't log in with what their secret says, or would not find their keyspace."""
    words = {row.name: row.member.application for row in ring.rows if row.member}
    if wrong := [f"{name}: {word}" for name, word in words.items() if word]:
        return "ClientsTurnedAway", "; ".join(wrong)
    if unknown := [name for name, word in words.items() if word is None]:
        return "LoginsUnknown", f"whether clients can log in is not yet known of {', '.join(unknown)}"
    return None


def not_serving(spec: CassandraSpec, ring: Ring) -> str:
    """Which members are not up for all others and serving; '' where all are that the spec asks for."""
    if lacking := [row for row in (*ring.rows, *ring.absent) if not row.is_ready]:
        return f"not ready: {', '.join(f'{row.name} ({_how(row)})' for row in lacking)}"
    return "" if len(ring.rows) == spec.replicas else f"{len(ring.rows)} members instead of {spec.replicas}"


def _how(row: RingMember) -> str:
    """Its peers' word, and its own."""
    return f"{row.state or 'in no ring'}, {row.stage or 'silent'}"


def trouble(spec: CassandraSpec, ring: Ring) -> Trouble | None:
    """Reason and sentence of what a cluster lacks apart from settings; None: nothing."""
    if lacking := not_serving(spec, ring):
        problems = [
            f"; {row.name} says: {row.member.problem}" for row in ring.rows if row.member and row.member.problem
        ]
        return "MembersNotReady", lacking + "".join(problems)
    if len(ring.schemas) != 1:
        return "SchemasDiffer", f"members see {len(ring.schemas)} versions of the schema"
    if turned_away := _turned_away(ring):
        return turned_away
    if strangers := ring.strangers:
        # Some keys have a copy less than they should.
        named = ", ".join(f"{host} at {address}" for host, address in strangers)
        return "StrangerInRing", f"in the ring, down, and no member of this cluster: {named}"
    return None
