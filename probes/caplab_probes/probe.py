"""One probe: its schedule, its sessions and its history, from preparation to the last row."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from caplab.contract.engines import name_for
from caplab.contract.phases import DONE, FAILED, PENDING, RUNNING

from . import clock
from .cache.values import Load
from .exporter import Exporter, LoadFigures
from .history import meta
from .history.pruning import RunsInUse
from .history.quota import HistoryQuota, Reservation
from .history.recorder import Recorder
from .history.writer import Row, SegmentWriter
from .links import Client, Endpoint, NotDone, Topology
from .load.schedule import SECOND_NS, DueOperation, Schedule, due, of_seconds, phase_ns
from .load.sessions import Attempt, Sessions
from .load.transactions import TXN, in_history
from .load.workloads import Operation, Writer, operation
from .routing.endpoints import Router
from .routing.reads import routing_of
from .routing.replicas import AskPosition, Positions, ReplicaReads
from .scan import run_scan
from .spec import Limits, ProbeSpec, Target

_NAP_SECONDS = 0.2  # the longest sleep: rows must be flushed and a stop be noticed
_PREPARE_RETRY_SECONDS = 1.0
_DRAIN_NAP_SECONDS = 0.02
_DRAIN_MARGIN_SECONDS = 5.0  # for a machine that has no processor time for the prober
_NO_TARGET = Target("", "", "")


@dataclass(frozen=True, slots=True)
class Status:
    """phase is Pending (nothing sent yet), Running, Done or Failed; since is when the phase began, RFC 3339."""

    phase: str
    operations: int
    since: str
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberContext:
    """What a prober gives to each of its probes. folder holds a folder for each run, or for each namespace."""

    vantage: str
    folder: Path
    limits: Limits
    exporter: Exporter
    numbers: Iterator[int]
    runs: RunsInUse = field(default_factory=RunsInUse)
    quota: HistoryQuota = field(default_factory=HistoryQuota)


class Probe:
    """A probe, which runs once: `run` returns when it has ended, however it did; `status` is current at any time."""

    def __init__(
        self,
        spec: ProbeSpec,
        context: ProberContext,
        client: Client,
        topology: Callable[[], Topology],
        has_primary: bool = True,
        position: AskPosition | None = None,
        report_loads_to: Callable[[Callable[[Load], None]], None] | None = None,
        target: Target = _NO_TARGET,
    ) -> None:
        self.spec = spec
        self._target = target
        self._figures: LoadFigures | None = None
        self._report_loads_to = report_loads_to
        self._completed = 0  # operations of the schedule that have their row
        self._position = position
        self._has_primary = has_primary
        self._context = context
        self._client = client
        self._topology = topology
        self._run_name = f"{target.namespace}/{spec.run_id}" if target.namespace else spec.run_id
        self._folder = context.folder / self._run_name
        self._recorder: Recorder | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._internal_error: Exception | None = None
        self._stopped = asyncio.Event()
        self._never_began = ""  # why it was stopped before its first operation
        self._status = Status(PENDING, 0, now())

    @property
    def status(self) -> Status:
        """The status at this moment."""
        return replace(self._status, operations=self._recorder.count if self._recorder else 0)

    def stop(self) -> None:
        """Stop in order: no new operations begin, and those under way are waited for."""
        self._stopped.set()

    async def run(self) -> None:
        """Run the whole probe; a permanent error is in the status."""
        try:
            async with self._context.runs.using(self._context.folder, self._run_name):
                try:
                    await self._run()
                finally:
                    await self._client.close()
            self._set_phase(DONE, self._never_began)
        except (OSError, ValueError, NotDone) as error:
            self._set_phase(FAILED, str(error))
        except Exception as error:  # the other probes of this process go on
            self._set_phase(FAILED, f"the prober failed: {error!r}")

    async def _run(self) -> None:
        with self._context.quota.reserve(self.spec) as reservation:
            writer = Writer(self.spec, self.spec.vantages.index(self._context.vantage), meta.reserve(self._folder))
            self._recorder = Recorder(SegmentWriter(self._folder, writer.incarnation))
            if self.spec.workload.endswith("-scan"):
                await self._scan(writer, self._recorder)
            else:
                engine = name_for(self._target.kind)
                labels = (engine, self._target.namespace, self._target.name, self.spec.workload)
                with self._context.exporter.load(*labels) as self._figures:
                    await self._load(writer, self._recorder, reservation, self._figures)

    async def _scan(self, writer: Writer, recorder: Recorder) -> None:
        self._set_phase(RUNNING)
        try:
            await run_scan(writer, self._client, self._topology(), self._folder, recorder)
        finally:
            recorder.close(clock.now_ns())

    async def _load(self, writer: Writer, recorder: Recorder, reservation: Reservation, figures: LoadFigures) -> None:
        # After a restart the tables exist, and the cluster may be under fault: operations begin at once.
        if not meta.read_metas(self._folder):
            await self._prepare()
        spec = self.spec
        anchor_ns = clock.now_ns() + SECOND_NS // 10 + phase_ns(spec.seed, writer.vantage, spec.rate)
        schedule = of_seconds(anchor_ns, spec.rate, spec.seconds)
        record = meta.begin(writer, schedule)
        meta.write_meta(self._folder, record)
        router = Router(self._topology, self._has_primary)
        reads = self._replica_reads(router)
        limits = spec.limits(self._context.limits)
        sessions = Sessions(self._client, router, limits, self._context.numbers, self._record, reads)
        if self._report_loads_to is not None:
            self._report_loads_to(self._record_load)
        self._set_phase(RUNNING)
        try:
            with figures.runs(spec.routes):
                begun = await self._run_schedule(schedule, writer, sessions, recorder, reservation)
            sessions.shorten_deadline(self._context.limits.statement_seconds)
            await self._drain(begun)
        finally:
            if reads is not None:
                reads.close()
            sessions.close()
            recorder.close(clock.now_ns())
        meta.write_meta(self._folder, replace(record, closed=True))

    def _replica_reads(self, router: Router) -> ReplicaReads | None:
        routing = routing_of(self.spec.client)
        if routing is None or self._position is None:
            return None
        # Positions soon go out of date: they are waited for no longer than by default, also if the client waits.
        positions = Positions(self._client, self._topology, self._position, self._context.limits.statement_seconds)
        return ReplicaReads(routing, positions, self._topology, router.primary)

    async def _prepare(self) -> None:
        while not self._stopped.is_set():
            problem = await self._try_to_prepare()
            if not problem:
                return
            self._status = replace(self._status, last_error=problem)
            await asyncio.sleep(_PREPARE_RETRY_SECONDS)
        self._never_began = f"the load never began: {self._status.last_error or 'it was stopped at once'}"

    async def _try_to_prepare(self) -> str:
        """Try to prepare. Returns '' when it is done, else what the last endpoint reported."""
        problem = "no endpoint of the target is known"
        for endpoint in _endpoints(self._topology()):
            try:
                await self._client.prepare(endpoint)
            except NotDone as error:
                problem = str(error)
            else:
                return ""
        return problem

    async def _run_schedule(
        self, schedule: Schedule, writer: Writer, sessions: Sessions, recorder: Recorder, reservation: Reservation
    ) -> int:
        """Start every operation when it is due, until the schedule is over or a stop is asked for; returns how many."""
        start_ns = round(self._context.limits.start_seconds * SECOND_NS)
        index = 0
        while not schedule.over(index) and not self._stopped.is_set():
            now_ns = clock.now_ns()
            for due_operation in due(schedule, index, now_ns, start_ns):
                self._begin(due_operation, writer, sessions)
                index = due_operation.index + 1
            recorder.tick(now_ns)
            reservation.note_rows(recorder.count)
            self._raise_internal_error()
            wait_ns = max(0, schedule.due_ns(index) - clock.now_ns())
            await asyncio.sleep(min(wait_ns / SECOND_NS, _NAP_SECONDS))
        return index

    def _begin(self, due_operation: DueOperation, writer: Writer, sessions: Sessions) -> None:
        op = operation(writer, due_operation.index)
        if due_operation.overload:
            sessions.overload(op, due_operation.scheduled_ns)
            return
        task = asyncio.create_task(self._carry_out(op, due_operation.scheduled_ns, sessions))
        self._tasks.add(task)

    async def _carry_out(self, op: Operation, scheduled_ns: int, sessions: Sessions) -> None:
        try:
            await sessions.carry_out(op, scheduled_ns)
        except Exception as error:
            self._internal_error = error
        finally:
            self._tasks.discard(asyncio.current_task())

    async def _drain(self, begun: int) -> None:
        """Wait until every operation has its row: each ends within the prober's limits, also if its client waits."""
        limits = self._context.limits
        drain_seconds = limits.start_seconds + limits.connect_seconds + limits.statement_seconds + _DRAIN_MARGIN_SECONDS
        end_ns = clock.now_ns() + round(drain_seconds * SECOND_NS)
        while self._completed < begun:
            self._raise_internal_error()
            if clock.now_ns() > end_ns:
                raise RuntimeError(f"{begun - self._completed} operations have not ended")
            await asyncio.sleep(_DRAIN_NAP_SECONDS)
        self._raise_internal_error()

    def _raise_internal_error(self) -> None:
        """Raise an error of the prober itself, which must not look like a fault of the cluster."""
        if self._internal_error is not None:
            raise self._internal_error

    def _record(self, attempt: Attempt) -> None:
        self._completed += 1
        self._record_attempt(attempt)

    def _record_load(self, load: Load) -> None:
        """Record a load in a session of its own: nothing is known of what came before."""
        cache = self.spec.cache
        op = Operation(
            index=0,
            op="load",
            route="service",
            key=load.key,
            level=cache.protection if cache else None,
            workload=self.spec.workload,
        )
        session = next(self._context.numbers)
        self._record_attempt(
            Attempt(
                operation=op,
                session=session,
                scheduled_ns=load.invoke_ns,
                invoke_ns=load.invoke_ns,
                return_ns=load.return_ns,
                result=load.result,
            )
        )

    def _record_attempt(self, attempt: Attempt) -> None:
        assert self._recorder is not None
        assert self._figures is not None
        row = row_of(attempt, self._context.vantage)
        self._recorder.add(row)
        self._figures.observe(row)

    def _set_phase(self, phase: str, error: str = "") -> None:
        self._status = Status(phase, 0, now(), error)


def row_of(attempt: Attempt, vantage: str) -> Row:
    """Return an attempt as a row of the history."""
    op, result = attempt.operation, attempt.result
    return Row(
        vantage=vantage,
        session=attempt.session,
        op=op.op,
        key=op.key,
        value=result.value if op.value is None else op.value,
        expected=op.expected,
        observed=result.observed,
        level=op.level,
        route=op.route,
        server=result.server,
        epoch=result.epoch,
        scheduled_ns=attempt.scheduled_ns,
        invoke_ns=attempt.invoke_ns,
        return_ns=attempt.return_ns,
        outcome=result.outcome.outcome,
        error=result.outcome.error,
        txn=in_history(result.txn or op.txn) if op.op == TXN else None,
    )


def _endpoints(topology: Topology) -> list[Endpoint]:
    return [*([topology.service] if topology.service else []), *topology.members]


def now() -> str:
    """Return the wall clock's time as RFC 3339 has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
