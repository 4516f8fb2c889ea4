"""The ring state: which host each member is, and how its peers see it. Pure.

A replaced pod has another address, and one that lost its volume no longer knows its host id: then the status so far
says which id it had, under which the others still know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..pods import Pod, ordinal
from .observe import RUNNING, STARTING, Member, ObservedCassandra
from .ring import DOWN, JOINING, LEAVING, UP, Ring, RingMember, address_of

_NORMAL = "NORMAL"
# Modes in which a member takes part in gossip, so that its view of the others is current.
_GOSSIPING = frozenset({_NORMAL, "LEAVING", "MOVING", "DECOMMISSION_FAILED"})

Before = Mapping[str, Any]


def ring_of(observed: ObservedCassandra, before: Before) -> Ring:
    """Compute the ring from one observation; before is the status so far."""
    views = {name: member for name, member in observed.members.items() if _gossips(member)}
    remembered = {row["name"]: row for row in before.get("members") or ()}
    there = {pod.name: pod for pod in observed.place.pods}
    gone = {name: _no_pod(row) for name, row in remembered.items() if name not in there}

    def rows(pods: Mapping[str, Pod]) -> list[RingMember]:
        ring_rows = [_row(pod, observed, views, remembered) for pod in pods.values()]
        return sorted(ring_rows, key=lambda row: ordinal(row.name))

    return Ring(tuple(rows(there)), tuple(row for row in rows(gone) if row.host_id), views)


def _no_pod(before: Before) -> Pod:
    """Build a stand-in for a pod that is being replaced, so that its host id is not forgotten meanwhile."""
    return Pod(
        name=before["name"], namespace="", uid="", node="", zone=before.get("zone", ""), address=None, revision="",
        files="", ready=False, terminating=True,
    )  # fmt: skip


def _gossips(member: Member) -> bool:
    return member.stage == RUNNING and member.mode in _GOSSIPING


def _row(
    pod: Pod, observed: ObservedCassandra, views: Mapping[str, Member], remembered: Mapping[str, Before]
) -> RingMember:
    member, before = observed.members.get(pod.name), remembered.get(pod.name, {})
    host = member.host_id if member and member.host_id else _former(pod, observed, views, remembered)
    addresses = {address for view in views.values() if host and (address := address_of(view, host))}
    # Before it is told to start it is in no ring, even if the others still know its address.
    can_gossip = member is None or member.stage == STARTING or _gossips(member)
    current = pod.address if can_gossip else None
    words = [word for name, view in views.items() if name != pod.name and (word := _word(view, current, host))]
    up = [word for word in words if word != DOWN]
    return RingMember(
        pod=pod,
        member=member,
        host_id=host,
        address=_address(pod, addresses, before),
        up_by=len(up),
        down_by=len(words) - len(up),
        state=_state(member, up, len(words) - len(up)),
    )


def _address(pod: Pod, addresses: set[str], before: Before) -> str:
    if pod.address in addresses or not addresses:
        return pod.address or str(before.get("address") or "")
    return min(addresses)


def _former(
    pod: Pod, observed: ObservedCassandra, views: Mapping[str, Member], remembered: Mapping[str, Before]
) -> str:
    """Return the host id of a member that does not report it: its former one, or that of its address; else ''.

    A former id that the ring no longer knows does not count; it stays while no member's view is there.
    """
    before = remembered.get(pod.name, {})
    hosts_in_ring = {host for view in views.values() for host in view.host_ids.values()}
    claimed = {other.host_id for other in observed.members.values()}
    old = str(before.get("hostId") or "")
    if old and old not in claimed and (old in hosts_in_ring or not views):
        return old
    # An address may have belonged to another member.
    claimed |= {str(row.get("hostId") or "") for name, row in remembered.items() if name != pod.name}
    where = [pod.address or "", str(before.get("address") or "")]
    hosts = (view.host_ids.get(address, "") for address in where for view in views.values())
    return next((host for host in hosts if host and host not in claimed), "")


def _word(view: Member, address: str | None, host_id: str) -> str:
    """Return the state in which a peer sees a member; '' if it does not know it."""
    is_own = address in view.live and view.host_ids.get(address, host_id) == host_id  # and not the next one's
    where = address if is_own else address_of(view, host_id) if host_id else None
    if where is None:
        return ""
    if where not in view.live:
        return DOWN
    if where in view.leaving:
        return LEAVING
    return JOINING if where in view.joining or where not in view.host_ids else UP


def _state(member: Member | None, up: Sequence[str], down: int) -> str:
    """Return the state that most peers see; on a tie, its own report decides.

    If no peer reports it, its own report counts only if its ring has no other member.
    """
    itself = _own_word(member)
    if not up and not down:
        return itself if member and _is_alone(member) else ""
    if len(up) > down or (len(up) == down and itself):
        return Counter(up).most_common(1)[0][0]
    return DOWN


def _own_word(member: Member | None) -> str:
    if member is None or not _gossips(member):
        return ""
    return UP if member.mode == _NORMAL else LEAVING


def _is_alone(member: Member) -> bool:
    return len(member.host_ids.keys() - member.joining) <= 1
