"""States of members and Sentinels, and what keeps a cluster from being Ready. Pure."""

from __future__ import annotations

from ..conditions import Status
from ..pods import Pod
from .observe import Member, ObservedRedis, Sentinel
from .primary import FAILING_OVER, named_by, pod_named
from .spec import RedisSpec

_WELL = frozenset({"running", "linked", "watching"})
# How far a linked replica may lag: more than it lags under load between two answers, far less than the backlog.
_BEHIND_BYTES = 2**20
_LINKED = ("linked", "behind")
_HAVE_DATA = ("unlinked", "follows another")
_NO_LOGIN = "refuses clients' login"
# Flags of replicas that a Sentinel would not promote.
_OUT_OF_TOUCH = frozenset({"s_down", "o_down", "disconnected"})


def member_state(observed: ObservedRedis, primary: str | None, pod: Pod) -> str:
    """Return a member's state: running (the primary), linked (a replica), or what keeps it from being either."""
    member = observed.members.get(pod.name)
    if pod.terminating or member is None or member.loading:
        return "leaving" if pod.terminating else _silence(observed, pod) if member is None else "loading"
    if member.access.refusal:
        return _NO_LOGIN
    if member.is_master:
        return "running" if pod.name == primary else "stray master"
    return _link_state(observed, primary, member)


def _link_state(observed: ObservedRedis, primary: str | None, member: Member) -> str:
    if not member.link_up:
        return "unlinked"
    if primary is not None and pod_named(observed.place.members, member.follows) != primary:
        return "follows another"
    return "behind" if _lag_bytes(observed, primary, member) > _BEHIND_BYTES else "linked"


def _lag_bytes(observed: ObservedRedis, primary: str | None, member: Member) -> int:
    return max(0, observed.members[primary].offset - member.offset) if primary else 0


def _silence(observed: ObservedRedis, pod: Pod) -> str:
    return "refuses the operator" if pod.name in observed.shut_out else "silent"


def sentinel_state(spec: RedisSpec, observed: ObservedRedis, primary: str | None, pod: Pod) -> str:
    """Return a Sentinel's state: watching, or what keeps it from that."""
    sentinel = observed.sentinels.get(pod.name)
    if pod.terminating or sentinel is None:
        return "leaving" if pod.terminating else _silence(observed, pod)
    if sentinel.access.refusal:
        return _NO_LOGIN
    return _watch_state(spec, observed, primary, sentinel)


def _watch_state(spec: RedisSpec, observed: ObservedRedis, primary: str | None, sentinel: Sentinel) -> str:
    if FAILING_OVER in sentinel.flags:
        return "failing over"
    if primary is None or named_by(observed, sentinel) != primary:
        return "names another" if primary else "names a lost primary"
    if any(beyond(spec, sentinel)):
        return f"knows {len(sentinel.replicas)} replicas, {sentinel.others} others"
    if out_of_touch := [replica for replica in sentinel.replicas if replica.flags & _OUT_OF_TOUCH]:
        return f"out of touch with {len(out_of_touch)} replicas"
    return "watching"


def beyond(spec: RedisSpec, sentinel: Sentinel) -> tuple[int, int]:
    """Return how many replicas and other Sentinels a Sentinel knows beyond the spec's; negative if fewer."""
    return len(sentinel.replicas) - (spec.replicas - 1), sentinel.others - (spec.sentinels - 1)


def is_well(state: str) -> bool:
    """Whether a state is healthy."""
    return state in _WELL


def members(observed: ObservedRedis, primary: str | None) -> list[Status]:
    """Return the status of every member."""
    rows = []
    for pod in sorted(observed.place.members, key=lambda pod: pod.name):
        state = member_state(observed, primary, pod)
        role = "primary" if pod.name == primary else "replica"
        row: Status = {"name": pod.name, "zone": pod.zone, "role": role, "state": state, "ready": is_well(state)}
        if primary and role == "replica" and pod.name in observed.members:
            row["lagBytes"] = _lag_bytes(observed, primary, observed.members[pod.name])
        rows.append(row)
    return rows


def sentinels(spec: RedisSpec, observed: ObservedRedis, primary: str | None) -> list[Status]:
    """Return the status of every Sentinel."""
    rows = []
    for pod in sorted(observed.place.sentinels, key=lambda pod: pod.name):
        state = sentinel_state(spec, observed, primary, pod)
        rows.append({"name": pod.name, "zone": pod.zone, "state": state, "ready": is_well(state)})
    return rows


def replicas_of(observed: ObservedRedis, primary: str) -> list[Pod]:
    """Return the replicas whose link to the primary is up; if there are none, those that answer and have data."""
    states = {pod.name: member_state(observed, primary, pod) for pod in observed.place.members if pod.name != primary}
    linked = [pod for pod in observed.place.members if states.get(pod.name) in _LINKED]
    return linked or [pod for pod in observed.place.members if states.get(pod.name) in _HAVE_DATA]


def trouble(spec: RedisSpec, observed: ObservedRedis, primary: str | None) -> tuple[str, str] | None:
    """Return reason and message of what a cluster lacks apart from settings; None if it lacks nothing."""
    if primary is None:
        return "NoPrimary", "no member that reports itself as master is the Sentinels' choice"
    if lacking := _lacking(spec.replicas, members(observed, primary)):
        return "MembersNotReady", lacking
    if lacking := _lacking(spec.sentinels, sentinels(spec, observed, primary)):
        return "SentinelsNotReady", lacking
    return None


def _lacking(wanted: int, rows: list[Status]) -> str:
    if waiting := [f"{row['name']} ({row['state']})" for row in rows if not row["ready"]]:
        return f"not ready: {', '.join(waiting)}"
    return "" if len(rows) == wanted else f"{len(rows)} instead of {wanted}"
