"""Asks every source once a second, each in a thread of its own, so that a silent one does not delay the others."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from caplab_cluster.failure import Failure
from caplab_cluster.node_loss.store import NodeLossStore

from caplab.contract.engines import ENGINES
from caplab.contract.names import FAULT, PLURALS, RUN
from caplab.contract.objects import Fault
from caplab.faults.rows import Row, read_fault, row_of_node
from caplab.kube.errors import reason_of
from caplab.plain_text import one_line

from .drawing import Paper
from .objects import cluster_of, latest_runs, live_faults, plain
from .traffic import Traffic
from .values import ClusterLine, Count, Load, Picture, RouteLine, RunLine, SourceState

_FRESH_SECONDS = 3.5  # since the last good answer, which is not relied on any longer
_STUCK_SECONDS = 5.0  # of the operator's oldest round: its status is old by then
_RUNS_SECONDS = 5.0  # between two reads of the runs, which are many and change seldom
_MAX_RUNS, _RUNS_SHOWN = 100, 8  # remembered, and filtered by namespace
_MAX_PROBLEM_LENGTH = 160  # characters

T = TypeVar("T")
Body = Mapping[str, Any]


class Lab(Protocol):
    """The sources' calls: see lab_client.LabClient."""

    def objects(self, plural: str) -> Sequence[Body]:
        """Return all objects of a kind."""

    def probers(self) -> Mapping[str, str]:
        """Return the running pod of each vantage, '' if none runs."""

    def operator(self) -> float:
        """Return the seconds since the operator's oldest round."""

    def counts(self, pod: str) -> Mapping[Load, Count]:
        """Return a prober's count of its operations so far."""


class Source(Generic[T]):
    """A source that is asked again and again, and its last good answer."""

    def __init__(self, name: str, ask: Callable[[], T], first: T, taken: Callable[[float, T], None] | None = None):
        self.name, self.value = name, first
        self.tries = 0
        self._ask, self._taken = ask, taken
        self._began, self._answered, self._problem = time.monotonic(), -math.inf, ""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start asking once a second, on the full second, in a daemon thread."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def stop(self) -> None:
        """Stop asking."""
        self._stopped.set()

    def ask(self) -> None:
        """Ask once; any error is kept as its problem, and ends nothing."""
        try:
            value = self._ask()
            at = time.monotonic()
            self.value = value
            if self._taken:
                self._taken(at, value)
            self._answered, self._problem = at, ""
        except Exception as error:
            self._problem = one_line(reason_of(error))[:_MAX_PROBLEM_LENGTH] or type(error).__name__
        self.tries += 1

    def state(self, now: float) -> SourceState:
        """Return whether it can be relied on; an error is tolerated for as long as the last answer is recent."""
        if now - self._answered <= _FRESH_SECONDS:
            return SourceState(self.name)
        age = None if math.isinf(self._answered) else now - self._answered
        return SourceState(self.name, self._problem or "waiting for its answer", age)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.ask()
            now = time.monotonic()
            self._stopped.wait(math.floor(now) + 1 - now)


@dataclass(frozen=True, slots=True)
class Objects:
    """What the API server answered at one moment."""

    clusters: tuple[ClusterLine, ...] = ()
    faults: tuple[Fault, ...] = ()
    runs: tuple[RunLine, ...] = ()
    pods: Mapping[str, str] = field(default_factory=dict)


