"""The values of one picture, independent of how they were read and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from caplab.faults.rows import Row


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source has answered lately.

    problem: why its last answer cannot be relied on, '' if it can. age_seconds: since the last good answer, None if
    there was none yet.
    """

    name: str
    problem: str = ""
    age_seconds: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether its last answer holds."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLine:
    """A member as its cluster's status shows it; lag_bytes None if that does not say."""

    name: str
    zone: str
    is_primary: bool
    is_ready: bool
    state: str
    lag_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLine:
    """A cluster as its object shows it; primary and epoch '' if there is none."""

    engine: str
    has_primary: bool  # as its engine has in general
    namespace: str
    name: str
    phase: str
    primary: str
    epoch: str
    desired: int
    members: tuple[MemberLine, ...]
    trouble: str = ""  # why it is not Ready, in the operator's words


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run as its object shows it; verdict '' while it is under way, figures None if they were not measured."""

    namespace: str
    experiment: str
    mode: str
    phase: str
    verdict: str
    reason: str
    started_unix: float | None
    ended_unix: float | None
    failover_seconds: float | None
    lost: int | None
    acked: int | None


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Route:
    """A client route: vantage, way, target and purpose; access is 'read' or 'write'."""

    engine: str
    namespace: str
    cluster: str
    vantage: str
    route: str
    access: str


@dataclass(frozen=True, slots=True)
class Load:
    """The operations of one workload on a route: its counters begin and end with it."""

    route: Route
    workload: str


class State(Enum):
    """The clients' state in a stretch of time."""

    BEFORE = "before"  # not asked yet
    UNKNOWN = "unknown"  # the prober was asked, and did not answer
    IDLE = "idle"  # it answered, and no operation had ended
    MEASURED = "measured"


@dataclass(frozen=True, slots=True)
class Column:
    """The worst of a stretch of time; ratio if operations ended, p99_seconds if any was acknowledged."""

    state: State
    ratio: float | None = None
    p99_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLine:
    """What clients of one vantage and route get, and got, the newest column last.

    ratio and p99_seconds are of the last seconds, since_ack_seconds of the last acknowledgement; all None if they are
    not known.
    """

    route: Route
    columns: tuple[Column, ...]
    is_known: bool
    ratio: float | None = None
    p99_seconds: float | None = None
    since_ack_seconds: float | None = None

    @property
    def is_troubled(self) -> bool:
        """Whether some of it was not acknowledged, or is not known."""
        doubtful = any(column.state is State.UNKNOWN for column in self.columns)
        return not self.is_known or doubtful or any(c.ratio is not None and c.ratio < 1 for c in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A whole picture. While the source of objects is silent, clusters and faults are its last known ones."""

    place: str
    now_unix: float
    api_server: SourceState
    operator: SourceState
    probers: tuple[SourceState, ...]
    host: SourceState  # this host, whose records show lost nodes
    clusters: tuple[ClusterLine, ...] = ()
    faults: tuple[Row, ...] = ()
    runs: tuple[RunLine, ...] = ()
    column_seconds: int = 1
    routes: tuple[RouteLine, ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        """Whether every source has answered."""
        sources = (self.api_server, self.operator, self.host, *self.probers)
        return bool(self.probers) and all(state.is_known for state in sources)


@dataclass(frozen=True, slots=True)
class Count:
    """One load's operations so far: all that ended, those acknowledged, and the latter by latency.

    buckets: upper bound in seconds -> acknowledged operations at most that slow.
    """

    ended: float = 0.0
    acked: float = 0.0
    buckets: Mapping[float, float] = field(default_factory=dict)
    since_ack_seconds: float | None = None
