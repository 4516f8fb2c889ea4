"""Sessions: each carries out operations one at a time, and those that hang are bounded.

An operation that times out is info, and the server may still be at work on it. Its link is
abandoned (a cancel request would be another operation) and its session goes on as a new one.
The abandoned link stays open until it answers or its peer is known to be dead, so that the prober
knows how much of a server it occupies: beyond Limits.in_flight operations are overloads. So a
server whose commits wait for a standby has connections left for others, and as soon as it
answers, operations flow again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from caplab.contract.objects import REPLICA

from .. import clock
from ..links import Client, Endpoint, Link, NotOpened, Result
from ..outcomes import OK, OVERLOAD, Outcome
from ..routing.endpoints import Router
from ..routing.replicas import ReplicaReads
from ..spec import Limits
from .operation_deadline import OperationDeadline
from .session_state import SessionState
from .transactions import TXN
from .workloads import Operation

NO_SESSION = 0  # of an operation that never had one
_TIMED_OUT = Outcome("info", "timeout")
_NO_ENDPOINT = Result(outcome=Outcome("fail", "refused"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One operation with all that is known of it; times are those of the history."""

    operation: Operation
    session: int
    scheduled_ns: int
    invoke_ns: int
    return_ns: int | None
    result: Result


def session_numbers() -> Iterator[int]:
    """Count session numbers that no other probe has had since the machine's boot.

    They begin at a hundred a second of uptime: more sessions than a prober makes.
    """
    return itertools.count(1 + clock.now_ns() // 10_000_000 % (1 << 30))


@dataclass(slots=True)
class _Session:
    number: int
    links: dict[str, tuple[Endpoint, Link]] = field(default_factory=dict)
    state: SessionState = field(default_factory=SessionState)

    def link(self, endpoint: Endpoint) -> Link | None:
        """Return the open link to an endpoint; a link to its former address is closed."""
        open_link = self.links.get(endpoint.name)
        if open_link and open_link[0] == endpoint and open_link[1].alive:
            return open_link[1]
        if open_link:
            self.links.pop(endpoint.name)[1].close()
        return None


@dataclass(slots=True, kw_only=True)
class _PendingOperation:
    """An operation that has a session and a slot. ended: it has given them back, and is recorded."""

    operation: Operation
    scheduled_ns: int
    invoke_ns: int  # a read that is routed waits for its replica within it
    endpoint: Endpoint
    session: _Session
    slots: asyncio.Semaphore
    ended: bool = False


class Sessions:
    """All sessions of one probe; record is called once for each operation, when it has ended.

    reads: chooses for reads of the route replica; if None, the router does.
    """

    def __init__(
        self,
        client: Client,
        router: Router,
        limits: Limits,
        numbers: Iterator[int],
        record: Callable[[Attempt], None],
        reads: ReplicaReads | None = None,
    ) -> None:
        self._reads = reads
        self._client = client
        self._router = router
        self._limits = limits
        self._numbers = numbers
        self._record = record
        self._deadline = OperationDeadline(limits.statement_seconds)
        self._idle: defaultdict[str, list[_Session]] = defaultdict(list)
        self._slots: defaultdict[tuple[str, str, str], asyncio.Semaphore] = defaultdict(self._new_slots)
        self._hanging: Counter[tuple[str, str, str | None]] = Counter()
        self._abandoned: set[Link] = set()
        self._opening: Counter[str] = Counter()  # by name of the endpoint
        self._server_at: dict[str, str | None] = {}  # by name of the endpoint, as the last link to it had it

    def overload(self, operation: Operation, scheduled_ns: int, server: str | None = None) -> None:
        """Record an operation that is not started."""
        now = clock.now_ns()
        result = Result(outcome=OVERLOAD, server=server)
        self._record(
            Attempt(
                operation=operation,
                session=NO_SESSION,
                scheduled_ns=scheduled_ns,
                invoke_ns=now,
                return_ns=now,
                result=result,
            )
        )

    async def carry_out(self, operation: Operation, scheduled_ns: int) -> None:
        """Start an operation as soon as there is a slot for it, and record its outcome.

        An operation that times out is recorded at once; this returns when its answer has come or its link is closed.
        """
        if self._reads is not None and operation.op == "read" and operation.route == REPLICA:
            await self._carry_out_routed(operation, scheduled_ns, self._reads)
            return
        endpoint = self._router.choose(operation)
        slots = await self._admit(operation, scheduled_ns, endpoint)
        if endpoint is not None and slots is not None:
            session = self._session(operation.route)
            operation = session.state.with_expected(operation)
            await self._begin(
                _PendingOperation(
                    operation=operation,
                    scheduled_ns=scheduled_ns,
                    invoke_ns=clock.now_ns(),
                    endpoint=endpoint,
                    session=session,
                    slots=slots,
                )
            )

    async def _carry_out_routed(self, operation: Operation, scheduled_ns: int, reads: ReplicaReads) -> None:
        """Take the session first, since what it has observed decides where it may read."""
        session, invoke_ns = self._session(operation.route), clock.now_ns()
        endpoint = await reads.choose(session.state.observed)
        slots = await self._admit(operation, scheduled_ns, endpoint)
        if endpoint is None or slots is None:
            self._idle[operation.route].append(session)
        else:
            await self._begin(
                _PendingOperation(
                    operation=operation,
                    scheduled_ns=scheduled_ns,
                    invoke_ns=invoke_ns,
                    endpoint=endpoint,
                    session=session,
                    slots=slots,
                )
            )

    async def _admit(
        self, operation: Operation, scheduled_ns: int, endpoint: Endpoint | None
    ) -> asyncio.Semaphore | None:
        """Take one of the endpoint's slots, and return them.

        None if none was free in time: the operation is then recorded.
        """
        if endpoint is None:
            now = clock.now_ns()
            self._record(
                Attempt(
                    operation=operation,
                    session=NO_SESSION,
                    scheduled_ns=scheduled_ns,
                    invoke_ns=now,
                    return_ns=now,
                    result=_NO_ENDPOINT,
                )
            )
            return None
        slots = self._slots[operation.route, _kind(operation), endpoint.name]
        wait_seconds = self._limits.start_seconds - (clock.now_ns() - scheduled_ns) / 1e9
        if await _acquire(slots, wait_seconds):
            return slots
        self.overload(operation, scheduled_ns)
        return None

    def _session(self, route: str) -> _Session:
        idle = self._idle[route]
        return idle.pop() if idle else _Session(next(self._numbers))

    async def _begin(self, pending: _PendingOperation) -> None:
        link = pending.session.link(pending.endpoint)
        if link is None and self._opening[pending.endpoint.name] and self._is_full(pending.operation, pending.endpoint):
            # One at a time checks whether it still is: if all connected again at once, the server would do nothing
            # else.
            self._finish(pending, Result(outcome=OVERLOAD, server=self._server_at[pending.endpoint.name]))
            return
        try:
            link = link or await self._open(pending.session, pending.endpoint)
        except NotOpened as refused:
            self._finish(pending, Result(outcome=refused.outcome))
        else:
            await self._perform(pending, link)

    def _is_full(self, operation: Operation, endpoint: Endpoint) -> bool:
        """Return whether hanging operations hold all slots, unless the endpoint leads to another member by now."""
        server = self._server_at.get(endpoint.name)
        return self._hanging[operation.route, _kind(operation), server] >= self._limits.in_flight

    def shorten_deadline(self, seconds: float) -> None:
        """Wait no longer than that for what is under way, however long a client would: the load is over."""
        self._deadline.shorten(seconds)

    def close(self) -> None:
        """Close every link, also those that still wait for an answer."""
        links = [link for idle in self._idle.values() for session in idle for _, link in session.links.values()]
        for link in [*links, *self._abandoned]:
            link.close()

    async def _open(self, session: _Session, endpoint: Endpoint) -> Link:
        self._opening[endpoint.name] += 1
        try:
            link = await self._client.open(endpoint)
        finally:
            self._opening[endpoint.name] -= 1
        session.links[endpoint.name] = (endpoint, link)
        self._server_at[endpoint.name] = link.server
        return link

    async def _perform(self, pending: _PendingOperation, link: Link) -> None:
        key = (pending.operation.route, _kind(pending.operation), link.server)
        if self._hanging[key] >= self._limits.in_flight:
            self._finish(pending, Result(outcome=OVERLOAD, server=link.server))
            return
        self._hanging[key] += 1
        give_up = partial(self._give_up, pending, link)
        self._deadline.begin(give_up)
        try:
            result = await link.perform(pending.operation)
        finally:
            self._deadline.end(give_up)
            self._hanging[key] -= 1
        if pending.ended:
            self._abandoned.discard(link)
            link.close()
        else:
            self._finish(pending, result)

    def _give_up(self, pending: _PendingOperation, link: Link) -> None:
        del pending.session.links[pending.endpoint.name]
        self._abandoned.add(link)
        self._finish(pending, Result(outcome=_TIMED_OUT, server=link.server))

    def _finish(self, pending: _PendingOperation, result: Result) -> None:
        """Record an operation, and free its slot and its session."""
        pending.ended = True
        return_ns = None if result.outcome == _TIMED_OUT else clock.now_ns()
        attempt = Attempt(
            operation=pending.operation,
            session=pending.session.number,
            scheduled_ns=pending.scheduled_ns,
            invoke_ns=pending.invoke_ns,
            return_ns=return_ns,
            result=result,
        )
        if result.outcome.outcome == "info":
            pending.session.number, pending.session.state = next(self._numbers), SessionState()
        elif result.outcome == OK:
            self._learn(pending, result)
        pending.slots.release()
        self._idle[pending.operation.route].append(pending.session)
        self._router.learn(pending.operation, pending.endpoint, result.outcome)
        self._record(attempt)

    def _learn(self, pending: _PendingOperation, result: Result) -> None:
        state = pending.session.state
        state.learn(pending.operation, result)
        if pending.operation.route == REPLICA:
            self._router.note_role(result.server, result.epoch is not None)
            if self._reads is not None:
                self._reads.observed_by(state.observed).learn(
                    pending.operation, result, pending.invoke_ns, clock.now_ns()
                )

    def _new_slots(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._limits.in_flight)


def _kind(operation: Operation) -> str:
    """Return the kind that an operation has its slots by: what only reads goes on while what writes hangs."""
    return f"{operation.op} of reads" if operation.op == TXN and operation.only_reads else operation.op


async def _acquire(slots: asyncio.Semaphore, seconds: float) -> bool:
    """Take a slot, waiting so many seconds at most; returns whether there was one. First come, first served."""
    if not slots.locked():
        return await slots.acquire()
    try:
        async with asyncio.timeout(seconds):
            return await slots.acquire()
    except TimeoutError:
        return False
