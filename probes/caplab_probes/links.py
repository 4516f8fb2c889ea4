"""What an engine's client is to the rest of the prober: it opens links, and a link performs operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .outcomes import Outcome
from .workloads import Operation


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect; name is 'service' or a member's."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Topology:
    """A cluster's endpoints: the primary's Service, and the members with their addresses resolved ahead."""

    service: Endpoint | None
    members: tuple[Endpoint, ...]

    def member_at(self, address: str) -> str:
        """The member at an address, or the address itself."""
        return next((member.name for member in self.members if member.host == address), address)


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation came to: observed is what was read; server and epoch as they answered, None: unknown."""

    outcome: Outcome
    observed: int | None = None
    server: str | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What one member holds of a run: pairs of key (None in a set) and value; primary: it takes writes."""

    server: str
    epoch: str | None
    primary: bool
    elements: tuple[tuple[str | None, int], ...]


class NotOpened(Exception):
    """No link could be made, so nothing was sent; outcome is a fail."""

    def __init__(self, outcome: Outcome, text: str = "") -> None:
        super().__init__(text or outcome.error)
        self.outcome = outcome


class Link(Protocol):
    """One connection to one server, for one operation at a time."""

    @property
    def server(self) -> str:
        """The member behind the link, else its address."""

    @property
    def alive(self) -> bool:
        """Whether the link can still be used, as far as is known."""

    async def perform(self, operation: Operation) -> Result:
        """Carry out one operation, however long it takes. Never raises for what a server does, never retries."""

    def close(self) -> None:
        """Let go at once, waiting for nothing; an operation under way ends."""


class NotDone(Exception):
    """Work around the operations (making tables, a scan) was not done; the message says why."""


class Client(Protocol):
    """Opens links to one cluster."""

    async def open(self, endpoint: Endpoint) -> Link:
        """Connect once, within the limit of the client; raises NotOpened."""

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make what the workloads need where it is missing; raises NotDone."""

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Read all that a member holds of a run; raises NotDone."""
