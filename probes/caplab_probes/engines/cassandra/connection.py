"""The one connection to a cluster that all links of a client share, from its first use to the probe's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cassandra import AlreadyExists, DriverException
from cassandra.connection import DefaultEndPoint

from ...links import NotDone, NotOpened, Topology
from ...outcomes import Outcome
from ...spec import ClientOptions, Limits
from ..resolver import Resolver
from .driver import AGREEMENT_SECONDS, connect
from .outcomes import ERRORS
from .statements import KEYSPACE, RETRIED, TABLES, TEXTS, Kind, Statement, retry_after, speculative_retry

RETRY_SECONDS = 1.0  # between two attempts to connect: each takes threads of its own

_RETRY = "speculative_retry"
Connect = Callable[..., tuple[Any, Any]]


class DriverConnection:
    """The driver's Cluster and Session with the statements prepared there. lost: it will never reach a member again."""

    def __init__(self, cluster: Any, session: Any, port: int) -> None:
        self.cluster = cluster
        self.session = session
        self.lost = False
        self._port = port
        self._prepared: dict[str, Any] = {}
        self._wanted: tuple[str, ...] = TEXTS
        self._preparing: asyncio.Task[None] | None = None

    def host(self, address: str) -> Any:
        """Return the driver's Host at an address; None if the ring has none there."""
        return self.cluster.metadata.get_host(DefaultEndPoint(address, self._port))

    def connected(self, host: Any) -> bool:
        """Return whether the driver has an open connection to a host."""
        return bool(self.session.get_pool_state().get(host, {}).get("open_count"))

    def bound(self, statement: Statement) -> Any:
        """Return a statement ready to be sent; None if it could not be prepared yet."""
        prepared = self._prepared.get(statement.text)
        if prepared is None:
            return None
        bound = prepared.bind(statement.values)
        bound.consistency_level = statement.level
        # What is idempotent may be sent to another coordinator too. An increment and a lightweight transaction are not,
        # nor is a write that its coordinator stamps: the second one would stamp it later, and newer.
        is_same_write = statement.kind is Kind.WRITE and self.session.use_client_timestamp
        bound.is_idempotent = statement.kind is Kind.READ or is_same_write
        if statement.serial is not None:
            bound.serial_consistency_level = statement.serial
        return bound

    def want(self, texts: Iterable[str]) -> None:
        """Have these texts prepared too, before one of them is sent."""
        if new := [text for text in texts if text not in self._wanted]:
            self._wanted = (*self._wanted, *new)

    async def prepared(self) -> None:
        """Wait until all statements wanted by now are prepared; concurrent callers share attempts. Raises ERRORS."""
        while any(text not in self._prepared for text in self._wanted):  # an attempt may be older than what is wanted
            if self._preparing is None or self._preparing.done():
                self._preparing = asyncio.create_task(asyncio.to_thread(self.prepare_statements))
                self._preparing.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may wait
            await asyncio.shield(self._preparing)

    def prepare_statements(self) -> None:
        """Prepare the statements that are not yet prepared; blocks.

        Raises the driver's errors, InvalidRequest if the tables are missing.
        """
        for text in self._wanted:
            if text not in self._prepared:
                self._prepared[text] = self.session.prepare(text)

    def make_tables(self, retry_ms: int | None = None) -> None:
        """Make the tables where they are missing, and wait until all members know them; blocks. Raises NotDone.

        retry_ms: after how many milliseconds a coordinator reads from another replica too; None: as by default.
        """
        self._agree()
        missing = TABLES.keys() - self._tables().keys()
        self._execute([text for name, text in TABLES.items() if name in missing])
        when, tables = speculative_retry(retry_ms), self._tables()
        # All probers of a run ask for the same, and a later run may ask for another time.
        self._execute([retry_after(name, when) for name in RETRIED if tables[name].options[_RETRY] != when])

    def replication_factor(self) -> int:
        """Return how many members have a copy of each key."""
        strategy = self.cluster.metadata.keyspaces[KEYSPACE].replication_strategy
        return sum(int(str(factor)) for factor in strategy.dc_replication_factors.values())

    def notice_loss(self, topology: Topology) -> None:
        """Check whether all members have other addresses than the driver knows: it looks up no names again."""
        if topology.members and all(self.host(member.host) is None for member in topology.members):
            self.lost = True

    def _tables(self) -> Mapping[str, Any]:
        """Return the tables by the driver's metadata, which is as new as the last _agree. Raises NotDone."""
        keyspace = self.cluster.metadata.keyspaces.get(KEYSPACE)
        if keyspace is None:
            raise NotDone(f"there is no keyspace {KEYSPACE} yet")
        tables: Mapping[str, Any] = keyspace.tables
        return tables

    def _execute(self, texts: Sequence[str]) -> None:
        """Change the schema, and wait until all members know of it, if there is anything to change."""
        for text in texts:
            with suppress(AlreadyExists):  # another prober made it first
                self.session.execute(text, timeout=2 * AGREEMENT_SECONDS)
        if texts:
            self._agree()

    def _agree(self) -> None:
        try:
            self.cluster.refresh_schema_metadata(AGREEMENT_SECONDS)
        except DriverException as error:
            raise NotDone("the members do not agree on the schema yet") from error


