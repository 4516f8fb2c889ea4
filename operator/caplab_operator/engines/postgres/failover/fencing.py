"""When a primary that no longer renews its lock is fenced: killed by its node's agent, and only then replaced. Pure.

Not answering alone never fences. What does is that the API server serves a write of ours while the lock stays as it
was: then the primary could renew it if it were well. Until the agent has proven its death, the lock's time is the
fence, as without all this.

Whatever keeps the operator itself from seeing renewals (a link that is bad, an API server that stalls, an operator that
was paused) shows as a gap between two of its reads, and then the waiting begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from caplab.contract import meta

from ..answers import received
from ..spec import PostgresSpec

Body = Mapping[str, Any]

LOOK_SECONDS = 0.5  # between two reads of the lock
_LONGEST_GAP_SECONDS = 1.5  # between two reads that count as if nothing was missed between them
_AFTER_SECONDS = 1.0  # for which the lock must stay as it was after our own write


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReading:
    """The lock as it was read: who holds it, its renewal as it is written there, and the monotonic time in seconds."""

    holder: str
    renewed: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Since when the lock has not changed, by reads without a gap. written: when a write of ours was served, if any."""

    first: LockReading
    last: LockReading
    written: float | None = None


class Step(Enum):
    """What is to be done next."""

    WAIT = "wait"
    WRITE = "write"  # to see that the API server serves writes
    FENCE = "fence"


def suspicious_after(spec: PostgresSpec) -> float:
    """Return for how many seconds a lock may stay as it is before it is suspicious: two renewals that were due."""
    return 2.0 * spec.failover.loop_wait_seconds


def observed(before: Suspicion | None, reading: LockReading | None) -> Suspicion | None:
    """Return what is suspected after one more read; reading None: there is no lock, or nobody holds it."""
    if reading is None:
        return None
    is_new = before is None or (before.first.holder, before.first.renewed) != (reading.holder, reading.renewed)
    if before is None or is_new or reading.at - before.last.at > _LONGEST_GAP_SECONDS:
        return Suspicion(first=reading, last=reading)
    return replace(before, last=reading)


def next_step(spec: PostgresSpec, suspicion: Suspicion | None) -> Step:
    """Return what is to be done about a lock that has not changed."""
    if suspicion is None or suspicion.last.at - suspicion.first.at < suspicious_after(spec):
        return Step.WAIT
    if suspicion.written is None:
        return Step.WRITE
    return Step.FENCE if suspicion.last.at - suspicion.written >= _AFTER_SECONDS else Step.WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Who could take over. reachable: replicas that answer, run, and are near enough to the primary, by name.

    synchronous: those that may have every acknowledged write; votes: how many of these must be there besides the one
    that takes over (both of Patroni's own state; None: the cluster is asynchronous).
    """

    reachable: Sequence[str]
    synchronous: Sequence[str] | None = None
    votes: int = 0

    def refusal(self) -> str:
        """Say why nobody could take over; '' if somebody could."""
        if self.synchronous is None:
            return "" if self.reachable else "no replica answers that could take over"
        there = [name for name in self.reachable if name in self.synchronous]
        if len(there) > self.votes:
            return ""
        wanted = ", ".join(self.synchronous) or "no synchronous standby"
        return f"of {wanted}, {', '.join(there) or 'none'} could take over, and {self.votes + 1} must"


def candidates(
    spec: PostgresSpec, lock: Body, synchronous: Body, answers: Mapping[str, Mapping[str, Any]]
) -> Candidates:
    """Read who could take over from the lock, Patroni's state of synchronous standbys, and the replicas' own answers.

    The lock has the primary's last position (optime): a replica that is further behind than maximumLagOnFailover is
    none, as for Patroni.
    """
    position = _number(meta.annotations_of(lock).get("optime"))
    least = position - spec.failover.maximum_lag_on_failover_bytes
    reachable = [
        name
        for name, answer in sorted(answers.items())
        if answer.get("role") == "replica"
        and answer.get("state") in ("running", "streaming")
        and (place := received(answer)) is not None
        and place >= least
    ]
    if spec.durability == "async":
        return Candidates(reachable=reachable)
    noted = meta.annotations_of(synchronous)
    names = [name for name in str(noted.get("sync_standby") or "").split(",") if name]
    return Candidates(reachable=reachable, synchronous=names, votes=_number(noted.get("quorum")))


def fenced_since(spec: PostgresSpec, asked_ns: Sequence[int], now_ns: int) -> str:
    """Say that a member of the cluster was fenced less than ttl ago; '' if none was. asked_ns: when each was."""
    seconds = [(now_ns - asked) / 1e9 for asked in asked_ns]
    recent = [each for each in seconds if abs(each) < spec.failover.ttl_seconds]
    return f"a member was fenced {min(recent, key=abs):.0f} s ago" if recent else ""


def _number(text: object) -> int:
    value = str(text or "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
