"""Bootstrap of members without data: as the first of a new cluster, by joining, or in their former place. Pure.

Members start one at a time: two that join at once would take the same part of the ring.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..pods import ordinal
from .observe import RUNNING, STARTING
from .ring import DECOMMISSIONED, JOINING, LEAVING, Ring, RingMember
from .spec import CassandraSpec
from .steps import Send, Wait


def next_start(spec: CassandraSpec, ring: Ring) -> Send | Wait | None:
    """Return the next member to start, or what it waits for; None if no member waits or is joining."""
    waiting = [row for row in ring.rows if row.waits and (ordinal(row.name) < spec.replicas or row.host_id)]
    if busy := [row for row in ring.rows if row.state == JOINING]:
        return Wait(f"{busy[0].name} is joining")
    if not waiting:
        return None
    if _none_has_data(spec, ring):
        return _send_start(ring.rows[0], {"as": "first"}, "starts a new cluster")
    if starting := [row for row in ring.rows if row.stage == STARTING]:
        return Wait(f"{waiting[0].name} waits until {starting[0].name} has started")
    if not ring.views:
        return Wait(f"{waiting[0].name} waits for a member that is up")
    return _return(waiting, ring) or _join(waiting, ring)


def _none_has_data(spec: CassandraSpec, ring: Ring) -> bool:
    """Whether every member reports that it has no data: one that is silent may have all the data there is."""
    there = {ordinal(row.name) for row in ring.rows}
    return there >= set(range(spec.replicas)) and all(row.waits and not row.pod.terminating for row in ring.rows)


def _return(waiting: Sequence[RingMember], ring: Ring) -> Send | Wait | None:
    """Have the first member that the ring still knows take its own place again."""
    former = [row for row in waiting if row.host_id and ring.addresses(row.host_id)]
    wait: Wait | None = None
    for row in former:
        if ring.joining(row.host_id):
            wait = wait or Wait(f"{row.name} waits until the others have forgotten its attempt to join")
        elif ring.sees_up(row.host_id):
            wait = wait or Wait(f"{row.name} lost its data, and waits until the others see it down")
        elif taken := _taken(row, ring):
            wait = wait or Wait(f"{row.name} lost its data, and waits because {taken}")
        else:
            return _send_start(
                row, {"replacing": min(ring.addresses(row.host_id))}, "takes its former place without its data"
            )
    return wait


def _taken(row: RingMember, ring: Ring) -> str:
    """Say which host has a member's former place, and would lose its place in the ring; '' if it is free."""
    old = ring.addresses(row.host_id)
    for other in ring.rows:
        if other.name == row.name or other.stage not in (STARTING, RUNNING):
            continue
        if other.host_id == row.host_id:
            return f"{other.name} reports the host id {row.host_id} too"
        if other.address in old:
            return f"{other.name} is at its former address"
    live = sorted(filter(ring.is_live, old))
    return f"some members see another host up at {live[0]}, its former address" if live else ""


def _join(waiting: Sequence[RingMember], ring: Ring) -> Send | Wait:
    name = waiting[0].name
    if not_up := [row for row in (*ring.rows, *ring.absent) if _is_concerned(row) and not row.is_up]:
        until = "has left" if not_up[0].state == LEAVING else "is seen up by all"
        return Wait(f"{name} waits until {not_up[0].name} {until}")
    if len(ring.schemas) != 1:
        return Wait(f"{name} waits until all members agree on the schema")
    return _send_start(waiting[0], {"as": "joining"}, "joins")


def _is_concerned(row: RingMember) -> bool:
    """Whether a member is in the ring or may enter it by itself: not if it waits, has left, or was never seen."""
    if row.member is None:
        return bool(row.host_id or row.state)
    has_left = row.member.mode == DECOMMISSIONED and not row.state  # as all report
    return not row.waits and not has_left


def _send_start(row: RingMember, query: dict[str, str], what: str) -> Send | Wait:
    if row.pod.terminating:
        return Wait(f"{row.name} is ending")
    return Send(pod=row.pod, path="/start", query=query, why=f"{row.name} {what}")
