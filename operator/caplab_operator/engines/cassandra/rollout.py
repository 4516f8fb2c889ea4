"""The next step that brings a cluster to its spec. Pure.

Every decision is made from the current observation, so that a restarted operator continues where it was. The order:
waiting members start, surplus members leave, members of an old template restart, then maintenance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..pods import ordinal
from . import health, maintenance
from .bootstrap import next_start
from .observe import FAILED, RUNNING, STARTING, Work
from .repairs import Repair
from .ring import DECOMMISSIONED, DOWN, LEAVING, Ring, RingMember
from .spec import CassandraSpec
from .steps import Deployed, Persist, Restart, Send, Step, Wait

_DECOMMISSION = "decommission"


def next_step(spec: CassandraSpec, ring: Ring, deployed: Deployed, repair: Repair | None) -> Step | None:
    """Return the next step; None if nothing has to change. repair is the progress of the requested repair."""
    old = outdated(ring, deployed)
    if first := _restart_unserving(spec, ring, old) or next_start(spec, ring):
        return first
    if not deployed.is_current:
        return Wait("the members' StatefulSet does not match the spec yet")
    if deployed.replicas != spec.replicas:
        return _resize(spec, ring, deployed)
    if old:
        return _restart(spec, ring, old)
    return maintenance.next_step(spec, ring, deployed, repair)


def outdated(ring: Ring, deployed: Deployed) -> Sequence[RingMember]:
    """Return members whose pods have an earlier template; none until the StatefulSet is of the current spec."""
    return [row for row in ring.rows if row.pod.revision != deployed.revision] if deployed.is_current else []


def _restart_unserving(spec: CassandraSpec, ring: Ring, old: Sequence[RingMember]) -> Restart | None:
    """Restart a pod that serves nothing, and that the others may be waiting for."""
    if stuck := [row for row in old if _is_stuck(row)]:
        return Restart(stuck[-1].pod, f"{_to_restart(spec, old)}: {stuck[-1].name} does not run")
    returning = [row for row in ring.rows if _has_left(row) and ordinal(row.name) < spec.replicas]
    return Restart(returning[0].pod, f"{returning[0].name} has left, and must join again") if returning else None


def _is_stuck(row: RingMember) -> bool:
    """Whether a member is neither up nor about to be: it waits, has failed, or is silent and not ready."""
    if row.pod.terminating or row.state not in ("", DOWN):
        return False
    return row.waits or (not row.pod.ready and row.stage in ("", FAILED))


def _has_left(row: RingMember) -> bool:
    """Whether a member has left the ring for good, as its peers see too. Once that is on disk it reports fresh."""
    if row.member is None or row.pod.terminating or row.state not in ("", DOWN):
        return False
    return row.member.mode == DECOMMISSIONED and row.member.fresh


def _to_restart(spec: CassandraSpec, old: Sequence[RingMember]) -> str:
    return f"{len(old)} of {spec.replicas} members to restart"


def _restart(spec: CassandraSpec, ring: Ring, old: Sequence[RingMember]) -> Step:
    why = _to_restart(spec, old)
    if problem := health.not_serving(spec, ring):
        return Wait(f"{why}: {problem}")
    return Restart(old[-1].pod, why)


def _resize(spec: CassandraSpec, ring: Ring, deployed: Deployed) -> Step:
    why = f"from {deployed.replicas} members to {spec.replicas}"
    if deployed.replicas < spec.replicas:
        return Persist(replace(deployed.persisted, replicas=spec.replicas), why)
    last = next((row for row in ring.rows if ordinal(row.name) == deployed.replicas - 1), None)
    if last is None:
        return Wait(f"{why}: the last member's pod is missing")
    if _is_gone(last, ring):
        return Persist(replace(deployed.persisted, replicas=deployed.replicas - 1), f"{why}: {last.name} has left")
    return _leave(last, ring, deployed, why)


def _is_gone(row: RingMember, ring: Ring) -> bool:
    """Whether a member has left the ring, or never was in it, as it or all others that answer report."""
    if row.member and row.member.mode == DECOMMISSIONED:
        return True
    if row.stage in (STARTING, RUNNING) or not ring.views:
        return False
    # A stranger in the ring may be this member.
    return not row.host_id and not row.state and not ring.strangers


def _leave(row: RingMember, ring: Ring, deployed: Deployed, why: str) -> Step:
    work = row.member.work if row.member and row.member.work.kind == _DECOMMISSION else Work()
    if work.state == "running" or (row.state == LEAVING and work.state != "failed"):
        return Wait(f"{why}: {row.name} is leaving")
    if len(ring.rows) != deployed.replicas:
        return Wait(f"{why}: there are {len(ring.rows)} pods")
    # Its data goes to the others: if one of them were away, copies would be missing afterwards.
    if not_up := [other.name for other in ring.rows if not (other.is_up or other is row)]:
        return Wait(f"{why}: not seen up by all: {', '.join(not_up)}")
    if row.stage != RUNNING or row.down_by:
        return Wait(f"{why}: {row.name} is not seen up by all")
    again = f" once more ({work.problem})" if work.state == "failed" else ""
    return Send(pod=row.pod, path="/decommission", query={"id": row.name}, why=f"{why}: {row.name} leaves{again}")
