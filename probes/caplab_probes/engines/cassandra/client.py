"""The Cassandra client: the driver as an application has it, or with one member as the coordinator.

All links of a client share the driver's one connection to each member: a link is a place for one operation at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from cassandra import OperationTimedOut
from cassandra.connection import ConnectionShutdown

from caplab.contract.engines import CASSANDRA
from caplab.model.transactions import TXN

from ...links import Client, ClientFactory, Endpoint, NotDone, NotOpened, Result, Scan, Topology, result_of
from ...load.workloads import Operation
from ...outcomes import OK, NoAnswer, Outcome
from ...spec import PLAIN_CLIENT, WORKLOADS, ClientOptions, Limits
from .connection import DriverConnection, SharedDriver
from .driver import DIRECT_PROFILE, SERVICE_PROFILE, send
from .outcomes import ERRORS, Answer, applied, current_value, not_sent, reading, row_missing
from .scanning import scan_run
from .statements import LEVELS_OF, READ_LEVELS, WRITE_LEVELS, Kind, Statement, first_write_of, next_id_of, statement_of
from .transactions import (
    aborted,
    batch_of,
    ended,
    is_conditional,
    keys_read,
    read_by,
    texts_of,
    version_in,
    version_read,
)

OPENING_SECONDS = 20.0  # for the shared connection, when no schedule waits: a busy machine takes seconds for it
# The driver gives up this much after the session has: which of the two comes first must not be a matter of chance.
_MARGIN_SECONDS = 0.2
_CLOSED = Answer(error=ConnectionShutdown("the link was closed"))

_T = TypeVar("_T")


class CassandraLink:
    """A place for one operation at a time, through the Service (any coordinator) or to one member."""

    def __init__(
        self, connection: DriverConnection, endpoint: Endpoint, topology: Callable[[], Topology], seconds: float
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._topology = topology
        self._seconds = seconds
        self._closed = False
        self._waiting: asyncio.Future[Answer] | None = None
        self._last_ids: dict[str | None, int] = {}
        self.server = None if endpoint.name == "service" else endpoint.name

    @property
    def alive(self) -> bool:
        """Whether it can be used; a member that is down refuses operations, and its links stay."""
        return not self._closed and not self._connection.lost

    def close(self) -> None:
        """Close at once: an operation under way ends as closed, and its answer is dropped. Other links stay."""
        self._closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(_CLOSED)

    async def perform(self, operation: Operation) -> Result:
        """Carry out one operation: one statement, or two for a conditional write of a register without a value."""
        until = asyncio.get_running_loop().time() + self._seconds + _MARGIN_SECONDS
        if operation.op == "id":
            return await self._next_id(operation, until)
        if operation.op == TXN:
            return await self._transact(operation, until)
        statement = statement_of(operation)
        answer = await self._ask(statement, until)
        if statement.kind is Kind.CONDITIONAL and operation.op == "write" and row_missing(answer):
            statement = first_write_of(operation)
            answer = await self._ask(statement, until)
        return self._result(operation, answer, *reading(operation, statement.kind, answer))

    async def _transact(self, operation: Operation, until: float) -> Result:
        """Read what a transaction reads, and write what it writes if it could be read."""
        self._connection.want(texts_of(operation))
        version, answer, rows = None, Answer(), ()
        if is_conditional(operation):
            answer = await self._ask(version_read(operation), until)
            version = version_in(answer)
        if answer.error is None and (reads := keys_read(operation)) is not None:
            answer = await self._ask(reads, until)
            rows = answer.rows
        if answer.error is not None:
            return self._result(operation, answer, aborted(answer), None)
        outcome = OK
        if not operation.only_reads:
            batch = batch_of(operation, version)
            answer = await self._ask(batch, until)
            outcome = ended(batch, answer)
        micro_ops = read_by(operation.txn, rows) if outcome == OK else ()
        return replace(self._result(operation, answer, outcome, None), txn=micro_ops)

    async def _next_id(self, operation: Operation, until: float) -> Result:
        """Hand out the id after the last one that this link has seen, or after a newer one of another client.

        If another client is quicker a second time, no id is handed out.
        """
        last = self._last_ids.get(operation.key)
        statement = next_id_of(operation, last)
        answer = await self._ask(statement, until)
        if answer.error is None and not applied(answer):
            last = current_value(answer)
            answer = await self._ask(next_id_of(operation, last), until)
        outcome, _ = reading(operation, statement.kind, answer)
        if outcome != OK:
            return self._result(operation, answer, outcome, None)
        self._last_ids[operation.key] = given = (last or 0) + 1
        return self._result(operation, answer, outcome, given)

    def _result(self, operation: Operation, answer: Answer, outcome: Outcome, value: int | None) -> Result:
        if answer.asked == 0:  # no member that the driver knows takes it
            self._connection.notice_loss(self._topology())
        return result_of(operation, outcome, value, self._server_of(answer))

    def _server_of(self, answer: Answer) -> str | None:
        if answer.server is not None:
            return self._topology().member_at(answer.server)
        return self.server if answer.asked else None

    async def _ask(self, statement: Statement, until: float) -> Answer:
        bound = await self._bound(statement, until)
        left = until - asyncio.get_running_loop().time()
        if isinstance(bound, Answer):
            return bound
        if self._closed or left <= 0:
            return not_sent(NoAnswer.CLOSED if self._closed else NoAnswer.TIMEOUT)
        if self.server is None:
            self._waiting = send(self._connection.session, bound, left, SERVICE_PROFILE)
        else:
            host = self._connection.host(self._endpoint.host)
            if host is None:  # without a host the driver would choose one
                return not_sent(NoAnswer.REFUSED)
            self._waiting = send(self._connection.session, bound, left, DIRECT_PROFILE, host)
        return await self._waiting

    async def _bound(self, statement: Statement, until: float) -> Any:
        """Return the statement as the driver sends it, prepared first if need be; or the answer that came instead."""
        bound = self._connection.bound(statement)
        if bound is not None:
            return bound
        try:
            async with asyncio.timeout_at(until):
                await self._connection.prepared()
        except (TimeoutError, OperationTimedOut):
            return not_sent(NoAnswer.TIMEOUT)
        except ERRORS:
            return not_sent(NoAnswer.REFUSED)
        return self._connection.bound(statement)


class CassandraClient:
    """Links to one cluster, all on one driver."""

    def __init__(
        self, shared: SharedDriver, limits: Limits, topology: Callable[[], Topology], retry_ms: int | None = None
    ) -> None:
        self._shared = shared
        self._retry_ms = retry_ms
        self._limits = limits
        self._topology = topology

    async def open(self, endpoint: Endpoint) -> CassandraLink:
        """Open a link. Raises NotOpened if the driver has no connection, or none to the member asked for."""
        connection = await self._shared.connection(self._limits.connect_seconds)
        if endpoint.name != "service" and not connection.connected(connection.host(endpoint.host)):
            raise NotOpened(Outcome("fail", "refused"), f"{endpoint.host}: the driver has no connection to it")
        return CassandraLink(connection, endpoint, self._topology, self._limits.statement_seconds)

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make the tables and prepare the statements, through any member. Raises NotDone."""
        await self._with_time(endpoint, self._prepare)

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Read all that a member holds of a run, or through the Service all that all members hold. Raises NotDone."""
        return await self._with_time(endpoint, lambda connection: scan_run(connection, endpoint, workload, run_id))

    async def close(self) -> None:
        """Close the driver."""
        await self._shared.close()

    async def _prepare(self, connection: DriverConnection) -> None:
        await asyncio.to_thread(connection.make_tables, self._retry_ms)
        await connection.prepared()

    async def _with_time(self, endpoint: Endpoint, work: Callable[[DriverConnection], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(self._limits.scan_seconds):
                return await work(await self._shared.connection(OPENING_SECONDS))
        except TimeoutError:
            raise NotDone(f"{endpoint.name}: not done within {self._limits.scan_seconds:g} s") from None
        except (NotDone, NotOpened, *ERRORS) as error:
            raise NotDone(f"{endpoint.name}: {error}") from error


def client(
    login: Mapping[str, str], limits: Limits, topology: Callable[[], Topology], options: ClientOptions = PLAIN_CLIENT
) -> Client:
    """Make a client for one cluster; login has username and password ('' if none is needed)."""
    shared = SharedDriver(login, limits, topology, options)
    return CassandraClient(shared, limits, topology, options.speculative_retry_ms)


FACTORY = ClientFactory(
    engine=CASSANDRA,
    client=client,
    read_levels=READ_LEVELS,
    write_levels=WRITE_LEVELS,
    service="any",
    client_options=(
        *("client_timestamps", "speculative_delay_ms", "speculative_retry_ms"),
        *("clock_skew_ms", "skewed_vantages"),
    ),
    workloads=tuple(workload for workload in WORKLOADS if workload != "clock"),
    levels_of=LEVELS_OF,
)
