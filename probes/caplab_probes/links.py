"""The contract between an engine and the rest of the prober: a client opens links, and a link performs operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from caplab.contract.engines import Engine
from caplab.contract.objects import REPLICA

from .load.transactions import MicroOp
from .load.workloads import Operation
from .outcomes import Outcome
from .spec import CLIENT_FIELDS, PLAIN_CLIENT, WORKLOADS, ClientOptions, Limits, ProbeSpec


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect; name is 'service' or a member's name."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Topology:
    """A cluster's endpoints: the Service that applications use, and the members with their resolved addresses."""

    service: Endpoint | None
    members: tuple[Endpoint, ...]

    def member_at(self, address: str) -> str:
        """Return the member at an address, or the address itself."""
        return next((member.name for member in self.members if member.host == address), address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of an operation. server and epoch are as they answered, None if unknown.

    value: what was read, or the id that was handed out. observed: what a cas read. lsn: the position of the server's
    write-ahead log right after the operation (bytes since its beginning), if the client was told to ask for it.
    txn: the micro-operations of a transaction that committed, with what they read.
    """

    outcome: Outcome
    value: int | None = None
    server: str | None = None
    epoch: str | None = None
    observed: int | None = None
    lsn: int | None = None
    txn: tuple[MicroOp, ...] = ()


def result_of(
    operation: Operation, outcome: Outcome, value: int | None, server: str | None, epoch: str | None = None
) -> Result:
    """Make an operation's result from the number that came back, which means what the operation asked for."""
    if operation.op == "cas":
        return Result(outcome=outcome, value=None, server=server, epoch=epoch, observed=value)
    return Result(outcome=outcome, value=value, server=server, epoch=epoch)


@dataclass(frozen=True, slots=True)
class Position:
    """Position of a member's write-ahead log (bytes since its beginning): written on a primary, else replayed.

    asked_ns: when it was asked for, in monotonic nanoseconds.
    """

    lsn: int
    primary: bool
    asked_ns: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What one member holds of a run: pairs of key (None in a set) and value. A primary decides what was kept.

    server 'all': every member was read, and this is what they hold together.
    """

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
    """One connection to one server, or a share in several connections, for one operation at a time."""

    @property
    def server(self) -> str | None:
        """The member behind the link, else its address; None if only its answer shows which one it is."""

    @property
    def alive(self) -> bool:
        """Whether the link can still be used, as far as is known."""

    async def perform(self, operation: Operation) -> Result:
        """Carry out one operation, however long it takes. Never raises for what a server does, and never retries."""

    def close(self) -> None:
        """Close at once, waiting for nothing; an operation under way ends."""


class NotDone(Exception):
    """Work other than an operation (making tables, a scan) was not done; the message says why."""


class Client(Protocol):
    """Opens links to one cluster."""

    async def open(self, endpoint: Endpoint) -> Link:
        """Connect once, within the client's limit. Raises NotOpened."""

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make what the workloads need where it is missing. Raises NotDone."""

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Read all that a member holds of a run. Raises NotDone."""

    async def close(self) -> None:
        """Close what links share, when the probe has ended; no link is open by then, and none is opened later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFactory:
    """Makes the clients of an engine, and knows what they support.

    client: makes a client from the login (the entries of the secret NAME-application), the limits, the endpoints last
    seen and the options; raises KeyError if the login lacks an entry. read_levels, write_levels: those that it knows.
    service: the suffix of the name of the Service that applications use. client_options: the ClientOptions that its
    clients support. levels_of: for workloads that cannot have all levels, those for reads and those for writes.
    position: asks the member behind a link for its position, and raises NotDone; None if the engine has no positions.
    not_on_replicas: the levels that a replica does not know.
    """

    engine: Engine
    client: Callable[[Mapping[str, str], Limits, Callable[[], Topology], ClientOptions], Client]
    read_levels: tuple[str, ...] = ()
    write_levels: tuple[str, ...] = ()
    service: str = "primary"
    client_options: tuple[str, ...] = ()
    workloads: tuple[str, ...] = WORKLOADS
    levels_of: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    position: Callable[[Link], Awaitable[Position]] | None = None
    not_on_replicas: tuple[str, ...] = ()

    def check(self, spec: ProbeSpec) -> None:
        """Raise ValueError, with the field and the hint, if the engine does not support what a probe asks for."""
        self._check_levels(spec)
        self._check_client(spec.client)
        if REPLICA in spec.routes and not self.engine.has_primary:
            raise ValueError(
                f"routes has {REPLICA!r}. Hint: use direct; a {self.engine.kind} has no primary and no replicas."
            )
        if REPLICA in spec.routes and spec.levels.read in self.not_on_replicas:
            raise ValueError(
                f"levels.read is {spec.levels.read!r}. Hint: use another level on the route {REPLICA}; a replica of a"
                f" {self.engine.kind} does not know this one."
            )
        if spec.workload not in self.workloads:
            hint = f"use one of {', '.join(self.workloads)}; a {self.engine.kind} has no epochs"
            raise ValueError(f"workload is {spec.workload!r}. Hint: {hint}.")

    def _check_levels(self, spec: ProbeSpec) -> None:
        read, write = self.levels_of.get(spec.workload, (self.read_levels, self.write_levels))
        for name, level, levels in (("read", spec.levels.read, read), ("write", spec.levels.write, write)):
            if level is not None and level not in levels:
                hint = f"use one of {', '.join(levels)}" if levels else f"leave it out; a {self.engine.kind} has none"
                of = f" of the workload {spec.workload}" if spec.workload in self.levels_of else ""
                raise ValueError(f"levels.{name}{of} is {level!r}. Hint: {hint}.")

    def _check_client(self, options: ClientOptions) -> None:
        for field_name, name in CLIENT_FIELDS.items():
            asked = getattr(options, name)
            if asked != getattr(PLAIN_CLIENT, name) and name not in self.client_options:
                raise ValueError(
                    f"client.{field_name} is {asked!r}. Hint: leave it out; a {self.engine.kind} has no such option."
                )
