"""Sessions: they carry operations out, one at a time each, and put a bound on what hangs.

An operation that times out is info, and the server may still be at work on it. Its link is
abandoned (no cancel request: that would be another operation) and its session goes on as a new one.
The abandoned link stays open until it answers or its peer is known to be dead, so that the prober
knows how much of a server it occupies: beyond Limits.in_flight operations are overloads. With that a
server whose commits wait for a standby keeps its connections for others, and as soon as it
answers, operations flow again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from . import clock
from .knowledge import Knowledge
from .links import Client, Endpoint, Link, NotOpened, Result
from .outcomes import OK, OVERLOAD, Outcome
from .patience import Patience
from .replicas import ReplicaReads
from .routing import Router
from .spec import REPLICA, Limits
from .workloads import Operation

NO_SESSION = 0  # of an operation that was never given one
_TIMED_OUT = Outcome("info", "timeout")
_NO_ENDPOINT = Result(Outcome("fail", "refused"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One operation with all that is known of it; times as in the history."""

    operation: Operation
    session: int
    scheduled_ns: int
    invoke_ns: int
    return_ns: int | None
    result: Result


def session_numbers() -> Iterator[int]:
    """Numbers that no probe of this process, nor of one before it since the machine's boot, has given out.

    They begin at a hundred a second of uptime: more sessions than a prober makes.
    """
    return itertools.count(1 + clock.now_ns() // 10_000_000 % (1 << 30))


@dataclass(slots=True)
class _Session:
    number: int
    links: dict[str, tuple[Endpoint, Link]] = field(default_factory=dict)
    knowledge: Knowledge = field(default_factory=Knowledge)

    def link(self, endpoint: Endpoint) -> Link | None:
        """The open link to an endpoint; a link to where it was before is closed."""
        known = self.links.get(endpoint.name)
        if known and known[0] == endpoint and known[1].alive:
            return known[1]
        if known:
            self.links.pop(endpoint.name)[1].close()
        return None


@dataclass(slots=True)
class _UnderWay:
    """An operation that has a session and a place; ended: it has given them back, and is recorded."""

    operation: Operation
    scheduled_ns: int
    invoke_ns: int  # a read that is routed waits for its replica within it
    endpoint: Endpoint
    session: _Session
    gate: asyncio.Semaphore
    ended: bool = False


class Sessions:
    """All sessions of one probe; record is called once for each operation, when it has ended.

    reads: chooses for reads of the route replica; None: the router does.
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
        self._patience = Patience(limits.statement_seconds)
        self._idle: defaultdict[str, list[_Session]] = defaultdict(list)
        self._gates: defaultdict[tuple[str, str, str], asyncio.Semaphore] = defaultdict(self._gate)
        self._hanging: Counter[tuple[str, str, str | None]] = Counter()
        self._abandoned: set[Link] = set()
        self._opening: Counter[str] = Counter()  # by name of the endpoint
        self._server_at: dict[str, str | None] = {}  # by name of the endpoint, as the last link to it said

    def overload(self, operation: Operation, scheduled_ns: int, server: str | None = None) -> None:
        """Record an operation that is not started."""
        now = clock.now_ns()
        result = Result(OVERLOAD, server=server)
        self._record(Attempt(operation, NO_SESSION, scheduled_ns, now, now, result))

    async def carry_out(self, operation: Operation, scheduled_ns: int) -> None:
        """Start an operation as soon as there is a place for it, and record what came of it.

        One that has timed out is recorded then; this returns when its answer is there or its link has gone.
        """
        if self._reads is not None and operation.op == "read" and operation.route == REPLICA:
            await self._carry_out_routed(operation, scheduled_ns, self._reads)
            return
        endpoint = self._router.choose(operation)
        gate = await self._admitted(operation, scheduled_ns, endpoint)
        if endpoint is not None and gate is not None:
            session = self._session(operation.route)
            operation = session.knowledge.completed(operation)
            await self._begin(_UnderWay(operation, scheduled_ns, clock.now_ns(), endpoint, session, gate))

    async def _carry_out_routed(self, operation: Operation, scheduled_ns: int, reads: ReplicaReads) -> None:
        """The session comes first, for where it may read follows from what it has seen."""
        session, invoke_ns = self._session(operation.route), clock.now_ns()
        endpoint = await reads.choose(session.knowledge.seen)
        gate = await self._admitted(operation, scheduled_ns, endpoint)
        if endpoint is None or gate is None:
            self._idle[operation.route].append(session)
        else:
            await self._begin(_UnderWay(operation, scheduled_ns, invoke_ns, endpoint, session, gate))

    async def _admitted(
        self, operation: Operation, scheduled_ns: int, endpoint: Endpoint | None
    ) -> asyncio.Semaphore | None:
        """The endpoint's gate, entered; None: it could not be, and the operation is recorded."""
        if endpoint is None:
            now = clock.now_ns()
            self._record(Attempt(operation, NO_SESSION, scheduled_ns, now, now, _NO_ENDPOINT))
            return None
        gate = self._gates[operation.route, operation.op, endpoint.name]
        patience = self._limits.start_seconds - (clock.now_ns() - scheduled_ns) / 1e9
        if await _enter(gate, patience):
            return gate
        self.overload(operation, scheduled_ns)
        return None

    def _session(self, route: str) -> _Session:
        idle = self._idle[route]
        return idle.pop() if idle else _Session(next(self._numbers))

    async def _begin(self, one: _UnderWay) -> None:
        link = one.session.link(one.endpoint)
        if link is None and self._opening[one.endpoint.name] and self._is_full(one.operation, one.endpoint):
            # One look at a time whether it still is: if all connected again at once, the server would do nothing else.
            self._end(one, Result(OVERLOAD, server=self._server_at[one.endpoint.name]))
            return
        try:
            link = link or await self._open(one.session, one.endpoint)
        except NotOpened as refused:
            self._end(one, Result(refused.outcome))
        else:
            await self._perform(one, link)

    def _is_full(self, operation: Operation, endpoint: Endpoint) -> bool:
        """Whether all places are taken by operations that hang, unless the endpoint leads elsewhere by now."""
        server = self._server_at.get(endpoint.name)
        return self._hanging[operation.route, operation.op, server] >= self._limits.in_flight

    def hurry(self, seconds: float) -> None:
        """The load is over: wait no longer than that for what is under way, however long a client would."""
        self._patience.shorten(seconds)

    def close(self) -> None:
        """Let go of every link, also of those that still wait for an answer."""
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

    async def _perform(self, one: _UnderWay, link: Link) -> None:
        place = (one.operation.route, one.operation.op, link.server)
        if self._hanging[place] >= self._limits.in_flight:
            self._end(one, Result(OVERLOAD, server=link.server))
            return
        self._hanging[place] += 1
        give_up = partial(self._give_up, one, link)
        self._patience.begin(give_up)
        try:
            result = await link.perform(one.operation)
        finally:
            self._patience.end(give_up)
            self._hanging[place] -= 1
        if one.ended:
            self._abandoned.discard(link)
            link.close()
        else:
            self._end(one, result)

    def _give_up(self, one: _UnderWay, link: Link) -> None:
        del one.session.links[one.endpoint.name]
        self._abandoned.add(link)
        self._end(one, Result(_TIMED_OUT, server=link.server))

    def _end(self, one: _UnderWay, result: Result) -> None:
        """Record an operation, and give its place and its session to the next."""
        one.ended = True
        return_ns = None if result.outcome == _TIMED_OUT else clock.now_ns()
        attempt = Attempt(one.operation, one.session.number, one.scheduled_ns, one.invoke_ns, return_ns, result)
        if result.outcome.outcome == "info":
            one.session.number, one.session.knowledge = next(self._numbers), Knowledge()
        elif result.outcome == OK:
            self._learn(one, result)
        one.gate.release()
        self._idle[one.operation.route].append(one.session)
        self._router.learn(one.operation, one.endpoint, result.outcome)
        self._record(attempt)

    def _learn(self, one: _UnderWay, result: Result) -> None:
        knowledge = one.session.knowledge
        knowledge.learn(one.operation, result)
        if one.operation.route == REPLICA:
            self._router.note_role(result.server, result.epoch is not None)
            if self._reads is not None:
                self._reads.seen_by(knowledge.seen).learn(one.operation, result, one.invoke_ns, clock.now_ns())

    def _gate(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._limits.in_flight)


async def _enter(gate: asyncio.Semaphore, seconds: float) -> bool:
    """Whether there was a place within so many seconds; first come, first served."""
    if not gate.locked():
        return await gate.acquire()
    try:
        async with asyncio.timeout(seconds):
            return await gate.acquire()
    except TimeoutError:
        return False