class Collector:
    """Collects until it is stopped; `picture` is the current state."""

    def __init__(self, lab: Lab, store: NodeLossStore, place: str, namespace: str = "") -> None:
        self._lab, self._store, self._place, self._namespace = lab, store, place, namespace
        self._runs: tuple[RunLine, ...] = ()
        self._runs_due = -math.inf
        self._lock = threading.Lock()
        self._traffic: dict[str, Traffic] = {}
        self._probers: dict[str, Source[Mapping[Load, Count]]] = {}
        self._objects = Source("API server", self._read_objects, Objects(), self._add_probers)
        self._operator = Source("operator", self._round, 0.0)
        self._host = Source[tuple[Any, ...]]("this host", self._lost_nodes, ())

    def start(self) -> None:
        """Start asking."""
        for source in (self._objects, self._operator, self._host):
            source.start()

    def stop(self) -> None:
        """Stop asking; requests under way end by their time-outs."""
        for source in (self._objects, self._operator, self._host):
            source.stop()
        with self._lock:
            for prober in self._probers.values():
                prober.stop()

    def has_looked_twice(self) -> bool:
        """Return whether every source was asked often enough for a comparison."""
        with self._lock:
            probers = list(self._probers.values())
        one_each = all(source.tries for source in (self._objects, self._operator, self._host))
        return one_each and all(source.tries > 2 for source in probers)

    def picture(self, paper: Paper) -> Picture:
        """Build the picture of the current state, for a paper of this width."""
        now, unix = time.monotonic(), time.time()
        wall = datetime.fromtimestamp(unix, UTC)
        api_server, operator, host = (source.state(now) for source in (self._objects, self._operator, self._host))
        objects: Objects = self._objects.value  # read after its content, so that it is not older
        with self._lock:
            probers = sorted(self._probers.items())
            routes = self._lines(now, paper)
        rows = [*live_faults(objects.faults, wall), *self._of_host(wall)]
        return Picture(
            place=self._place,
            now_unix=unix,
            api_server=api_server,
            operator=operator,
            probers=tuple(source.state(now) for _, source in probers),
            host=host,
            clusters=tuple(cluster for cluster in objects.clusters if self._is_meant(cluster.namespace)),
            faults=tuple(row for row in rows if not row.namespace or self._is_meant(row.namespace)),
            runs=tuple(run for run in objects.runs if self._is_meant(run.namespace))[:_RUNS_SHOWN],
            column_seconds=paper.column_seconds,
            routes=tuple(line for line in routes if self._is_meant(line.route.namespace)),
        )

    def _lines(self, now: float, paper: Paper) -> list[RouteLine]:
        lines = [
            line
            for traffic in self._traffic.values()
            for line in traffic.lines(now, paper.columns, paper.column_seconds)
        ]
        return sorted(lines, key=lambda line: line.route)

    def _is_meant(self, namespace: str) -> bool:
        return not self._namespace or namespace == self._namespace

    def _read_objects(self) -> Objects:
        """Read everything that the API server itself knows."""
        clusters = [cluster_of(engine, body) for engine in ENGINES for body in self._lab.objects(engine.plural)]
        clusters.sort(key=lambda cluster_line: (cluster_line.namespace, cluster_line.engine, cluster_line.name))
        now = time.monotonic()
        if now >= self._runs_due:
            self._runs = tuple(latest_runs(self._lab.objects(PLURALS[RUN]), _MAX_RUNS))
            self._runs_due = now + _RUNS_SECONDS
        faults = tuple(map(read_fault, self._lab.objects(PLURALS[FAULT])))
        return Objects(tuple(clusters), faults, self._runs, self._lab.probers())

    def _add_probers(self, _at: float, objects: Objects) -> None:
        """Start asking the new probers. Known ones stay, and are shown as missing when gone."""
        with self._lock:
            for vantage in objects.pods:
                if vantage not in self._probers:
                    self._begin(vantage)

    def _begin(self, vantage: str) -> None:
        traffic = self._traffic[vantage] = Traffic()

        def counts() -> Mapping[Load, Count]:
            return self._lab.counts(self._objects.value.pods.get(vantage, ""))

        def taken(at: float, counted: Mapping[Load, Count]) -> None:
            with self._lock:
                traffic.add(at, counted)

        nothing: Mapping[Load, Count] = {}
        source = self._probers[vantage] = Source(f"prober {one_line(vantage)}", counts, nothing, taken)
        source.start()

    def _round(self) -> float:
        seconds = self._lab.operator()
        if seconds > _STUCK_SECONDS:
            raise RuntimeError(f"its oldest round ended {seconds:.0f} s ago: its status is as old")
        return seconds

    def _lost_nodes(self) -> tuple[Any, ...]:
        try:
            return tuple(loss.to_json() for loss in self._store.live())
        except Failure as failure:
            raise RuntimeError(f"{failure.sentence} Hint: {failure.hint}") from failure

    def _of_host(self, now: datetime) -> list[Row]:
        return [plain(row_of_node(loss, now)) for loss in self._host.value]
