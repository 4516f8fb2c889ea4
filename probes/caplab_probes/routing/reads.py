"""Read routing: which replicas a read may go to, by what its session observed and how far the replicas are (pure).

Positions in the write-ahead log (LSNs) are the tokens. A later snapshot of a replica shows all that it had replayed
before. So a position that is a little old may send a read to the primary that could have gone to a replica, and never
the other way round. The guarantees: Terry et al., Session guarantees for weakly consistent replicated data, PDIS 1994.

| routing | a replica must have replayed | as in |
|---|---|---|
| read-your-writes | the session's last acknowledged write | GitLab's load balancer, sticky to the primary until then |
| monotonic | what the session has read so far | |
| lag-aware | all but max_lag_bytes of what the primary has written | pgpool-II, delay_threshold |
| causal | all that the vantage has written or read, and is waited for | MaxScale, causal_reads |

If no replica may be read from, the read goes to the primary. plain makes no demands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..links import Position, Result
from ..load.workloads import Operation
from ..spec import MAX_LAG_BYTES, REPLICA_WAIT_MS, ClientOptions

# A primary that was asked longer ago may have written much since: what the replicas lack is then unknown.
FRESH_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ReadRouting:
    """A routing with demands on a replica: its name, and its bounds if it has any."""

    name: str
    max_lag_bytes: int
    wait_seconds: float  # how long to wait for a replica to catch up; 0: not at all

    @property
    def is_shared(self) -> bool:
        """Whether all sessions of a vantage share their observed LSNs."""
        return self.name == "causal"


def routing_of(options: ClientOptions) -> ReadRouting | None:
    """Return the routing that is asked for; None for plain."""
    if options.read_routing in (None, "plain"):
        return None
    lag = MAX_LAG_BYTES if options.max_lag_bytes is None else options.max_lag_bytes
    wait_ms = options.replica_wait_ms or REPLICA_WAIT_MS
    wait_seconds = wait_ms / 1000 if options.read_routing == "causal" else 0.0
    return ReadRouting(options.read_routing, lag, wait_seconds)


def needs_lsn(options: ClientOptions) -> bool:
    """Return whether operations must return positions."""
    return options.read_routing in ("read-your-writes", "monotonic", "causal")


@dataclass(slots=True)
class ObservedLsns:
    """Up to where a session has written and read. unknown_ns: when a write came back without its position."""

    written: int = 0
    read: int = 0
    unknown_ns: int | None = None

    def learn(self, operation: Operation, result: Result, invoke_ns: int, return_ns: int) -> None:
        """Note an acknowledged operation."""
        lsn = result.lsn
        if lsn is None:
            if operation.op != "read":
                self.unknown_ns = return_ns
            return
        if operation.op == "read":
            self.read = max(self.read, lsn)
        else:
            self.written = max(self.written, lsn)
        if self.unknown_ns is not None and invoke_ns >= self.unknown_ns and result.epoch is not None:
            # The position of a primary that was asked for after that write includes it.
            self.written = max(self.written, lsn)
            self.unknown_ns = None


def eligible(
    routing: ReadRouting, observed: ObservedLsns, positions: Mapping[str, Position], now_ns: int
) -> frozenset[str]:
    """Return the replicas that a read may go to."""
    needed = _needed(routing, observed, positions, now_ns)
    if needed is None:
        return frozenset()
    return frozenset(name for name, position in positions.items() if not position.primary and position.lsn >= needed)


def _needed(routing: ReadRouting, observed: ObservedLsns, positions: Mapping[str, Position], now_ns: int) -> int | None:
    """Return what a replica must have replayed; None if unknown."""
    if routing.name == "lag-aware":
        fresh = [
            position.lsn
            for position in positions.values()
            if position.primary and now_ns - position.asked_ns <= FRESH_NS
        ]
        return max(fresh) - routing.max_lag_bytes if fresh else None
    if routing.name == "monotonic":
        return observed.read
    if observed.unknown_ns is not None:
        return None
    return observed.written if routing.name == "read-your-writes" else max(observed.written, observed.read)
