"""The primary, the members' states, and what keeps a cluster from serving its clients. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..conditions import Status
from .observe import ObservedPostgres
from .spec import PostgresSpec

_PRIMARY, _STREAMING = "running", "streaming"
_CUT_OFF = "not streamed to by the primary"
_STANDBY_ROLE = {"quorum": "quorum_standby", "sync": "sync_standby"}  # in Patroni's topology


def primary_of(observed: ObservedPostgres) -> str | None:
    """Return the holder of the leader object, if it reports itself as a running primary."""
    answer = observed.answers.get(observed.leader or "")
    if answer and answer.get("role") in ("primary", "master") and answer.get("state") == _PRIMARY:
        return observed.leader
    return None


def members(observed: ObservedPostgres) -> list[Status]:
    """Return the status of every member: its state as it reports it, and its lag from the topology.

    A replica is ready while both it and its primary report that it streams: one that was frozen takes a moment to see
    that its primary has closed the connection.
    """
    topology_rows = {member["name"]: member for member in (observed.topology or {}).get("members", [])}
    primary = primary_of(observed)
    statuses = []
    for pod in sorted(observed.pods, key=lambda pod: pod.name):
        answer, row = observed.answers.get(pod.name), topology_rows.get(pod.name, {})
        # Its own report: the topology's may be from a second ago, before it was restarted.
        state = str(answer.get("replication_state") or answer.get("state") or "unknown") if answer else "silent"
        if state == _STREAMING and not _is_streamed_to(observed, primary, pod.name):
            state = _CUT_OFF
        member: Status = {
            "name": pod.name,
            "zone": pod.zone,
            "role": "primary" if primary == pod.name else "replica",
            "state": state,
            "ready": state == (_PRIMARY if primary == pod.name else _STREAMING),
        }
        if isinstance(row.get("lag"), int):
            member["lagBytes"] = row["lag"]
        statuses.append(member)
    return statuses


def _is_streamed_to(observed: ObservedPostgres, primary: str | None, name: str) -> bool:
    reading = observed.readings.get(primary or "")
    return reading is None or reading.streams_to is None or name in reading.streams_to


def standbys(spec: PostgresSpec, observed: ObservedPostgres) -> dict[str, int]:
    """Return the replicas that can take over without loss, by name, each with its lag in bytes."""
    role = _STANDBY_ROLE.get(spec.durability)
    streaming = {member["name"] for member in members(observed) if member["ready"] and member["role"] == "replica"}
    return {
        row["name"]: row["lag"] if isinstance(row.get("lag"), int) else 0
        for row in (observed.topology or {}).get("members", [])
        if row["name"] in streaming and role in (None, row.get("role"))
    }


def trouble(spec: PostgresSpec, observed: ObservedPostgres) -> tuple[str, str] | None:
    """Return reason and message of why members are not all as they should be; None if they are."""
    statuses = members(observed)
    waiting = [f"{member['name']} ({member['state']})" for member in statuses if not member["ready"]]
    missing = spec.replicas - len(statuses)
    if primary_of(observed) is None:
        return "NoPrimary", "no member holds the leader lock and runs as primary"
    if waiting:
        return "MembersNotReady", f"not ready: {', '.join(waiting)}"
    if missing > 0:
        return "MembersNotReady", f"not ready: {missing} not started"
    if spec.durability in _STANDBY_ROLE and not standbys(spec, observed):
        return "NoSynchronousStandby", "no standby counts for commits yet: writes block"
    return None


def unread(observed: ObservedPostgres) -> str:
    """Name the members whose Postgres does not report its settings, and why; '' if all do."""
    silent = [pod.name for pod in observed.pods if pod.name not in observed.readings]
    return ", ".join(f"{name} ({why})" if (why := observed.silences.get(name)) else name for name in silent)


def locked_out(observed: ObservedPostgres, logins: Mapping[str, str]) -> tuple[str, str] | None:
    """Return reason and message of where clients can't log in; logins says by member why not, '' if they can."""
    refused: Sequence[str] = [f"{name}: {text}" for name, text in sorted(logins.items()) if text]
    if refused:
        return "LoginRefused", f"clients cannot log in: {'; '.join(refused)}"
    if untried := [pod.name for pod in observed.pods if pod.name not in logins]:
        return "LoginNotTried", f"the clients' login has not been tried yet at {', '.join(sorted(untried))}"
    return None
