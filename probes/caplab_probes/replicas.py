"""Reads that are routed among replicas: where the members are in the log, looked at all the time, and the choice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from . import clock
from .links import Client, Endpoint, Link, NotDone, NotOpened, Position, Topology
from .read_routing import ReadRouting, Seen, eligible

# How often each member is asked where it is: so much later than it could a read comes back to a replica.
LOOK_SECONDS = 0.02

Ask = Callable[[Link], Awaitable[Position]]


class Positions:
    """Asks every member again and again, on links of its own; `known` has those that answered."""

    def __init__(self, client: Client, topology: Callable[[], Topology], ask: Ask, patience_seconds: float) -> None:
        self.known: dict[str, Position] = {}
        self._client = client
        self._topology = topology
        self._ask = ask
        self._patience_seconds = patience_seconds
        self._links: dict[Endpoint, Link] = {}
        self._asking: dict[Endpoint, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def news(self, seconds: float) -> None:
        """Wait until a member has answered, for no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def close(self) -> None:
        """Stop, and let go of the links."""
        for task in (self._task, *self._asking.values()):
            task.cancel()
        for endpoint in list(self._links):
            self._links.pop(endpoint).close()

    async def _run(self) -> None:
        while True:
            members = self._topology().members
            self._forget_all_but(members)
            for member in members:
                if member not in self._asking:
                    task = self._asking[member] = asyncio.create_task(self._look(member))
                    task.add_done_callback(partial(self._done, member))
            await asyncio.sleep(LOOK_SECONDS)

    def _forget_all_but(self, members: tuple[Endpoint, ...]) -> None:
        for name in self.known.keys() - {member.name for member in members}:
            del self.known[name]
        for endpoint in self._links.keys() - set(members) - self._asking.keys():
            self._links.pop(endpoint).close()

    def _done(self, member: Endpoint, _: asyncio.Task[None]) -> None:
        del self._asking[member]

    async def _look(self, member: Endpoint) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                if member not in self._links:
                    self._links[member] = await self._client.open(member)
                self.known[member.name] = await self._ask(self._links[member])
        except (NotDone, NotOpened, TimeoutError):
            self.known.pop(member.name, None)  # it may come back with less
            if link := self._links.pop(member, None):
                link.close()
            return
        self._news.set()
        self._news = asyncio.Event()


class ReplicaReads:
    """Chooses where the reads of one probe's sessions go; primary: where else."""

    def __init__(
        self,
        routing: ReadRouting,
        positions: Positions,
        topology: Callable[[], Topology],
        primary: Callable[[], Endpoint | None],
    ) -> None:
        self._routing = routing
        self._positions = positions
        self._topology = topology
        self._primary = primary
        self._shared = Seen()
        self._turn = 0

    def seen_by(self, session: Seen) -> Seen:
        """What counts for a session: what it has seen itself, or what all have."""
        return self._shared if self._routing.is_shared else session

    async def choose(self, session: Seen) -> Endpoint | None:
        """A replica that may be read from, in turn, waited for as long as the routing has it; else the primary."""
        until_ns = clock.now_ns() + round(1e9 * self._routing.wait_seconds)
        while True:
            now_ns = clock.now_ns()
            names = eligible(self._routing, self.seen_by(session), self._positions.known, now_ns)
            if found := [member for member in self._topology().members if member.name in names]:
                self._turn += 1
                return found[self._turn % len(found)]
            if now_ns >= until_ns:
                return self._primary()
            await self._positions.news((until_ns - now_ns) / 1e9)

    def close(self) -> None:
        """Look at the members no longer."""
        self._positions.close()