class SharedDriver:
    """Opens when it is first asked for, and again after a failure or a loss, until it is closed."""

    def __init__(
        self,
        login: Mapping[str, str],
        limits: Limits,
        topology: Callable[[], Topology],
        options: ClientOptions,
        connect: Connect = connect,
    ) -> None:
        self._arguments = ({name: login[name] for name in ("username", "password")}, limits, options)
        self._limits = limits
        self._topology = topology
        self._connect = connect
        self._resolver = Resolver()
        self._task: asyncio.Task[DriverConnection] | None = None
        self._failed_at = 0.0
        self._closed = False

    async def connection(self, seconds: float) -> DriverConnection:
        """Return the connection, after so many seconds at most. Raises NotOpened; opening goes on all the same."""
        task = self._opening()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(task)
        except TimeoutError:
            raise NotOpened(Outcome("fail", "timeout"), "no connection in time") from None
        except ERRORS as error:
            raise NotOpened(Outcome("fail", "refused"), str(error)) from error

    async def close(self) -> None:
        """Close the connection, and one that is still opening; later calls of `connection` are refused."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait({self._task})
            await self._end(self._task)

    def _opening(self) -> asyncio.Task[DriverConnection]:
        if self._closed:
            raise NotOpened(Outcome("fail", "refused"), "the client is closed")
        task = self._task
        if task is None or (task.done() and self._is_over(task)):
            task = self._task = asyncio.create_task(self._open(task))
            task.add_done_callback(self._note)
        return task

    def _is_over(self, task: asyncio.Task[DriverConnection]) -> bool:
        if task.cancelled() or task.exception() is not None:
            return asyncio.get_running_loop().time() - self._failed_at >= RETRY_SECONDS
        return task.result().lost

    def _note(self, task: asyncio.Task[DriverConnection]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._failed_at = asyncio.get_running_loop().time()

    async def _open(self, before: asyncio.Task[DriverConnection] | None) -> DriverConnection:
        if before is not None:
            await self._end(before)
        port, contacts = await self._contacts()
        return await asyncio.to_thread(self._open_in_thread, contacts, port)

    def _open_in_thread(self, contacts: tuple[str, ...], port: int) -> DriverConnection:
        connection = DriverConnection(*self._connect(contacts, port, *self._arguments), port)
        with suppress(*ERRORS):  # the tables may not be there yet
            connection.prepare_statements()
        return connection

    async def _contacts(self) -> tuple[int, tuple[str, ...]]:
        """Return the port and all addresses behind the Service; if its name is not resolved, the last known ones."""
        topology = self._topology()
        members = tuple(member.host for member in topology.members)
        if topology.service is None:
            if not members:
                raise OSError("no endpoint of the target is known")
            return topology.members[0].port, members
        with suppress(OSError):
            async with asyncio.timeout(self._limits.connect_seconds):
                return topology.service.port, await self._resolver.addresses(topology.service.host)
        return topology.service.port, members

    async def _end(self, task: asyncio.Task[DriverConnection]) -> None:
        if not task.cancelled() and task.exception() is None:
            await asyncio.to_thread(task.result().cluster.shutdown)
