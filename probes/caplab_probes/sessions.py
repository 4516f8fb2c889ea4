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

from . import clock
from .links import Client, Endpoint, Link, NotOpened, Result
from .outcomes import OVERLOAD, Outcome
from .routing import Router
from .spec import Limits
from .workloads import Operation

NO_SESSION = 0  # of an operation that was never given one
_TIMED_OUT = Result(Outcome("info", "timeout"))
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

    def link(self, endpoint: Endpoint) -> Link | None:
        """The open link to an endpoint; a link to where it was before is closed."""
        known = self.links.get(endpoint.name)
        if known and known[0] == endpoint and known[1].alive:
            return known[1]
        if known:
            self.links.pop(endpoint.name)[1].close()
        return None


class Sessions:
    """All sessions of one probe; record is called once for each operation, when it has ended."""

    def __init__(
        self,
        client: Client,
        router: Router,
        limits: Limits,
        numbers: Iterator[int],
        record: Callable[[Attempt], None],
    ) -> None:
        self._client = client
        self._router = router
        self._limits = limits
        self._numbers = numbers
        self._record = record
        self._idle: defaultdict[str, list[_Session]] = defaultdict(list)
        self._gates: defaultdict[tuple[str, str, str], asyncio.Semaphore] = defaultdict(self._gate)
        self._hanging: Counter[tuple[str, str, str]] = Counter()
        self._tasks: set[asyncio.Task[Result]] = set()
        self._abandoned: set[Link] = set()

    def overload(self, operation: Operation, scheduled_ns: int, server: str | None = None) -> None:
        """Record an operation that is not started."""
        now = clock.now_ns()
        result = Result(OVERLOAD, server=server)
        self._record(Attempt(operation, NO_SESSION, scheduled_ns, now, now, result))

    async def carry_out(self, operation: Operation, scheduled_ns: int) -> None:
        """Start an operation as soon as there is a place for it, and record what came of it."""
        endpoint = self._router.choose(operation)
        if endpoint is None:
            now = clock.now_ns()
            self._record(Attempt(operation, NO_SESSION, scheduled_ns, now, now, _NO_ENDPOINT))
            return
        gate = self._gates[operation.route, operation.op, endpoint.name]
        patience = self._limits.start_seconds - (clock.now_ns() - scheduled_ns) / 1e9
        if not await _enter(gate, patience):
            self.overload(operation, scheduled_ns)
            return
        idle = self._idle[operation.route]
        session = idle.pop() if idle else _Session(next(self._numbers))
        try:
            attempt = await self._attempt(session, endpoint, operation, scheduled_ns)
        finally:
            gate.release()
            idle.append(session)
        self._router.learn(operation, endpoint, attempt.result.outcome)
        self._record(attempt)

    def close(self) -> None:
        """Let go of every link, also of those that still wait for an answer."""
        links = [link for idle in self._idle.values() for session in idle for _, link in session.links.values()]
        for link in [*links, *self._abandoned]:
            link.close()

    async def _attempt(self, session: _Session, endpoint: Endpoint, operation: Operation, scheduled_ns: int) -> Attempt:
        number, invoke_ns = session.number, clock.now_ns()
        try:
            link = session.link(endpoint) or await self._open(session, endpoint)
            result = await self._perform(session, endpoint, link, operation)
        except NotOpened as refused:
            result = Result(refused.outcome)
        return_ns = None if result.outcome == _TIMED_OUT.outcome else clock.now_ns()
        if result.outcome.outcome == "info":
            session.number = next(self._numbers)
        return Attempt(operation, number, scheduled_ns, invoke_ns, return_ns, result)

    async def _open(self, session: _Session, endpoint: Endpoint) -> Link:
        link = await self._client.open(endpoint)
        session.links[endpoint.name] = (endpoint, link)
        return link

    async def _perform(self, session: _Session, endpoint: Endpoint, link: Link, operation: Operation) -> Result:
        place = (operation.route, operation.op, link.server)
        if self._hanging[place] >= self._limits.in_flight:
            return Result(OVERLOAD, server=link.server)
        self._hanging[place] += 1
        task = asyncio.create_task(link.perform(operation))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._answered(done, place))
        await asyncio.wait({task}, timeout=self._limits.statement_seconds)
        if task.done():
            return task.result()
        del session.links[endpoint.name]
        self._abandoned.add(link)
        task.add_done_callback(lambda _: self._forget(link))
        return Result(_TIMED_OUT.outcome, server=link.server)

    def _answered(self, task: asyncio.Task[Result], place: tuple[str, str, str]) -> None:
        self._tasks.discard(task)
        self._hanging[place] -= 1

    def _forget(self, link: Link) -> None:
        self._abandoned.discard(link)
        link.close()

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
