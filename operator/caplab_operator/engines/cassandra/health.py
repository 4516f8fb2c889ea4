"""Health of a cluster: what keeps it from being Ready. Pure."""

from __future__ import annotations

from .ring import Ring, RingMember
from .spec import CassandraSpec

Trouble = tuple[str, str]  # reason and message


def _turned_away(ring: Ring) -> Trouble | None:
    """Return the members at which clients can't log in with their Secret's login, or lack their keyspace."""
    words = {row.name: row.member.application for row in ring.rows if row.member}
    if wrong := [f"{name}: {word}" for name, word in words.items() if word]:
        return "ClientsTurnedAway", "; ".join(wrong)
    if unknown := [name for name, word in words.items() if word is None]:
        return "LoginsUnknown", f"it is not yet known whether clients can log in to {', '.join(unknown)}"
    return None


def not_serving(spec: CassandraSpec, ring: Ring) -> str:
    """Name the members that do not serve, or that others see down; '' if the spec's members all serve."""
    if lacking := [row for row in (*ring.rows, *ring.absent) if not row.is_ready]:
        return f"not ready: {', '.join(f'{row.name} ({_how(row)})' for row in lacking)}"
    return "" if len(ring.rows) == spec.replicas else f"{len(ring.rows)} members instead of {spec.replicas}"


def _how(row: RingMember) -> str:
    """Describe a member's state as its peers see it, and its own."""
    return f"{row.state or 'not in the ring'}, {row.stage or 'silent'}"


def trouble(spec: CassandraSpec, ring: Ring) -> Trouble | None:
    """Return reason and message of what a cluster lacks apart from settings; None if it lacks nothing."""
    if lacking := not_serving(spec, ring):
        problems = [
            f"; {row.name} says: {row.member.problem}" for row in ring.rows if row.member and row.member.problem
        ]
        return "MembersNotReady", lacking + "".join(problems)
    if len(ring.schemas) != 1:
        return "SchemasDiffer", f"the members have {len(ring.schemas)} versions of the schema"
    if turned_away := _turned_away(ring):
        return turned_away
    if strangers := ring.strangers:
        # Some keys have one copy less than they should.
        named = ", ".join(f"{host} at {address}" for host, address in strangers)
        return "StrangerInRing", f"in the ring, but down and not a member of this cluster: {named}"
    return None
