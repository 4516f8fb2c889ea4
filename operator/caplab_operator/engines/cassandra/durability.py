"""Durability of acknowledged writes, from each member's own settings and the keyspace in force. Pure."""

from __future__ import annotations

from ..conditions import ConditionState
from . import settings_drift
from .configuration import durability
from .observe import RUNNING, ObservedCassandra
from .spec import CassandraSpec

_HOW = {
    "periodic": "the commit log is synced every {period} ms",
    "group": "a write waits for the commit log's next sync, one every {period} ms",
    "batch": "a write waits for a sync of its own",
}


def silent_members(spec: CassandraSpec, observed: ObservedCassandra) -> list[str]:
    """Return the members, existing or missing, that do not report their settings."""
    there = {pod.name for pod in observed.place.pods} | {f"{spec.name}-{number}" for number in range(spec.replicas)}
    return sorted(
        there - {name for name, member in observed.members.items() if member.stage == RUNNING and member.settings}
    )


def applied(spec: CassandraSpec, observed: ObservedCassandra) -> ConditionState:
    """Build the condition DurabilityApplied: whether every member keeps what the spec promises, else what differs."""
    wrong = settings_drift.differences(durability(spec), observed)
    silent = silent_members(spec, observed)
    unknown = [f"what {', '.join(silent)} keeps is unknown: no answer"] if silent else []
    if wrong:
        return (
            "False",
            "NotInForce",
            "; ".join([*(f"{name}: {', '.join(what)}" for name, what in wrong.items()), *unknown]),
        )
    if silent:
        return "Unknown", "NoAnswer", unknown[0]
    return "True", "Observed", f"on every member {_promise(spec)}"


def _promise(spec: CassandraSpec) -> str:
    sync = _HOW[spec.commitlog_sync].format(period=spec.commitlog_sync_period_milliseconds)
    hints = spec.hinted_handoff
    kept = f"hints are kept for {hints.window_seconds} s" if hints.enabled else "no hints are kept"
    return f"{sync}, {kept}, and the keyspace has {spec.replication_factor} copies of each key"
