"""Maintenance of a cluster while all its members are up. Pure.

After a member has joined, the others still hold data that is now its own: they are told to drop it (cleanup). An
annotation of the StatefulSet names the ring that was cleaned up, so that no round does it twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

from . import health, repairs
from .repairs import Repair
from .ring import Ring, RingMember
from .spec import CassandraSpec
from .steps import Deployed, Persist, Send, Step, Wait

_CLEANUP = "cleanup"


def next_step(spec: CassandraSpec, ring: Ring, deployed: Deployed, repair: Repair | None) -> Step | None:
    """Return the next cleanup or repair, one member at a time; None if neither is due."""
    if problem := health.not_serving(spec, ring):
        return Wait(f"{repairs.so_far(repair)}: {problem}", is_maintenance=True) if repair and repair.is_due else None
    return _cleanup(ring, deployed) or repairs.next_step(ring, repair)


def _cleanup(ring: Ring, deployed: Deployed) -> Step | None:
    hosts, settled = frozenset(row.host_id for row in ring.rows), deployed.persisted.settled
    if hosts == settled or "" in hosts:
        return None
    # A first ring has nothing to drop, and a member that took its own place took just what it had before.
    if len(hosts) > len(settled):
        name = cleanup_name(hosts)
        for row in ring.rows:
            if row.host_id in settled and (step := _of(row, name)):
                return step
    return Persist(replace(deployed.persisted, settled=hosts), "", is_maintenance=True)


def _of(row: RingMember, name: str) -> Step | None:
    """Return a member's cleanup; None if it has ended, even in failure, since surplus data does no harm."""
    work = row.member.work if row.member else None
    if work and work.state == "running":
        return Wait(f"{row.name} is running a {work.kind}", is_maintenance=True)
    if work and (work.kind, work.id) == (_CLEANUP, name):
        return None
    return Send(
        pod=row.pod,
        path="/cleanup",
        query={"id": name},
        why=f"{row.name} drops data that others have taken over",
        is_maintenance=True,
    )


def cleanup_name(hosts: Collection[str]) -> str:
    """Return a cleanup's name, which is the same for the same ring."""
    return f"{_CLEANUP}-{hashlib.sha256(','.join(sorted(hosts)).encode()).hexdigest()[:12]}"
