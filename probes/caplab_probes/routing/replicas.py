"""Routing of reads among replicas: polls the members' positions, and chooses a replica for each read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from .. import clock
from ..links import Client, Endpoint, Link, NotDone, NotOpened, Position, Topology
from .reads import ObservedLsns, ReadRouting, eligible

# Between two polls of a member's position. A replica that has caught up gets reads again this much later.
POLL_SECONDS = 0.02

AskPosition = Callable[[Link], Awaitable[Position]]


class Positions:
    """Polls every member's position, on links of its own; `by_member` has the latest answers."""

    def __init__(
        self, client: Client, topology: Callable[[], Topology], ask: AskPosition, timeout_seconds: float
    ) -> None:
        self.by_member: dict[str, Position] = {}
        self._client = client
        self._topology = topology
        self._ask = ask
        self._timeout_seconds = timeout_seconds
        self._links: dict[Endpoint, Link] = {}
        self._polls: dict[Endpoint, asyncio.Task[None]] = {}
        self._answered = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def wait_for_answer(self, seconds: float) -> None:
        """Wait until a member has answered, so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._answered.wait()

    def close(self) -> None:
        """Stop, and close the links."""
        for task in (self._task, *self._polls.values()):
            task.cancel()
        for endpoint in list(self._links):
            self._links.pop(endpoint).close()

    async def _run(self) -> None:
        while True:
            members = self._topology().members
            self._keep_only(members)
            for member in members:
                if member not in self._polls:
                    task = self._polls[member] = asyncio.create_task(self._poll(member))
                    task.add_done_callback(partial(self._done, member))
            await asyncio.sleep(POLL_SECONDS)

    def _keep_only(self, members: tuple[Endpoint, ...]) -> None:
        for name in self.by_member.keys() - {member.name for member in members}:
            del self.by_member[name]
        for endpoint in self._links.keys() - set(members) - self._polls.keys():
            self._links.pop(endpoint).close()

    def _done(self, member: Endpoint, _: asyncio.Task[None]) -> None:
        del self._polls[member]

    async def _poll(self, member: Endpoint) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                if member not in self._links:
                    self._links[member] = await self._client.open(member)
                self.by_member[member.name] = await self._ask(self._links[member])
        except (NotDone, NotOpened, TimeoutError):
            self.by_member.pop(member.name, None)  # it may come back with a lower position
            if link := self._links.pop(member, None):
                link.close()
            return
        self._answered.set()
        self._answered = asyncio.Event()


class ReplicaReads:
    """Chooses a member for each read of one probe's sessions; the primary is the fallback."""

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
        self._shared = ObservedLsns()
        self._turn = 0

    def observed_by(self, session: ObservedLsns) -> ObservedLsns:
        """Return the LSNs that bind a session: those that it observed itself, or those that all sessions did."""
        return self._shared if self._routing.is_shared else session

    async def choose(self, session: ObservedLsns) -> Endpoint | None:
        """Return the next eligible replica. If none is eligible within the routing's wait, return the primary."""
        until_ns = clock.now_ns() + round(1e9 * self._routing.wait_seconds)
        while True:
            now_ns = clock.now_ns()
            names = eligible(self._routing, self.observed_by(session), self._positions.by_member, now_ns)
            if replicas := [member for member in self._topology().members if member.name in names]:
                self._turn += 1
                return replicas[self._turn % len(replicas)]
            if now_ns >= until_ns:
                return self._primary()
            await self._positions.wait_for_answer((until_ns - now_ns) / 1e9)

    def close(self) -> None:
        """Stop asking for positions."""
        self._positions.close()
